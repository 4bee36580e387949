"""What the bridge refuses to carry, and what it says then."""

from __future__ import annotations

import keras

from tfmap.errors import InputError

WAYS_OUT = (
    "Two ways out: tfmap.compress.bridge.register({name}) has it run as it is, neither pruned nor quantised, and "
    "tfmap.compress.bridge.register({name}, build) has it rebuilt in Keras 2; or use post-training quantisation only, "
    "which needs no bridge: python -m tfmap.export RUN export.which=model export.format=int8"
)
_FOREIGN = ("TFSMLayer", "JaxLayer", "FlaxLayer", "TorchModuleWrapper")


def cannot(layer: keras.Layer, why: str) -> InputError:
    """The error for a layer that cannot be bridged.

    Args:
        layer: it.
        why: a clause such as "it is a Lambda".
    """
    kind = type(layer).__name__
    return InputError(
        f"compress: layer {layer.name!r} ({kind}) cannot be carried to Keras 2, where pruning and quantisation-aware "
        f"training run: {why}. {WAYS_OUT.format(name=kind)}"
    )


def obstacle(layer: keras.Layer) -> str:
    """Why a layer cannot be bridged, its sublayers aside; "" where it can."""
    kind = type(layer).__name__
    if kind == "Lambda":
        return "it is a Lambda"
    if not type(layer).__module__.startswith("keras."):
        return "it is a layer of your own"
    if kind in _FOREIGN:
        return "it runs the code of another framework"
    if layer.quantization_mode is not None:
        return f"its weights are quantised already ({layer.quantization_mode})"
    if getattr(layer, "lora_enabled", False):
        # Its clone would also forget lora_alpha (Keras 3.15).
        return "it has a LoRA adapter (saved weights have it merged: load them into the model without LoRA)"
    # An adapted lookup holds a state that is neither in its config nor in its weights.
    if not getattr(layer, "_has_input_vocabulary", True):
        return "what it has learned by adapt() is lost in a copy (make it with vocabulary=layer.get_vocabulary())"
    return ""
