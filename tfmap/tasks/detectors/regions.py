"""The second look of a detector: which boxes get one, what the maps show there, and the boxes made better by it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from tfmap import boxes as geometry
from tfmap.tasks.detectors.heads import REACH

Tensor = Any
_POINTS = 2  # of each bin along each side, as RoIAlign averages four
_USUAL = 224.0  # a region as wide as this is looked at on P4 (Lin et al., Feature Pyramid Networks, 2017, equation 1)


class _Float32(keras.layers.Layer):
    """A layer without weights, exact whatever the model's precision."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})


@keras.saving.register_keras_serializable("tfmap")
class Proposals(_Float32):
    """The best boxes that do not cover each other; where too few are left, also others.

    Args:
        size: (height, width) of the picture in pixels; boxes end at its edges.
        most: how many.
        threshold: IoU with a better box above which one goes.
        among: how many of the best are looked at; the rest is out.
    """

    def __init__(self, size: Sequence[int], most: int, threshold: float = 0.7, among: int = 300, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size, self.most, self.threshold, self.among = tuple(size), most, threshold, among

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        """Boxes float32 (B, A, 4), yxyx in pixels, and scores float32 (B, A, 1) -> (B, most, 4), best first."""
        boxes, scores = inputs
        best, places = ops.top_k(scores[..., 0], min(self.among, boxes.shape[1]))
        boxes = geometry.clip(ops.take_along_axis(boxes, places[..., None], axis=1), self.size)
        _, places = ops.top_k(
            best + uncovered(boxes, self.threshold), self.most
        )  # what is covered is worth less than all
        return ops.stop_gradient(ops.take_along_axis(boxes, places[..., None], axis=1))

    def compute_output_shape(self, input_shape: Sequence[tuple]) -> tuple:
        """A fixed number of boxes."""
        return (input_shape[0][0], self.most, 4)

    def get_config(self) -> dict[str, Any]:
        """What makes the same layer again."""
        own = {"size": self.size, "most": self.most, "threshold": self.threshold, "among": self.among}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("tfmap")
class Align(_Float32):
    """What maps show in each box, cut into bins: the mean of four points in each, between the map's places.

    Along each side that is a product with a small matrix, so there is nothing to gather. A box is looked at on the map
    that its size belongs to.

    Args:
        bins: along each side.
        strides: of the maps, P3 and up: 8, 16, ...

    Source: He et al., Mask R-CNN, 2017, section 3, RoIAlign; Lin et al., Feature Pyramid Networks, 2017, equation 1.
    """

    def __init__(self, bins: int, strides: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.bins, self.strides = bins, tuple(strides)

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        """Boxes float32 (B, A, 4), yxyx in pixels, and maps (B, h, w, C) -> float32 (B, A, bins, bins, C)."""
        boxes, *maps = inputs
        boxes = ops.stop_gradient(boxes)  # what is seen there does not say where to look
        parts = []
        for stride, owned, x in zip(self.strides, self._owned(boxes), maps, strict=True):
            down = weights(boxes[..., 0], boxes[..., 2], stride, x.shape[1], self.bins) * owned[..., None, None]
            along = weights(boxes[..., 1], boxes[..., 3], stride, x.shape[2], self.bins)
            parts.append(_looked(x, down, along))
        return sum(parts[1:], parts[0])

    def _owned(self, boxes: Tensor) -> list[Tensor]:
        """Of each map float32 (B, A): 1 for the boxes that are looked at there."""
        side = ops.sqrt(ops.maximum(geometry.area(boxes), 1.0))
        usual = ops.log(side / _USUAL) / math.log(2) + math.log2(16)
        levels = ops.clip(ops.floor(usual), *(math.log2(self.strides[k]) for k in (0, -1)))
        return [ops.cast(ops.equal(levels, math.log2(stride)), "float32") for stride in self.strides]

    def compute_output_shape(self, input_shape: Sequence[tuple]) -> tuple:
        """Bins of each box."""
        return (*input_shape[0][:2], self.bins, self.bins, input_shape[1][-1])

    def get_config(self) -> dict[str, Any]:
        """What makes the same layer again."""
        return {**super().get_config(), "bins": self.bins, "strides": self.strides}


@keras.saving.register_keras_serializable("tfmap")
class Regrouped(keras.layers.Layer):
    """Regions in the place of pictures, or of their picture again: (B, A, h, w, C) -> (B * A, h, w, C) and back.

    Args:
        shape: without the first axis.
    """

    def __init__(self, shape: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shape = tuple(shape)

    def call(self, x: Tensor) -> Tensor:
        """The same numbers in another shape."""
        return ops.reshape(x, (-1, *self.shape))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """The shape, behind as many as it takes."""
        return (None, *self.shape)

    def get_config(self) -> dict[str, Any]:
        """What makes the same layer again."""
        return {**super().get_config(), "shape": self.shape}


@keras.saving.register_keras_serializable("tfmap")
class Refined(_Float32):
    """Codes relative to proposals -> boxes. The last layer of a detector of two stages.

    Args:
        arch: the architecture, by whose `loss` the model learns wherever it is loaded.
    """

    def __init__(self, arch: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.arch = arch

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        """Codes float32 (B, A, 4), -1..1, and boxes (B, A, 4), yxyx in pixels -> the same shape."""
        codes, boxes = inputs
        return geometry.decode(REACH * ops.cast(codes, "float32"), boxes)

    def compute_output_shape(self, input_shape: Sequence[tuple]) -> tuple:
        """The shape of the codes."""
        return input_shape[0]

    def get_config(self) -> dict[str, Any]:
        """What makes the same layer again."""
        return {**super().get_config(), "arch": self.arch}


def uncovered(boxes: Tensor, threshold: float, *, rounds: int = 8) -> Tensor:
    """Non-maximum suppression in steps of one size: which boxes no better one that stays covers.

    Args:
        boxes: float32 (B, N, 4), best first.
        threshold: IoU above which a better box covers one.
        rounds: after so many it is exact for chains of as many boxes that cover one another.

    Returns:
        float32 (B, N): 1 for those that stay, 0 for the others.

    Source: Zheng et al., Enhancing Geometric Factors in Model Learning and Inference, 2020, section 3.3, Cluster-NMS.
    """
    better = np.triu(np.ones((boxes.shape[1], boxes.shape[1]), bool), k=1)  # a byte each in a file
    covers = ops.cast(ops.logical_and(better, geometry.iou(boxes, boxes) > threshold), "float32")
    stays = ops.ones_like(covers[:, 0])
    for _ in range(rounds):
        stays = 1.0 - ops.max(covers * stays[..., None], axis=1)
    return stays


def weights(low: Tensor, high: Tensor, stride: int, places: int, bins: int) -> Tensor:
    """How much of each place of a map each bin of a box shows, along one side.

    Args:
        low: float32 (B, A), one edge in pixels.
        high: float32 (B, A), the other one.
        stride: pixels of a place.
        places: of the map along this side, N.
        bins: of the box.

    Returns:
        float32 (B, A, bins, N), of sum 1 over places.
    """
    shares = (np.arange(bins * _POINTS, dtype=np.float32) + 0.5) / (bins * _POINTS)
    points = (low[..., None] + (high - low)[..., None] * shares) / stride
    points = ops.clip(points, 0.5, places - 0.5)  # beyond the last centre there is nothing else to see
    near = 1.0 - ops.abs(points[..., None] - (np.arange(places, dtype=np.float32) + 0.5))
    near = ops.reshape(ops.maximum(near, 0.0), (-1, low.shape[1], bins, _POINTS, places))
    return ops.mean(near, axis=3)


def _looked(x: Tensor, down: Tensor, along: Tensor) -> Tensor:
    """(B, h, w, C), (B, A, bins, h) and (B, A, bins, w) -> (B, A, bins, bins, C)."""
    _, height, width, channels = x.shape
    _, many, bins, _ = down.shape
    rows = ops.matmul(ops.reshape(down, (-1, many * bins, height)), ops.reshape(x, (-1, height, width * channels)))
    return ops.matmul(along[:, :, None], ops.reshape(rows, (-1, many, bins, width, channels)))
