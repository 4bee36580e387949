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


def for_each(active: Tensor | None, function: Callable[..., Tensor], state: Tensor, *tensors: Tensor) -> Tensor:
    """Work on the pictures that ask for it.

    On CPUs one picture after the other, in place: those that do not ask cost nothing (of RandAugment's 32 pictures 4
    are sharpened and 4 equalised), and the loop is a wall to XLA, behind which nothing is computed twice. Accelerators
    take the whole batch at once.

    Args:
        active: bool (B,); None is all of them.
        function: (state, *tensors) of b pictures -> state of b pictures.
        state: what changes, and stays where a picture does not ask; its first axis is the batch.
        tensors: what else the function takes, batch first.

    Returns:
        the new state.
    """
    if any(not device.startswith("cpu") for device in keras.distribution.list_devices()):
        new = function(state, *tensors)
        return new if active is None else ops.where(ops.reshape(active, (-1, *[1] * (len(new.shape) - 1))), new, state)
    count = ops.shape(state)[0]
    # a sort of zeros and ones: those that ask come first
    order = ops.arange(count) if active is None else ops.argsort(ops.cast(ops.logical_not(active), "int32"))
    last = count if active is None else ops.sum(ops.cast(active, "int32"))

    def one(turn: Tensor, state: Tensor) -> Tensor:
        # not ops.slice: TensorFlow makes its start a constant of the program and compiles anew for every seed
        index = ops.take(order, turn)
        new = function(*(ops.take(tensor, index[None], axis=0) for tensor in (state, *tensors)))
        return ops.slice_update(state, (index, *[0] * (len(state.shape) - 1)), new)

    return ops.fori_loop(0, last, one, state)
