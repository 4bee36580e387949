"""What a map means. Every task module has the same eight names, in the order in which data moves:

    spec      shapes and dtypes of a batch
    prepare   raw picture -> what the spec says; CPU, deterministic
    targets   augmented batch -> training targets; on the device
    build     backbone -> functional model
    losses    how far outputs are from targets
    metrics   what the progress bar shows
    decode    raw outputs -> predictions
    score     predictions and truths -> dict of numbers

`decode` and `score` do not know the model, so the exported file is scored by the functions that scored Keras.
"""

from __future__ import annotations

import importlib
from types import ModuleType

from tfmap.errors import InputError, did_you_mean

NAMES = ("classification",)


def get(name: str) -> ModuleType:
    """The module of a task.

    Raises:
        InputError: an unknown task.
    """
    if name not in NAMES:
        raise InputError(f"unknown task {name!r}. Known tasks: {', '.join(NAMES)}.{did_you_mean(name, NAMES)}")
    return importlib.import_module(f"tfmap.tasks.{name}")
