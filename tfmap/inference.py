"""Pictures of a split and a Keras model or a .tflite file -> the answers of its task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from tfmap.errors import InputError
from tfmap.progress import shown

if TYPE_CHECKING:
    import keras

    from tfmap.litert import LiteModel
    from tfmap.source import Skipped, Split


def predict(
    model: keras.Model | LiteModel | str | Path,
    split: Split,
    *,
    task: str = "classification",
    batch_size: int = 32,
    pipeline: Mapping[str, Any] | None = None,
    progress: bool = False,
) -> Any:
    """Run every picture of a split through a model, as the model will see it once it is deployed.

    Args:
        model: a Keras model, a LiteModel, or the path of a .keras or .tflite file.
        split: N examples.
        task: which task prepares the pictures and decodes what comes out.
        batch_size: pictures at a time. A .tflite file runs them in batches of its own size.
        pipeline: further keywords of `tfmap.pipeline.in_order`: workers.
        progress: show a bar with the time left on a terminal.

    Returns:
        what the task's `decode` makes of the outputs, in the order of the split: probabilities float32 (N, K); boxes,
        an `average_precision.Found` per picture, in its own pixels; or masks uint8 (h, w), of each picture's own size.

    Raises:
        FileNotFoundError: the file does not exist.
        InputError: a file that is no model, a model without a fixed input size, a split without examples, or pictures
            that cannot be read any more.
    """
    settings = {"task": task, "batch_size": batch_size, "pipeline": pipeline, "progress": progress}
    return predict_each([model], split, **settings)[0]


def predict_each(
    models: Sequence[keras.Model | LiteModel | str | Path],
    split: Split,
    *,
    task: str = "classification",
    batch_size: int = 32,
    pipeline: Mapping[str, Any] | None = None,
    progress: bool = False,
) -> list[Any]:
    """As `predict`, for several models of one input size: pictures are read once for all of them.

    Args:
        models: at least one; each as for `predict`.
        split: N examples.
        task: as for `predict`, and so are the others.
        batch_size: the same.
        pipeline: the same.
        progress: the same.

    Returns:
        of each model what `predict` returns.

    Raises:
        FileNotFoundError: as `predict`.
        InputError: as `predict`, or the models are not of one input size.
    """
    from tfmap import pipeline as pipelines
    from tfmap import tasks

    if not len(split):
        raise InputError("inference: the split holds no examples. Expected at least one.")
    models, module = [opened(model) for model in models], tasks.get(task)
    settings = {**_one_shape(models), **(pipeline or {}), "batch_size": batch_size}
    data = pipelines.in_order(split, prepare=module.prepare, **settings)
    answers = [[] for _ in models]
    for batch in shown(data, -(-len(split) // batch_size), "Predicting", worth=progress):
        for model, said in zip(models, answers, strict=True):
            said.append(_answered(module, model, batch))
    _check_read(split, pipelines.lost(split))
    return list(map(_joined, answers))


def _answered(module: ModuleType, model: keras.Model | LiteModel, batch: Mapping[str, Any]) -> Any:
    """What a model says of the pictures of a batch, those left out that fill it up."""
    call = model.predict_on_batch if hasattr(model, "predict_on_batch") else model.predict
    real = int((batch["id"] != b"").sum())  # the last batch is filled up with black pictures
    return _decoded(module, call(batch["image"]), batch, real, model.input_shape[1:3])


def _joined(parts: Sequence[Any]) -> Any:
    """The answers of all batches as one."""
    import numpy as np

    return np.concatenate(parts) if isinstance(parts[0], np.ndarray) else [one for part in parts for one in part]


def _decoded(module: ModuleType, outputs: Any, batch: Mapping[str, Any], real: int, size: tuple[int, int]) -> Any:
    """What the task makes of the outputs for the first `real` pictures of a batch."""
    import keras
    import numpy as np

    from tfmap import tasks

    kept = keras.tree.map_structure(lambda one: np.asarray(one, np.float32)[:real], outputs)
    whole = {"whole": batch["whole"][:real]} if "whole" in batch else {}
    return module.decode(kept, **tasks.accepted(module.decode, size=size, **whole))


def _check_read(split: Split, lost: Sequence[Skipped]) -> None:
    """A picture that is gone has been black, and a score for it would be a made-up one."""
    if lost:
        raise InputError(
            f"inference: {len(lost)} of {len(split)} pictures cannot be read any more, first {lost[0].path} "
            f"({lost[0].reason}). Bring them back, or train again without them."
        )


def opened(model: keras.Model | LiteModel | str | Path) -> keras.Model | LiteModel:
    """The model itself, where it was given as the path of a .keras or .tflite file.

    Raises:
        FileNotFoundError: the file does not exist.
        InputError: it is neither of the two kinds.
    """
    if not isinstance(model, (str, Path)):
        return model
    path = Path(model)
    if path.suffix not in (".keras", ".tflite"):
        raise InputError(f"inference: expected a .keras or a .tflite file, received {path}.")
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist. Expected a .keras or a .tflite file.")
    if path.suffix == ".tflite":
        from tfmap.litert import LiteModel

        return LiteModel(path)
    from tfmap import tasks

    return tasks.load(path)


def _one_shape(models: Sequence[keras.Model | LiteModel]) -> dict[str, Any]:
    """The input that all models have, as keywords of `pipeline.batches`."""
    shapes = [_shape(model) for model in models]
    for shape in shapes[1:]:
        if shape != shapes[0]:
            raise InputError(
                f"inference: models of one input size read pictures together, received {shapes[0]} and {shape}. "
                "Predict with each by itself."
            )
    return shapes[0]


def _shape(model: keras.Model | LiteModel) -> dict[str, Any]:
    """The model's input as keywords of `pipeline.batches`."""
    _, height, width, channels = model.input_shape
    if height is None or width is None:
        raise InputError(
            f"inference: the model's input is {model.input_shape}, without a fixed height and width. "
            "Build it with an input_shape such as (224, 224, 3)."
        )
    return {"size": (int(height), int(width)), "channels": int(channels)}
