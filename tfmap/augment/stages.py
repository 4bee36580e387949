"""What the ops of each kind do to the pixels, all pictures at once.

Every stage takes (planes, steps of its kind, draw) and returns planes: a list of C times float32 (B, H, W), one per
channel, values 0..255 and clipped. Pictures that do not take a step get its identity: the unit matrix, the table that
sends every value to itself, their own pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keras import ops

from tfmap import maps
from tfmap.augment import pixels, tones
from tfmap.augment.compiled import for_each
from tfmap.augment.draws import Draw
from tfmap.augment.filters import FILTERS
from tfmap.augment.noises import NOISES
from tfmap.augment.selection import Step
from tfmap.augment.selection import steps as drawn

Tensor = Any
Planes = list[Tensor]

_ERASED = 128.0  # middle grey: close to zero after every usual normalisation


def of(kind: str, steps: list[Step]) -> list[Step]:
    """The steps of one kind, in their order."""
    return [step for step in steps if step.call.kind == kind]


def touched(image: Tensor, steps: list[Step], draw: Draw) -> Planes:
    """All that happens inside one picture.

    Args:
        image: (B, H, W, C) of any dtype, values 0..255.
        steps: of any kind; those across pictures are left out.
        draw: the dice.
    """
    geometry = of("geometry", steps)
    planes = pixels.warp(image, coordinates(geometry, draw)) if geometry else pixels.planes(image)
    for kind, stage in STAGES.items():
        if mine := of(kind, steps):
            planes = stage(planes, mine, draw)
    return planes


def coordinates(steps: list[Step], draw: Draw) -> Tensor:
    """The coordinate maps of all steps as one, float32 (B, 3, 3)."""
    matrix = neutral = maps.identity(draw.count)
    for step in steps:
        matrix = maps.compose(matrix, step.where_active(step.drawn(draw), neutral))
    return matrix


def colour(planes: Planes, steps: list[Step], draw: Draw) -> Planes:
    """One colour product."""
    matrix = neutral = maps.colour_identity(draw.count)
    for step in steps:
        matrix = maps.compose_colours(matrix, step.where_active(step.drawn(draw), neutral))
    return [ops.clip(plane, 0.0, 255.0) for plane in pixels.recolour(planes, matrix)]


def tone(planes: Planes, steps: list[Step], draw: Draw) -> Planes:
    """One table per picture and channel, one look-up."""
    stacked = ops.stack(planes, axis=1)
    follow = [step for step in steps if step.call.name in tones.FOLLOW_THE_PICTURE]
    counts = tones.histogram(stacked, any_of(follow)) if follow else None
    table = tones.identity(draw.count, len(planes))
    for step in steps:
        table = step.where_active(tones.TONES[step.call.name](table, counts, step.drawn(draw)), table)
    # float pictures are rounded for the table: not those that take no step
    return _unstacked(for_each(any_of(steps), tones.look_up, stacked, table))


def neighbours(planes: Planes, steps: list[Step], draw: Draw) -> Planes:
    """One filter after the other, each for the pictures that take it alone."""
    stacked = ops.stack(planes, axis=1)
    for step in steps:
        stacked = for_each(step.active, FILTERS[step.call.name], stacked, step.drawn(draw))
    return _unstacked(stacked)


def blend(planes: Planes, steps: list[Step], draw: Draw) -> Planes:
    """The picture and what several policies make of it, in shares; each costs as much as a policy by itself."""
    for step in steps:
        image, shares = ops.stack(planes, axis=-1), step.drawn(draw)
        versions = [planes] + [touched(image, drawn(policy, draw), draw) for policy in step.call.policies]
        planes = [
            step.where_active(sum(shares[:, k, None, None] * version[c] for k, version in enumerate(versions)), plane)
            for c, plane in enumerate(planes)
        ]
    return planes


def noise(planes: Planes, steps: list[Step], draw: Draw) -> Planes:
    """Noise on every value."""
    stacked = ops.stack(planes, axis=1)
    for step in steps:
        noisy = NOISES[step.call.name](stacked, step.drawn(draw), draw)
        stacked = ops.clip(step.where_active(noisy, stacked), 0.0, 255.0)
    return _unstacked(stacked)


def erase(planes: Planes, steps: list[Step], draw: Draw) -> Planes:
    """Wipe pixels out."""
    for step in steps:
        mask = step.drawn(draw)[..., 0]
        mask = step.where_active(mask, ops.zeros_like(mask))
        planes = [ops.where(mask, _ERASED, plane) for plane in planes]
    return planes


STAGES: dict[str, Callable[[Planes, list[Step], Draw], Planes]] = {
    "colour": colour,
    "tone": tone,
    "filter": neighbours,
    "blend": blend,
    "noise": noise,
    "erase": erase,
}


def any_of(steps: list[Step]) -> Tensor | None:
    """bool (B,), the pictures that take at least one of the steps; None is all of them."""
    if any(step.active is None for step in steps):
        return None
    return ops.any(ops.stack([step.active for step in steps]), axis=0)


def _unstacked(stacked: Tensor) -> Planes:
    return [stacked[:, channel] for channel in range(stacked.shape[1])]
