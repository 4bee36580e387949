"""TensorFlow's converter: how a model comes to it, and what stops it, as an error of ours."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tfmap.errors import InputError

if TYPE_CHECKING:
    import tensorflow as tf

LINE = 200  # characters of a reason that the converter gives


def save(serve: Callable[[tf.Tensor], dict[str, tf.Tensor]], signature: tf.TensorSpec, folder: str | Path) -> None:
    """A SavedModel that the converter takes, its weights constants: variables would take three quarters of the time.

    Args:
        serve: a picture -> outputs by name, in TensorFlow's ops.
        signature: of the picture.
        folder: is made.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    concrete = tf.function(serve, autograph=False).get_concrete_function(signature)
    frozen = convert_variables_to_constants_v2(concrete)

    def named(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return tf.nest.pack_sequence_as(concrete.structured_outputs, frozen(image))

    module = tf.Module()
    module.serve = tf.function(named, input_signature=[signature], autograph=False)
    # Gradients of its own, which swish has, would look for the variables.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(module, str(folder), signatures=module.serve, options=options)


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
