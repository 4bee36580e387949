"""Quantisation-aware training: the network learns with int8 rounding in the loop.

tfmot puts a fake quantiser behind every layer. Its own recipe needs thousands of steps and knows few layers; here every
layer is annotated one by one, ranges are read off training pictures, the means of channels are corrected before the
first step, and that start, which is what post-training quantisation gives, competes with every epoch.
"""

from __future__ import annotations

import itertools
import tempfile
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tf_keras

from tfmap.compress import bridge, fake_quantizers, means, quantizers
from tfmap.compress.finetune import Feed, FineTuning, fine_tune
from tfmap.compress.hosted import SCOPE
from tfmap.compress.legacy import tfmot
from tfmap.compress.ties import Hold
from tfmap.compress.walk import bare

L = tf_keras.layers
_CALIBRATION = 256  # pictures that the ranges are read off
_MEANS = 64  # pictures that the means of channels are compared on; their activations live at once


def train(model: keras.Model, feed: Feed, *, how: FineTuning | None = None) -> QuantizedModel:
    """Fine-tune a classifier with fake int8 quantisers; zeros of a pruned and groups of a clustered kernel stay.

    Args:
        model: Keras 3 classifier: images (B, H, W, C), values 0..255 -> probabilities (B, K).
        feed: batches.
        how: the fine-tuning. The network has converged: a rate that moves weights by about a step of int8 is enough.
            One run on sample:trash, 1,611 pictures: 2e-5 loses 0.2 points, 1e-4 loses 1.0.

    Raises:
        InputError: a model that cannot be bridged.

    Source: Jacob et al., Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
        Inference, 2018, section 3; frozen statistics: Krishnamoorthi, Quantizing deep convolutional networks for
        efficient inference, 2018, section 4.2.
    """
    how = how or FineTuning()
    carriers = lonely_norms(bridge.to_tf_keras(model))
    legacy, ranges = quantized(bridge.to_tf_keras(model, carriers=carriers))
    _freeze_norms(legacy)
    batches = _pictures(feed)
    pictures = tf.concat(batches, axis=0)[:_MEANS]
    quantizers.calibrate(legacy, ranges, batches)
    means.correct(legacy, bridge.to_tf_keras(model, carriers=carriers), pictures)
    hold = Hold(quantizers.kernels(legacy))
    fine_tune(legacy, feed, how, callbacks=[hold, _MeasureKernels()], keep_from=-1, step="qat")
    quantizers.round_kernels(legacy)
    return QuantizedModel(legacy, _brought_home(legacy, model, pictures))


def _brought_home(legacy: tf_keras.Model, model: keras.Model, pictures: tf.Tensor) -> keras.Model:
    """The Keras 3 model that answers as the quantised one, without its rounding of activations.

    The statistics of norms belong to rounded activations; in float the same means need others.
    """
    home = bridge.brought_home(legacy, model)
    plain = bridge.to_tf_keras(home)
    means.correct(plain, legacy, pictures)
    bridge.copy_back(plain, home)
    return home


def _pictures(feed: Feed) -> list[tf.Tensor]:
    """Training pictures without augmentation, as the network will see pictures at inference."""
    count, batches = 0, []
    for batch in itertools.islice(feed.train(0, 0, 1), feed.steps):
        batches.append(tf.cast(batch["image"], tf.float32))
        count += len(batch["image"])
        if count >= _CALIBRATION:
            break
    return batches


def _freeze_norms(legacy: tf_keras.Model) -> None:
    """Keep the statistics of norms; scale and shift go on learning, as tfmot lists them itself.

    Batches of 32 give statistics that jump by more than rounding does.
    """
    for layer in legacy.layers:
        if isinstance(bare(layer), L.BatchNormalization):
            bare(layer).trainable = False


