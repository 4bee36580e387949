"""The ends of a detector: what each place of each map says, and the layer that makes boxes of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import layers, ops

from tfmap import boxes
from tfmap.models.necks import separable
from tfmap.tasks.detectors import anchors

PRIOR = 0.01  # what every place says of every class before the first step (Lin et al., Focal Loss, 2017, 4.1)
# What a code of 1 means: 4 strides off the own place, e**4 strides wide. Codes end there, which keeps what a file
# stores in 256 levels close together: places without an object would say anything.
REACH = 4.0
_WIDE = math.atanh(math.log(4) / REACH)  # objects of four strides are a level's own


@keras.saving.register_keras_serializable("tfmap")
class Boxes(keras.layers.Layer):
    """Codes -> boxes. Export cuts a detector in front of it, as a phone does this in float.

    Args:
        size: (height, width) of the picture in pixels.
        strides: of the maps that the codes come from.
    """

    def __init__(self, size: Sequence[int], strides: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.size, self.strides = tuple(size), tuple(strides)
        self.anchors = anchors.cells(self.size, self.strides)

    def call(self, codes: Any) -> Any:
        """Float32 (B, A, 4), -1..1 -> yxyx in pixels, the same shape."""
        return boxes.decode(REACH * ops.cast(codes, "float32"), ops.convert_to_tensor(self.anchors))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """The shape of the codes."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """What makes the same layer again."""
        return {**super().get_config(), "size": self.size, "strides": self.strides}


def decoupled(maps: Mapping[str, keras.KerasTensor], classes: int, *, depth: int = 2) -> dict[str, keras.KerasTensor]:
    """Two towers on each map: what is there, and where its edges are.

    Args:
        maps: level -> (B, h, w, C).
        classes: K.
        depth: separable convolutions of a tower.

    Returns:
        "codes" (B, A, 4), shares of REACH relative to `anchors.cells`, and "logits" (B, A, K).

    Source: Ge et al., YOLOX, 2021, section 2.1, for two towers; without its branch of objectness, as in YOLOv8.
    """
    codes, logits = [], []
    for level, x in maps.items():
        where = _tower(x, depth, f"box_{level}")
        what = _tower(x, depth, f"class_{level}")
        codes.append(_said(where, [0.0, 0.0, _WIDE, _WIDE], f"codes_{level}"))
        logits.append(_said(what, [-math.log(1 / PRIOR - 1)] * classes, f"logits_{level}"))
    joined = layers.Concatenate(axis=1, name="unbounded_codes")(codes)
    return {
        "codes": layers.Activation("tanh", dtype="float32", name="codes")(joined),
        "logits": layers.Concatenate(axis=1, dtype="float32", name="logits")(logits),
    }


def _tower(x: keras.KerasTensor, depth: int, name: str) -> keras.KerasTensor:
    for number in range(1, depth + 1):
        x = separable(x, x.shape[-1], f"{name}_{number}")
    return x


def _said(x: keras.KerasTensor, start: list[float], name: str) -> keras.KerasTensor:
    """(B, h, w, C) -> (B, h * w, N): N numbers for each place, which begin near `start`."""
    layer = layers.Conv2D(len(start), 1, name=f"{name}_conv")
    x = layer(x)
    layer.bias.assign(start)
    return layers.Reshape((-1, len(start)), name=name)(x)
