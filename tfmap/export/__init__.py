"""Stage: model -> .tflite with labels and metadata inside, and test vectors for the team that ships it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from tfmap.checked import checked
from tfmap.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    import keras
    import numpy as np

    from tfmap.export.order import Order
    from tfmap.runs import Run
    from tfmap.source import Split

GOLDEN = 10  # test vectors: one or more of each class of a small problem, and a file that an app can bundle


@checked("export")
def tflite(
    model: keras.Model | bytes,
    *,
    split: Split | None = None,
    val: Split | None = None,
    watch: Callable[[dict[str, Any]], None] | None = None,
    classes: Sequence[str],
    task: str = "classification",
    format: Literal["float32", "float16", "dynamic", "int8", "int16x8", "int4"] = "int8",
    engine: Literal["auto", "converter", "ai-edge-quantizer"] = "auto",
    which: Literal["auto", "model", "compressed", "quantized"] = "auto",
    input_type: Literal["uint8", "int8", "float32"] = "uint8",
    output_type: Literal["auto", "uint8", "int8", "float32"] = "auto",
    batch_size: int | Literal["dynamic"] = 1,
    samples: int = 200,
    coverage: int = 64,
    equalisation: bool = True,
    bias_correction: bool = True,
    keep_float: int | list[str] = 0,
    suppression: bool = True,
    class_map: bool = False,
    calibrate: bool = True,
    threshold_precision: float | None = None,
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
        split: training examples; integer formats read the ranges of activations off some of them.
        val: validation examples, to calibrate the scores of the finished file.
        watch: called with a dict of what was found: "format", "engine", "input_type", "output_type", "calibrated_on",
            "kept_float", "layers" and "coverage" (see `tfmap.export.integers`), "calibration" (see `tfmap.calibrate`),
            "threshold" (of boxes).
        classes: the K class names, in the order of the model's outputs.
        task: which task prepares the pictures.
        format: int8 (integers throughout: smallest, fastest on CPU, DSP and NPU), float16 (half the size, for GPUs),
            dynamic (int8 weights, float arithmetic, needs no pictures), float32 (the reference), int16x8 (int8 weights,
            16-bit activations: nearly float32's scores, very slow on CPUs), int4 (as int8, most kernels in 4 bits).
        engine: converter (TensorFlow's) or ai-edge-quantizer (extra quantizer; rounds the converter's float32 file);
            auto: the converter where it makes the format. int4 comes from ai-edge-quantizer alone.
        which: the run folder's file to export: model.keras, compressed.keras, or quantized.tflite of quantisation-aware
            training; auto takes what compress made last, else the model. For the command; in Python pass the model.
        input_type: uint8 takes a picture's bytes as they are; float32 takes the same values, 0..255, as floats; int8
            (formats int8 and int4) takes bytes less 128.
        output_type: dtype of the scores; auto: that of the input for formats int8 and int4, else float32.
        batch_size: pictures per call; 0 or dynamic: whatever the caller resizes the input to. Task libraries on phones
            want 1.
        samples: typical pictures for integer formats, spread over the classes.
        coverage: further training pictures, to tell how much of the range of their activations calibration reaches;
            0: none.
        equalisation: widen channels of an int8 or int4 file that are narrow beside their tensor before a depthwise
            convolution, which undoes it; no cost in the file.
        bias_correction: take back in the biases what rounding kernels to int8 does to the mean of each channel; seconds
            of work, no cost in the file.
        keep_float: layers of an int8 file that stay in float: how many of those that rounding hurts most, or names.
        suppression: of a detector's file: its last op chooses the best 100 boxes and suppresses those that they cover,
            as task libraries want it; false: every place's boxes and scores, for apps that choose themselves.
        class_map: of a segmenter's file: its last op chooses the likeliest class of each pixel, uint8 (B, H, W), of
            equal scores the first; false: a score for every class, as task libraries want it.
        calibrate: fit a temperature and a threshold for each class on what the file says to the validation pictures,
            where there are any; of boxes one threshold, from which on they are shown. All go into the metadata, the
            scores stay as they are.
        threshold_precision: what each threshold has to reach, such as 0.95; null: the best F1.
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
        InputError: a combination that no engine makes, an integer format without training examples, another number of
            classes than outputs, a model with several inputs or without fixed sizes, an op that the engine cannot
            translate or, in an integer format, leaves in float.
    """
    from tfmap import tasks
    from tfmap.export import asked, class_maps, confidence, detectors, findings, metadata, metadata_fields, quantized
    from tfmap.export.order import Order
    from tfmap.tasks.detectors import tail

    asked.check_python(which, also)
    asked.check_thresholds(threshold_precision, val)
    asked.check_ends(task, suppression=suppression, class_map=class_map, output_type=output_type)
    translations = metadata.read_translations(label_files or {}, len(classes))
    order = Order(format, engine, input_type, output_type, batch_size, keep_float)
    if isinstance(model, bytes):
        converted, found = quantized.finished(model, order, classes, task=task, suppression=suppression)
    else:
        metadata.check_labels(classes, tasks.class_count(tasks.get(task), model))  # before minutes of conversion
        pictures = {"task": task, "samples": samples, "others": coverage, "seed": seed}
        ways = {"equalise": equalisation, "correct": bias_correction}
        layer = detectors.chosen(model, task, suppression=suppression)
        order = detectors.ordered(order, model, layer, task)
        converted, found = _made(model if layer is None else tail.cut(model), split, order, pictures, ways)
        converted = converted if layer is None else detectors.finished(converted, layer, len(classes))
    converted = class_maps.finished(converted) if class_map else converted
    if calibrate and val is not None and len(val):
        found |= confidence.found(converted, val, classes=classes, task=task, precision=threshold_precision)
    told = findings.told(order, found)
    raw = not suppression or tasks.target(tasks.get(task)) == "instances"
    several = any(part is not None and part.labels.ndim == 2 for part in (split, val))
    told["about"] = findings.origin(task, digest, several=several, raw=raw, class_map=class_map) | told["about"]
    about = metadata.Metadata(
        labels=tuple(classes),
        name=name or getattr(model, "name", task),
        description=description or f"{metadata_fields.DOES[task]} {len(classes)} classes: {_some(classes)}.",
        version=version,
        author=author,
        license=license,
        color_space=metadata.color_space(converted),
        translations=translations,
        **told,
    )
    if watch is not None:
        watch({**order.described, **found})
    return metadata.attach(converted, about)


