"""The one door to tensorflow-model-optimization (tfmot), which works on Keras 2 (tf_keras) models only."""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import tensorflow as tf

_SWITCH = "TF_USE_LEGACY_KERAS"


def tfmot() -> ModuleType:
    """tensorflow_model_optimization, imported without its side effect on the environment.

    tfmot sets TF_USE_LEGACY_KERAS=1 when it is imported: `tf.keras` would turn into tf_keras here, if nobody had
    touched it yet, and in every child process. So `tf.keras` is resolved first and the variable is put back afterwards.
    """
    before = os.environ.get(_SWITCH)
    _ = tf.keras.Model  # resolves the lazy module
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # distutils and NumPy aliases: tfmot's own business
        import tensorflow_model_optimization as module
    _restore(before)
    return module


def _restore(before: str | None) -> None:
    if before is None:
        os.environ.pop(_SWITCH, None)
    else:
        os.environ[_SWITCH] = before


@contextmanager
def inputs_in_order() -> Iterator[None]:
    """Let `quantize_apply` leave the inputs of a Concatenate in their order.

    tfmot 0.8.1 looks them up in the list of layers, and puts the network together in that list's order: InceptionV3's
    last blocks, whose pooling is listed before the convolutions beside it, got swapped channels.
    """
    path = "tensorflow_model_optimization.python.core.quantization.keras.graph_transformations.model_transformer"
    transformer = importlib.import_module(path).ModelTransformer
    found = transformer._get_layers

    def ordered(self: Any, names: list[str]) -> list[dict]:
        return sorted(found(self, names), key=lambda layer: names.index(layer["config"]["name"]))

    transformer._get_layers = ordered
    try:
        yield
    finally:
        transformer._get_layers = found
