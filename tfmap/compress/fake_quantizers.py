"""Our own fake quantisers: tfmot's, with what they do badly in a short training mended."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfmap.compress.legacy import tfmot

api = tfmot().quantization.keras
# A range follows the batches with this memory: tfmot's own 0.999 would need thousands of steps.
_MEMORY = 0.99


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


class MovingRange(FixedRange):
    """A range that follows the batches; its first value is the first batch's own."""

    def __call__(self, inputs: tf.Tensor, training: bool, weights: dict, **kwargs: Any) -> tf.Tensor:
        low, high = weights["min_var"], weights["max_var"]
        if training:
            new = low >= high
            # Zero must be in the range: padding and ReLU mean exactly zero.
            seen = tf.minimum(tf.reduce_min(inputs), 0.0), tf.maximum(tf.reduce_max(inputs), 1e-6)
            for variable, value in zip((low, high), seen, strict=True):
                variable.assign(tf.where(new, value, _MEMORY * variable + (1 - _MEMORY) * value))
        return super().__call__(inputs, training, weights)


class ChannelQuantizer(api.quantizers.LastValueQuantizer):
    """A symmetric range per channel of a depthwise kernel (h, w, C, 1)."""

    def __init__(self) -> None:
        super().__init__(8, per_axis=True, symmetric=True, narrow_range=True)

    def __call__(self, inputs: tf.Tensor, training: bool, weights: dict, **kwargs: Any) -> tf.Tensor:
        channels_last = tf.transpose(inputs, (0, 1, 3, 2))
        return tf.transpose(super().__call__(channels_last, training, weights, **kwargs), (0, 1, 3, 2))

    def get_config(self) -> dict:
        return {}


class FixedChannel(ChannelQuantizer):
    """Ranges that are known and stay."""

    def __call__(self, inputs: tf.Tensor, training: bool, weights: dict, **kwargs: Any) -> tf.Tensor:
        return super().__call__(inputs, False, weights)
