"""yolo: the shape of YOLOv8: rich blocks in the neck, and for each edge of a box a distribution over distances."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import keras
from keras import layers, ops

from tfmap import boxes as geometry
from tfmap.models import necks
from tfmap.tasks import taught
from tfmap.tasks.detectors import heads, losses
from tfmap.tasks.detectors.assign import Assigned

LEVELS = ("P3", "P4", "P5")
BINS = 16  # distances of 0, 1, ..., 15 strides
DISTRIBUTION_WEIGHT = 3.0  # beside scores of 1 and boxes of 15: YOLOv8's 1.5, 0.5 and 7.5
# Falls by a factor from bin to bin such that an edge is 2 strides away on average before the first step.
_START = [-math.log(1.5) * distance for distance in range(BINS)]


def head(body: keras.Model, classes: int, *, width: int = 96, depth: int = 2) -> keras.Model:
    """Put it on a backbone.

    Boxes go through codes, as those of the other detectors: what is decoded outside the model is the same for all.

    Args:
        body: "image" (B, H, W, C) -> maps "P3" to "P5".
        classes: K.
        width: channels of neck and towers.
        depth: separable convolutions of each tower.

    Returns:
        keras.Model: "image" -> "boxes" float32 (B, A, 4), yxyx in pixels, and "scores" float32 (B, A, K), 0..1.

    Raises:
        InputError: the backbone lacks a level, or its maps do not halve.

    Source: Jocher et al., Ultralytics YOLOv8, 2023, as Terven et al., A Comprehensive Review of YOLO, 2023, section 13,
        describe it: two towers, its neck's blocks in two branches; written anew. Its towers are separable here.
    """
    maps = _neck(necks.coarser(body.output, LEVELS, width), width)
    tower = heads.separables(depth)
    said = heads.spoken(maps, "box", "distributions", _START * 4, tower=tower)
    distributions = layers.Concatenate(axis=1, dtype="float32", name="distributions")(said)
    codes = Expected(name="codes")(distributions)
    said = {"codes": codes, "logits": heads.classified(maps, classes, tower=tower)}
    return heads.detector(body, maps, said, arch="yolo")


def loss(model: keras.Model, *, gamma: float = 0.0, box_weight: float = 15.0) -> Callable[[Any, Any], Any]:
    """That of `losses.one_stage`, and of boxes how far their distributions are from the edges.

    Args:
        model: what `head` returned.
        gamma: how strongly the loss turns to scores that are far off.
        box_weight: of the boxes beside the scores.

    Returns:
        function as that of `one_stage`, which reads the layer "distributions" as well.
    """
    cells = ops.convert_to_tensor(model.get_layer("boxes").anchors)

    def also(assigned: Assigned, outputs: Mapping[str, Any]) -> Any:
        return DISTRIBUTION_WEIGHT * distribution_focal(outputs["distributions"], distances(assigned.boxes, cells))

    return taught.reads("distributions")(
        losses.one_stage(cells, box_weight=box_weight, gamma=gamma, also=also),
    )


@keras.saving.register_keras_serializable("tfmap")
class Expected(keras.layers.Layer):
    """Distributions over the distances of edges -> codes of the boxes that are expected."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})

    def call(self, distributions: Any) -> Any:
        """Float32 (B, A, 4 * bins), logits: top, left, bottom, right -> (B, A, 4), -1..1, shares of `heads.REACH`."""
        each = ops.softmax(_by_edge(ops.cast(distributions, "float32")), axis=-1)
        expected = ops.sum(each * ops.arange(each.shape[-1], dtype="float32"), axis=-1)
        expected = ops.maximum(expected, 1e-3)  # a side of 0 has no logarithm
        edges = ops.concatenate([-expected[..., :2], expected[..., 2:]], axis=-1)
        cell = ops.convert_to_tensor([-0.5, -0.5, 0.5, 0.5], "float32")
        return ops.clip(geometry.encode(edges, cell) / heads.REACH, -1.0, 1.0)

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Four numbers of each place."""
        return (*input_shape[:-1], 4)


def distances(boxes: Any, cells: Any) -> Any:
    """How far the edges of boxes are from the centres of cells.

    Args:
        boxes: float32 (B, A, 4), yxyx in pixels.
        cells: float32 (A, 4), the same.

    Returns:
        float32 (B, A, 4): top, left, bottom, right, in sides of the cell; negative where the centre is outside.
    """
    centre, side = (cells[:, :2] + cells[:, 2:]) / 2, cells[:, 2:] - cells[:, :2]
    return ops.concatenate([(centre - boxes[..., :2]) / side, (boxes[..., 2:] - centre) / side], axis=-1)


def distribution_focal(distributions: Any, distances: Any) -> Any:
    """Cross-entropy of distributions with the two whole distances that the true one lies between.

    Args:
        distributions: float32 (B, A, 4 * bins), logits.
        distances: float32 (B, A, 4), in strides; those beyond the first or last bin count as it.

    Returns:
        float32 (B, A): mean over the four edges.

    Source: Li et al., Generalized Focal Loss, 2020, equation 6.
    """
    each = ops.log_softmax(_by_edge(distributions), axis=-1)
    bins = ops.arange(each.shape[-1], dtype="float32")
    true = ops.clip(distances, 0.0, each.shape[-1] - 1.0)[..., None]
    shares = ops.maximum(1.0 - ops.abs(true - bins), 0.0)
    return -ops.mean(ops.sum(shares * each, axis=-1), axis=-1)


def _by_edge(distributions: Any) -> Any:
    """(B, A, 4 * bins) -> (B, A, 4, bins)."""
    _, places, many = distributions.shape
    return ops.reshape(distributions, (-1, places, 4, many // 4))


def _neck(features: dict[str, keras.KerasTensor], width: int) -> dict[str, keras.KerasTensor]:
    """A path aggregation network that joins instead of adding, as YOLO has it: every map `width` channels wide."""
    maps, pairs = dict(features), list(zip(LEVELS, LEVELS[1:], strict=False))
    necks.check_halving(maps, LEVELS)
    maps[LEVELS[-1]] = _pooled(maps[LEVELS[-1]], width, f"pool_{LEVELS[-1]}")
    for low, high in reversed(pairs):
        above = layers.UpSampling2D(2, name=f"up_{high}")(maps[high])
        maps[low] = _two_branches([above, maps[low]], width, f"down_{low}")
    for low, high in pairs:
        below = _convolved(maps[low], width, f"shrink_{low}", strides=2)
        maps[high] = _two_branches([below, maps[high]], width, f"mix_{high}")
    return maps


def _two_branches(maps: list[keras.KerasTensor], width: int, name: str) -> keras.KerasTensor:
    """YOLOv8's C2f, of one bottleneck: half of the channels pass by, half go through two convolutions; all are kept."""
    x = layers.Concatenate(name=f"{name}_join")(maps)
    past, inner = (_convolved(x, width // 2, f"{name}_{side}", kernel=1) for side in ("past", "inner"))
    last = _convolved(_convolved(inner, width // 2, f"{name}_1"), width // 2, f"{name}_2")
    return _convolved(layers.Concatenate(name=f"{name}_all")([past, inner, last]), width, name, kernel=1)


def _pooled(x: keras.KerasTensor, width: int, name: str) -> keras.KerasTensor:
    """YOLOv8's SPPF: what is near beside what is farther away."""
    maps = [_convolved(x, width // 2, f"{name}_in", kernel=1)]
    for number in range(1, 4):
        maps.append(layers.MaxPooling2D(5, 1, padding="same", name=f"{name}_{number}")(maps[-1]))
    return _convolved(layers.Concatenate(name=f"{name}_all")(maps), width, name, kernel=1)


def _convolved(x: keras.KerasTensor, width: int, name: str, *, kernel: int = 3, strides: int = 1) -> keras.KerasTensor:
    x = layers.Conv2D(width, kernel, strides, padding="same", use_bias=False, name=f"{name}_conv")(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(layers.BatchNormalization(name=f"{name}_bn")(x))
