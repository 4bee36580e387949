"""Layers for long trainings on processors: PyTorch's own kernels where Keras' way passes over the pictures many times.

Same weights and same results as Keras' layers, under the PyTorch backend, on channels of (B, H, W, C). Kernels can be
rounded while they learn.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from tfmap.compress.low_bits import rounded

NARROW = 4  # kernels of so few input channels stay as they are: the exporter keeps 8 bits there


class TorchNorm(keras.layers.BatchNormalization):
    """Normalisation of a batch in one pass."""

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


class TorchConv(keras.layers.Conv2D):
    """A convolution that leaves the pictures as they lie in memory.

    Attributes:
        bits: of the kernel while it learns; 0: all of them.
    """

    bits = 0

    def call(self, inputs: Any) -> Any:
        """(B, H, W, C) -> (B, h, w, filters)."""
        if inputs.device.type == "meta":
            return super().call(inputs)
        import torch

        last, size, stride = torch.channels_last, self.kernel_size[0], self.strides[0]
        kernel = self.used_kernel().permute(3, 2, 0, 1).contiguous(memory_format=last)
        x = inputs.permute(0, 3, 1, 2)
        beyond = max(size - stride, 0)  # "same" of an even picture
        if beyond % 2:
            x = torch.nn.functional.pad(x, (beyond // 2, beyond - beyond // 2) * 2)
        made = torch.nn.functional.conv2d(x, kernel, self.bias.value, stride, 0 if beyond % 2 else beyond // 2)
        return made.permute(0, 2, 3, 1)

    def used_kernel(self) -> Any:
        """The kernel, rounded if that is asked for."""
        kernel = self.kernel.value
        return straight(kernel, self.bits) if self.bits and kernel.shape[-2] > NARROW else kernel


class TorchDense(keras.layers.Dense):
    """A dense layer; `bits` as in TorchConv."""

    bits = 0

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """(B, C) -> (B, units)."""
        return ops.matmul(inputs, self.used_kernel()) + self.bias

    def used_kernel(self) -> Any:
        """The kernel, rounded if that is asked for."""
        return straight(self.kernel.value, self.bits) if self.bits else self.kernel.value


def straight(kernel: Any, bits: int) -> Any:
    """The rounded kernel; gradients pass as if it had not been rounded."""
    return kernel + ops.stop_gradient(rounded(kernel, bits) - kernel)


KINDS = {
    keras.layers.Conv2D: TorchConv,
    keras.layers.Dense: TorchDense,
    keras.layers.BatchNormalization: TorchNorm,
}


def twin(model: keras.Model, momentum: float = 0.9) -> keras.Model:
    """The same network of these layers, with the same weights."""

    def clone(layer: keras.Layer) -> keras.Layer:
        kind = KINDS.get(type(layer), type(layer))
        return kind.from_config({**layer.get_config(), **({"momentum": momentum} if kind is TorchNorm else {})})

    copy = keras.models.clone_model(model, clone_function=clone)
    copy.set_weights(model.get_weights())
    for layer in copy.layers:
        layer.autocast = False  # Keras would take bfloat16 back to float32 in front of every layer
    return copy


def computing_in(precision: str) -> Any:
    """A context in which convolutions take float32 or, as "mixed_bfloat16", bfloat16 numbers; weights stay float32."""
    import torch

    # Its cache would keep the first step's dense kernel until the context ends.
    return torch.autocast("cpu", torch.bfloat16, enabled=precision == "mixed_bfloat16", cache_enabled=False)


def round_kernels(model: keras.Model, bits: int) -> None:
    """Round from now on."""
    for layer in _rounding(model):
        layer.bits = bits


def used_weights(model: keras.Model) -> list[Any]:
    """The weights as NumPy arrays, kernels as they are used."""
    used = {id(layer.kernel): layer.used_kernel() for layer in _rounding(model)}
    return [ops.convert_to_numpy(used.get(id(weight), weight)) for weight in model.weights]


def _rounding(model: keras.Model) -> list[keras.Layer]:
    return [layer for layer in model.layers if isinstance(layer, TorchConv | TorchDense)]
