"""The fence: the one file of augmentation that knows TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras


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
