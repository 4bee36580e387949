"""What the ops of each kind do to the pixels, all pictures at once.

A stage takes (planes, steps of its kind, draw) and returns planes: a list of C times float32 (B, H, W), one per
channel, values 0..255 and clipped. Pictures that do not take a step get its identity: the unit matrix, the table that
sends every value to itself, their own pixels. The warp and `erase` also move what lies in the pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from keras import ops

from tfmap import maps
from tfmap.augment import pixels, targets, tones
from tfmap.augment.compiled import for_each
from tfmap.augment.draws import Draw
from tfmap.augment.filters import FILTERS
from tfmap.augment.noises import NOISES
from tfmap.augment.selection import Step
from tfmap.augment.selection import steps as drawn
from tfmap.augment.warps import Bend, Warp
from tfmap.errors import InputError

Tensor = Any
Planes = list[Tensor]

GEOMETRY = ("geometry", "projective", "bend")
GREY = 128.0  # middle grey: close to zero after every usual normalisation


def of(kind: str, steps: list[Step]) -> list[Step]:
    """The steps of one kind, in their order."""
    return [step for step in steps if step.call.kind == kind]


def touched(
    batch: Mapping[str, Any], steps: list[Step], draw: Draw, point_pairs: Sequence[tuple[int, int]] = ()
) -> dict[str, Any]:
    """All that happens inside one picture.

    Args:
        batch: "image" (B, H, W, C) of any dtype, values 0..255, and what lies in it: see `targets`.
        steps: of any kind; those across pictures are left out.
        draw: the dice.
        point_pairs: rows of key points that exchange their names in a mirrored picture.

    Returns:
        dict: the same keys; "image" as planes.
    """
    moving = [step for step in steps if step.call.kind in GEOMETRY]
    made = _warped(batch, warp_of(moving, draw), any_of(moving), point_pairs)
    for kind, stage in STAGES.items():
        if mine := of(kind, steps):
            made["image"] = stage(made["image"], mine, draw)
    for step in of("erase", steps):
        made = erase(made, step, draw)
    return made


def warp_of(moving: list[Step], draw: Draw) -> Warp | None:
    """The coordinate maps of all steps of geometry as one, and their bend; None without any."""
    bends = of("bend", moving)
    if len(bends) > 1:
        raise InputError("augment: elastic may stand once in a policy, and in no pick of more than one.")
    matrix, bend = maps.identity(draw.count), None
    neutral = matrix
    for step in moving:
        drawn_map = step.drawn(draw)
        if isinstance(drawn_map, Bend):
            bend = Bend(step.where_active(drawn_map.control, ops.zeros_like(drawn_map.control)))
        else:
            matrix = maps.compose(matrix, step.where_active(drawn_map, neutral))
    return Warp(matrix, draw.size, bool(of("projective", moving)), bend) if moving else None


def _warped(
    batch: Mapping[str, Any], warp: Warp | None, active: Tensor | None, point_pairs: Sequence[tuple[int, int]]
) -> dict[str, Any]:
    """The one warp, of the pixels and of everything that lies in the picture."""
    image = batch["image"]
    if warp is None:
        return {**batch, "image": pixels.planes(image)}
    sources, border = warp.sources(), GREY if {"boxes", "points"} & set(batch) else None
    planes = pixels.warp(image, sources, border) if active is None else _some_warped(image, warp, active, border)
    return {**batch, **targets.warped(batch, warp, sources, point_pairs), "image": planes}


def _some_warped(image: Tensor, warp: Warp, active: Tensor, border: float | None) -> Planes:
    """The planes of all pictures, of which only some are moved: 3 of 5 by RandAugment, 1 of 3 by TrivialAugment."""
    bend = () if warp.bend is None else (warp.bend.control,)

    def moved(_: Tensor, image: Tensor, matrix: Tensor, *control: Tensor) -> Tensor:
        part = replace(warp, matrix=matrix, bend=Bend(*control) if control else None)
        return ops.stack(pixels.warp(image, part.sources(), border), axis=1)

    return _unstacked(for_each(active, moved, ops.stack(pixels.planes(image), axis=1), image, warp.matrix, *bend))


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
        function, strength = tones.TONES[step.call.name], step.drawn(draw)
        if step.call.name == "equalise":  # compares every level with every other
            table = for_each(step.active, function, table, counts, strength)
        else:
            table = step.where_active(function(table, counts, strength), table)
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
        versions = [planes] + [
            touched({"image": image}, drawn(policy, draw), draw)["image"] for policy in step.call.policies
        ]
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


def erase(made: dict[str, Any], step: Step, draw: Draw) -> dict[str, Any]:
    """Wipe pixels out, and what lies there."""
    mask = step.drawn(draw)[..., 0]
    mask = step.where_active(mask, ops.zeros_like(mask))
    planes = [ops.where(mask, GREY, plane) for plane in made["image"]]
    return {**made, **targets.hidden(made, mask), "image": planes}


STAGES: dict[str, Callable[[Planes, list[Step], Draw], Planes]] = {
    "colour": colour,
    "tone": tone,
    "filter": neighbours,
    "blend": blend,
    "noise": noise,
}


def any_of(steps: list[Step]) -> Tensor | None:
    """bool (B,), the pictures that take at least one of the steps; None where all of them do, or there is no step."""
    if not steps or any(step.active is None for step in steps):
        return None
    return ops.any(ops.stack([step.active for step in steps]), axis=0)


def _unstacked(stacked: Tensor) -> Planes:
    return [stacked[:, channel] for channel in range(stacked.shape[1])]
