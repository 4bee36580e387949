"""A YAML file and `section.key=value` overrides -> a checked dict: sections, each the keyword arguments of its stage.

What is not written in the file is left out of the dict, so that the function's own default holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from tfmap import signatures
from tfmap.errors import InputError, did_you_mean

# key at the top of the file -> its type
TOP = {"task": f"Literal{list(signatures.TASKS)}", "seed": "int", "out": "str"}


class _Loader(yaml.SafeLoader):
    """YAML 1.2 scalars, and no key twice.

    PyYAML follows YAML 1.1, where `1e-3` is a text, `no` is false, `010` is 8 and `12:30` is 750.
    """

    yaml_implicit_resolvers: dict[str, list[Any]] = {}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, (str, int, float, bool)):
                raise yaml.constructor.ConstructorError(None, None, "a key must be a text", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key!r} stands twice", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


_FLOAT = r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf)|\.(nan|NaN)"
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]+", list("-+0123456789")),
    ("float", _FLOAT, list("-+.0123456789")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)


def _construct_int(loader: _Loader, node: yaml.ScalarNode) -> int:
    return int(loader.construct_scalar(node))


_Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)


class _Dumper(yaml.SafeDumper):
    """Quotes what `_Loader` would take for something else: the text "08" is no number in YAML 1.1, and 8 in 1.2."""

    yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers


def parse(text: str, where: str) -> Any:
    """Parse YAML text.

    Raises:
        InputError: it is malformed, or a key stands twice; the text names the line.
    """
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f" line {mark.line + 1}" if mark else ""
        raise InputError(f"{where}{line}: not valid YAML: {error.problem or error.context}.") from None
    except yaml.YAMLError as error:
        raise InputError(f"{where}: not valid YAML: {' '.join(str(error).split())}.") from None


def read(path: Path) -> dict[str, Any]:
    """Read and check a config file.

    Raises:
        FileNotFoundError: it is not there.
        InputError: it is no YAML mapping of known sections, keys and types.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder, expected a YAML config file such as {path / 'config.yaml'}.")
    if not path.exists():
        near = did_you_mean(path.name, [p.name for p in path.parent.glob("*.yaml")])
        raise FileNotFoundError(f"config file {path} does not exist.{near}")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{path} is not a text file in UTF-8, expected a YAML config.") from None
    return check(parse(text, str(path)), str(path))


def check(config: Any, where: str) -> dict[str, Any]:
    """Check sections, keys and types of a parsed config and return it with every section present.

    Raises:
        InputError: the text names `where`, the key and the accepted names.
    """
    config = {} if config is None else config
    if not isinstance(config, dict):
        raise InputError(f"{where}: expected sections ({', '.join(signatures.SECTIONS)}), received {config!r}.")
    checked: dict[str, Any] = {"task": signatures.TASKS[0], "seed": 0, **{name: {} for name in signatures.SECTIONS}}
    checked |= {name: _top(name, value, where) for name, value in config.items() if name in TOP}
    for name, value in config.items():
        if name not in TOP:
            checked[name] = _section(str(name), value, where, checked["task"])
    return checked


def _top(name: str, value: Any, where: str) -> Any:
    return signatures.Key(name, TOP[name], None, "").check(value, where)


def _section(name: str, given: Any, where: str, task: str) -> dict[str, Any]:
    if name not in signatures.SECTIONS:
        signatures.key(name, where)
    if given is None:
        return {}
    if not isinstance(given, dict):
        known = ", ".join(signatures.keys(name, task))
        raise InputError(f"{where}: section {name!r} must hold keys ({known}), received {given!r}.")
    return {short: signatures.key(f"{name}.{short}", where, task).check(value, where) for short, value in given.items()}


def override(config: dict[str, Any], settings: Iterable[str], reads: Iterable[str] | None = None) -> dict[str, Any]:
    """Return the config with `section.key=value` settings applied.

    Args:
        config: a checked config; it is not changed.
        settings: texts such as "train.epochs=3", "augment.ops=flip|color(.4)", "seed=1".
        reads: the sections that a setting may name; default all, and the top-level keys.

    Raises:
        InputError: no '=', an unknown or unread key, a wrong type.
    """
    config = {name: dict(value) if isinstance(value, dict) else value for name, value in config.items()}
    for setting in settings:
        name, equals, text = setting.partition("=")
        where = f"setting {setting!r}"
        if not equals:
            raise InputError(f"{where}: expected section.key=value, such as train.epochs=3.")
        _check_read(name, reads, where)
        if name in TOP:
            config[name] = _top(name, _value(text, TOP[name], where), where)
            continue
        key = signatures.key(name, where, config["task"])
        section, _, short = name.partition(".")
        config[section][short] = key.check(_value(text, key.annotation, where), where)
    return config


def _value(text: str, annotation: str, where: str) -> Any:
    """A value from the command line; where only a text will do, `123` and an empty value are texts."""
    if annotation == "str":
        value = parse(text, where) if text[:1] in "\"'" and text else text
        return value if isinstance(value, str) else text
    return parse(text, where)


def _check_read(name: str, reads: Iterable[str] | None, where: str) -> None:
    head = name.partition(".")[0]
    if reads is None or head in reads or head not in {*TOP, *signatures.SECTIONS}:
        return
    raise InputError(f"{where}: this stage does not read {head!r}. It reads: {', '.join(reads) or 'no settings'}.")


def require(config: dict[str, Any], sections: Iterable[str], where: str) -> None:
    """Check that every key without a default is there.

    Raises:
        InputError: one is missing.
    """
    for section in sections:
        for short, key in signatures.keys(section, config["task"]).items():
            if key.default is signatures.REQUIRED and short not in config[section]:
                kind = signatures.readable(key.annotation)
                raise InputError(f"{where}: {key.name} is missing ({kind}): {key.meaning}")


def dump(config: dict[str, Any]) -> str:
    """A config as YAML text that `read` takes; empty sections are left out."""
    kept = {name: value for name, value in config.items() if value != {}}
    return yaml.dump(_plain(kept), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


def _plain(value: Any) -> Any:
    """Tuples as lists, deeply."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, (list, tuple)) else value
