"""A policy string -> calls of registered ops. Literals only: nothing of the string is ever evaluated."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
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
    policies: tuple[tuple[Call, ...], ...] = ()  # of a choice or a blend


@dataclass(frozen=True)
class _Place:
    """Where in which policy an op stands."""

    policy: str
    position: int

    def error(self, what: str, advice: str) -> InputError:
        return InputError(f'augment: {what} in "{self.policy}" (op {self.position}, augment.ops). {advice}')


def leaves(calls: tuple[Call, ...]) -> Iterator[Call]:
    """Every call of a policy, with those inside its choices and blends."""
    for call in calls:
        yield call
        for policy in call.policies:
            yield from leaves(policy)


def parse(policy: str) -> tuple[Call, ...]:
    """Read a policy string.

    Args:
        policy: ops separated by "|"; each a name, or a name with positional and keyword numbers in parentheses. In
            those of pick, maybe and blend policies follow, separated by commas: "pick(2, flip, rotate(9)|zoom, hue)".

    Returns:
        tuple[Call, ...]: in the order of the string, shorthands expanded.

    Raises:
        InputError: an unknown op, or an argument of the wrong count, name, type or range.
    """
    if not isinstance(policy, str):
        raise InputError(f'augment: ops must be a string such as "flip|rotate(15)", received {policy!r} (augment.ops).')
    if not policy.strip():
        return ()
    parts = enumerate(_parts(policy), start=1)
    return tuple(call for position, part in parts for call in _read(part.strip(), _Place(policy, position)))


def _parts(policy: str) -> list[str]:
    """Split at every "|" that stands outside parentheses."""
    parts, depth = [""], 0
    for letter in policy:
        depth += (letter in "([") - (letter in ")]")
        if letter == "|" and depth <= 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def _read(part: str, place: _Place) -> tuple[Call, ...]:
    try:
        node = ast.parse(part, mode="eval").body
    except (SyntaxError, ValueError):
        raise _unreadable(part, place) from None
    return _policy(node, place)


def _policy(node: ast.expr, place: _Place) -> tuple[Call, ...]:
    """`flip|rotate(15)` -> two calls."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _policy(node.left, place) + _policy(node.right, place)
    if isinstance(node, ast.Name):
        return _call(node.id, [], {}, place)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return _call(node.func.id, node.args, {word.arg: word.value for word in node.keywords}, place)
    raise _unreadable(ast.unparse(node), place)


def _call(name: str, given: list[ast.expr], named: dict[str | None, ast.expr], place: _Place) -> tuple[Call, ...]:
    if name not in OPS:
        known = f"Known ops: {', '.join(sorted(OPS))}."
        raise place.error(f"unknown op {name!r}", known + did_you_mean(name, OPS))
    op = OPS[name]
    nested = [node for node in given if op.takes_policies and not _is_literal(node)]
    policies = tuple(_policy(node, place) for node in nested)
    if op.takes_policies and not policies:
        raise place.error(f"{name} has no policies to choose from", f"Usage: {op.usage}.")
    if op.kind == "blend" and any(call.kind == "mix" for policy in policies for call in leaves(policy)):
        raise place.error(f"{name} cannot mix pictures inside", "Put mixup, cutmix or mix behind it.")
    literals = [_literal(node, place) for node in given if node not in nested]
    arguments = _bind(op, literals, {key: _literal(node, place) for key, node in named.items()}, place)
    _check(op, arguments, place)
    if op.kind == "shorthand":
        return parse(op.function(**arguments))
    return (Call(name, op.kind, op.function, arguments, policies),)


def _is_literal(node: ast.expr) -> bool:
    return not isinstance(node, ast.Name | ast.Call | ast.BinOp)


def _literal(node: ast.expr, place: _Place) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise _unreadable(ast.unparse(node), place) from None


def _unreadable(part: str, place: _Place) -> InputError:
    expected = 'Expected a name, or a name with numbers: "flip", "rotate(degrees=15)".'
    return place.error(f"cannot read {part!r}", expected)


def _bind(op: Op, given: list[Any], named: dict[str | None, Any], place: _Place) -> dict[str, Any]:
    names = list(op.defaults)
    if len(given) > len(names):
        raise place.error(
            f"{op.usage} takes {len(names)} argument{'s' * (len(names) != 1)}, received {len(given)}",
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
    for name, default in op.defaults.items():
        wrong = _word(op, name, arguments) if isinstance(default, str) else _number(op, name, arguments)
        if wrong:
            what = f"{op.function.__name__}: {name} {wrong}, received {arguments[name]!r}"
            raise place.error(what, f"Usage: {op.usage}.")


def _word(op: Op, name: str, arguments: dict[str, Any]) -> str:
    words = op.ranges[name]
    return "" if arguments[name] in words else f"must be one of {', '.join(map(repr, words))}"


def _number(op: Op, name: str, arguments: dict[str, Any]) -> str:
    """What is wrong with an argument, or nothing."""
    value, whole = arguments[name], isinstance(op.defaults[name], int)
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        return f"must be a {'whole ' * whole}number"
    low, high = (arguments[bound] if isinstance(bound, str) else bound for bound in op.ranges[name])
    return "" if low <= value <= high else f"must be in [{low:g}, {high:g}]"
