"""What a compression leaves in a run folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tfmap.compress.prune import sparsities
from tfmap.compress.quantized_model import QuantizedModel
from tfmap.runs import Run, replacing


def write(
    run: Run,
    small: keras.Model | QuantizedModel,
    history: Sequence[Mapping[str, Any]],
    *,
    settings: Mapping[str, Any],
    seconds: float,
) -> None:
    """Write compressed.keras, compress.json and, after quantisation-aware training, quantized.tflite.

    A quantized.tflite of an earlier recipe is removed: `export` would prefer it.

    Args:
        run: the run folder.
        small: what `compress` returned.
        history: a row per epoch.
        settings: of the compress section, and the scores of the model.
        seconds: that it took.
    """
    model = keras_model(small)
    file = small.to_tflite() if isinstance(small, QuantizedModel) else None
    with replacing(run.file("compressed.keras")) as temporary:
        model.save(temporary)
    if file is None:
        run.file("quantized.tflite").unlink(missing_ok=True)
    else:
        run.write_bytes("quantized.tflite", file)
    run.write_json("compress.json", {**_facts(model), **settings, "seconds": round(seconds, 1), "history": history})


def keras_model(small: keras.Model | QuantizedModel) -> keras.Model:
    """What compress returned, as a Keras 3 model.

    Args:
        small: what `compress` returned.
    """
    return small.model if isinstance(small, QuantizedModel) else small


def _facts(model: keras.Model) -> dict[str, Any]:
    weights = [np.asarray(weight) for weight in model.weights]
    return {
        "weights": sum(weight.size for weight in weights),
        "zeros": sum(int(np.sum(weight == 0)) for weight in weights),
        "sparsity": {name: round(share, 4) for name, share in sparsities(model).items()},
    }
