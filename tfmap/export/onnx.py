"""ONNX through tf2onnx (extra `onnx`), checked in ONNX Runtime before it is written."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfmap.errors import InputError
from tfmap.export import convert, rewriting
from tfmap.runs import replacing

OPSET = 17  # ONNX 1.12, 2022: what mobile builds of ONNX Runtime have had for years
TOLERANCE = 1e-4  # of scores in 0..1; float32 kernels of two runtimes differ by about 1e-6


def write(path: str | Path, model: keras.Model) -> None:
    """Write a model as ONNX: input "image" uint8 (B, H, W, C), output "scores" float32 (B, K).

    Args:
        path: the file.
        model: pictures (B, H, W, C), values 0..255 -> scores (B, K).

    Raises:
        InputError: the extra is not installed, tf2onnx cannot translate the model, or ONNX Runtime answers otherwise
            than Keras.
    """
    model = convert.single_precision(model)
    data = _converted(rewriting.without_normalization(model))
    _check(data, model)
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def _converted(model: keras.Model) -> bytes:
    tf2onnx = installed()
    signature = [tf.TensorSpec((None, *convert.input_shape(model)), tf.uint8, "image")]

    @tf.function(input_signature=signature, autograph=False)
    def serve(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"scores": model(tf.cast(image, tf.float32), training=False)}

    with convert.silent(logging.getLogger("tf2onnx"), logging.CRITICAL):
        try:
            found, _ = tf2onnx.convert.from_function(serve, input_signature=signature, opset=OPSET)
        except Exception as error:  # it has no error class of its own
            reason = " ".join(str(error).split())[:300]
            raise InputError(f"export.also: tf2onnx cannot translate {model.name}: {reason}") from error
    return found.SerializeToString()


def installed() -> Any:
    """The module tf2onnx.

    Raises:
        InputError: it or ONNX Runtime, with which the file is compared, is not installed.
    """
    try:
        import onnxruntime  # noqa: F401 (asked for here, so that minutes of work are not lost)
        import tf2onnx
    except ImportError as error:
        raise InputError(
            f"export.also: onnx needs its extra ({error}). Install it: pip install 'tfmap[onnx]'"
        ) from error
    return tf2onnx


def answers(file: bytes | str | Path, pictures: np.ndarray) -> dict[str, np.ndarray]:
    """What ONNX Runtime answers.

    Args:
        file: its bytes or its path.
        pictures: uint8 (N, H, W, C).

    Returns:
        dict: "scores" float32 (N, K).
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = min(4, os.cpu_count() or 1)
    file = file if isinstance(file, bytes) else str(file)
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    (scores,) = session.run(["scores"], {"image": pictures})
    return {"scores": scores}


def _check(data: bytes, model: keras.Model) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (2, *convert.input_shape(model)), np.uint8)
    try:
        found = answers(data, pictures)["scores"]
    except Exception as error:  # its error classes are made by its C++ binding
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"export.also: ONNX Runtime cannot run {model.name}: {reason}") from error
    wanted = np.asarray(model(pictures.astype(np.float32), training=False))
    apart = float(np.abs(found - wanted).max())
    if not apart <= TOLERANCE:
        raise InputError(
            f"export.also: {model.name} as ONNX differs from Keras by {apart:.2g}, more than {TOLERANCE}. "
            "Use savedmodel."
        )
