"""Keras model -> bytes of a .tflite file: one function per format.

All of them take a Keras 3 model whose input is a picture with pixel values 0..255. The batch size of the file is fixed
unless it is 0: task libraries and GPU delegates on phones refuse an open one.

All of them raise InputError for a model that the converter cannot translate, the integer formats also for one of which
it leaves an op in float that nobody asked to keep.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager

import keras
import numpy as np
import tensorflow as tf
from tensorflow.lite.python.convert import mlir_quantize

from tfmap.converter import refusing, save
from tfmap.errors import InputError
from tfmap.export import floats, rewriting

OUTPUT = "probabilities"
_WAY_OUT = (
    "An op without a kernel in LiteRT has to be replaced in the model; if export.format=float32 works, only this "
    "format fails, and another one may do."
)


def float32(model: keras.Model, *, batch_size: int = 1, input_type: str = "uint8") -> bytes:
    """Weights and arithmetic in float32: the reference that other formats are measured against.

    Args:
        model: pictures (B, H, W, C), values 0..255 -> scores (B, K).
        batch_size: pictures per call of the file; 0 leaves it to the caller.
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


def int8(
    model: keras.Model,
    pictures: np.ndarray,
    *,
    batch_size: int = 1,
    input_type: str = "uint8",
    output_type: str = "",
    keep: Collection[str] = (),
) -> bytes:
    """Weights and arithmetic in integers: a quarter of the size, and what DSPs, NPUs and microcontrollers run.

    A uint8 input has scale 1 and zero point 0, so a camera's bytes go in as they are; an int8 one has zero point -128.
    A uint8 output has scale 1/256 for scores in 0..1.

    Args:
        model: pictures (B, H, W, C), values 0..255 -> scores (B, K).
        pictures: uint8 (N, H, W, C), typical inputs: the range of every activation is read off them.
        batch_size: pictures per call of the file; 0 leaves it to the caller.
        input_type: "uint8" or "int8"; "float32" puts a QUANTIZE op there.
        output_type: the same of the output, where "float32" puts a DEQUANTIZE op; default that of the input.
        keep: names of tensors whose ops stay in float32, as `tfmap.export.floats` gives them.

    Raises:
        InputError: no pictures, or an op that is not kept has no integer kernel.
    """
    types = [getattr(tf, name) for name in (input_type, output_type or input_type)]
    # The converter quantises a float input itself.
    with _calibrating(model, pictures, batch_size, "float32") as converter:
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        if not keep:
            converter.inference_input_type, converter.inference_output_type = types
        file = _selective(converter, types, keep) if keep else converter.convert()
        return floats.strict(file, keep, engine="converter")


def int16x8(model: keras.Model, pictures: np.ndarray, *, batch_size: int = 1, input_type: str = "uint8") -> bytes:
    """Weights in int8, activations in int16: nearly the float model's scores; CPUs have no fast kernels.

    Arguments as in `int8`, but the input is "uint8" (a cast is the first op) or "float32", the output float32.
    """
    with _calibrating(model, pictures, batch_size, input_type) as converter:
        integers = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        # A cast is no integer op, so with one the converter must be let off being strict.
        casting = [tf.lite.OpsSet.TFLITE_BUILTINS] if input_type == "uint8" else []
        converter.target_spec.supported_ops = [integers, *casting]
        return floats.strict(converter.convert(), engine="converter")


@contextmanager
def _calibrating(
    model: keras.Model, pictures: np.ndarray, batch_size: int, input_type: str
) -> Iterator[tf.lite.TFLiteConverter]:
    """A converter that will read the ranges of activations off the pictures."""
    need_pictures(pictures)
    with _converter(rewriting.for_integers(single_precision(model)), batch_size, input_type) as converter:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: _calibration(pictures, batch_size or 1, input_type)
        yield converter


def _selective(converter: tf.lite.TFLiteConverter, types: list[tf.DType], keep: Collection[str]) -> bytes:
    """Calibrate, then quantise all but the ops that give these tensors; the converter itself does all or none."""
    converter._experimental_calibrate_only = True
    return mlir_quantize(
        converter.convert(),
        input_data_type=types[0],
        output_data_type=types[1],
        denylisted_nodes=sorted(keep),
    )


def need_pictures(pictures: np.ndarray) -> None:
    """Refuse to calibrate on nothing.

    Raises:
        InputError: no pictures.
    """
    if not len(pictures):
        raise InputError("export: integer formats read the ranges of activations off typical pictures, received none.")


def pinned(pictures: np.ndarray) -> np.ndarray:
    """A copy of the pictures, one black and one white corner pixel in the first.

    They pin the input's range to exactly 0..255, which makes its scale exactly 1; dull pictures would give 0.98 or so,
    and every caller would have to rescale its bytes.
    """
    pictures = np.array(pictures)
    pictures[0, 0, 0], pictures[0, -1, -1] = 0, 255
    return pictures


def _calibration(pictures: np.ndarray, batch_size: int, dtype: str = "float32") -> Iterator[list[np.ndarray]]:
    """The pictures in batches of the file's size, the last one filled up from the first."""
    pictures = pinned(pictures)
    for start in range(0, len(pictures), batch_size):
        indices = np.arange(start, start + batch_size) % len(pictures)
        yield [pictures[indices].astype(dtype)]


def input_shape(model: keras.Model) -> tuple[int, int, int]:
    """(height, width, channels) of the model's only input.

    Raises:
        InputError: several inputs, several outputs without names, another rank, or a size that is open.
    """
    if len(model.inputs) != 1 or (len(model.outputs) != 1 and not isinstance(model.output, dict)):
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
    """A converter of the model at inference.

    Through a SavedModel of our own rather than `from_keras_model`, which prints, and leaves the output nameless.
    """
    model = rewriting.for_files(single_precision(model))
    signature = tf.TensorSpec((batch_size or None, *input_shape(model)), input_type, name="image")

    def serve(image: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs = model(tf.cast(image, tf.float32), training=False)
        return outputs if isinstance(outputs, dict) else {OUTPUT: outputs}

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # Said of every full-integer file; the statistics are the representative pictures.
        warnings.filterwarnings("ignore", "Statistics for quantized inputs were expected", UserWarning)
        with silent(tf.get_logger()):  # "Assets written to" a folder that is gone in a moment
            save(serve, signature, folder)
        with refusing("export", model.name, way_out=_WAY_OUT):
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
