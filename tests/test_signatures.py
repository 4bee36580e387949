from __future__ import annotations

import ast
import importlib
import inspect
import json
from pathlib import Path
from typing import Literal

import pytest

from tfmap import signatures, tasks
from tfmap.errors import InputError
from tfmap.signatures import Key

GOLDEN = Path(__file__).parent / "golden" / "surface.json"


def surface() -> dict:
    from tfmap.stages import STAGES

    keys = {
        section if task == signatures.TASKS[0] else f"{section} ({task})": {
            name: key.annotation for name, key in signatures.keys(section, task).items()
        }
        for section in signatures.SECTIONS
        for task in signatures.by_task(section)
    }
    return {"stages": {name: stage.takes for name, stage in STAGES.items()}, "sections": keys}


def test_the_surface_changes_on_purpose_only():
    """After a wanted change: python -m tests.test_signatures"""
    assert surface() == json.loads(GOLDEN.read_text())


SECTIONS = [(section, task) for section in signatures.SECTIONS for task in signatures.by_task(section)]


@pytest.mark.parametrize(("section", "task"), SECTIONS)
def test_every_key_has_a_meaning_and_a_default_of_its_own_type(section, task):
    for key in signatures.keys(section, task).values():
        assert key.meaning, f"{key.name} has no line in the docstring"
        if key.default is not signatures.REQUIRED:
            assert json.loads(json.dumps(key.check(key.default, "default"))) == json.loads(json.dumps(key.default))


@pytest.mark.parametrize(("section", "task"), SECTIONS)
def test_keys_are_arguments_of_the_function_as_python_sees_it(section, task):
    module, name = signatures.SECTIONS[section]
    parameters = inspect.signature(getattr(importlib.import_module(module.format(task=task)), name)).parameters
    for short, key in signatures.keys(section, task).items():
        default = parameters[short].default
        assert default == key.default or (default is inspect.Parameter.empty and key.default is signatures.REQUIRED)


@pytest.mark.parametrize("section", signatures._FILLED)
def test_what_the_flow_fills_would_be_a_key_otherwise(section):
    """A new argument of a simple type is a key unless it is listed as filled by the flow; no name is left over."""
    arguments = signatures._arguments(signatures._function(section))
    could = {name for name, kind, default in arguments if signatures.is_simple(kind) and default is not ...}
    assert signatures._FILLED[section] < could


def test_tasks_are_those_of_the_package():
    assert signatures.TASKS == tasks.NAMES


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        ("int", 3, 3),
        ("float", 1, 1.0),
        ("int | None", None, None),
        ("tuple[int, int, int]", [96, 96, 3], (96, 96, 3)),
        ("bool | str", True, True),
        ("bool | str", "P3", "P3"),
        ("Literal['none', 'balanced'] | list[float]", [1, 2.5], [1.0, 2.5]),
        ("dict | None", {"a.b": [1, "x"]}, {"a.b": [1, "x"]}),
    ],
)
def test_a_value_of_the_right_type_is_taken(annotation, value, expected):
    got = Key("s.k", annotation, None, "").check(value, "c.yaml")
    assert got == expected
    assert type(got) is type(expected)


@pytest.mark.parametrize(
    ("annotation", "value", "text"),
    [
        ("int", "3", "c.yaml: s.k must be int, received '3' (str)."),
        ("int", True, "c.yaml: s.k must be int, received True (bool)."),
        ("int", 3.0, "c.yaml: s.k must be int, received 3.0 (float)."),
        ("float | None", "1e-3x", "c.yaml: s.k must be float | null, received '1e-3x' (str)."),
        ("bool", 1, "c.yaml: s.k must be bool, received 1 (int)."),
        ("tuple[int, int]", [1, 2, 3], "c.yaml: s.k must be tuple[int, int], received [1, 2, 3] (list)."),
        (
            "Literal['live', 'frozen']",
            "frozn",
            "c.yaml: s.k must be live | frozen, received 'frozn' (str). Did you mean 'frozen'?",
        ),
    ],
)
def test_a_value_of_another_type_is_refused(annotation, value, text):
    with pytest.raises(InputError) as error:
        Key("s.k", annotation, None, "").check(value, "c.yaml")
    assert str(error.value) == text


def test_a_key_of_another_section_is_found():
    with pytest.raises(
        InputError, match=r"unknown key 'train.dropout'. Keys of train: .* Did you mean 'model.dropout'\?"
    ):
        signatures.key("train.dropout", "c.yaml")


def test_arguments_that_no_config_can_hold_are_no_keys():
    source = """
def f(model: keras.Model, a: int, *, b: float = 1.5, c: list[str] = [], d: np.dtype = None, e=3, g: str = NAME,
      h: Literal["x"] | None = None):
    pass
"""
    found = {
        name
        for name, kind, default in signatures._arguments(ast.parse(source).body[0])
        if signatures.is_simple(kind) and default is not ...
    }
    assert found == {"a", "b", "c", "h"}


def test_choices_of_a_literal_are_listed():
    assert Key("s.k", "Literal['a', 'b'] | None", None, "").choices == ("a", "b")
    assert Key("s.k", "int | None", None, "").choices == ()
    assert signatures._type("Literal['a']") == Literal["a"]


if __name__ == "__main__":
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text(json.dumps(surface(), indent=1) + "\n")
