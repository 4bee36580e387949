"""What TFLite Metadata is made of: tables, enumerations and unions, as data.

A line is a table and its fields in slot order; `[x]` is a vector of x. A union takes two slots, its type and its value.

Source: TensorFlow Lite Metadata schema, `metadata_schema.fbs` 1.5.0, and
`image_segmenter_metadata_schema.fbs` of MediaPipe (both Apache-2.0): the names and their order.
"""

from __future__ import annotations

ROOT, IDENTIFIER = "ModelMetadata", b"M001"

_TABLES = """
    ModelMetadata: name string, description string, version string, subgraph_metadata [SubGraphMetadata],
        author string, license string, associated_files [AssociatedFile], min_parser_version string
    SubGraphMetadata: name string, description string, input_tensor_metadata [TensorMetadata],
        output_tensor_metadata [TensorMetadata], associated_files [AssociatedFile],
        input_process_units [ProcessUnit], output_process_units [ProcessUnit], input_tensor_groups [TensorGroup],
        output_tensor_groups [TensorGroup], custom_metadata [CustomMetadata]
    TensorMetadata: name string, description string, dimension_names [string], content Content,
        process_units [ProcessUnit], stats Stats, associated_files [AssociatedFile]
    AssociatedFile: name string, description string, type AssociatedFileType, locale string, version string
    Content: content_properties ContentProperties, range ValueRange
    FeatureProperties:
    ImageProperties: color_space ColorSpaceType, default_size ImageSize
    ImageSize: width uint, height uint
    BoundingBoxProperties: index [uint], type BoundingBoxType, coordinate_type CoordinateType
    AudioProperties: sample_rate uint, channels uint
    ValueRange: min int, max int
    ProcessUnit: options ProcessUnitOptions
    NormalizationOptions: mean [float], std [float]
    ScoreCalibrationOptions: score_transformation ScoreTransformationType, default_score float
    ScoreThresholdingOptions: global_score_threshold float
    BertTokenizerOptions: vocab_file [AssociatedFile]
    SentencePieceTokenizerOptions: sentencePiece_model [AssociatedFile], vocab_file [AssociatedFile]
    RegexTokenizerOptions: delim_regex_pattern string, vocab_file [AssociatedFile]
    Stats: max [float], min [float]
    TensorGroup: name string, tensor_names [string]
    CustomMetadata: name string, data [ubyte]
    SegmenterOptions: activation Activation, min_parser_version string
"""

# enumeration -> names by value
ENUMS = {
    "AssociatedFileType": (
        "UNKNOWN",
        "DESCRIPTIONS",
        "TENSOR_AXIS_LABELS",
        "TENSOR_VALUE_LABELS",
        "TENSOR_AXIS_SCORE_CALIBRATION",
        "VOCABULARY",
        "SCANN_INDEX_FILE",
    ),
    "ColorSpaceType": ("UNKNOWN", "RGB", "GRAYSCALE"),
    "BoundingBoxType": ("UNKNOWN", "BOUNDARIES", "UPPER_LEFT", "CENTER"),
    "CoordinateType": ("RATIO", "PIXEL"),
    "Activation": ("NONE", "SIGMOID", "SOFTMAX"),
    "ScoreTransformationType": ("IDENTITY", "LOG", "INVERSE_LOGISTIC"),
}

# union -> tables by type; 0 is none
UNIONS = {
    "ContentProperties": ("NONE", "FeatureProperties", "ImageProperties", "BoundingBoxProperties", "AudioProperties"),
    "ProcessUnitOptions": (
        "NONE",
        "NormalizationOptions",
        "ScoreCalibrationOptions",
        "ScoreThresholdingOptions",
        "BertTokenizerOptions",
        "SentencePieceTokenizerOptions",
        "RegexTokenizerOptions",
    ),
}


def _fields(text: str) -> tuple[tuple[int, str, str], ...]:
    """(slot, name, kind) of each field of a line."""
    found, slot = [], 0
    for field in filter(None, text.split(",")):
        name, kind = field.split()
        slot += kind in UNIONS  # the type stands in the slot before
        found.append((slot, name, kind))
        slot += 1
    return tuple(found)


def _parsed(text: str) -> dict[str, tuple[tuple[int, str, str], ...]]:
    tables: dict[str, str] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        name, colon, rest = line.partition(":")
        if colon:
            tables[name], last = rest, name
        else:
            tables[last] += line
    return {name: _fields(fields) for name, fields in tables.items()}


# table -> (slot, name, kind) of its fields
TABLES = _parsed(_TABLES)
