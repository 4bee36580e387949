"""The one door to tensorflow-model-optimization (tfmot), which works on Keras 2 (tf_keras) models only."""

from __future__ import annotations

import os
import warnings
from types import ModuleType

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
