"""Quantisation-aware training: the network learns with int8 rounding in the loop.

tfmot puts a fake quantiser behind every layer. Its own recipe needs thousands of steps and knows few layers; here every
layer is annotated one by one, ranges are read off training pictures, the means of channels are corrected before the
first step, and that start, which is what post-training quantisation gives, competes with every epoch.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tf_keras

from tfmap.compress import bridge, calls, fake_quantizers, fusions, guests, means, normalisation, quantizers, unrounded
from tfmap.compress.finetune import Feed, FineTuning, fine_tune
from tfmap.compress.hosted import SCOPE
from tfmap.compress.legacy import inputs_in_order, tfmot
from tfmap.compress.quantized_model import QuantizedModel
from tfmap.compress.ties import Hold
from tfmap.compress.walk import bare

L = tf_keras.layers
_CALIBRATION = 256  # pictures that the ranges are read off, fewer of large ones
_LOOKED_AT = 8  # times as many, that they are chosen from, as far as an epoch has them
_MEANS = 64  # pictures that the means of channels are compared on, fewer of large ones; their activations live at once
_USUAL = 224 * 224  # pixels of a picture that is not large


def train(model: keras.Model, feed: Feed, *, how: FineTuning | None = None) -> QuantizedModel:
    """Fine-tune with fake int8 quantisers; zeros of a pruned and groups of a clustered kernel stay.

    Args:
        model: Keras 3 classifier or segmenter: images (B, H, W, C), values 0..255 -> probabilities (B, K), or of each
            pixel (B, H, W, K); or the network of how.lesson.
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
    lesson, carriers = how.lesson, lonely_norms(bridge.to_tf_keras(model))
    exact = lesson.exact if lesson else ""
    legacy, ranges = quantized(bridge.to_tf_keras(model, carriers=carriers), exact)
    _freeze_norms(legacy)
    batches = _pictures(feed, _count(_CALIBRATION, model))
    pictures = tf.concat(batches, axis=0)[: _count(_MEANS, model)]
    quantizers.calibrate(legacy, ranges, batches)
    means.correct(legacy, bridge.to_tf_keras(model, carriers=carriers), pictures)
    hold = Hold([*quantizers.kernels(legacy), *unrounded.kernels(legacy)])
    fine_tune(legacy, feed, how, callbacks=[hold, _MeasureKernels()], keep_from=-1, step="qat")
    quantizers.round_kernels(legacy)
    home = _brought_home(legacy, model, pictures)
    return QuantizedModel(legacy, lesson.finished(home), lesson.layer) if lesson else QuantizedModel(legacy, home)


def _brought_home(legacy: tf_keras.Model, model: keras.Model, pictures: tf.Tensor) -> keras.Model:
    """The Keras 3 model that answers as the quantised one, without its rounding of activations.

    The statistics of norms belong to rounded activations; in float the same means need others.
    """
    home = bridge.brought_home(legacy, model)
    plain = bridge.to_tf_keras(home)
    means.correct(plain, legacy, pictures)
    bridge.copy_back(plain, home)
    return home


