"""The runtime that phones use: the only door to the LiteRT interpreter."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from tfmap.errors import InputError


class LiteModel:
    """A .tflite file with one image input, in the LiteRT interpreter.

    Args:
        model: path of the file, or its bytes.
        threads: CPU threads of the interpreter.

    Raises:
        FileNotFoundError: the file does not exist.
        InputError: the runtime cannot load it.
    """

    def __init__(self, model: str | Path | bytes, *, threads: int = 1) -> None:
        self.name = "model" if isinstance(model, bytes) else str(model)
        if not isinstance(model, bytes) and not Path(model).is_file():
            raise FileNotFoundError(f"{model} does not exist. Expected a .tflite file.")
        data = model if isinstance(model, bytes) else Path(model).read_bytes()
        try:
            self._interpreter = Interpreter(model_content=data, num_threads=threads)
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise InputError(
                f"{self.name} is not a .tflite file that LiteRT can run: {str(error).splitlines()[0]}"
            ) from error
        self.input = self._interpreter.get_input_details()[0]
        self.outputs = self._interpreter.get_output_details()

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(batch, height, width, channels) as in the file."""
        return tuple(int(size) for size in self.input["shape"])

    def predict(self, images: np.ndarray) -> np.ndarray:
        """Run pictures through the file, one batch of its own size after another.

        Args:
            images: uint8 or float32 (N, H, W, C), values 0..255.

        Returns:
            float32 (N, ...): the first output, dequantised.
        """
        step = self.input_shape[0]
        rows = [self._run(images[start : start + step]) for start in range(0, len(images), step)]
        return np.concatenate(rows) if rows else np.zeros((0, *self.outputs[0]["shape"][1:]), np.float32)

    def _run(self, images: np.ndarray) -> np.ndarray:
        count, step = len(images), self.input_shape[0]
        padded = np.concatenate([images, np.repeat(images[-1:], step - count, axis=0)]) if count < step else images
        self._interpreter.set_tensor(self.input["index"], quantise(padded, self.input))
        self._interpreter.invoke()
        return dequantise(self._interpreter.get_tensor(self.outputs[0]["index"]), self.outputs[0])[:count]

    def latency_ms(self, *, seconds: float = 1.0) -> dict[str, float]:
        """Median and 90th percentile of one call in milliseconds, over `seconds` after a warm-up."""
        image = np.zeros(self.input["shape"], self.input["dtype"])
        self._interpreter.set_tensor(self.input["index"], image)
        for _ in range(5):
            self._interpreter.invoke()
        times, end = [], time.perf_counter() + seconds
        while time.perf_counter() < end or len(times) < 5:
            start = time.perf_counter()
            self._interpreter.invoke()
            times.append(1000 * (time.perf_counter() - start))
        return {"median": float(np.median(times)), "p90": float(np.percentile(times, 90))}


def quantise(values: np.ndarray, detail: dict) -> np.ndarray:
    """Pixel values to a tensor's own dtype: q = round(v / scale + zero point), kept in the dtype's range."""
    dtype, (scale, zero) = detail["dtype"], detail["quantization"]
    if not np.issubdtype(dtype, np.integer):
        return values.astype(dtype)
    limits = np.iinfo(dtype)
    scaled = values.astype(np.float32) / scale + zero if scale else values.astype(np.float32)
    return np.clip(np.round(scaled), limits.min, limits.max).astype(dtype)


def dequantise(values: np.ndarray, detail: dict) -> np.ndarray:
    """A tensor's own dtype to float32: v = (q - zero point) * scale."""
    scale, zero = detail["quantization"]
    if not np.issubdtype(detail["dtype"], np.integer) or not scale:
        return values.astype(np.float32)
    return (values.astype(np.float32) - zero) * np.float32(scale)
