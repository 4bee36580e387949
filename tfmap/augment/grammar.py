"""A policy string -> calls of registered ops. Literals only: nothing of the string is ever evaluated."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tfmap.augment.ops import OPS, Op
from tfmap.errors import InputError, did_you_mean


@dataclass(frozen=True)
class Call:
    """One op with its arguments, all given and checked."""

    name: str
    kind: str
    function: Callable[..., Any]
    arguments: dict[str, float]


@dataclass(frozen=True)
class _Place:
    """Where in which policy an op stands."""

    policy: str
    position: int

    def error(self, what: str, advice: str) -> InputError:
        return InputError(f'augment: {what} in "{self.policy}" (op {self.position}, augment.ops). {advice}')


def parse(policy: str) -> tuple[Call, ...]:
    """Read a policy string.

    Args:
        policy: ops separated by "|"; each a name, or a name with positional and keyword numbers in parentheses.

    Returns:
        tuple[Call, ...]: in the order of the string, shorthands expanded.

    Raises:
        InputError: an unknown op, or an argument of the wrong count, name, type or range.
    """
    if not isinstance(policy, str):
        raise InputError(f'augment: ops must be a string such as "flip|rotate(15)", received {policy!r} (augment.ops).')
    if not policy.strip():
        return ()
    parts = enumerate(policy.split("|"), start=1)
    return tuple(call for position, part in parts for call in _read(part.strip(), _Place(policy, position)))


def _read(part: str, place: _Place) -> tuple[Call, ...]:
    name, given, named = _literals(part, place)
    if name not in OPS:
        known = f"Known ops: {', '.join(sorted(OPS))}."
        raise place.error(f"unknown op {name!r}", known + did_you_mean(name, OPS))
    op = OPS[name]
    arguments = _bind(op, given, named, place)
    _check(op, arguments, place)
    if op.kind == "shorthand":
        return parse(op.function(**arguments))
    return (Call(name, op.kind, op.function, arguments),)


def _literals(part: str, place: _Place) -> tuple[str, list[Any], dict[str | None, Any]]:
    """`rotate(15)` -> ("rotate", [15], {})."""
    try:
        node = ast.parse(part, mode="eval").body
        if isinstance(node, ast.Name):
            return node.id, [], {}
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            named = {keyword.arg: ast.literal_eval(keyword.value) for keyword in node.keywords}
            return node.func.id, [ast.literal_eval(argument) for argument in node.args], named
    except (SyntaxError, ValueError):
        pass
    raise place.error(f"cannot read {part!r}", 'Expected a name, or a name with numbers: "flip", "rotate(degrees=15)".')


def _bind(op: Op, given: list[Any], named: dict[str | None, Any], place: _Place) -> dict[str, Any]:
    names = list(op.defaults)
    if len(given) > len(names):
        raise place.error(
            f"{op.usage} takes {len(names)} argument{'s' * (len(names) > 1)}, received {len(given)}",
            "Drop the last ones.",
        )
    positional = dict(zip(names, given, strict=False))
    for name in named:
        if name not in names:
            advice = f"Its arguments: {', '.join(names)}.{did_you_mean(str(name), names)}"
            raise place.error(f"{op.function.__name__} has no argument {name!r}", advice)
        if name in positional:
            raise place.error(f"{op.function.__name__} got {name!r} twice", "Give it by position or by name.")
    return {**op.defaults, **positional, **named}


def _check(op: Op, arguments: dict[str, Any], place: _Place) -> None:
    for name, (lowest, highest) in op.ranges.items():
        value = arguments[name]
        label = f"{op.function.__name__}: {name}"
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise place.error(f"{label} must be a number, received {value!r}", f"Usage: {op.usage}.")
        low, high = (arguments[bound] if isinstance(bound, str) else bound for bound in (lowest, highest))
        if not low <= value <= high:
            raise place.error(f"{label} must be in [{low:g}, {high:g}], received {value!r}", f"Usage: {op.usage}.")
