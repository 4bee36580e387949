"""Our own fake quantisers: tfmot's, with what they do badly in a short training mended."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import tensorflow as tf

from tfmap.compress.legacy import tfmot

api = tfmot().quantization.keras
_SILENT = 1e-6
_COUNTED = 2.0**30  # of 32 bits with a sign; as much again is left for what is added to a bias


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

    tfmot's ranges start at -6..6 and move by 0.1% a step: a short training ends before they arrive. A layer that is
    called several times has one range; of each batch the extremes of all its calls count. One that said nothing but
    zero has 0..1, which any kernel's products fit: XNNPACK refuses a file whose steps differ 256-fold.
    """

    def __init__(self) -> None:
        super().__init__()
        self._share = 0.0
        self._batch: dict[Any, tuple] = {}
        self._heard: dict[Any, tf.Variable] = {}

    def listen(self, share: float) -> None:
        """Say before a batch what share it has in the ranges; 0, as it is but for calibration, leaves them alone."""
        self._share = share
        self._batch.clear()
        if not share:
            self._open_silent()

    def _open_silent(self) -> None:
        for low, high in self._heard.items():
            if high - low.deref() < _SILENT:
                high.assign(1.0)
        self._heard.clear()

    def __call__(self, inputs: tf.Tensor, training: bool, weights: dict, **kwargs: Any) -> tf.Tensor:
        if training and self._share:
            self._learn(inputs, weights["min_var"], weights["max_var"])
        return super().__call__(inputs, training, weights)

    def _learn(self, inputs: tf.Tensor, low: tf.Variable, high: tf.Variable) -> None:
        """Move a range from where it was before the batch towards the extremes of the batch's calls so far."""
        # Zero must be in the range: padding and ReLU mean exactly zero.
        start = (tf.identity(low), tf.identity(high), tf.constant(0.0), tf.constant(0.0))
        self._heard[low.ref()] = high
        old_low, old_high, least, most = self._batch.get(low.ref(), start)
        least, most = tf.minimum(tf.reduce_min(inputs), least), tf.maximum(tf.reduce_max(inputs), most)
        self._batch[low.ref()] = old_low, old_high, least, most
        low.assign(old_low + self._share * (least - old_low))
        high.assign(old_high + self._share * (most - old_high))


class KernelQuantizer(api.quantizers.LastValueQuantizer):
    """Symmetric int8 with a scale per output channel, in training always that of the kernel at hand.

    tfmot stores the range in every step, which a mirrored variable refuses, and before the step that moves the kernel.

    Args:
        order: permutation that brings the output channels to the end, its own inverse; None where they are there.
        per_channel: a scale per channel rather than one for the kernel.

    Attributes:
        factor: what the kernel is multiplied with before it is rounded, shape (C, 1) for one per channel that it reads.
            That of the pictures' normalisation: the variable keeps the size that the learning rate was chosen for.
        least: what a range reaches at least, a number or one for each output channel.
    """

    def __init__(self, order: tuple[int, ...] | None = None, *, per_channel: bool = True) -> None:
        super().__init__(8, per_axis=per_channel, symmetric=True, narrow_range=True)
        self.order = order
        self.factor: Any = 1.0
        self.least: Any = 0.0

    def __call__(self, inputs: tf.Tensor, training: bool, weights: dict, **kwargs: Any) -> tf.Tensor:
        kernel = self._scaled(inputs)
        reach = tf.stop_gradient(self._reach(kernel)) if training else None
        low, high = (-reach, reach) if training else (weights["min_var"], weights["max_var"])
        rounding = tf.quantization.fake_quant_with_min_max_vars
        if self.per_axis:
            rounding = tf.quantization.fake_quant_with_min_max_vars_per_channel
        return self._ordered(rounding(kernel, low, high, num_bits=8, narrow_range=True))

    def rounded(self, kernel: tf.Variable, weights: dict) -> tf.Tensor:
        """A kernel that stays as it is when it is multiplied and rounded; its range has been measured."""
        return self(kernel, False, weights) / self.factor

    def reach(self, kernel: tf.Variable) -> tf.Tensor:
        """The range of a kernel, or of each of its output channels, to both sides of zero."""
        return self._reach(self._scaled(kernel))

    def measure(self, kernel: tf.Variable, weights: dict) -> None:
        """Store the range of a kernel, for inference and the file."""
        reach = self.reach(kernel)
        weights["min_var"].assign(-reach)
        weights["max_var"].assign(reach)

    def _reach(self, kernel: tf.Tensor) -> tf.Tensor:
        """The largest magnitude; 1 for a channel of zeros, which any scale holds."""
        largest = tf.reduce_max(tf.abs(kernel), axis=range(kernel.shape.rank - 1) if self.per_axis else None)
        return tf.maximum(tf.where(largest > 0, largest, 1.0), self.least)

    def make_room(self, kernel: tf.Variable, bias: tf.Tensor, inputs: tf.Tensor) -> None:
        """Have steps wide enough for a bias, which a file counts in steps of the kernel times steps of its input.

        Behind an input that hardly says anything it would not fit into 32 bits, and be cut off.

        Args:
            kernel: of the layer.
            bias: of the layer.
            inputs: what it reads.
        """
        step = (tf.reduce_max(inputs) - tf.reduce_min(inputs)) / 255
        least = 127 * tf.abs(bias) / (_COUNTED * tf.where(step > 0, step, 1 / 255))
        self.least = least if least.shape == self.reach(kernel).shape else tf.reduce_max(least)

    def _scaled(self, kernel: tf.Tensor) -> tf.Tensor:
        return self._ordered(tf.convert_to_tensor(kernel) * self.factor)

    def _ordered(self, kernel: tf.Tensor) -> tf.Tensor:
        return kernel if self.order is None else tf.transpose(kernel, self.order)

    def get_config(self) -> dict:
        return {}


class Encodings:
    """Numbers for the ones of carriers: no two uses in a graph have the same, as long as there are at most 100."""

    def __init__(self) -> None:
        self._uses: WeakKeyDictionary = WeakKeyDictionary()

    def next(self) -> int:
        """127, 126 ... 28, in each graph anew, so that a model always becomes the same file."""
        graph = tf.compat.v1.get_default_graph()
        number = self._uses.get(graph, 0)
        self._uses[graph] = number + 1
        return 127 - number % 100


class Ones(KernelQuantizer):
    """Ones that stay, stored as 127, 126 ... with a scale to match: as another number at every use.

    The converter folds a norm into the scale of its carrier's kernel in place, and takes equal constants for one: with
    127 everywhere, each carrier would get the product of all norms (seen in ResNet50V2, TensorFlow 2.21). A carrier
    that is called several times is used several times.
    """

    def __init__(self, order: tuple[int, ...] | None, encodings: Encodings) -> None:
        super().__init__(order)
        self._encodings = encodings

    def __call__(self, inputs: tf.Tensor, training: bool, weights: dict, **kwargs: Any) -> tf.Tensor:
        kernel = self._ordered(inputs)
        reach = tf.fill(kernel.shape[-1:], 127 / self._encodings.next())
        rounding = tf.quantization.fake_quant_with_min_max_vars_per_channel
        return self._ordered(rounding(kernel, -reach, reach, num_bits=8, narrow_range=True))

    def measure(self, kernel: tf.Variable, weights: dict) -> None:
        """Nothing: the range is not stored."""
