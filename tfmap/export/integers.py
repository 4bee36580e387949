"""An integer file, step by step: pictures, equalisation, bias correction, the engine, layers in float, coverage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from tfmap.export import convert, correction, equalisation, floats, ranges, representative, rewriting
from tfmap.export.order import Order
from tfmap.source import Split

ROUNDING = {
    "int8": correction.Rounding(),
    "int16x8": correction.Rounding(tensors=16),
    "int4": correction.Rounding(kernels=4),
}


@dataclass(frozen=True)
class Typical:
    """Which pictures an integer file is calibrated with, and checked on.

    Attributes:
        split: training examples.
        task: which task prepares them.
        samples: how many to calibrate with.
        others: how many more, at most, to see how far they go beyond what calibration saw.
        seed: of the choice.
    """

    split: Split
    task: str
    samples: int
    others: int
    seed: int


def made(
    model: keras.Model, order: Order, typical: Typical, *, equalise: bool, correct: bool
) -> tuple[bytes, dict[str, Any]]:
    """Make the file.

    Args:
        model: pictures (B, H, W, C), values 0..255 -> scores (B, K).
        order: a format of integer activations.
        typical: where pictures come from.
        equalise: whether narrow channels of 8 bits are widened.
        correct: whether biases take back what rounding does to the means.

    Returns:
        the file, and what was found: "calibrated_on" (pictures), "kept_float" (names of tensors), "layers" (see
            `floats.errors`, where keep_float is asked for), "coverage" (see `ranges.coverage`; None without others).
    """
    pictures, others = _pictures(model, typical)
    model = convert.functional(convert.single_precision(model))
    if equalise and ROUNDING[order.format].tensors == 8:
        model = equalisation.equalised(model, pictures)
    reference = _reference(model, order) if order.keep_float or order.exact or len(others) else b""
    kept, found = floats.tail(reference, order.exact) if order.exact else (), {}
    file, kept = _rounded(model, pictures, order, kept, correct)
    if order.keep_float:
        found["layers"] = floats.errors(file, reference, pictures)
        kept = tuple(dict.fromkeys((*kept, *floats.chosen(order.keep_float, found["layers"]))))
        file, kept = _rounded(model, pictures, order, kept, correct)
    coverage = ranges.coverage(file, reference, others) if len(others) else None
    return file, {"calibrated_on": len(pictures), "kept_float": list(kept), "coverage": coverage, **found}


def _rounded(
    model: keras.Model, pictures: np.ndarray, order: Order, kept: Sequence[str], correct: bool
) -> tuple[bytes, tuple[str, ...]]:
    """The integer file, and which of its tensors are float: a bias that was corrected changes their names."""
    names = set().union(*map(floats.words, kept))  # what is not rounded needs no correction
    small = correction.corrected(model, pictures, ROUNDING[order.format], floats=names) if correct else model
    if order.exact:
        kept = tuple(dict.fromkeys((*kept, *floats.tail(_reference(small, order), order.exact))))
    make = getattr(order.module, order.format)
    return make(small, pictures, **order.options, **({"keep": kept} if kept else {})), tuple(kept)


def _reference(model: keras.Model, order: Order) -> bytes:
    """The float32 file of the model without correction, which is what an integer file should compute."""
    size = order.options["batch_size"]
    return convert.float32(rewriting.for_integers(model), batch_size=size, input_type="float32")


def _pictures(model: keras.Model, typical: Typical) -> tuple[np.ndarray, np.ndarray]:
    shared = {"shape": convert.input_shape(model), "seed": typical.seed, "task": typical.task}
    pictures = representative.calibration(typical.split, count=typical.samples, **shared)
    return pictures, representative.others(typical.split, count=typical.others, after=typical.samples, **shared)