def _made(
    model: keras.Model, split: Split | None, order: Order, pictures: dict[str, Any], ways: dict[str, bool]
) -> tuple[bytes, dict[str, Any]]:
    """The file, and what was found on the way."""
    if not order.is_calibrated:
        return getattr(order.module, order.format)(model, **order.options), {}
    if split is None:
        raise InputError(
            f"export: format {order.format} reads the ranges of activations off training pictures; split is missing. "
            "Pass split=source.split('train'), or choose format='dynamic', which needs none."
        )
    from tfmap.export import integers

    return integers.made(model, order, integers.Typical(split, **pictures), **ways)


def _some(classes: Sequence[str]) -> str:
    return ", ".join(classes[:10]) + (", ..." if len(classes) > 10 else "")


def command(config: dict[str, Any], run: Run) -> None:
    """Write a run's .tflite file and what goes with it into its candidate folder; verify publishes them.

    That is export.json, labels.txt, golden.npz, what export.also asks for and, last, model.tflite: a candidate without
    it is none, so one that was stopped half-way is not published.

    Args:
        config: sections -> keyword arguments, and task, seed.
        run: the run folder.

    Raises:
        FileNotFoundError: the model is not there.
        InputError: as `tflite`, the data has no training split, or a further format cannot be written or answers
            otherwise than the model.
    """
    from tfmap import datasets
    from tfmap.export import chosen, findings, formats, golden
    from tfmap.export.order import Order

    options = dict(config["export"])
    Order(**{key: options[key] for key in Order.__dataclass_fields__ if key in options})  # before anything is loaded
    also = options.pop("also", ())
    formats.check(also)
    path = chosen.path(run, options.pop("which", "auto"), options.get("format", "int8"))
    source = datasets.load(**{"seed": config["seed"], **config["datasets"]})
    shared = {"classes": source.classes, "task": config["task"], "seed": config["seed"], "digest": source.digest}
    splits = {"split": source.splits.get("train"), "val": source.splits.get("val")}
    found: dict[str, Any] = {}
    data = tflite(chosen.opened(path), **splits, watch=found.update, **shared, **options)
    vectors = golden.vectors(data, chosen.held_out(source), classes=source.classes, task=config["task"], count=GOLDEN)
    candidate = run.candidate()
    shutil.rmtree(candidate.path, ignore_errors=True)  # what an earlier export left there
    candidate.write_json("export.json", {"model": path.name, **found})
    candidate.write_text("labels.txt", "\n".join(source.classes) + "\n")
    golden.write(candidate.file("golden.npz"), vectors)
    about = {"classes": source.classes, "task": config["task"]}
    written = _further(also, chosen.keras_model(run, path), candidate, vectors["images"], about) if also else []
    candidate.write_bytes("model.tflite", data)
    _say(f"{path.name} -> {candidate.file('model.tflite')}: {len(data):,} bytes, {options.get('format', 'int8')}")
    for line in [*findings.notes(found), *(f"{path.name} -> {one}" for one in written)]:
        _say(line)
    _say(f"To publish it: python -m tfmap.verify {run.path}")


def _further(
    also: Sequence[str], model: keras.Model, candidate: Run, pictures: np.ndarray, about: dict[str, Any]
) -> list[Path]:
    """Write the further formats; each must answer to the golden pictures as the model does."""
    from tfmap.export import formats

    written = {name: formats.write(name, model, candidate, **about) for name in also}
    for name, path in written.items():
        formats.compare(name, path, model, pictures)
    return list(written.values())


def _say(text: str) -> None:
    from rich.console import Console

    Console(soft_wrap=True, highlight=False).print(text)
