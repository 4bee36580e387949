"""Which op of one file is which of another: the same model, converted in two formats."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from difflib import SequenceMatcher
from typing import Any

from tfmap.graph import BORDER, Graph, Op

Pair = tuple[Op, Op]


def pairs(theirs: Graph, ours: Graph) -> list[Pair]:
    """Ops of two graphs that compute the same thing, in order.

    First those of one kind, shape and name; what stands between them is matched by kind and shape alone, in order,
    because a converter may name a fused op after any of its parts.

    Args:
        theirs: the one graph.
        ours: the other.

    Returns:
        list of (op of theirs, op of ours). An op without a counterpart is left out.
    """
    left, right = _computing(theirs), _computing(ours)
    found: list[Pair] = []
    for same, mine, yours in _blocks(left, right, _named):
        found += zip(mine, yours, strict=True) if same else _alike(mine, yours)
    return found


def _computing(graph: Graph) -> list[Op]:
    """Ops of the main graph that compute something."""
    return [op for op in graph.ops if op.outputs and op.outputs[0].index >= 0 and op.name not in BORDER]


def _alike(left: Sequence[Op], right: Sequence[Op]) -> list[Pair]:
    blocks = _blocks(left, right, _kind)
    return [pair for same, mine, yours in blocks if same for pair in zip(mine, yours, strict=True)]


def _blocks(
    left: Sequence[Op], right: Sequence[Op], token: Callable[[Op], Any]
) -> Iterator[tuple[bool, Sequence[Op], Sequence[Op]]]:
    """Runs of ops of both sides, in order, and whether their tokens are equal."""
    matcher = SequenceMatcher(None, [token(op) for op in left], [token(op) for op in right], autojunk=False)
    for tag, a, b, c, d in matcher.get_opcodes():
        yield tag == "equal", left[a:b], right[c:d]


def _kind(op: Op) -> tuple:
    return op.name, op.outputs[0].shape


def _named(op: Op) -> tuple:
    return (*_kind(op), op.outputs[0].name)
