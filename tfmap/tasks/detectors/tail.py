"""The end of a detector of one stage, cut off and put back: rounding and compression work on what is before it."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from tfmap.tasks.detectors import heads


def boxes_of(model: keras.Model) -> heads.Boxes | None:
    """The layer of a detector that makes boxes; None of another model."""
    found = [layer for layer in getattr(model, "layers", ()) if isinstance(layer, heads.Boxes)]
    return found[0] if found else None


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
