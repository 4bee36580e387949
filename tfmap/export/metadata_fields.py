"""What TFLite Metadata says of a file, as the standard has it: from our own attributes and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tfmap.export import tables

if TYPE_CHECKING:
    from tfmap.export.metadata import Metadata

LABELS, OWN, PARSER = "labels.txt", "tfmap.json", "1.0.0"
CLASSIFIER = "classification"


def fields(metadata: Metadata) -> dict[str, Any]:
    """ModelMetadata, as `tables.encode` takes it."""
    found = {
        "name": metadata.name,
        "description": metadata.description,
        "version": metadata.version,
        "subgraph_metadata": [
            {"input_tensor_metadata": [_input(metadata)], **_OUTPUTS[metadata.about.get("task", CLASSIFIER)](metadata)}
        ],
        "min_parser_version": PARSER,
    }
    named = {"author": metadata.author, "license": metadata.license}
    found |= {key: value for key, value in named.items() if value}
    if _own(metadata):
        found["associated_files"] = [
            {"name": OWN, "description": "Thresholds, calibration and origin, JSON.", "type": "DESCRIPTIONS"}
        ]
    return found


def _input(metadata: Metadata) -> dict[str, Any]:
    """TensorMetadata of the picture."""
    return {
        "name": "image",
        "description": f"The picture, {metadata.color_space}, pixel values 0 to 255; the model normalises them itself.",
        "content": {
            "content_properties_type": "ImageProperties",
            "content_properties": {"color_space": metadata.color_space.upper()},
        },
        "process_units": [
            {
                "options_type": "NormalizationOptions",
                "options": {"mean": list(metadata.mean), "std": list(metadata.std)},
            }
        ],
        "stats": _stats(metadata.input_range),
    }


def _scores(metadata: Metadata) -> dict[str, Any]:
    """What SubGraphMetadata says of a classifier's output."""
    found = {
        "name": "probability",
        "description": "Score of each class, 0 to 1.",
        "content": {"content_properties_type": "FeatureProperties", "content_properties": {}},
        "stats": _stats(metadata.output_range),
        "associated_files": _label_files(metadata, "TENSOR_AXIS_LABELS"),
    }
    # The standard has one threshold for all classes; task libraries leave out what is below.
    if len(set(metadata.thresholds)) == 1:
        options = {"global_score_threshold": metadata.thresholds[0]}
        found["process_units"] = [{"options_type": "ScoreThresholdingOptions", "options": options}]
    return {"output_tensor_metadata": [found]}


def _boxes(metadata: Metadata) -> dict[str, Any]:
    """What it says of a detector's outputs: four, or boxes and scores where the file does not suppress."""
    return _listed(metadata) if metadata.about.get("suppression", True) else _all_boxes(metadata)


def _all_boxes(metadata: Metadata) -> dict[str, Any]:
    bounds = {"index": [1, 0, 3, 2], "type": "BOUNDARIES", "coordinate_type": "PIXEL"}
    location = {"content_properties_type": "BoundingBoxProperties", "content_properties": bounds}
    scores = {
        "name": "scores",
        "description": "Score of each class in each box, 0 to 1; boxes that cover each other are not suppressed.",
        "content": {"content_properties_type": "FeatureProperties", "content_properties": {}},
        "associated_files": _label_files(metadata, "TENSOR_AXIS_LABELS"),
    }
    description = "Top, left, bottom, right, in pixels of the input."
    boxes = {"name": "boxes", "description": description, "content": location}
    return {"output_tensor_metadata": [boxes, scores]}


def _objects(metadata: Metadata) -> dict[str, Any]:
    """What it says of boxes and scores, and of the pixels in boxes."""
    masks = {
        "name": "masks",
        "description": "Score of each part of a box, 0 to 1, by rows: how sure it belongs to the object.",
        "content": {"content_properties_type": "FeatureProperties", "content_properties": {}},
    }
    return {"output_tensor_metadata": [*_all_boxes(metadata)["output_tensor_metadata"], masks]}


def _listed(metadata: Metadata) -> dict[str, Any]:
    several = {"min": 2, "max": 2}  # the axes that run over boxes
    bounds = {"index": [1, 0, 3, 2], "type": "BOUNDARIES", "coordinate_type": "RATIO"}  # x, y, x, y of y, x, y, x
    feature = {"content_properties_type": "FeatureProperties", "content_properties": {}, "range": several}
    location = {"content_properties_type": "BoundingBoxProperties", "content_properties": bounds, "range": several}
    counted = {"content_properties_type": "FeatureProperties", "content_properties": {}}
    tensors = [
        {"name": "location", "description": "Top, left, bottom, right, in shares of the picture.", "content": location},
        {
            "name": "category",
            "description": "Class of each box.",
            "content": feature,
            "associated_files": _label_files(metadata, "TENSOR_VALUE_LABELS"),
        },
        {"name": "score", "description": "Score of each box, 0 to 1.", "content": feature},
        {"name": "number of detections", "description": "How many boxes there are.", "content": counted},
    ]
    group = {"name": "detection_result", "tensor_names": ["location", "category", "score"]}
    return {"output_tensor_metadata": tensors, "output_tensor_groups": [group]}


