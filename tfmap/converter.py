"""What stops TensorFlow's converter, as an error of ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from tfmap.errors import InputError

LINE = 200  # characters of a reason that the converter gives


@contextmanager
def refusing(stage: str, name: str, *, way_out: str) -> Iterator[None]:
    """Turn what stops the converter into an error of ours.

    Args:
        stage: whose error it is.
        name: of the model.
        way_out: what to do, as a sentence.

    Raises:
        InputError: a ConverterError, or the RuntimeError or ValueError of a step around it, such as calibration.
    """
    from tensorflow.lite.python.convert_phase import ConverterError

    try:
        yield
    except InputError:
        raise
    except (ConverterError, RuntimeError, ValueError) as error:
        what = f"{stage}: TensorFlow's converter cannot make a .tflite file of {name}"
        raise InputError(f"{what}: {_reason(error)}. {way_out}") from error


def _reason(error: Exception) -> str:
    """The first line that says what is wrong, without the places in the graph that MLIR writes before it."""
    lines = str(error).split("\n")
    told = next((line for line in lines if "error: " in line), next(filter(str.strip, lines), "no reason given"))
    return re.sub(r"^.*?error: (loc\(.*\): )?", "", told).strip(" .")[:LINE]
