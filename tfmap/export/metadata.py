"""TFLite Metadata: labels, normalisation, thresholds and origin, inside the file where a phone's task library looks.

What the standard has no place for (a threshold for each class, a temperature, what the file was made from) is packed
beside the labels as tfmap.json.

Source: TensorFlow Lite Metadata schema (Apache-2.0), see `metadata_schema.py`.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfmap import flatbuffer
from tfmap.errors import InputError
from tfmap.export import class_maps, metadata_fields, tables
from tfmap.export.metadata_fields import LABELS

BUFFER = "TFLITE_METADATA"
_BROKEN = (*tables.BROKEN, KeyError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError)
_LOCALE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")


@dataclass(frozen=True)
class Metadata:
    """What a file says about itself.

    Attributes:
        labels: K class names in the order of the output.
        name: of the model.
        description: of the model.
        version: of the model.
        author: of the model.
        license: of the model.
        mean: what a caller subtracts from a pixel (0..255) before the file sees it; 0 where the graph normalises.
        std: what a caller then divides by.
        color_space: "rgb", "grayscale" or "unknown".
        input_range: least and largest value of the input tensor, none where the file is silent.
        output_range: the same of the scores.
        translations: locale such as "de" or "pt-BR" -> K class names for people who read that language.
        thresholds: K scores in [0, 1]: a class whose score, as the file gives it, is below its own is not shown. None
            where empty.
        temperature: T > 0 of scores that say how often they are right, p^(1/T) / sum(p^(1/T)), or where a picture has
            several labels p^(1/T) / (p^(1/T) + (1 - p)^(1/T)); None: as the file gives them.
        about: where the file comes from: task, tfmap (its version), data (digest of the data set), multi_label, ...
        files: names of the files packed behind the model; read, never written.
    """

    labels: tuple[str, ...]
    name: str = ""
    description: str = ""
    version: str = ""
    author: str = ""
    license: str = ""
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    color_space: str = "rgb"
    input_range: tuple[float, ...] = (0.0, 255.0)
    output_range: tuple[float, ...] = (0.0, 1.0)
    translations: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    thresholds: tuple[float, ...] = ()
    temperature: float | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[str, ...] = field(default=(LABELS,), compare=False)


def attach(model: bytes, metadata: Metadata) -> bytes:
    """The model with its metadata inside and its files packed behind it; what it had of both is replaced.

    Args:
        model: bytes of a .tflite file: one output whose last axis are K scores, one of classes, or a detector's four.
        metadata: K labels, and the rest.

    Raises:
        InputError: no TFLite file, another number of labels, translations or thresholds than outputs, a label that a
            line cannot hold, or a number out of range.
    """
    outputs = flatbuffer.read(model).outputs
    # A file of several outputs, such as a detector's, does not tell how many classes it has, nor does one of classes.
    tells = len(outputs) == 1 and not class_maps.is_one(outputs[0].shape)
    check(metadata, outputs[0].shape[-1] if tells else len(metadata.labels))
    encoded = tables.encode(metadata_fields.fields(metadata))
    return _packed(flatbuffer.with_named_buffer(model, BUFFER, encoded), metadata_fields.files(metadata))


def check(metadata: Metadata, outputs: int) -> None:
    """Raise InputError unless the metadata fits a file of so many outputs."""
    check_labels(metadata.labels, outputs)
    for locale, labels in metadata.translations.items():
        _check_translation(locale, labels, outputs)
    thresholds, temperature = metadata.thresholds, metadata.temperature
    if thresholds and len(thresholds) != outputs:
        raise InputError(f"export: the model has {outputs} outputs but {len(thresholds)} thresholds. Pass one each.")
    for label, threshold in zip(metadata.labels, thresholds, strict=False):
        if not 0 <= threshold <= 1:
            raise InputError(f"export: the threshold of {label!r} must be in 0..1, received {threshold}.")
    if temperature is not None and not 0 < temperature < float("inf"):
        raise InputError(f"export: temperature must be a number above 0, received {temperature}.")


def check_labels(labels: Sequence[str], outputs: int) -> None:
    """Raise InputError unless there is one label per output, each fit for a line of labels.txt."""
    if len(labels) != outputs:
        raise InputError(
            f"export: the model has {outputs} outputs but classes has {len(labels)} names. "
            "Pass one name per output, in the order of training."
        )
    for label in labels:
        if not label or label.splitlines() != [label]:
            raise InputError(
                f"export: class name {label!r} is empty or holds a line break; labels.txt has one name a line."
            )


def _check_translation(locale: str, labels: Sequence[str], outputs: int) -> None:
    if not _LOCALE.fullmatch(locale):
        raise InputError(f"export.label_files: {locale!r} is no locale. Expected such as de, en or pt-BR.")
    if len(labels) != outputs:
        raise InputError(
            f"export.label_files: the labels in {locale} have {len(labels)} lines, the model has {outputs} outputs. "
            "Write one name a line, in the order of labels.txt."
        )
    check_labels(labels, outputs)


def read_translations(paths: Mapping[str, str], outputs: int) -> dict[str, tuple[str, ...]]:
    """Label files in other languages.

    Args:
        paths: locale -> path of a UTF-8 text, one class name a line in the order of the outputs.
        outputs: K.

    Returns:
        locale -> K names.

    Raises:
        FileNotFoundError: a file does not exist.
        InputError: it is no UTF-8, has another number of lines, or a locale is none.
    """
    found = {locale: _lines(path) for locale, path in paths.items()}
    for locale, labels in found.items():
        _check_translation(locale, labels, outputs)
    return found


def _lines(path: str | Path) -> tuple[str, ...]:
    if not Path(path).is_file():
        raise FileNotFoundError(f"export.label_files: {path} does not exist. Expected one class name a line, UTF-8.")
    try:
        return tuple(Path(path).read_text(encoding="utf-8-sig").rstrip("\n").splitlines())
    except UnicodeDecodeError:
        raise InputError(f"export.label_files: {path} is no UTF-8 text. Save it as UTF-8.") from None


def color_space(model: bytes) -> str:
    """The colour space that a file takes: "grayscale" where it has one channel, else "rgb"."""
    return "grayscale" if flatbuffer.read(model).inputs[0].shape[-1] == 1 else "rgb"


def as_json(model: str | Path | bytes) -> dict[str, Any] | None:
    """All of the metadata of any file, as `flatc` writes it as JSON; None where there is none.

    Raises:
        FileNotFoundError: the file does not exist.
        InputError: no TFLite file, or broken metadata.
    """
    encoded = flatbuffer.named_buffer(model, BUFFER)
    try:
        return None if encoded is None else tables.decode(encoded)
    except _BROKEN as error:
        raise InputError(f"{_name(model)} holds broken TFLite Metadata: {error}") from error


def files(model: str | Path | bytes) -> dict[str, bytes]:
    """The files packed behind any model, by name.

    Raises:
        FileNotFoundError: the file does not exist.
        InputError: they cannot be unpacked.
    """
    data = io.BytesIO(flatbuffer.load(model))
    try:
        if not zipfile.is_zipfile(data):
            return {}
        with zipfile.ZipFile(data) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    except _BROKEN as error:
        raise InputError(f"{_name(model)} has files behind it that cannot be unpacked: {error}") from error


def read(model: str | Path | bytes) -> Metadata:
    """The metadata of a classifier's file.

    Args:
        model: path or bytes.

    Raises:
        FileNotFoundError: the file does not exist.
        InputError: no TFLite file, or one without metadata.
    """
    root, name = as_json(model), _name(model)
    if root is None:
        raise InputError(
            f"{name} holds no TFLite Metadata, so its labels are unknown. Expected a file that tfmap or a metadata "
            "writer made: python -m tfmap.export RUN"
        )
    try:
        return Metadata(**metadata_fields.attributes(root, files(model)))
    except _BROKEN as error:
        raise InputError(f"{name} holds broken TFLite Metadata: {error}") from error


def _name(model: str | Path | bytes) -> str:
    return "the model" if isinstance(model, bytes) else str(model)


def _packed(model: bytes, texts: Mapping[str, str]) -> bytes:
    """The files as a zip behind the model, uncompressed and undated, so that equal inputs give equal bytes."""
    packed = io.BytesIO(model)
    with zipfile.ZipFile(packed, "a", zipfile.ZIP_STORED) as archive:
        for name, text in texts.items():
            archive.writestr(zipfile.ZipInfo(name), text.encode("utf-8"))
    return packed.getvalue()
