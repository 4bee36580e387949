"""tfmap: from a folder of pictures to a small, verified .tflite file that a phone can trust.

Everything is a mapping. The files stand in the order in which data moves:

    datasets    a name or a path            -> Source
    doctor      a name, a path or a Source  -> findings
    prepare     Source                      -> TFRecord shards, which load again as a Source
    pipeline    Source                      -> tf.data batches, uint8
    augment     "rrc(0.3,1)|flip|mixup(.2)" -> one layer on the device
    models      a name                      -> functional backbone with named outputs
    tasks       what a map means            (classification)
    preview     Source + policy             -> a contact sheet of what training will see
    train       model + batches             -> trained model + run folder
    profile     a config                    -> where the time of a training step goes
    evaluate    model or .tflite + data     -> metrics, confusion matrix, curves, worst mistakes
    tune        search space                -> best config + trial table
    compare     values of a setting         -> what each is worth, over several seeds
    compress    model                       -> smaller model
    export      model                       -> .tflite with metadata
    verify      model vs file               -> tensors, task metric, dtypes, size, latency
    report      run folder                  -> report.html
    inspect     any .tflite file            -> tensors, ops, sizes, metadata, labels
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

# public name -> module that holds it; imported on first use, so that `import tfmap` stays fast
_FUNCTIONS = {
    "build_classifier": ("tfmap.tasks.classification", "build"),
    "build_detector": ("tfmap.tasks.detection", "build"),
    "build_segmenter": ("tfmap.tasks.segmentation", "build"),
    "build_instance_segmenter": ("tfmap.tasks.instances", "build"),
    "load": ("tfmap.datasets", "load"),
    "examine": ("tfmap.doctor", "examine"),
    "fit": ("tfmap.train", "fit"),
    "InputError": ("tfmap.errors", "InputError"),
}
_STAGES = {
    *("datasets", "doctor", "prepare", "pipeline", "augment", "models", "tasks", "preview", "train", "evaluate"),
    *("profile", "tune", "compare"),
    *("compress", "export", "verify", "report", "inspect", "predict", "demo"),
}


def __getattr__(name: str) -> Any:
    if name in _STAGES:
        return importlib.import_module(f"tfmap.{name}")
    if name in _FUNCTIONS:
        module, attribute = _FUNCTIONS[name]
        return getattr(importlib.import_module(module), attribute)
    raise AttributeError(f"module 'tfmap' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*_FUNCTIONS, *_STAGES, "__version__"})
