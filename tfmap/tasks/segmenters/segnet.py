"""segnet: down the backbone and up again; what goes up beside is not features but the places of their maxima."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tfmap.errors import InputError
from tfmap.tasks.segmenters import parts


def head(body: keras.Model, classes: int, *, width: int = 64) -> keras.Model:
    """A decoder that mirrors the backbone: each step puts its numbers where the backbone's map of that size peaked.

    Args:
        body: "image" -> maps that halve from one to the next.
        classes: K.
        width: channels of the last step; those before it have as many as the backbone's maps.

    Returns:
        keras.Model: see `parts.ended`.

    Raises:
        InputError: maps that do not halve.

    Source: Badrinarayanan, Kendall and Cipolla, SegNet, 2017, section 3; on a backbone that shrinks by strides, the
        maxima are those of its maps, two by two.
    """
    (_, x), *steps = reversed(body.output.items())
    for name, finer in steps:
        _check_halves(finer, x, name)
        x = parts.convolved(x, finer.shape[-1], f"{name}_narrow")
        x = parts.convolved(Unpooling(name=f"{name}_unpool")([x, finer]), finer.shape[-1], f"{name}_fill")
    return parts.ended(body.input, parts.convolved(x, width, "last"), classes, f"segnet_{body.name}")


@keras.saving.register_keras_serializable("tfmap")
class Unpooling(keras.layers.Layer):
    """Numbers to the places where another map has its maxima, two by two; zeros elsewhere."""

    def call(self, inputs: tuple[Any, Any]) -> Any:
        """Maps (B, h, w, C) and (B, 2h, 2w, C) -> the size of the second."""
        small, large = inputs
        peaks = ops.equal(large, _doubled(ops.max_pool(large, 2)))
        return ops.where(peaks, _doubled(small), 0.0)

    def compute_output_shape(self, input_shape: tuple[tuple, tuple]) -> tuple:
        """That of the larger map."""
        return input_shape[1]


def _doubled(x: Any) -> Any:
    return ops.repeat(ops.repeat(x, 2, axis=1), 2, axis=2)


def _check_halves(finer: parts.Map, x: parts.Map, name: str) -> None:
    if tuple(finer.shape[1:3]) != tuple(2 * side for side in x.shape[1:3]):
        raise InputError(
            f"model: segnet needs maps that halve; {name} has {finer.shape[1]} x {finer.shape[2]} places, the one "
            f"above {x.shape[1]} x {x.shape[2]}. Make height and width of input_shape multiples of 32, such as 256."
        )
