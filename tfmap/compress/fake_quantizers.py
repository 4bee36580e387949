"""Our own fake quantisers: tfmot's, with what they do badly in a short training mended."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfmap.compress.legacy import tfmot

api = tfmot().quantization.keras


class OutputOnly(api.QuantizeConfig):
    """Float weights, quantised output: for layers that tfmot does not know; the tensor stays int8 in the file."""

    def get_weights_and_quantizers(self, layer: Any) -> list:
        return []

    def get_activations_and_quantizers(self, layer: Any) -> list:
        return []

    def set_quantize_weights(self, layer: Any, quantize_weights: list) -> None:
        pass

    def set_quantize_activations(self, layer: Any, quantize_activations: list) -> None:
        pass

    def get_output_quantizers(self, layer: Any) -> list:
        return [api.quantizers.MovingAverageQuantizer(8, per_axis=False, symmetric=False, narrow_range=False)]

    def get_config(self) -> dict:
        return {}


class FixedRange(api.quantizers.MovingAverageQuantizer):
    """A range that is known and stays."""

    def __init__(self) -> None:
        super().__init__(8, per_axis=False, symmetric=False, narrow_range=False)

    def __call__(self, inputs: tf.Tensor, training: bool, weights: dict, **kwargs: Any) -> tf.Tensor:
        return tf.quantization.fake_quant_with_min_max_vars(inputs, weights["min_var"], weights["max_var"])

    def get_config(self) -> dict:
        return {}


class CalibratedRange(FixedRange):
    """A range that is read off a few batches, the mean of their extremes, and then stays.

    tfmot's ranges start at -6..6 and move by 0.1% a step: a short training ends before they arrive.

    Attributes:
        share: of the next batch in the range; 0, as it is but for calibration, leaves it alone.
    """

    def __init__(self) -> None:
        super().__init__()
        self.share = 0.0

    def __call__(self, inputs: tf.Tensor, training: bool, weights: dict, **kwargs: Any) -> tf.Tensor:
        if training and self.share:
            # Zero must be in the range: padding and ReLU mean exactly zero.
            seen = tf.minimum(tf.reduce_min(inputs), 0.0), tf.maximum(tf.reduce_max(inputs), 1e-6)
            for variable, value in zip((weights["min_var"], weights["max_var"]), seen, strict=True):
                variable.assign_add(self.share * (value - variable))
        return super().__call__(inputs, training, weights)


class KernelQuantizer(api.quantizers.LastValueQuantizer):
    """Symmetric int8 with a scale per output channel, in training always that of the kernel at hand.

    tfmot stores the range in every step, which a mirrored variable refuses, and before the step that moves the kernel.

    Args:
        order: permutation that brings the output channels to the end, its own inverse; None where they are there.
        per_channel: a scale per channel rather than one for the kernel.
    """

    def __init__(self, order: tuple[int, ...] | None = None, *, per_channel: bool = True) -> None:
        super().__init__(8, per_axis=per_channel, symmetric=True, narrow_range=True)
        self.order = order

    def __call__(self, inputs: tf.Tensor, training: bool, weights: dict, **kwargs: Any) -> tf.Tensor:
        kernel = self._ordered(inputs)
        reach = tf.stop_gradient(self._reach(kernel)) if training else None
        low, high = (-reach, reach) if training else (weights["min_var"], weights["max_var"])
        rounding = tf.quantization.fake_quant_with_min_max_vars
        if self.per_axis:
            rounding = tf.quantization.fake_quant_with_min_max_vars_per_channel
        return self._ordered(rounding(kernel, low, high, num_bits=8, narrow_range=True))

    def measure(self, kernel: tf.Variable, weights: dict) -> None:
        """Store the range of a kernel, for inference and the file."""
        reach = self._reach(self._ordered(tf.convert_to_tensor(kernel)))
        weights["min_var"].assign(-reach)
        weights["max_var"].assign(reach)

    def _reach(self, kernel: tf.Tensor) -> tf.Tensor:
        """The largest magnitude; 1 for a channel of zeros, which any scale holds."""
        largest = tf.reduce_max(tf.abs(kernel), axis=range(kernel.shape.rank - 1) if self.per_axis else None)
        return tf.where(largest > 0, largest, 1.0)

    def _ordered(self, kernel: tf.Tensor) -> tf.Tensor:
        return kernel if self.order is None else tf.transpose(kernel, self.order)

    def get_config(self) -> dict:
        return {}


class FixedKernel(KernelQuantizer):
    """A range that is known and stays."""

    def __call__(self, inputs: tf.Tensor, training: bool, weights: dict, **kwargs: Any) -> tf.Tensor:
        return super().__call__(inputs, False, weights)

    def measure(self, kernel: tf.Variable, weights: dict) -> None:
        """Nothing: it stays."""
