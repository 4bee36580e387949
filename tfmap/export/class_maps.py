"""A segmenter's file that says the class of each pixel instead of a score for every class."""

from __future__ import annotations

import numpy as np

from tfmap.appended import Appended

NAME = "class_map"


def finished(file: bytes) -> bytes:
    """The file with the choice behind it: "class_map" uint8 (B, H, W), of equal scores the first class.

    Args:
        file: of one output, scores (B, H, W, K) of any dtype.
    """
    grown = Appended(file)
    scores, shape = grown.only()
    axis = grown.constant(np.int32(len(shape) - 1), "axis_of_classes")
    numbers = grown.op("ARG_MAX", [scores, axis], ("class_numbers", shape[:-1], "int32"), outputType="int32")
    types = {"inDataType": "int32", "outDataType": "uint8"}
    return grown.finished({NAME: grown.op("CAST", [numbers], (NAME, shape[:-1], "uint8"), **types)})


def is_one(shape: tuple[int, ...]) -> bool:
    """Whether a file with one output of this shape gives classes rather than scores."""
    return len(shape) == 3
