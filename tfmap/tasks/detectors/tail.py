"""The end of a detector of one stage, cut off and put back: rounding and compression work on what is before it."""

from __future__ import annotations

import json
from collections.abc import Sequence

import keras

from tfmap import flatbuffer
from tfmap.tasks.detectors import heads, regions

# A level of int8 is 0.03 strides, or 3% of a side. On BCCD that cost 2.9 points of mAP; with everything from the
# last kernels on in float, a thousandth of the work before an op that is float anyway, a later training loses 0.2.
EXACT = "codes"
GIVEN = (EXACT, "scores")
_NOTE = "TFMAP_BOXES"  # of a file without its end, which layer that was


def boxes_of(model: keras.Model) -> heads.Boxes | None:
    """The layer of a detector that makes boxes; None of another model."""
    found = [layer for layer in getattr(model, "layers", ()) if isinstance(layer, heads.Boxes)]
    return found[0] if found else None


def looks_twice(model: keras.Model) -> bool:
    """Whether a detector looks a second time at boxes that it has worked out."""
    return any(isinstance(layer, regions.Proposals) for layer in model.layers)


def cut(model: keras.Model, also: Sequence[str] = ()) -> keras.Model:
    """A detector without its last layer, which makes boxes of codes: a phone does that in float.

    Args:
        model: any; only one with a layer `heads.Boxes` is cut.
        also: names of layers whose outputs are outputs too.

    Returns:
        keras.Model: "image" -> "codes" float32 (B, A, 4), -1..1, "scores" float32 (B, A, K), and what is asked for.
    """
    layer = boxes_of(model)
    if layer is None:
        return model
    further = {name: model.get_layer(name).output for name in also}
    return keras.Model(
        model.input, {"codes": layer.input, "scores": model.output["scores"], **further}, name=model.name
    )


def mended(model: keras.Model, layer: heads.Boxes) -> keras.Model:
    """A detector again.

    Args:
        model: what `cut` returned, or what was made of it.
        layer: that was cut off, or its like.

    Returns:
        keras.Model: "image" -> "boxes" float32 (B, A, 4), yxyx in pixels, and "scores".
    """
    again = type(layer).from_config(layer.get_config())
    outputs = {"boxes": again(model.output["codes"]), "scores": model.output["scores"]}
    return keras.Model(model.input, outputs, name=model.name)


def noted(file: bytes, layer: heads.Boxes) -> bytes:
    """A file of what `cut` returned that knows what was cut off, for whoever puts it back.

    Args:
        file: .tflite.
        layer: that was cut off.
    """
    return flatbuffer.with_named_buffer(file, _NOTE, json.dumps(layer.get_config()).encode())


def note(file: bytes) -> heads.Boxes | None:
    """What was cut off of a file that `noted` returned; None of any other."""
    found = flatbuffer.named_buffer(file, _NOTE)
    return None if found is None else heads.Boxes.from_config(json.loads(found))
