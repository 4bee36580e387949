"""The stages that make one picture of several; each takes (batch, step, draw) and returns a new batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from keras import ops

from tfmap.augment import targets, tiles
from tfmap.augment.draws import Draw
from tfmap.augment.selection import Step

Tensor = Any
Batch = Mapping[str, Any]


def mix(batch: Batch, step: Step, draw: Draw) -> dict[str, Any]:
    """Each picture keeps a share of its pixels and takes the rest from the one before it in the batch, a ring."""
    share = step.drawn(draw)
    return _mixed(batch, step.where_active(share, ops.ones_like(share)))


def paste(batch: Batch, step: Step, draw: Draw) -> dict[str, Any]:
    """Objects of the picture before."""
    share, objects = tiles.pasted(_objects(batch), _active(step, step.drawn(draw)))
    return _mixed(batch, share[..., None], objects)


def mosaic(batch: Batch, step: Step, draw: Draw) -> dict[str, Any]:
    """Four pictures around a point."""
    drawn = step.drawn(draw)
    return tiles.Mosaic(drawn.centre, _active(step, drawn.active), drawn.size).apply(batch)


ACROSS: dict[str, Callable[[Batch, Step, Draw], dict[str, Any]]] = {"mix": mix, "paste": paste, "mosaic": mosaic}


def _objects(batch: Batch) -> Tensor:
    return batch["mask"] if "mask" in batch else batch["instances"]


def _active(step: Step, drawn: Tensor) -> Tensor:
    return step.where_active(drawn, ops.zeros_like(drawn))


def _mixed(batch: Batch, share: Tensor, objects: Tensor | None = None) -> dict[str, Any]:
    kept = ops.mean(share, axis=(1, 2, 3))
    shares = {"image": share, "label": kept[:, None], "weight": kept}
    blended = {
        key: part * batch[key] + (1.0 - part) * ops.roll(batch[key], 1, axis=0)
        for key, part in shares.items()
        if key in batch
    }
    everywhere = ops.broadcast_to(share, (*ops.shape(batch["image"])[:3], 1))[..., 0]
    return {**batch, **blended, **targets.mixed(batch, everywhere, objects)}
