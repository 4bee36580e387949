"""What can be set: the keyword arguments of the stage functions, read from their source without importing them.

A config has no classes of its own. A section is a function, a key is one of its keyword arguments, and its type,
default and meaning are the annotation, the default and the docstring line that stand in that function. Reading them
with `ast` keeps TensorFlow out of `--help` and lets a typo fail in milliseconds.
"""

from __future__ import annotations

import ast
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from tfmap.errors import InputError, did_you_mean

_ROOT = Path(__file__).parents[1]
TASKS = ("classification", "detection", "segmentation", "instances")

# section -> the function whose keyword arguments are its keys; some depend on the task
SECTIONS = {
    "datasets": ("tfmap.datasets", "load"),
    "doctor": ("tfmap.doctor", "examine"),
    "prepare": ("tfmap.prepare", "prepare"),
    "pipeline": ("tfmap.pipeline", "batches"),
    "augment": ("tfmap.augment", "build"),
    "model": ("tfmap.tasks.{task}", "build"),
    "preview": ("tfmap.preview", "preview"),
    "train": ("tfmap.train", "fit"),
    "profile": ("tfmap.profile", "profile"),
    "tune": ("tfmap.tune", "search"),
    "compare": ("tfmap.compare", "compare"),
    "compress": ("tfmap.compress", "compress"),
    "export": ("tfmap.export", "tflite"),
    "verify": ("tfmap.verify", "verify"),
    "shrink": ("tfmap.shrink", "shrink"),
}

# Arguments of simple types that one stage hands to the next, so nobody sets them in a config.
_FILLED = {
    "doctor": {"datasets"},
    "prepare": {"seed"},
    "pipeline": {"size", "channels", "training", "seed", "epoch", "epochs", "step"},
    "augment": {"classes", "point_pairs"},
    "model": {"classes", "multi_label", "trainable"},  # train.unfreeze has the last word on what learns
    "preview": {"config", "seed"},
    "train": {"task", "augment", "pipeline", "seed", "callbacks"},
    "profile": {"config"},
    "tune": {"config", "seed"},
    "compare": {"config", "seed"},
    "compress": {"task", "augment", "pipeline", "seed"},
    "export": {"task", "seed", "digest"},
    "verify": {"task"},
    "shrink": {"config"},
}
_NAMES = {kind.__name__: kind for kind in (str, int, float, bool, list, tuple, dict)} | {"Literal": Literal}
REQUIRED = object()


@dataclass(frozen=True)
class Key:
    """One key of a section.

    Attributes:
        name: "section.key".
        annotation: the type as it stands in the source.
        default: the default, or REQUIRED.
        meaning: the line of the docstring.
    """

    name: str
    annotation: str
    default: Any
    meaning: str

    @property
    def choices(self) -> tuple[Any, ...]:
        """The accepted words where the type has a Literal, else nothing."""
        nodes = ast.walk(ast.parse(self.annotation))
        literals = [n for n in nodes if isinstance(n, ast.Subscript) and ast.unparse(n.value) == "Literal"]
        return tuple(c.value for literal in literals for c in ast.walk(literal.slice) if isinstance(c, ast.Constant))

    def check(self, value: Any, where: str) -> Any:
        """Return `value` as the type of this key: a YAML list becomes a tuple where one is asked for.

        Raises:
            InputError: the value is of another type; nothing is coerced ("1" is no int, 1 is no bool).
        """
        from pydantic import TypeAdapter, ValidationError  # 0.1 s: only where something is validated

        try:
            # JSON rules: strict about scalars, while a list may stand for a tuple and 1 for 1.0.
            return TypeAdapter(_type(self.annotation)).validate_json(json.dumps(value, default=str), strict=True)
        except ValidationError:
            hint = did_you_mean(value, map(str, self.choices))
            raise InputError(
                f"{where}: {self.name} must be {readable(self.annotation)}, "
                f"received {value!r} ({type(value).__name__}).{hint}"
            ) from None


def readable(annotation: str) -> str:
    """An annotation in the words of a YAML file: `Literal['a', 'b'] | None` -> `a | b | null`."""
    return _words(ast.parse(annotation, mode="eval").body)


