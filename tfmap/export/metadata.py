"""TFLite Metadata: the labels and the normalisation, inside the file where a phone's task library looks for them.

Source: TensorFlow Lite Metadata schema, `metadata_schema.fbs` 1.5.0 (Apache-2.0); the numbers below are its slots.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tfmap import flatbuffer
from tfmap.errors import InputError
from tfmap.export import tables

BUFFER, IDENTIFIER, PARSER = "TFLITE_METADATA", b"M001", "1.0.0"
LABELS, OWN = "labels.txt", "tfmap.json"
# enum values
FEATURE, IMAGE = 1, 2  # ContentProperties
COLORS = {"unknown": 0, "rgb": 1, "grayscale": 2}  # ColorSpaceType
NORMALISATION = 1  # ProcessUnitOptions
AXIS_LABELS = 2  # AssociatedFileType


@dataclass(frozen=True)
class Metadata:
    """What a classifier's file says about itself.

    Attributes:
        labels: class names in the order of the output.
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
        thresholds: K scores in [0, 1]: a class whose score is below its own is not shown. None where empty.
        temperature: T > 0 of scores p^(1/T) / sum(p^(1/T)), which say how often they are right; None: as they are.
        about: where the file comes from, and how it was made. JSON values.
        files: names of the files packed behind the model.
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
    thresholds: tuple[float, ...] = ()
    temperature: float | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[str, ...] = (LABELS,)


def attach(model: bytes, metadata: Metadata) -> bytes:
    """The model with its metadata inside and its labels packed behind it; metadata that it had is replaced.

    Args:
        model: bytes of a .tflite classifier, one output of K scores.
        metadata: K labels, and the rest.

    Raises:
        InputError: no TFLite file, another number of labels than outputs, or a label that a line cannot hold.
    """
    check_labels(metadata.labels, flatbuffer.read(model).outputs[0].shape[-1])
    encoded = tables.encode(_fields(metadata), IDENTIFIER)
    # No newline at the end: some readers would take what follows it for one more label.
    files = {LABELS: "\n".join(metadata.labels)}
    if own := _own(metadata):
        files[OWN] = json.dumps(own, indent=1, allow_nan=False, ensure_ascii=False)
    return _packed(flatbuffer.with_named_buffer(model, BUFFER, encoded), files)


def _own(metadata: Metadata) -> dict[str, Any]:
    """What tfmap.json holds."""
    own = dict(metadata.about)
    if metadata.thresholds:
        own["thresholds"] = list(metadata.thresholds)
    if metadata.temperature is not None:
        own["temperature"] = metadata.temperature
    return own


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


def color_space(model: bytes) -> str:
    """The colour space that a file takes: "grayscale" where it has one channel, else "rgb"."""
    return "grayscale" if flatbuffer.read(model).inputs[0].shape[-1] == 1 else "rgb"


def read(model: str | Path | bytes) -> Metadata:
    """The metadata of a classifier's file.

    Args:
        model: path or bytes.

    Raises:
        FileNotFoundError: the file does not exist.
        InputError: no TFLite file, or one without metadata.
    """
    encoded, name = flatbuffer.named_buffer(model, BUFFER), _name(model)
    if encoded is None:
        raise InputError(
            f"{name} holds no TFLite Metadata, so its labels are unknown. Expected a file that tfmap or a metadata "
            "writer made: python -m tfmap.export RUN"
        )
    try:
        return _decoded(tables.Reader.root(encoded), _unpacked(flatbuffer.load(model)))
    except (struct.error, IndexError, TypeError, ValueError) as error:
        raise InputError(f"{name} holds broken TFLite Metadata: {error}") from error


def _name(model: str | Path | bytes) -> str:
    return "the model" if isinstance(model, bytes) else str(model)


def _fields(metadata: Metadata) -> tables.Fields:
    """ModelMetadata, as slots: name, description, version, subgraphs, author, license, parser version."""
    subgraph = {2: [_input(metadata)], 3: [_output(metadata)]}
    return {
        0: metadata.name,
        1: metadata.description,
        2: metadata.version,
        3: [subgraph],
        4: metadata.author or None,
        5: metadata.license or None,
        7: PARSER,
    }


def _input(metadata: Metadata) -> tables.Fields:
    """TensorMetadata: name, description, content, process units, stats."""
    normalisation = {0: NORMALISATION, 1: {0: list(metadata.mean), 1: list(metadata.std)}}
    return {
        0: "image",
        1: f"The picture to classify, {metadata.color_space}, pixel values 0 to 255; the model normalises them itself.",
        3: {0: IMAGE, 1: {0: COLORS[metadata.color_space]}},
        4: [normalisation],
        5: _stats(metadata.input_range),
    }


def _output(metadata: Metadata) -> tables.Fields:
    """TensorMetadata: name, description, content, stats, associated files."""
    labels = {0: LABELS, 1: "One class name a line, in the order of the scores.", 2: AXIS_LABELS}
    return {
        0: "probability",
        1: "Score of each class, 0 to 1.",
        3: {0: FEATURE, 1: {}},
        5: _stats(metadata.output_range),
        6: [labels],
    }


def _stats(limits: tuple[float, ...]) -> tables.Fields:
    return {0: [limits[1]], 1: [limits[0]]}  # max comes first


def _decoded(root: tables.Reader, files: dict[str, bytes]) -> Metadata:
    subgraph = root.tables(3)[0]
    picture, scores = subgraph.tables(2)[0], subgraph.tables(3)[0]
    mean, std = _normalisation(picture)
    own = dict(json.loads(files[OWN])) if OWN in files else {}
    return Metadata(
        labels=_labels(scores, files),
        name=root.text(0),
        description=root.text(1),
        version=root.text(2),
        author=root.text(4),
        license=root.text(5),
        mean=mean,
        std=std,
        color_space=_color_space(picture),
        input_range=_range(picture),
        output_range=_range(scores),
        thresholds=tuple(own.pop("thresholds", ())),
        temperature=own.pop("temperature", None),
        about=own,
        files=tuple(files),
    )


def _normalisation(picture: tables.Reader) -> tuple[tuple[float, ...], tuple[float, ...]]:
    for unit in picture.tables(4):
        if unit.byte(0) == NORMALISATION and (options := unit.table(1)):
            return options.floats(0), options.floats(1)
    return (0.0,), (1.0,)


def _color_space(picture: tables.Reader) -> str:
    content = picture.table(3)
    known = content is not None and content.byte(0) == IMAGE and content.table(1)
    return list(COLORS)[known.byte(0)] if known else "unknown"


def _range(tensor: tables.Reader) -> tuple[float, ...]:
    stats = tensor.table(5)
    return () if stats is None else (*stats.floats(1)[:1], *stats.floats(0)[:1])


def _labels(scores: tables.Reader, files: dict[str, bytes]) -> tuple[str, ...]:
    for file in scores.tables(6):
        # A file may hold translations too; the one without a locale is the original.
        if file.byte(2) == AXIS_LABELS and not file.text(3) and file.text(0) in files:
            return tuple(files[file.text(0)].decode("utf-8").splitlines())
    return ()


def _packed(model: bytes, files: dict[str, str]) -> bytes:
    """The files as a zip behind the model, uncompressed and undated, so that equal inputs give equal bytes."""
    packed = io.BytesIO(model)
    with zipfile.ZipFile(packed, "a", zipfile.ZIP_STORED) as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text.encode("utf-8"))
    return packed.getvalue()


def _unpacked(model: bytes) -> dict[str, bytes]:
    if not zipfile.is_zipfile(io.BytesIO(model)):
        return {}
    with zipfile.ZipFile(io.BytesIO(model)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}
