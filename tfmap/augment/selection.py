"""Who gets what: a parsed policy and the dice -> a flat list of steps, each with the pictures that take it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keras import ops

from tfmap.augment.draws import Draw
from tfmap.augment.grammar import Call

Tensor = Any


@dataclass(frozen=True)
class Step:
    """One call at work.

    Attributes:
        call: the op.
        active: bool (B,), the pictures that take it; None is all of them.
        arguments: of the op; numbers, or float32 (B,) where pictures differ.
    """

    call: Call
    active: Tensor | None
    arguments: dict[str, Any]

    def drawn(self, draw: Draw) -> Tensor:
        """What the op draws for every picture, active or not."""
        chains = (len(self.call.policies),) if self.call.policies else ()
        return self.call.function(draw, *chains, **self.arguments)

    def where_active(self, new: Tensor, old: Tensor) -> Tensor:
        """`new` for the pictures that take the step, `old` for the others; the first axis is the batch."""
        if self.active is None:
            return new
        return ops.where(ops.reshape(self.active, (-1, *[1] * (len(old.shape) - 1))), new, old)


def steps(calls: tuple[Call, ...], draw: Draw, active: Tensor | None = None) -> list[Step]:
    """Draw every choice of a policy.

    Args:
        calls: a parsed policy.
        draw: the dice.
        active: bool (B,), the pictures that take the policy at all; None is all of them.

    Returns:
        list[Step]: in the order of the policy.
    """
    found = []
    for call in calls:
        if call.kind != "choice":
            found.append(Step(call, active, call.arguments))
            continue
        for turn in call.function(draw, len(call.policies), **call.arguments):
            taken = [steps(call.policies[k], draw, _both(active, mask)) for k, mask in turn.items()]
            found.extend(_merged(taken))
    return found


def _merged(alternatives: list[list[Step]]) -> list[Step]:
    """Steps of policies of which a picture takes at most one: the calls of one op at one place become one call.

    AutoAugment's 25 pairs of ops become some 20 steps instead of 50, and every one of them costs time to compile.
    """
    merged: dict[tuple[int, str, int], Step] = {}
    for number, policy in enumerate(alternatives):
        for place, step in enumerate(policy):
            key = (place, step.call.name, number if step.call.policies else -1)  # a blend is like no other blend
            merged[key] = _either(merged[key], step) if key in merged else step
    return [merged[key] for key in sorted(merged, key=lambda key: key[0])]


def _either(first: Step, second: Step) -> Step:
    arguments = {name: _where(second, name, value) for name, value in first.arguments.items()}
    return Step(first.call, ops.logical_or(first.active, second.active), arguments)


def _where(step: Step, name: str, otherwise: Any) -> Any:
    """The argument of `step` for the pictures that take it, `otherwise` for the others."""
    value = step.arguments[name]
    numbers = isinstance(value, int | float) and isinstance(otherwise, int | float)
    if numbers and value == otherwise:
        return value
    return ops.where(step.active, ops.cast(value, "float32"), ops.cast(otherwise, "float32"))


def _both(first: Tensor | None, second: Tensor) -> Tensor:
    return second if first is None else ops.logical_and(first, second)
