"""LayerNormalization in a form that integers can hold: Keras' own becomes, among others, NEG, which they lack."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops


class CentredNormalization(keras.layers.LayerNormalization):
    """LayerNormalization that subtracts the mean first, where Keras adds the mean's negative at the end."""

    def call(self, inputs: Any) -> Any:
        """Float32 (B, ...) -> the same."""
        axes = [axis % len(inputs.shape) for axis in np.atleast_1d(self.axis)]
        centred = inputs - ops.mean(inputs, axes, keepdims=True)
        variance = ops.mean(centred * centred, axes, keepdims=True)
        shape = [size if axis in axes else 1 for axis, size in enumerate(inputs.shape)]
        scale = ops.rsqrt(variance + self.epsilon)
        outputs = centred * (scale if self.gamma is None else scale * ops.reshape(self.gamma, shape))
        return outputs if self.beta is None else outputs + ops.reshape(self.beta, shape)