def _words(node: ast.expr) -> str:
    if isinstance(node, ast.BinOp):
        return f"{_words(node.left)} | {_words(node.right)}"
    if isinstance(node, ast.Subscript) and ast.unparse(node.value) == "Literal":
        choices = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        return " | ".join(as_yaml(ast.literal_eval(choice)) for choice in choices)
    return ast.unparse(node).replace("None", "null")


def as_yaml(value: Any) -> str:
    """A value as one would write it in a config: `null`, `true`, `0.2`, `[1, 2]`, and `""` for an empty text."""
    plain = isinstance(value, str) and value[:1].isalpha() and value not in ("true", "false", "null")
    return value if plain else json.dumps(value, default=str)


@cache
def keys(section: str, task: str = TASKS[0]) -> dict[str, Key]:
    """The keys of a section by their short names, in the order of the function's arguments."""
    function = _function(section, task)
    meanings = _meanings(function)
    filled = _FILLED.get(section, set())
    return {
        name: Key(f"{section}.{name}", annotation, default, meanings.get(name, ""))
        for name, annotation, default in _arguments(function)
        if name not in filled and is_simple(annotation) and default is not ...
    }


@cache
def summary(section: str, task: str = TASKS[0]) -> str:
    """The first line of the docstring of the section's function."""
    return (ast.get_docstring(_function(section, task)) or "").split("\n")[0]


def by_task(section: str) -> tuple[str, ...]:
    """The tasks that have keys of their own in a section; one stands for all where it does not depend on the task."""
    return TASKS if "{task}" in SECTIONS[section][0] else TASKS[:1]


def key(name: str, where: str, task: str = TASKS[0]) -> Key:
    """Find a key by its full name, "section.key".

    Args:
        name: the full name.
        where: it stands, for the errors.
        task: whose keys.

    Raises:
        InputError: there is no such section or key.
    """
    section, _, short = name.partition(".")
    if section not in SECTIONS:
        known = [*SECTIONS, "task", "seed", "out"]
        hint = _elsewhere(section, task) or did_you_mean(section, known)
        raise InputError(f"{where}: unknown section {section!r}. Known: {', '.join(known)}.{hint}")
    known = keys(section, task)
    if short not in known:
        hint = did_you_mean(short, known) or _elsewhere(short, task)
        of = f" in {task}" if len(by_task(section)) > 1 else ""
        raise InputError(f"{where}: unknown key {name!r}. Keys of {section}{of}: {', '.join(known)}.{hint}")
    return known[short]


def _elsewhere(short: str, task: str) -> str:
    homes = [repr(f"{section}.{short}") for section in SECTIONS if short in keys(section, task)]
    return f" Did you mean {' or '.join(homes)}?" if homes else ""


def _function(section: str, task: str = TASKS[0]) -> ast.FunctionDef:
    module, name = SECTIONS[section]
    path = _ROOT.joinpath(*module.format(task=task).split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name)


def _arguments(function: ast.FunctionDef) -> list[tuple[str, str | None, Any]]:
    """(name, annotation, default) of each argument; REQUIRED where it has no default, ... where that is no literal."""
    given = function.args
    positional = [*given.posonlyargs, *given.args]
    defaults = [None] * (len(positional) - len(given.defaults)) + given.defaults + given.kw_defaults
    pairs = zip([*positional, *given.kwonlyargs], defaults, strict=True)
    return [
        (argument.arg, argument.annotation and ast.unparse(argument.annotation), _literal(default))
        for argument, default in pairs
    ]


def _literal(default: ast.expr | None) -> Any:
    if default is None:
        return REQUIRED
    try:
        return ast.literal_eval(default)
    except ValueError:
        return ...


def is_simple(annotation: str | None) -> bool:
    """Whether a YAML file can hold a value of this type."""
    if annotation is None:
        return False
    nodes = list(ast.walk(ast.parse(annotation, mode="eval")))
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    return names <= set(_NAMES) and not any(isinstance(node, ast.Attribute) for node in nodes)


@cache
def _type(annotation: str) -> Any:
    return eval(annotation, {"__builtins__": {}}, _NAMES)  # our own source, and only the names above


def _meanings(function: ast.FunctionDef) -> dict[str, str]:
    from docstring_parser import google

    parsed = google.parse(ast.get_docstring(function) or "")
    return {p.arg_name: " ".join((p.description or "").split()) for p in parsed.params}
