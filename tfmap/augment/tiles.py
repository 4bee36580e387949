"""Pictures made of pictures: a mosaic of four, and objects that are pasted from one to the next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from keras import ops

from tfmap import boxes as box_maths
from tfmap.augment import targets
from tfmap.augment.pixels import sample

Tensor = Any

# A tile is shown at half its size at least: bilinear sampling then still reads every pixel.
_LEAST_SCALE = 0.5
# top left, top right, bottom left, bottom right: whether a tile lies below the centre, and to the right of it
_SIDE = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], "float32")


@dataclass(frozen=True)
class Mosaic:
    """Four pictures of the batch around one point: each picture and the three before it, a ring.

    Each is scaled alike along both sides until it covers its quarter, to half its size at least, and stands with the
    corner that is next to the centre at the centre.

    Attributes:
        centre: float32 (B, 2): where they meet, y and x in pixels.
        active: bool (B,): where False, the picture stays as it is.
        size: (height, width) of the pictures.
    """

    centre: Tensor
    active: Tensor
    size: tuple[int, int]

    def apply(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The batch as mosaics; boxes (B, 4N, 4), labels and weights in the shares of the area.

        Args:
            batch: "image" float32 (B, H, W, C); label, weight, boxes with classes, mask and instances, whichever are
                there.
        """
        low, high = self._quarters()
        scale = ops.maximum(ops.max((high - low) / self._limit, axis=-1), _LEAST_SCALE)
        y, x, tile = self._sources(scale)
        count = ops.shape(self.centre)[0]
        picture = (ops.arange(count, dtype="int32")[:, None, None] - tile) % count
        found = {**batch, "image": _shown(batch["image"], y, x, picture)}
        for key in {"label", "weight"} & set(batch):
            found[key] = self._blend(batch[key], ops.prod((high - low) / self._limit, axis=-1))
        if "boxes" in batch:
            found |= self._boxes(batch["boxes"], batch["classes"], scale, low, high)
        row, column = ops.cast(ops.floor(y), "int32"), ops.cast(ops.floor(x), "int32")
        place = (picture * self.size[0] + row) * self.size[1] + column
        for key in targets.BEYOND.keys() & set(batch):
            found[key] = ops.take(ops.reshape(batch[key], (-1,)), place, axis=0)
        if "instances" in batch:
            found["instances"] = targets.renumbered(found["instances"], tile * batch["boxes"].shape[1])
        return found

    @property
    def _limit(self) -> np.ndarray:
        return np.array(self.size, "float32")

    def _quarters(self) -> tuple[Tensor, Tensor]:
        """First and last corner of the four quarters, each float32 (B, 4, 2)."""
        centre = self.centre[:, None, :]
        return centre * _SIDE, centre * (1 - _SIDE) + self._limit * _SIDE

    def _sources(self, scale: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What each pixel shows: y and x, float32 (B, H, W), in pixels of a tile's picture, int32 (B, H, W)."""
        y, x = (ops.arange(side, dtype="float32") + 0.5 for side in self.size)
        y, x, active = y[None, :, None], x[None, None, :], self.active[:, None, None]
        below, right = y >= self.centre[:, :1, None], x >= self.centre[:, 1:, None]
        tile = 2 * ops.cast(below, "int32") + ops.cast(right, "int32")
        by = sum(ops.where(tile == k, scale[:, k, None, None], 0.0) for k in range(4))
        down, across = (y - self.centre[:, :1, None]) / by, (x - self.centre[:, 1:, None]) / by
        down, across = ops.where(below, down, down + self.size[0]), ops.where(right, across, across + self.size[1])
        # a tile above the centre ends on it: at the last row, float32 may round to one further
        down = ops.clip(ops.where(active, down, y), 0.0, self.size[0] - 0.5)
        across = ops.clip(ops.where(active, across, x), 0.0, self.size[1] - 0.5)
        return down, across, ops.where(active, tile, 0)

    def _blend(self, value: Tensor, share: Tensor) -> Tensor:
        """Labels (B, K) or weights (B,), mixed in shares (B, 4) of the four."""
        share = ops.where(self.active[:, None], share, np.array([1, 0, 0, 0], "float32"))
        share = share[..., None] if len(value.shape) == 2 else share
        return ops.sum(share * _ring(value), axis=1)

    def _boxes(self, boxes: Tensor, classes: Tensor, scale: Tensor, low: Tensor, high: Tensor) -> dict[str, Tensor]:
        count, number = ops.shape(boxes)[0], boxes.shape[1]
        anchor, centre = np.tile((1 - _SIDE) * self._limit, 2)[:, None], ops.tile(self.centre, (1, 2))[:, None, None]
        moved = (_ring(boxes) - anchor) * scale[..., None, None] + centre
        inside = [ops.maximum(moved[..., :2], low[:, :, None]), ops.minimum(moved[..., 2:], high[:, :, None])]
        clipped = ops.concatenate(inside, axis=-1)
        enough = box_maths.area(clipped) >= targets.KEEP * box_maths.area(moved)
        tiled = targets.kept(clipped, _ring(classes), enough)
        active = self.active[:, None, None]
        first = (np.arange(4) == 0)[:, None]
        alone = ops.where(first[..., None], boxes[:, None], 0.0), ops.where(first, classes[:, None], -1)
        return {
            "boxes": ops.reshape(ops.where(active[..., None], tiled["boxes"], alone[0]), (count, 4 * number, 4)),
            "classes": ops.reshape(ops.where(active, tiled["classes"], alone[1]), (count, 4 * number)),
        }


def _ring(value: Tensor) -> Tensor:
    """Each picture's value and those of the three before it, (B, ...) -> (B, 4, ...)."""
    return ops.stack([ops.roll(value, k, axis=0) for k in range(4)], axis=1)


def _shown(image: Tensor, y: Tensor, x: Tensor, picture: Tensor) -> Tensor:
    height, width, channels = image.shape[1:]
    y, x = ops.clip(y - 0.5, 0.0, height - 1.0), ops.clip(x - 0.5, 0.0, width - 1.0)
    planes = ops.reshape(ops.transpose(image, (3, 0, 1, 2)), (channels, -1))
    return ops.transpose(ops.map(lambda plane: sample(plane, y, x, picture), planes), (1, 2, 3, 0))


def pasted(mask: Tensor, active: Tensor) -> tuple[Tensor, Tensor]:
    """Where the objects of the picture before each one (a ring) are pasted into it.

    Args:
        mask: int32 (B, H, W), of classes; 0 is background, 255 ignored, everything else an object. Or of objects.
        active: bool (B,).

    Returns:
        share: float32 (B, H, W): 0 where something is pasted, else 1.
        objects: float32 (B, H, W): 1 where the picture before has an object.

    Source: Ghiasi et al., Simple Copy-Paste is a strong data augmentation method, 2021, without its blending (their
    table 2: it does not matter) and with all objects instead of a random part.
    """
    before = ops.roll((mask > 0) & (mask != targets.IGNORED), 1, axis=0)
    objects = ops.cast(before, "float32")
    return 1.0 - objects * ops.cast(active, "float32")[:, None, None], objects