def _count(pictures: int, model: keras.Model) -> int:
    """So many, or as many as have their pixels if those of the model are large; at least four."""
    return min(pictures, max(4, pictures * _USUAL // math.prod(model.input_shape[1:3])))


def _pictures(feed: Feed, count: int = _CALIBRATION) -> list[tf.Tensor]:
    """Training pictures without augmentation, as the network will see pictures at inference.

    A rare class may be the one that reaches the ends of a range, so each has as many pictures as the first batches of
    an epoch allow; what could not be read (weight 0) is left out.

    Returns:
        float32 (B, H, W, C) each, B as the feed has it: classes in turn.
    """
    kept: dict[bytes, list[np.ndarray]] = {}
    size = seen = 0
    for batch in itertools.islice(feed.train(0, 0, 1), feed.steps):
        images, labels, weights = (np.asarray(batch[key]) for key in ("image", "label", "weight"))
        for image, label in zip(images[weights > 0], labels[weights > 0], strict=True):
            kept.setdefault(label.tobytes(), []).append(image.copy())  # a view would hold the whole batch
        _thin(kept, count)
        size, seen = size or min(len(images), count), seen + len(images)
        if seen >= _LOOKED_AT * count:
            break
    return _in_turn(kept, size)


def _thin(kept: dict[bytes, list[np.ndarray]], count: int) -> None:
    """Drop the latest pictures of the largest classes until there are no more than are used."""
    while sum(map(len, kept.values())) > count:
        max(kept.values(), key=len).pop()


def _in_turn(kept: dict[bytes, list[np.ndarray]], size: int) -> list[tf.Tensor]:
    """Batches of one picture of each class after the other. A rest would count as much as a whole batch: it goes."""
    rounds = itertools.zip_longest(*kept.values())
    images = [image for images in rounds for image in images if image is not None]
    ends = range(size, len(images) + 1, size) or [len(images)]
    return [tf.cast(np.stack(images[max(end - size, 0) : end]), tf.float32) for end in ends]


def _freeze_norms(legacy: tf_keras.Model) -> None:
    """Keep the statistics of norms; scale and shift go on learning, as tfmot lists them itself.

    Batches of 32 give statistics that jump by more than rounding does.
    """
    for layer in legacy.layers:
        if isinstance(bare(layer), L.BatchNormalization):
            bare(layer).trainable = False


def quantized(legacy: tf_keras.Model, exact: str = "") -> tuple[tf_keras.Model, fake_quantizers.CalibratedRange]:
    """A bridged model with fake quantisers, its ranges not yet known, and what calibrates them.

    Args:
        legacy: what `to_tf_keras` returns; it is used up.
        exact: name of an output that is computed in float from the last kernels on; none if empty.
    """
    legacy = calls.apart(legacy)
    floats = unrounded.layers(legacy, exact) if exact else set()
    api, scheme = tfmot().quantization.keras, quantizers.default_scheme()
    stands = normalisation.stands(legacy)
    carriers = {layer.name for layer in legacy.layers if fusions.is_carrier(layer)}
    rounded = {name: guest for name, guest in guests.taken_apart(legacy).items() if name not in floats}
    others = {**rounded, **{name: (stand.layer, stand.weights) for name, stand in stands.items()}}
    with api.quantize_scope({**SCOPE, **quantizers.scope()}):
        annotate = _annotation(legacy, {name: layer for name, (layer, _) in others.items()}, scheme, floats)
        annotated = tf_keras.models.clone_model(legacy, clone_function=annotate)
        for layer, weights in others.values():
            layer.set_weights(weights)
        with inputs_in_order():
            result = api.quantize_apply(annotated, scheme)
    reaches = {name: stand.reach for name, stand in stands.items()}
    factors = {name: factor for stand in stands.values() for name, factor in stand.factors.items()}
    return result, quantizers.refine(result, reaches, factors, carriers)


def _annotation(
    legacy: tf_keras.Model, others: Mapping[str, Any], scheme: Any, floats: Collection[str]
) -> Callable[[Any], Any]:
    """layer -> the layer, or what stands in its place, in tfmot's note of how to quantise it."""
    registry, note = scheme.get_quantize_registry(), tfmot().quantization.keras.quantize_annotate_layer
    folded = {name for name, carried in _norms(legacy).items() if carried}
    silent = fusions.silent(legacy)

    def annotate(layer: tf_keras.layers.Layer) -> Any:
        layer = others.get(layer.name, layer)
        if isinstance(layer, L.InputLayer) or _gives_several(layer) or layer.name in floats:
            return layer
        if layer.name in folded:
            return note(layer)
        if layer.name in silent:
            return note(layer, quantizers.kernel_only(layer))
        return note(layer, quantizers.config_of(layer, registry))

    return annotate


class _MeasureKernels(tf_keras.callbacks.Callback):
    """What is validated, kept and converted has the ranges of its own kernels."""

    def on_test_begin(self, logs: dict | None = None) -> None:
        """Before validation."""
        quantizers.measure_kernels(self.model)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Where there is no validation."""
        quantizers.measure_kernels(self.model)


def lonely_norms(legacy: tf_keras.Model) -> set[str]:
    """Batch norms of pictures or vectors that no kernel carries: alone, they are float multiplications in the file."""
    norms = _norms(legacy)
    return {name for name, carried in norms.items() if not carried and _ranks(legacy.get_layer(name)) in ({2}, {4})}


def _norms(legacy: tf_keras.Model) -> dict[str, bool]:
    """Batch norm -> whether tfmot folds it into the convolution in front of it."""
    return {layer.name: _is_folded(layer) for layer in legacy.layers if type(layer) is L.BatchNormalization}


def _is_folded(norm: tf_keras.layers.Layer) -> bool:
    """Whether tfmot folds it into the kernel in front of it: one without activation, and both are used once.

    The converter folds in place: a kernel that three maps share it would multiply three times. One of a dense layer,
    which has one scale, it leaves in float once it has folded a factor per channel into it.
    """
    before = norm.inbound_nodes[0].inbound_layers
    if type(before) not in (L.Conv2D, L.DepthwiseConv2D) or not fusions.is_linear(before):
        return False
    return len(norm.inbound_nodes) == len(before.inbound_nodes) == len(before.outbound_nodes) == 1


def _ranks(layer: tf_keras.layers.Layer) -> set[int]:
    """Of the tensor that it reads, at every call: a layer shared by maps of several sizes has no `input_shape`."""
    return {len(node.input_shapes) for node in layer.inbound_nodes}


def _gives_several(layer: tf_keras.layers.Layer) -> bool:
    """Whether it has several outputs, such as a sequence and a state: tfmot's wrapper takes one, they stay float."""
    return any(isinstance(node.outputs, list | tuple) for node in layer.inbound_nodes)
