"""Batch normalisation by PyTorch's own kernel, for trainings: Keras' version passes over the picture many times."""

from __future__ import annotations

from typing import Any

import keras


class TorchNorm(keras.layers.BatchNormalization):
    """The same weights and the same result, on the channels of (B, H, W, C), under the PyTorch backend."""

    def call(self, inputs: Any, training: bool = False, mask: Any = None) -> Any:
        """Args: inputs (B, H, W, C) in any float dtype; the result has it too."""
        if inputs.device.type == "meta":
            return inputs
        import torch

        variables = (self.moving_mean, self.moving_variance, self.gamma, self.beta)
        mean, variance, scale, offset = (variable.value for variable in variables)
        channels_first = inputs.permute(0, 3, 1, 2)
        normalised = torch.nn.functional.batch_norm(
            channels_first, mean, variance, scale, offset, bool(training), 1 - self.momentum, self.epsilon
        )
        return normalised.permute(0, 2, 3, 1)
