"""The fence: the one file of augmentation that knows TensorFlow, and where the device decides how work is cut up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

Tensor = Any


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Have XLA compile a function by itself, whatever surrounds it.

    Training on CPU runs its step without XLA (which is 8x slower on MobileNet there), but the gathers of a warp and the
    colour product want to be one loop. A jitted function inside a graph, a replica or a jitted step works. On other
    backends the caller compiles the whole step, and the function stays as it is.
    """
    if keras.backend.backend() != "tensorflow":
        return function
    import tensorflow as tf

    return tf.function(function, jit_compile=True, autograph=False)


def for_each(
    active: Tensor | None, function: Callable[..., Tensor], tensors: tuple[Tensor, ...], otherwise: Tensor
) -> Tensor:
    """Work on the pictures that ask for it.

    On CPUs one picture after the other, so that those that do not ask cost nothing: of RandAugment's 32 pictures about
    4 are sharpened and 4 equalised. Accelerators take the whole batch at once.

    Args:
        active: bool (B,); None is all of them.
        function: tensors of b pictures -> tensor of b pictures.
        tensors: what it takes, the first axis of each is the batch.
        otherwise: the result of the pictures that do not ask, shaped as that of the function.
    """
    if active is None:
        return function(*tensors)
    if keras.distribution.list_devices("gpu") or keras.distribution.list_devices("tpu"):
        asked = ops.reshape(active, (-1, *[1] * (len(otherwise.shape) - 1)))
        return ops.where(asked, function(*tensors), otherwise)

    def one(picture: tuple[Tensor, ...]) -> Tensor:
        asked, *parts, other = picture
        return ops.cond(asked, lambda: function(*(part[None] for part in parts))[0], lambda: other)

    return ops.map(one, (active, *tensors, otherwise))