def _masks(metadata: Metadata) -> dict[str, Any]:
    """What it says of a segmenter's output."""
    if metadata.about.get("class_map"):
        return {"output_tensor_metadata": [_classes(metadata)]}
    scores = {
        "name": "segmentation_masks",
        "description": "Score of each class at each pixel, 0 to 1.",
        "content": {"content_properties_type": "ImageProperties", "content_properties": {"color_space": "GRAYSCALE"}},
        "stats": _stats(metadata.output_range),
        "associated_files": _label_files(metadata, "TENSOR_AXIS_LABELS"),
    }
    options = tables.encode({"activation": "NONE", "min_parser_version": PARSER}, "SegmenterOptions", b"V001")
    custom = {"name": "SEGMENTER_METADATA", "data": list(options)}
    return {"output_tensor_metadata": [scores], "custom_metadata": [custom]}


def _classes(metadata: Metadata) -> dict[str, Any]:
    return {
        "name": "class_map",
        "description": "Number of the class of each pixel.",
        "content": {"content_properties_type": "FeatureProperties", "content_properties": {}},
        "associated_files": _label_files(metadata, "TENSOR_VALUE_LABELS"),
    }


# task -> what SubGraphMetadata says of the outputs, and how a description begins
_OUTPUTS = {CLASSIFIER: _scores, "detection": _boxes, "segmentation": _masks, "instances": _objects}
DOES = {
    CLASSIFIER: "Sorts a picture into",
    "detection": "Finds in a picture things of",
    "segmentation": "Says for each pixel of a picture which it is of",
    "instances": "Finds in a picture things, and their pixels, of",
}


def _label_files(metadata: Metadata, kind: str) -> list[dict[str, Any]]:
    """AssociatedFile of each language."""
    told = {"description": "One class name a line, in the order of the scores.", "type": kind}
    locales = {locale: {"locale": locale} if locale else {} for locale in ("", *metadata.translations)}
    return [{"name": _file_name(locale), **told, **said} for locale, said in locales.items()]


def _file_name(locale: str) -> str:
    return f"labels_{locale}.txt" if locale else LABELS


def _stats(limits: tuple[float, ...]) -> dict[str, list[float]]:
    return {"max": [limits[1]], "min": [limits[0]]}


def files(metadata: Metadata) -> dict[str, str]:
    """The files to pack behind the model: name -> text."""
    labels = {"": metadata.labels, **metadata.translations}
    # No newline at the end: some readers would take what follows it for one more label.
    found = {_file_name(locale): "\n".join(names) for locale, names in labels.items()}
    own = _own(metadata)
    return {**found, OWN: json.dumps(own, indent=1, allow_nan=False, ensure_ascii=False)} if own else found


def _own(metadata: Metadata) -> dict[str, Any]:
    """What tfmap.json holds."""
    own = dict(metadata.about)
    if metadata.thresholds:
        own["thresholds"] = list(metadata.thresholds)
    if metadata.temperature is not None:
        own["temperature"] = metadata.temperature
    return own


def label_files(root: Mapping[str, Any], packed: Mapping[str, bytes]) -> dict[str, tuple[str, ...]]:
    """The label files of the outputs: locale ("" for the original) -> names.

    Args:
        root: what `as_json` gave.
        packed: what `files` gave.
    """
    graphs = root.get("subgraph_metadata", [])
    outputs = [tensor for graph in graphs for tensor in graph.get("output_tensor_metadata", [])]
    found: dict[str, tuple[str, ...]] = {}
    for file in (file for tensor in outputs for file in tensor.get("associated_files", [])):
        if file.get("type") in ("TENSOR_AXIS_LABELS", "TENSOR_VALUE_LABELS") and file.get("name") in packed:
            found.setdefault(file.get("locale", ""), tuple(packed[file["name"]].decode("utf-8").splitlines()))
    return found


def attributes(root: Mapping[str, Any], packed: Mapping[str, bytes]) -> dict[str, Any]:
    """The attributes of `Metadata`, from what `metadata.as_json` and `metadata.files` gave."""
    subgraph = root["subgraph_metadata"][0]
    outputs = subgraph["output_tensor_metadata"]
    picture, scores = subgraph["input_tensor_metadata"][0], outputs[0] if len(outputs) == 1 else {}
    labels = label_files(root, packed)
    original = labels.pop("", ())
    own = dict(json.loads(packed[OWN])) if OWN in packed else {}
    one = _unit(scores, "ScoreThresholdingOptions").get("global_score_threshold")
    normalisation = _unit(picture, "NormalizationOptions")
    return {
        "labels": original,
        **{key: root.get(key, "") for key in ("name", "description", "version", "author", "license")},
        "mean": tuple(normalisation.get("mean", (0.0,))),
        "std": tuple(normalisation.get("std", (1.0,))),
        "color_space": _color_space(picture),
        "input_range": _range(picture),
        "output_range": _range(scores),
        "translations": labels,
        "thresholds": tuple(own.pop("thresholds", () if one is None else (one,) * len(original))),
        "temperature": own.pop("temperature", None),
        "about": own,
        "files": tuple(packed),
    }


def _unit(tensor: Mapping[str, Any], kind: str) -> dict[str, Any]:
    units = tensor.get("process_units", [])
    return next((unit.get("options", {}) for unit in units if unit.get("options_type") == kind), {})


def _color_space(picture: Mapping[str, Any]) -> str:
    properties = picture.get("content", {}).get("content_properties", {})
    return str(properties.get("color_space", "unknown")).lower()


def _range(tensor: Mapping[str, Any]) -> tuple[float, ...]:
    stats = tensor.get("stats", {})
    return (*stats.get("min", [])[:1], *stats.get("max", [])[:1])
