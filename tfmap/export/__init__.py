"""Stage: model -> .tflite with labels and metadata inside, and test vectors for the team that ships it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import tfmap
from tfmap.checked import checked
from tfmap.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    import keras

    from tfmap.runs import Run
    from tfmap.source import Source, Split

GOLDEN = 10  # test vectors: one or more of each class of a small problem, and a file that an app can bundle


@checked("export")
def tflite(
    model: keras.Model | bytes,
    *,
    split: Split | None = None,
    classes: Sequence[str],
    task: str = "classification",
    format: Literal["float32", "float16", "dynamic", "int8"] = "int8",
    which: Literal["auto", "model", "compressed", "quantized"] = "auto",
    input_type: Literal["uint8", "float32"] = "uint8",
    batch_size: int = 1,
    samples: int = 200,
    bias_correction: bool = True,
    name: str = "",
    description: str = "",
    version: str = "1",
    author: str = "",
    license: str = "",
    label_files: dict[str, str] | None = None,
    also: tuple[Literal["savedmodel", "onnx", "keras"], ...] = (),
    digest: str = "",
    seed: int = 0,
) -> bytes:
    """Convert a model to a .tflite file with its labels and metadata inside.

    Args:
        model: a Keras model, pictures (B, H, W, C) with values 0..255 -> scores (B, K); or the bytes of an int8 file
            that quantisation-aware training has made, which only gets its metadata.
        split: training examples; int8 reads the ranges of activations off some of them.
        classes: the K class names, in the order of the model's outputs.
        task: which task prepares the pictures.
        format: int8 (integers throughout: smallest, fastest on CPU, DSP and NPU), float16 (half the size, for GPUs),
            dynamic (int8 weights, float arithmetic, needs no pictures), float32 (the reference).
        which: the run folder's file to export: model.keras, compressed.keras, or quantized.tflite of quantisation-aware
            training; auto takes what compress made last, else the model. For the command; in Python pass the model.
        input_type: uint8 takes a picture's bytes as they are; float32 takes the same values, 0..255, as floats.
        batch_size: pictures per call. Task libraries on phones want 1.
        samples: typical pictures for int8, spread over the classes.
        bias_correction: take back in the biases what rounding kernels to int8 does to the mean of each channel; seconds
            of work, no cost in the file.
        name: the model's name in the metadata; default the Keras model's.
        description: one sentence for the metadata; default one that names the number of classes.
        version: the model's version in the metadata.
        author: of the model, in the metadata.
        license: of the model, in the metadata, such as Apache-2.0.
        label_files: locale -> path of a text file with the class names in that language, one a line in the order of the
            classes, such as {de: labels_de.txt}; packed into the file beside the original names.
        also: further formats for the run folder: savedmodel (a server's, takes encoded pictures), onnx (extra onnx),
            keras (for inference: float32, not compiled). For the command; in Python see tfmap.export.formats.
        digest: of the data set, for the metadata: `Source.digest`.
        seed: of the choice of typical pictures.

    Returns:
        bytes: the file. int8 with input_type uint8 also answers in uint8, score = value / 256 for scores in 0..1.

    Raises:
        InputError: an unknown format, int8 without training examples, another number of classes than outputs, a model
            with several inputs or without fixed sizes.
    """
    from tfmap.export import convert, metadata

    _check(which, also, batch_size)
    translations = metadata.read_translations(label_files or {}, len(classes))
    if isinstance(model, bytes):
        converted = _ready(model, format, input_type)
    else:
        metadata.check_labels(classes, model.output_shape[-1])  # before minutes of conversion
        file = {"batch_size": batch_size, "input_type": input_type}
        if format == "int8":
            converted = _int8(model, split, task, samples, seed, correct=bias_correction, file=file)
        else:
            converted = getattr(convert, format)(model, **file)
    about = metadata.Metadata(
        labels=tuple(classes),
        name=name or getattr(model, "name", "classifier"),
        description=description or f"Sorts a picture into {len(classes)} classes: {_some(classes)}.",
        version=version,
        author=author,
        license=license,
        color_space=metadata.color_space(converted),
        translations=translations,
        about=_origin(task, digest, several=split is not None and split.labels.ndim == 2),
    )
    return metadata.attach(converted, about)


def _origin(task: str, digest: str, *, several: bool) -> dict[str, Any]:
    """Where a file comes from."""
    origin = {"task": task, "tfmap": tfmap.__version__}
    if digest:
        origin["data"] = f"sha256:{digest}"
    return {**origin, "multi_label": True} if several else origin


def _check(which: str, also: Sequence[str], batch_size: int) -> None:
    if also:
        raise InputError(
            f"export.also={list(also)} writes into a run folder, for python -m tfmap.export RUN. "
            "In Python call tfmap.export.formats.write."
        )
    if which != "auto":
        raise InputError(
            f"export.which={which!r} chooses a file of a run folder, for python -m tfmap.export RUN. "
            "In Python pass that model itself."
        )
    if batch_size < 1:
        raise InputError(f"export.batch_size must be at least 1, received {batch_size}.")


def _int8(
    model: keras.Model, split: Split | None, task: str, samples: int, seed: int, *, correct: bool, file: dict[str, Any]
) -> bytes:
    if split is None:
        raise InputError(
            "export: format int8 reads the ranges of activations off training pictures; split is missing. "
            "Pass split=source.split('train'), or choose format='dynamic', which needs none."
        )
    from tfmap.export import convert, correction, representative

    shape = convert.input_shape(model)
    pictures = representative.calibration(split, shape=shape, count=samples, seed=seed, task=task)
    model = convert.functional(convert.single_precision(model))
    return convert.int8(correction.corrected(model, pictures) if correct else model, pictures, **file)


def _ready(model: bytes, format: str, input_type: str) -> bytes:
    """The bytes of a quantised file, if they are what was asked for."""
    from tfmap import flatbuffer

    if format != "int8":
        raise InputError(
            f"export: quantisation-aware training has made an int8 file, received format={format!r}. "
            "Use format='int8', or export the Keras model: export.which=model"
        )
    dtype = flatbuffer.read(model).inputs[0].dtype
    if dtype != input_type:
        raise InputError(f"export: the quantised file takes {dtype}, received input_type={input_type!r}.")
    return model


def _some(classes: Sequence[str]) -> str:
    return ", ".join(classes[:10]) + (", ..." if len(classes) > 10 else "")


def command(config: dict[str, Any], run: Run) -> None:
    """Write model.tflite, labels.txt, golden.npz, the hand-off kit and what export.also asks for into a run's candidate
    folder; verify publishes them.

    Args:
        config: sections -> keyword arguments, and task, seed.
        run: the run folder.

    Raises:
        FileNotFoundError: the model is not there.
        InputError: as `tflite`, or the data has no training split.
    """
    from tfmap import datasets
    from tfmap.export import formats, golden, handoff

    options = dict(config["export"])
    also = options.pop("also", ())
    path = _chosen(run, options.pop("which", "auto"), options.get("format", "int8"))
    source = datasets.load(**{"seed": config["seed"], **config["datasets"]})
    shared = {"classes": source.classes, "task": config["task"], "seed": config["seed"], "digest": source.digest}
    data = tflite(_opened(path), split=source.splits.get("train"), **shared, **options)
    vectors = golden.vectors(data, _held_out(source), classes=source.classes, task=config["task"], count=GOLDEN)
    candidate = run.candidate()
    shutil.rmtree(candidate.path, ignore_errors=True)  # what an earlier export left there
    handoff.write(candidate.file("handoff"), data, vectors)  # first: it refuses what it has no code for
    candidate.write_bytes("model.tflite", data)
    candidate.write_text("labels.txt", "\n".join(source.classes) + "\n")
    golden.write(candidate.file("golden.npz"), vectors)
    _say(f"{path.name} -> {candidate.file('model.tflite')}: {len(data):,} bytes, {options.get('format', 'int8')}")
    for name in also:
        written = formats.write(name, _keras(run, path), candidate, classes=source.classes, task=config["task"])
        _say(f"{path.name} -> {written}")
    _say(f"To publish it: python -m tfmap.verify {run.path}")


def _chosen(run: Run, which: str, format: str) -> Path:
    """The file to export. A quantised file is a candidate where int8 is wanted, being nothing else."""
    names = {"quantized": "quantized.tflite", "compressed": "compressed.keras", "model": "model.keras"}
    if which != "auto":
        return run.need(names[which])
    candidates = list(names.values())[0 if format == "int8" else 1 :]
    return next((run.file(name) for name in candidates if run.has(name)), None) or run.need("model.keras")


def _opened(path: Path) -> keras.Model | bytes:
    if path.suffix == ".tflite":
        return path.read_bytes()
    import keras

    return keras.saving.load_model(path, compile=False)


def _keras(run: Run, path: Path) -> keras.Model:
    """The Keras model that a file came from; a quantised file came from what compress left, or the trained one."""
    return _opened(path if path.suffix == ".keras" else _chosen(run, "auto", "float32"))


def _held_out(source: Source) -> Split:
    """Pictures that training has not seen, where there are any."""
    return next(source.splits[name] for name in ("test", "val", "train") if len(source.splits.get(name, ())))


def _say(text: str) -> None:
    from rich.console import Console

    Console(soft_wrap=True, highlight=False).print(text)
