"""The runtime that phones use: the only door to the LiteRT interpreter."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from tfmap.errors import InputError

WARM_UP, BLOCK = 5, 10  # calls: until caches are filled; of one model before the other has its turn
LINE = 200  # characters of a reason that the runtime gives
_FAST, _PLAIN = OpResolverType.BUILTIN, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
INSIDE_THREADS = 2


class LiteModel:
    """A .tflite file with one picture as input, in the LiteRT interpreter.

    Args:
        model: path of the file, or its bytes.
        threads: CPU threads of the interpreter.
        xnnpack: whether XNNPACK, the fast kernels that phones use, takes the ops that it knows; else the built-in ones.
        keep: keep every tensor of a call for `inside`; without XNNPACK, which would keep them to itself.

    Attributes:
        name: the path, for error texts.
        input: the interpreter's details of the input: name, shape, dtype, quantization (scale, zero point).
        outputs: the same of every output.
        names: of the outputs, as the file's signature or else its tensors have them.

    Raises:
        FileNotFoundError: the file does not exist.
        InputError: the runtime cannot load it, or its input is no picture.
    """

    def __init__(
        self, model: str | Path | bytes, *, threads: int = 1, xnnpack: bool = True, keep: bool = False
    ) -> None:
        self.name = "the model" if isinstance(model, bytes) else str(model)
        if not isinstance(model, bytes) and not Path(model).is_file():
            raise FileNotFoundError(f"{model} does not exist. Expected a .tflite file.")
        data = model if isinstance(model, bytes) else Path(model).read_bytes()
        try:
            self._interpreter = Interpreter(
                model_content=data,
                num_threads=threads,
                experimental_op_resolver_type=_FAST if xnnpack and not keep else _PLAIN,
                experimental_preserve_all_tensors=keep,
            )
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise InputError(f"{self.name} is not a .tflite file that LiteRT can run: {_first_line(error)}") from error
        inputs = self._interpreter.get_input_details()
        if len(inputs) != 1 or len(inputs[0]["shape"]) != 4:
            shapes = ", ".join(str(detail["shape"].tolist()) for detail in inputs)
            raise InputError(f"{self.name} must take one picture (batch, height, width, channels); it takes {shapes}.")
        self.input = inputs[0]
        self.outputs = self._interpreter.get_output_details()
        self.names = self._named()

    def _named(self) -> list[str]:
        """Names of the outputs, in their order."""
        signatures = list(self._interpreter.get_signature_list())
        if len(self.outputs) == 1 or len(signatures) != 1:
            return [str(detail["name"]) for detail in self.outputs]
        said = self._interpreter.get_signature_runner(signatures[0]).get_output_details()
        places = {detail["index"]: name for name, detail in said.items()}
        return [places.get(detail["index"], str(detail["name"])) for detail in self.outputs]

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(batch, height, width, channels) as in the file."""
        return tuple(int(size) for size in self.input["shape"])

    def predict(self, images: np.ndarray) -> Any:
        """Run pictures through the file, one batch of its own size after another.

        Args:
            images: uint8 or float32 (N, H, W, C), values 0..255.

        Returns:
            float32 (N, ...): the output, dequantised; of several outputs a dict of their names.

        Raises:
            InputError: pictures of another size than the file takes.
        """
        return self.dequantised(self.raw(images))

    def raw(self, images: np.ndarray) -> Any:
        """As `predict`, but in the outputs' own dtypes, not dequantised."""
        if images.shape[1:] != self.input_shape[1:]:
            raise InputError(f"{self.name} takes pictures of {self.input_shape[1:]}, received {images.shape[1:]}.")
        step = self.input_shape[0]
        rows = [self._run(images[start : start + step]) for start in range(0, len(images), step)]
        nothing = [np.zeros((0, *detail["shape"][1:]), detail["dtype"]) for detail in self.outputs]
        joined = [np.concatenate(column) for column in zip(nothing, *rows, strict=True)]
        return joined[0] if len(joined) == 1 else dict(zip(self.names, joined, strict=True))

    def dequantised(self, outputs: Any) -> Any:
        """What `raw` gave, as float32 numbers."""
        if not isinstance(outputs, dict):
            return dequantise(outputs, self.outputs[0])
        details = dict(zip(self.names, self.outputs, strict=True))
        return {name: dequantise(values, details[name]) for name, values in outputs.items()}

    def _run(self, images: np.ndarray) -> list[np.ndarray]:
        """Every output for at most as many pictures as the file takes at once."""
        missing = self.input_shape[0] - len(images)
        padded = np.concatenate([images, np.repeat(images[-1:], missing, axis=0)]) if missing else images
        self._interpreter.set_tensor(self.input["index"], quantise(padded, self.input))
        try:
            self._interpreter.invoke()
        except (ValueError, RuntimeError) as error:
            raise InputError(f"{self.name} loads in LiteRT but cannot be run: {_first_line(error)}") from error
        return [self._interpreter.get_tensor(detail["index"])[: len(images)] for detail in self.outputs]

    def inside(self, images: np.ndarray, indices: Sequence[int]) -> list[np.ndarray]:
        """Run pictures through the file and read tensors inside it; the file must have been opened with `keep`.

        Args:
            images: uint8 or float32 (B, H, W, C), values 0..255, at most as many as the file takes at once, which is
                filled up with the last one.
            indices: numbers of the tensors.

        Returns:
            float32 arrays, dequantised.
        """
        self._run(images)
        details = {detail["index"]: detail for detail in self._interpreter.get_tensor_details()}
        return [dequantise(self._interpreter.get_tensor(index), details[index]) for index in indices]

    def arena_bytes(self) -> int:
        """Bytes of memory that hold what the file computes, once each: those of tensors that share a place are shared.

        Read off the addresses that the runtime has given its tensors, so open the file without XNNPACK, which computes
        in a place of its own. Constants, which lie in the file, are left out.
        """
        spans = [span for index in self._computed() if (span := self._span(index))]
        total, end = 0, 0
        for start, stop in sorted(spans):
            total += max(0, stop - max(start, end))
            end = max(end, stop)
        return total

    def _computed(self) -> list[int]:
        """Numbers of the tensors that are not constant, the scratch space of ops among them."""
        ops = self._interpreter._get_ops_details()
        read, written = ({int(i) for op in ops for i in op[side] if i >= 0} for side in ("inputs", "outputs"))
        constant = read - written - {int(self.input["index"])}
        return [i for detail in self._interpreter.get_tensor_details() if (i := int(detail["index"])) not in constant]

    def _span(self, index: int) -> tuple[int, int] | None:
        """First and last address of a tensor."""
        try:
            view = self._interpreter.tensor(index)()
        except ValueError:  # it has no place yet, as one whose size depends on the picture
            return None
        start = view.__array_interface__["data"][0]
        return start, start + view.nbytes

    def call_ms(self) -> float:
        """Run the file once on a grey picture and return the milliseconds that the runtime took."""
        start = time.perf_counter()
        self._interpreter.invoke()
        return 1000 * (time.perf_counter() - start)

    def _warm_up(self) -> None:
        grey = np.full(self.input_shape, 128, np.uint8)
        self._interpreter.set_tensor(self.input["index"], quantise(grey, self.input))
        for _ in range(WARM_UP):
            self._interpreter.invoke()


