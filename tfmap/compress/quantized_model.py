"""A network that has learnt with int8 rounding, and the file that is made of it."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tf_keras

from tfmap import converter
from tfmap.converter import refusing
from tfmap.tasks.detectors import heads, tail

WAY_OUT = "Leave qat out of the recipe: export rounds without it."


class QuantizedModel:
    """A network that has learnt with int8 rounding.

    Attributes:
        legacy: the tf_keras model with fake quantisers; it never leaves this room.
        model: an ordinary Keras 3 model with the weights of the file: kernels rounded to int8, the arithmetic in float.
        layer: of a detector, what makes boxes of what the network says; it is no part of `legacy`.
    """

    def __init__(self, legacy: tf_keras.Model, model: keras.Model, layer: heads.Boxes | None = None) -> None:
        self.legacy, self.model, self.layer = legacy, model, layer

    def predict(self, images: np.ndarray) -> Any:
        """Fake-quantised outputs.

        Args:
            images: uint8 or float32 (N, H, W, C), values 0..255.

        Returns:
            float32 (N, K), of a segmenter (N, H, W, K), of a detector "boxes" (N, A, 4) and "scores" (N, A, K).
        """
        said = self.legacy.predict(np.asarray(images, np.float32), verbose=0)
        if self.layer is None:
            return said
        return {"boxes": np.asarray(self.layer(said[tail.EXACT])), "scores": said["scores"]}

    def to_tflite(self, *, batch_size: int = 1, input_type: str = "uint8") -> bytes:
        """The int8 file with the learnt ranges: no calibration pictures needed.

        That of a detector gives "codes" and "scores" in float32, and knows what was cut off behind them: `tfmap.export`
        puts its boxes and its suppression there.

        Args:
            batch_size: pictures per call of the file.
            input_type: "uint8" for integers at both ends; "float32" puts a QUANTIZE and a DEQUANTIZE op there.

        Raises:
            InputError: the converter cannot translate it.
        """
        with tempfile.TemporaryDirectory() as folder:
            self.save(folder, batch_size=batch_size)
            made = tf.lite.TFLiteConverter.from_saved_model(folder)
            made.optimizations = [tf.lite.Optimize.DEFAULT]
            made.inference_input_type = getattr(tf, input_type)
            made.inference_output_type = tf.float32 if self.layer else getattr(tf, input_type)
            with warnings.catch_warnings(), refusing("compress", self.legacy.name, way_out=WAY_OUT):
                # Said of every full-integer file; the ranges are in the graph.
                warnings.filterwarnings("ignore", "Statistics for quantized inputs were expected", UserWarning)
                file = made.convert()
        return tail.noted(file, self.layer) if self.layer else file

    def save(self, folder: str | Path, *, batch_size: int | None = None) -> None:
        """A SavedModel that TFLiteConverter.from_saved_model turns into the int8 file, with no tf_keras needed.

        Args:
            folder: is made.
            batch_size: of the signature "image" -> "probabilities", or "codes" and "scores"; None leaves it open.
        """
        signature = tf.TensorSpec((batch_size, *self.legacy.input_shape[1:]), tf.float32, name="image")

        def serve(image: tf.Tensor) -> dict[str, tf.Tensor]:
            said = self.legacy(image, training=False)
            return {name: said[name] for name in tail.GIVEN} if self.layer else {"probabilities": said}

        converter.save(serve, signature, folder)
