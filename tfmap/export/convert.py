"""Keras model -> bytes of a .tflite file: one function per format.

All of them take a Keras 3 model whose input is a picture with pixel values 0..255 and give a file with a fixed batch
size, because task libraries and GPU delegates on phones refuse an open one.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import keras
import numpy as np
import tensorflow as tf

from tfmap.errors import InputError
from tfmap.export import rescaling

OUTPUT = "probabilities"


def float32(model: keras.Model, *, batch_size: int = 1, input_type: str = "uint8") -> bytes:
    """Weights and arithmetic in float32: the reference that other formats are measured against.

    Args:
        model: pictures (B, H, W, C), values 0..255 -> scores (B, K).
        batch_size: pictures per call of the file.
        input_type: "uint8" (a cast is the first op) or "float32".
    """
    with _converter(model, batch_size, input_type) as converter:
        return converter.convert()


def float16(model: keras.Model, *, batch_size: int = 1, input_type: str = "uint8") -> bytes:
    """Weights in float16, half the size; a GPU computes in float16, a CPU widens the weights to float32 first.

    Arguments as in `float32`.
    """
    with _converter(model, batch_size, input_type) as converter:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
        return converter.convert()


def dynamic(model: keras.Model, *, batch_size: int = 1, input_type: str = "uint8") -> bytes:
    """Weights in int8, a quarter of the size; activations in float32, quantised on the fly. Needs no pictures.

    Arguments as in `float32`.
    """
    with _converter(model, batch_size, input_type) as converter:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        return converter.convert()


def int8(model: keras.Model, pictures: np.ndarray, *, batch_size: int = 1, input_type: str = "uint8") -> bytes:
    """Weights and arithmetic in integers: a quarter of the size, and what DSPs, NPUs and microcontrollers run.

    The input tensor has scale 1 and zero point 0, so a camera's bytes go in as they are. The output has scale 1/256 for
    scores in 0..1.

    Args:
        model: pictures (B, H, W, C), values 0..255 -> scores (B, K).
        pictures: uint8 (N, H, W, C), typical inputs: the range of every activation is read off them.
        batch_size: pictures per call of the file.
        input_type: "uint8" for integers at both ends; "float32" puts a QUANTIZE and a DEQUANTIZE op there.

    Raises:
        InputError: no pictures.
    """
    if not len(pictures):
        raise InputError("export: format int8 reads the ranges of activations off typical pictures, received none.")
    border = getattr(tf, input_type)
    # The converter quantises a float input itself.
    with _converter(rescaling.folded(single_precision(model)), batch_size, "float32") as converter:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: _calibration(pictures, batch_size)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = border
        return converter.convert()


def _calibration(pictures: np.ndarray, batch_size: int) -> Iterator[list[np.ndarray]]:
    """The pictures in batches of the file's size, the last one filled up from the first."""
    pictures = np.array(pictures, np.float32)
    # One black and one white corner pixel pin the input's range to exactly 0..255, which makes its scale exactly 1;
    # dull pictures would give such as 0.98, and every caller would have to rescale its bytes.
    pictures[0, 0, 0], pictures[0, -1, -1] = 0, 255
    for start in range(0, len(pictures), batch_size):
        indices = np.arange(start, start + batch_size) % len(pictures)
        yield [pictures[indices]]


def input_shape(model: keras.Model) -> tuple[int, int, int]:
    """(height, width, channels) of the model's only input.

    Raises:
        InputError: several inputs or outputs, another rank, or a size that is open.
    """
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise InputError(
            f"export: expected a model with one input and one output, received {len(model.inputs)} inputs and "
            f"{len(model.outputs)} outputs."
        )
    shape = tuple(model.inputs[0].shape)
    if len(shape) != 4 or None in shape[1:]:
        raise InputError(
            f"export: the model's input must be (batch, height, width, channels) with fixed sizes, received {shape}. "
            "Build it with an input_shape such as (224, 224, 3)."
        )
    return shape[1:]


def single_precision(model: keras.Model) -> keras.Model:
    """The same model with every layer in float32; the converter cannot translate mixed precision.

    Args:
        model: of any dtype policy; returned as it is where all of it is float32 already.
    """
    if all(layer.dtype_policy.name == "float32" for layer in model._flatten_layers()):
        return model
    rebuilt = type(model).from_config(_in_float32(model.get_config()))
    rebuilt.set_weights(model.get_weights())
    return rebuilt


def functional(model: keras.Model) -> keras.Model:
    """A sequential model as the functional one that it is; of another kind it is returned as it is."""
    return keras.Model(model.inputs, model.outputs, name=model.name) if isinstance(model, keras.Sequential) else model


def _in_float32(config: object) -> object:
    """A config with each dtype policy, however deep it stands (layers in layers, attention), replaced by float32."""
    if isinstance(config, dict) and config.get("class_name") in ("DTypePolicy", "FloatDTypePolicy"):
        return "float32"
    if isinstance(config, dict):
        return {key: _in_float32(value) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return type(config)(_in_float32(value) for value in config)
    return config


@contextmanager
def _converter(model: keras.Model, batch_size: int, input_type: str) -> Iterator[tf.lite.TFLiteConverter]:
    """A converter of the model at inference, with a fixed batch size.

    Through a SavedModel of our own rather than `from_keras_model`, which prints, and leaves the output nameless.
    """
    model = single_precision(model)
    signature = tf.TensorSpec((batch_size, *input_shape(model)), input_type, name="image")

    def serve(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {OUTPUT: model(tf.cast(image, tf.float32), training=False)}

    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serve", serve, [signature])
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # Said of every full-integer file; the statistics are the representative pictures.
        warnings.filterwarnings("ignore", "Statistics for quantized inputs were expected", UserWarning)
        with silent(tf.get_logger()):  # "Assets written to" a folder that is gone in a moment
            archive.write_out(folder, verbose=False)
        yield tf.lite.TFLiteConverter.from_saved_model(folder)


@contextmanager
def silent(logger: logging.Logger, level: int = logging.WARNING) -> Iterator[None]:
    """Nothing below a level."""
    before = logger.level
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.setLevel(before)