class QuantizedModel:
    """A network that has learnt with int8 rounding.

    Attributes:
        legacy: the tf_keras model with fake quantisers; it never leaves this room.
        model: an ordinary Keras 3 model with the weights of the file: kernels rounded to int8, the arithmetic in float.
    """

    def __init__(self, legacy: tf_keras.Model, model: keras.Model) -> None:
        self.legacy, self.model = legacy, model

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Fake-quantised outputs.

        Args:
            images: uint8 or float32 (N, H, W, C), values 0..255.

        Returns:
            float32 (N, K).
        """
        return self.legacy.predict(np.asarray(images, np.float32), verbose=0)

    def to_tflite(self, *, batch_size: int = 1, input_type: str = "uint8") -> bytes:
        """The int8 file with the learnt ranges: no calibration pictures needed.

        Args:
            batch_size: pictures per call of the file.
            input_type: "uint8" for integers at both ends; "float32" puts a QUANTIZE and a DEQUANTIZE op there.
        """
        with tempfile.TemporaryDirectory() as folder:
            self.save(folder, batch_size=batch_size)
            converter = tf.lite.TFLiteConverter.from_saved_model(folder)
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.inference_input_type = converter.inference_output_type = getattr(tf, input_type)
            with warnings.catch_warnings():
                # Said of every full-integer file; the ranges are in the graph.
                warnings.filterwarnings("ignore", "Statistics for quantized inputs were expected", UserWarning)
                return converter.convert()

    def save(self, folder: str | Path, *, batch_size: int | None = None) -> None:
        """A SavedModel that TFLiteConverter.from_saved_model turns into the int8 file, with no tf_keras needed.

        Args:
            folder: is made.
            batch_size: of the signature "image" -> "probabilities"; None leaves it open.
        """
        signature = tf.TensorSpec((batch_size, *self.legacy.input_shape[1:]), tf.float32, name="image")

        @tf.function(input_signature=[signature], autograph=False)
        def serve(image: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"probabilities": self.legacy(image, training=False)}

        module = tf.Module()
        module.model, module.serve = self.legacy, serve
        tf.saved_model.save(module, str(folder), signatures=serve)


def quantized(legacy: tf_keras.Model) -> tuple[tf_keras.Model, fake_quantizers.CalibratedRange]:
    """A bridged model with fake quantisers, its ranges not yet known, and what calibrates them.

    Args:
        legacy: what `to_tf_keras` returns; it is used up.
    """
    api, scheme = tfmot().quantization.keras, quantizers.default_scheme()
    registry = scheme.get_quantize_registry()
    folded = {norm for norm, carrier in _norms(legacy).items() if carrier}
    constants = {layer.name: _depthwise(layer) for layer in legacy.layers if _is_affine(layer)}

    def annotate(layer: tf_keras.layers.Layer) -> Any:
        layer = constants.get(layer.name, (layer,))[0]
        if isinstance(layer, L.InputLayer) or _gives_several(layer):
            return layer
        if layer.name in folded:
            return api.quantize_annotate_layer(layer)
        return api.quantize_annotate_layer(layer, quantizers.config_of(layer, registry))

    scope = {**SCOPE, **quantizers.scope()}
    with api.quantize_scope(scope):
        annotated = tf_keras.models.clone_model(legacy, clone_function=annotate)
        for layer, values in constants.values():
            layer.set_weights(values)
        result = api.quantize_apply(annotated, scheme)
    fixed = {name: _reach(*values) for name, (_, values) in constants.items()}
    ranges = quantizers.refine(result, fixed, [layer.name for layer in legacy.layers if not layer.trainable])
    return result, ranges


class _MeasureKernels(tf_keras.callbacks.Callback):
    """What is validated, kept and converted has the ranges of its own kernels."""

    def on_test_begin(self, logs: dict | None = None) -> None:
        """Before validation."""
        quantizers.measure_kernels(self.model)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Where there is no validation."""
        quantizers.measure_kernels(self.model)


def lonely_norms(legacy: tf_keras.Model) -> set[str]:
    """Batch norms of pictures that no convolution carries: alone, they are float multiplications in the file."""
    return {
        name for name, carrier in _norms(legacy).items() if not carrier and len(legacy.get_layer(name).input_shape) == 4
    }


def _norms(legacy: tf_keras.Model) -> dict[str, bool]:
    """Batch norm -> whether it follows a convolution or dense layer that nothing else reads: tfmot folds those."""
    norms = {}
    for layer in legacy.layers:
        if type(layer) is L.BatchNormalization:
            before = layer.inbound_nodes[0].inbound_layers
            carries = type(before) in (L.Conv2D, L.DepthwiseConv2D, L.Dense) and len(before.outbound_nodes) == 1
            norms[layer.name] = carries
    return norms


def _gives_several(layer: tf_keras.layers.Layer) -> bool:
    """Whether it has several outputs, such as a sequence and a state: tfmot's wrapper takes one, they stay float."""
    return any(isinstance(node.outputs, list | tuple) for node in layer.inbound_nodes)


def _is_affine(layer: tf_keras.layers.Layer) -> bool:
    """A Rescaling of a picture by a factor and an offset: two int8 ops with two roundings, unless it is one."""
    if not isinstance(layer, L.Rescaling) or len(layer.input_shape) != 4:
        return False
    return bool(np.any(np.asarray(layer.scale) != 1) and np.any(np.asarray(layer.offset) != 0))


def _reach(kernel: np.ndarray, offset: np.ndarray) -> tuple[float, float]:
    """The range of a scaled picture, 1% wider.

    With -1..1 exactly, every one of the 256 values would lie halfway between two steps, and each kernel rounds halves
    its own way: the file would be a step off the training in a third of all values (measured).
    """
    ends = np.stack([offset, 255 * kernel.ravel() + offset])
    return 1.01 * min(float(ends.min()), 0.0), 1.01 * max(float(ends.max()), 0.0)


def _depthwise(layer: tf_keras.layers.Layer) -> tuple[tf_keras.layers.Layer, list[np.ndarray]]:
    """The same map as a 1x1 depthwise convolution, and its weights."""
    channels = layer.input_shape[-1]
    scale, offset = (np.broadcast_to(np.asarray(value, np.float32), channels) for value in (layer.scale, layer.offset))
    twin = L.DepthwiseConv2D(1, name=layer.name, trainable=False)
    return twin, [scale.reshape(1, 1, channels, 1), np.array(offset)]
