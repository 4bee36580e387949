"""Augmentation: a string of ops -> one function on the device.

    policy = build("rrc(0.3, 1)|flip|rotate(15)|color(.4)|mixup(.2)", classes=6)
    batch = policy(batch, seed=(0, step))

The string is parsed once, with literals only. At each call every picture draws its own numbers, its coordinate maps are
multiplied into one and its colour maps into one, and the pixels are touched once: one warp, one colour product, one
table of tones, then the few ops that see neighbours or other pictures. Order matters among the ops of one kind; the
kinds keep the order of `policy.STAGES` wherever they stand in the string.

    "flip|maybe(.2, grey)|pick(2, rotate(9), posterise, equalise|hue)"     per picture: selection
    "flip|randaugment(2, 9)", "trivialaugment", "autoaugment('imagenet')"   published policies, in the same strings

This file imports no Keras, so that a typo in a policy is found in milliseconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfmap.augment import pixel_ops, policies  # noqa: F401 (they register their ops)
from tfmap.augment.grammar import parse
from tfmap.augment.ops import known_ops

if TYPE_CHECKING:
    from tfmap.augment.policy import Policy

__all__ = ["build", "known_ops", "parse"]


def build(ops: str = "", *, classes: int | None = None, point_pairs: list | None = None) -> Policy:
    """Build the augmentation of a training batch.

    Args:
        ops: ops separated by "|", such as "rrc(0.3, 1)|flip|color(.4)|mixup(.2)"; empty changes nothing.
        classes: number of classes; needed where the policy mixes pictures whose labels are class indices.
        point_pairs: rows of key points that exchange their names in a mirrored picture, such as [(1, 2)].

    Returns:
        Policy: call it with (batch, seed).

    Raises:
        InputError: an unknown op, or an argument of the wrong count, name, type or range.
    """
    calls = parse(ops)
    from tfmap.augment.policy import Policy

    return Policy(calls, classes=classes, point_pairs=point_pairs or ())
