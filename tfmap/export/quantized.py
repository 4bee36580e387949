"""The file that quantisation-aware training has made, and what export still does to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tfmap import flatbuffer, tasks
from tfmap.errors import InputError
from tfmap.export import detectors, floats, metadata
from tfmap.export.order import Order
from tfmap.tasks.detectors import tail


def finished(
    model: bytes, order: Order, classes: Sequence[str], *, task: str, suppression: bool
) -> tuple[bytes, dict[str, Any]]:
    """The file as it is published, but for its metadata.

    Args:
        model: what `QuantizedModel.to_tflite` returned.
        order: what was asked for.
        classes: K names.
        task: of the model.
        suppression: of a detector's: whether its last op suppresses boxes, or all of them come out.

    Returns:
        the file, and what was found: of a detector "kept_float" (names of tensors).

    Raises:
        InputError: it is not what was asked for, or something in it is in float that need not be.
    """
    if tasks.target(tasks.get(task)) != "boxes":
        return _checked(model, order), {}
    layer = tail.note(model)
    if layer is None:
        raise InputError(
            "export: this file does not say what made boxes of its codes, as that of QuantizedModel.to_tflite does. "
            "Pass such a one, or the Keras model."
        )
    file = _checked(model, order.in_floats(tail.EXACT))
    metadata.check_labels(classes, _columns(file, "scores"))
    if suppression:
        return detectors.finished(file, layer, len(classes)), {"kept_float": list(floats.tail(file, tail.EXACT))}
    file = detectors.located(file, layer)
    return file, {"kept_float": list(floats.tail(file, detectors.RAW))}


def _columns(file: bytes, output: str) -> int:
    """The last axis of an output, by its name in the signature."""
    outline = flatbuffer.outline(file)
    name = outline.signatures[0].outputs[output]
    return next(tensor.shape[-1] for tensor in outline.graph.outputs if tensor.name == name)


def _checked(model: bytes, order: Order) -> bytes:
    """The bytes of a quantised file, if they are what was asked for and compute in integers.

    Args:
        model: what `QuantizedModel.to_tflite` returned.
        order: what was asked for.

    Raises:
        InputError: another format, other ends, or an op in float that is not there on purpose.
    """
    if order.format != "int8" or order.engine != "auto" or order.keep_float:
        raise InputError(
            f"export: quantisation-aware training has made an int8 file, received format={order.format!r}, "
            f"engine={order.engine!r}, keep_float={order.keep_float}. Use format='int8' and leave out the others, or "
            "export the Keras model: export.which=model"
        )
    graph = flatbuffer.read(model)
    found = graph.inputs[0].dtype, graph.outputs[0].dtype
    if found != order.ends:
        raise InputError(
            f"export: the quantised file takes {found[0]} and gives {found[1]}, received input_type="
            f"{order.ends[0]!r} and output_type={order.ends[1]!r}."
        )
    kept = floats.tail(model, order.exact) if order.exact else ()
    return floats.strict(model, kept, engine="quantisation-aware training", instead="export.which=compressed")
