"""The ends of a detector: what each place of each map says, and the layer that makes boxes of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
from keras import layers, ops

from tfmap import boxes
from tfmap.models.necks import separable
from tfmap.tasks.detectors import anchors

Maps = Mapping[str, keras.KerasTensor]
Tower = Callable[[keras.KerasTensor, str], keras.KerasTensor]
PRIOR = 0.01  # what every place says of every class before the first step (Lin et al., Focal Loss, 2017, 4.1)
RARE = -math.log(1 / PRIOR - 1)  # the same as a logit
# What a code of 1 means: 4 of the anchor's sides off its centre, e**4 times its sides. Codes end there, which keeps
# what a file stores in 256 levels close together: places without an object would say anything.
REACH = 4.0
_WIDE = math.atanh(math.log(4) / REACH)  # objects of four strides are a level's own


@keras.saving.register_keras_serializable("tfmap")
class Anchored(keras.layers.Layer):
    """Codes -> boxes.

    Args:
        size: (height, width) of the picture in pixels.
        strides: of the maps that the codes come from.
        shapes: (height, width) of the anchors of a place, in strides.
    """

    def __init__(
        self, size: Sequence[int], strides: Sequence[int], shapes: anchors.Shapes = anchors.CELL, **kwargs: Any
    ) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.size, self.strides = tuple(size), tuple(strides)
        self.shapes = tuple(map(tuple, shapes))
        self.anchors = anchors.boxes(self.size, self.strides, self.shapes)

    def call(self, codes: Any) -> Any:
        """Float32 (B, A, 4), -1..1 -> yxyx in pixels, the same shape."""
        return boxes.decode(REACH * ops.cast(codes, "float32"), ops.convert_to_tensor(self.anchors))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """The shape of the codes."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """What makes the same layer again."""
        return {**super().get_config(), "size": self.size, "strides": self.strides, "shapes": self.shapes}


@keras.saving.register_keras_serializable("tfmap")
class Boxes(Anchored):
    """The last layer of a detector of one stage. Export cuts it in front of it, as a phone does this in float.

    Args:
        args: those of `Anchored`.
        arch: the architecture, by whose `loss` the model learns wherever it is loaded.
    """

    def __init__(self, *args: Any, arch: str = "tfmap_det", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.arch = arch

    def get_config(self) -> dict[str, Any]:
        """What makes the same layer again."""
        return {**super().get_config(), "arch": self.arch}


def detector(
    body: keras.Model, maps: Maps, said: Maps, *, arch: str, shapes: anchors.Shapes = anchors.CELL
) -> keras.Model:
    """What places say -> the model.

    Args:
        body: the backbone.
        maps: level -> (B, h, w, C), those that speak.
        said: "codes" (B, A, 4), -1..1, shares of REACH relative to `anchors.boxes`, and "logits" (B, A, K).
        arch: name of the architecture's module.
        shapes: of the anchors of a place, in strides.

    Returns:
        keras.Model: "image" -> "boxes" float32 (B, A, 4), yxyx in pixels, and "scores" float32 (B, A, K), 0..1.
    """
    found = Boxes(body.input_shape[1:3], strides(maps), shapes, arch=arch, name="boxes")(said["codes"])
    scores = layers.Activation("sigmoid", dtype="float32", name="scores")(said["logits"])
    return keras.Model(body.input, {"boxes": found, "scores": scores}, name=f"{arch}_{body.name}")


def strides(levels: Maps) -> list[int]:
    """Pixels of the picture per place of maps, by their names: 8 of "P3"."""
    return [2 ** int(level[1:]) for level in levels]


def decoupled(
    maps: Maps, classes: int, *, tower: Tower, each: int = 1, side: float = _WIDE, prefix: str = ""
) -> dict[str, keras.KerasTensor]:
    """What is there, and where its edges are: each from a tower of its own on each map.

    Args:
        maps: level -> (B, h, w, C).
        classes: K.
        tower: (map, name of its layers' beginning) -> map.
        each: anchors of a place.
        side: code of a height or width before the first step, before its tanh.
        prefix: of the layers' names.

    Returns:
        "codes" (B, A, 4), shares of REACH relative to the anchors, and "logits" (B, A, K).

    Source: Ge et al., YOLOX, 2021, section 2.1, for two towers; without its branch of objectness, as in YOLOv8.
    """
    where = spoken(maps, f"{prefix}box", f"{prefix}codes", [0.0, 0.0, side, side], tower=tower, each=each)
    joined = layers.Concatenate(axis=1, name=f"{prefix}unbounded_codes")(where)
    return {
        "codes": layers.Activation("tanh", dtype="float32", name=f"{prefix}codes")(joined),
        "logits": classified(maps, classes, tower=tower, each=each, prefix=prefix),
    }


def classified(maps: Maps, classes: int, *, tower: Tower, each: int = 1, prefix: str = "") -> keras.KerasTensor:
    """What is there: "logits" (B, A, K); arguments as of `decoupled`."""
    what = spoken(maps, f"{prefix}class", f"{prefix}logits", [RARE] * classes, tower=tower, each=each)
    return layers.Concatenate(axis=1, dtype="float32", name=f"{prefix}logits")(what)


def spoken(
    maps: Maps, stem: str, name: str, start: Sequence[float], *, tower: Tower, each: int = 1
) -> list[keras.KerasTensor]:
    """A tower on each map, and numbers of each anchor behind it.

    Args:
        maps: level -> (B, h, w, C).
        stem: of the towers' names.
        name: of what is said.
        start: the N numbers that every anchor says at first, more or less.
        tower: (map, name) -> map.
        each: anchors of a place.

    Returns:
        of each map (B, h * w * each, N).
    """
    towers = {level: tower(x, f"{stem}_{level}") for level, x in maps.items()}
    return [_said(x, list(start), each, f"{name}_{level}") for level, x in towers.items()]


def separables(depth: int) -> Tower:
    """A tower of separable convolutions, as wide as the map."""

    def tower(x: keras.KerasTensor, name: str) -> keras.KerasTensor:
        for number in range(1, depth + 1):
            x = separable(x, x.shape[-1], f"{name}_{number}")
        return x

    return tower


def _said(x: keras.KerasTensor, start: list[float], each: int, name: str) -> keras.KerasTensor:
    # Small weights (Lin et al., Focal Loss, 2017, 4.1): with Keras' usual ones codes begin anywhere within reach, and
    # those near its ends have no gradient to come back by.
    small = keras.initializers.RandomNormal(stddev=0.01)
    layer = layers.Conv2D(each * len(start), 1, kernel_initializer=small, name=f"{name}_conv")
    x = layer(x)
    layer.bias.assign(each * start)
    return layers.Reshape((-1, len(start)), name=name)(x)
