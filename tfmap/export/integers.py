"""An integer file, step by step: typical pictures, bias correction, the engine, layers that stay in float, coverage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from tfmap.export import convert, correction, floats, ranges, representative, rewriting
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


def made(model: keras.Model, order: Order, typical: Typical, *, correct: bool) -> tuple[bytes, dict[str, Any]]:
    """Make the file.

    Args:
        model: pictures (B, H, W, C), values 0..255 -> scores (B, K).
        order: a format of integer activations.
        typical: where pictures come from.
        correct: whether biases take back what rounding does to the means.

    Returns:
        the file, and what was found: "calibrated_on" (pictures), "kept_float" (names of tensors), "layers" (see
            `floats.errors`, where keep_float is asked for), "coverage" (see `ranges.coverage`; None without others).
    """
    pictures, others = _pictures(model, typical)
    model = convert.functional(convert.single_precision(model))
    small = correction.corrected(model, pictures, ROUNDING[order.format]) if correct else model
    make = getattr(order.module, order.format)
    file, kept, found = make(small, pictures, **order.options), (), {}
    if order.keep_float or len(others):
        reference = _reference(model, order)
    if order.keep_float:
        found["layers"] = floats.errors(file, reference, pictures)
        kept = floats.chosen(order.keep_float, found["layers"])
        if correct:  # what is not rounded needs no correction
            names = set().union(*map(floats.words, kept))
            small = correction.corrected(model, pictures, ROUNDING[order.format], floats=names)
        file = make(small, pictures, **order.options, keep=kept)
    coverage = ranges.coverage(file, reference, others) if len(others) else None
    return file, {"calibrated_on": len(pictures), "kept_float": list(kept), "coverage": coverage, **found}


def _reference(model: keras.Model, order: Order) -> bytes:
    """The float32 file of the model without correction, which is what an integer file should compute."""
    size = order.options["batch_size"]
    return convert.float32(rewriting.for_integers(model), batch_size=size, input_type="float32")


def _pictures(model: keras.Model, typical: Typical) -> tuple[np.ndarray, np.ndarray]:
    shared = {"shape": convert.input_shape(model), "seed": typical.seed, "task": typical.task}
    pictures = representative.calibration(typical.split, count=typical.samples, **shared)
    return pictures, representative.others(typical.split, count=typical.others, after=typical.samples, **shared)