def _first_line(error: Exception) -> str:
    line = (str(error).splitlines() or ["no reason given"])[0]
    return line if len(line) <= LINE else f"{line[:LINE]}..."


def turns_ms(models: Mapping[str, LiteModel], *, seconds: float = 1.0) -> dict[str, np.ndarray]:
    """Time several files against each other, in turns.

    A machine's speed drifts with heat and neighbours; files that are timed one after the other differ by more than they
    are apart. Blocks of ten calls in turn meet the same drift.

    Args:
        models: name -> file in the interpreter, all with the same number of threads.
        seconds: of measuring, in all.

    Returns:
        name -> float64 (turns, 10): milliseconds of each call. Row n of one was measured next to row n of the others.
    """
    for model in models.values():
        model._warm_up()
    times: dict[str, list[list[float]]] = {name: [] for name in models}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or not all(times.values()):
        for name, model in models.items():
            times[name].append([model.call_ms() for _ in range(BLOCK)])
    return {name: np.array(found) for name, found in times.items()}


def latency_ms(models: Mapping[str, LiteModel], *, seconds: float = 1.0) -> dict[str, dict[str, float]]:
    """What `turns_ms` measures, in short.

    Args:
        models: name -> file in the interpreter, all with the same number of threads.
        seconds: of measuring, in all.

    Returns:
        name -> {"median", "p90"}: milliseconds of one call.
    """
    found = turns_ms(models, seconds=seconds)
    return {
        name: {"median": float(np.median(times)), "p90": float(np.percentile(times, 90))}
        for name, times in found.items()
    }


def quantise(values: np.ndarray, detail: Mapping) -> np.ndarray:
    """Pixel values to a tensor's own dtype: q = round(v / scale + zero point), kept in the dtype's range."""
    dtype, (scale, zero) = detail["dtype"], detail["quantization"]
    if not np.issubdtype(dtype, np.integer):
        return values.astype(dtype)
    limits = np.iinfo(dtype)
    scaled = values.astype(np.float32) / scale + zero if scale else values.astype(np.float32)
    return np.clip(np.round(scaled), limits.min, limits.max).astype(dtype)


def dequantise(values: np.ndarray, detail: Mapping) -> np.ndarray:
    """A tensor's own dtype to float32: v = (q - zero point) * scale."""
    scale, zero = detail["quantization"]
    if not np.issubdtype(detail["dtype"], np.integer) or not scale:
        return values.astype(np.float32)
    return (values.astype(np.float32) - zero) * np.float32(scale)


def activations(model: bytes, images: np.ndarray, names: Collection[str]) -> Iterator[dict[str, np.ndarray]]:
    """What a file computes inside, batch by batch of its own size.

    Args:
        model: bytes of a .tflite file that takes one picture.
        images: uint8 or float32 (N, H, W, C), values 0..255; the last batch is filled up with the last picture.
        names: tensors to look at.

    Yields:
        name -> float32: the tensors, dequantised.
    """
    lite, wanted = LiteModel(model, threads=INSIDE_THREADS, keep=True), set(names)
    places = {d["name"]: d["index"] for d in lite._interpreter.get_tensor_details() if d["name"] in wanted}
    step = lite.input_shape[0]
    for start in range(0, len(images), step):
        values = lite.inside(images[start : start + step], list(places.values()))
        yield dict(zip(places, values, strict=True))
