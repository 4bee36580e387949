"""Stage: a model or a .tflite file, and data -> metrics, curves and the worst mistakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from tfmap.checked import checked
from tfmap.errors import InputError
from tfmap.progress import shown

if TYPE_CHECKING:
    import keras

    from tfmap.litert import LiteModel
    from tfmap.runs import Run
    from tfmap.source import Skipped, Split

SPLITS = ("val", "test")


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
        pipeline: further keywords of `tfmap.pipeline.batches`, such as workers.
        progress: show a bar with the time left on a terminal.

    Returns:
        what the task's `decode` makes of the outputs, in the order of the split: probabilities float32 (N, K); boxes,
        an `average_precision.Found` per picture, in its own pixels; or masks uint8 (h, w), of each picture's own size.

    Raises:
        FileNotFoundError: the file does not exist.
        InputError: a file that is no model, a model without a fixed input size, a split without examples, or pictures
            that cannot be read any more.
    """
    import numpy as np

    from tfmap import pipeline as pipelines
    from tfmap import tasks

    if not len(split):
        raise InputError("evaluate: the split holds no examples. Expected at least one.")
    model = opened(model)
    settings = {"cache": "none", **(pipeline or {}), "batch_size": batch_size}  # read once, a cache would cost memory
    data = pipelines.batches(split, **_shape(model), prepare=tasks.get(task).prepare, **settings)
    call = model.predict_on_batch if hasattr(model, "predict_on_batch") else model.predict
    module, size, answers = tasks.get(task), model.input_shape[1:3], []
    with pipelines.clear_errors():
        for batch in shown(data, -(-len(split) // batch_size), "Predicting", worth=progress):
            real = int((batch["id"].numpy() != b"").sum())  # the last batch is filled up with black pictures
            answers.append(_decoded(module, call(batch["image"].numpy()), batch, real, size))
    _check_read(split, pipelines.lost(split))
    return np.concatenate(answers) if isinstance(answers[0], np.ndarray) else [one for part in answers for one in part]


def _decoded(module: ModuleType, outputs: Any, batch: Mapping[str, Any], real: int, size: tuple[int, int]) -> Any:
    """What the task makes of the outputs for the first `real` pictures of a batch."""
    import keras
    import numpy as np

    from tfmap import tasks

    kept = keras.tree.map_structure(lambda one: np.asarray(one, np.float32)[:real], outputs)
    whole = {"whole": batch["whole"].numpy()[:real]} if "whole" in batch else {}
    return module.decode(kept, **tasks.accepted(module.decode, size=size, **whole))


def _check_read(split: Split, lost: Sequence[Skipped]) -> None:
    """A picture that is gone has been black, and a score for it would be a made-up one."""
    if lost:
        raise InputError(
            f"evaluate: {len(lost)} of {len(split)} pictures cannot be read any more, first {lost[0].path} "
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
        raise InputError(f"evaluate: expected a .keras or a .tflite file, received {path}.")
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist. Expected a .keras or a .tflite file.")
    if path.suffix == ".tflite":
        from tfmap.litert import LiteModel

        return LiteModel(path)
    from tfmap import tasks

    return tasks.load(path)


def _shape(model: keras.Model | LiteModel) -> dict[str, Any]:
    """The model's input as keywords of `pipeline.batches`."""
    _, height, width, channels = model.input_shape
    if height is None or width is None:
        raise InputError(
            f"evaluate: the model's input is {model.input_shape}, without a fixed height and width. "
            "Build it with an input_shape such as (224, 224, 3)."
        )
    return {"size": (int(height), int(width)), "channels": int(channels)}


@checked("evaluate")
def evaluate(
    model: keras.Model | LiteModel | str | Path,
    split: Split,
    *,
    classes: Sequence[str],
    task: str = "classification",
    batch_size: int = 32,
    pipeline: Mapping[str, Any] | None = None,
    progress: bool = False,
) -> dict[str, Any]:
    """Score a model on a split.

    Args:
        model: a Keras model, a LiteModel, or the path of a .keras or .tflite file.
        split: N examples.
        classes: the K class names, in the order of the model's outputs.
        task: which task prepares the pictures and scores the answers.
        batch_size: pictures at a time.
        pipeline: further keywords of `tfmap.pipeline.batches`, such as workers.
        progress: show a bar with the time left on a terminal.

    Returns:
        dict: "metrics", "curves" and "mistakes" (see the task's `score`, `curves` and `worst`), and, in the order of
            the split, "ids" object (N,), "answers" (see `predict`) and "truths" (see `truths`).

    Raises:
        InputError: as `predict`, or the model's outputs are not the classes.
    """
    from tfmap import tasks

    module, model = tasks.get(task), opened(model)
    _check_classes(module, model, classes)
    answers = predict(model, split, task=task, batch_size=batch_size, pipeline=pipeline, progress=progress)
    known = tasks.truths(split, task)
    return {
        "metrics": module.score(answers, known, classes=classes),
        "curves": module.curves(answers, known, classes=classes),
        "mistakes": module.worst(answers, known, ids=split.ids, classes=classes),
        "ids": split.ids,
        "answers": answers,
        "truths": known,
    }


def _check_classes(module: ModuleType, model: keras.Model | LiteModel, classes: Sequence[str]) -> None:
    """Refuse data of other classes than the model's."""
    from tfmap import tasks

    if hasattr(model, "count_params"):
        outputs = tasks.class_count(module, model)
    else:  # a file; of several outputs, those of detection, none tells
        outputs = int(model.outputs[0]["shape"][-1]) if len(model.outputs) == 1 else len(classes)
    if outputs != len(classes):
        raise InputError(
            f"evaluate: the model has {outputs} outputs, the data {len(classes)} classes "
            f"({', '.join(list(classes)[:10])}). Evaluate on data with the classes that it was trained on."
        )


def command(config: Mapping[str, Any], run: Run) -> None:
    """Evaluate a run's model.keras on the validation and test splits; writes their files.

    Args:
        config: the sections of a config; reads task, datasets and pipeline.
        run: the run folder.

    Raises:
        FileNotFoundError: the run has no model.keras.
        InputError: the data has neither a validation nor a test split, or other classes than the model.
    """
    from tfmap import datasets, evaluated

    model = opened(run.need("model.keras"))
    source = datasets.load(**{"seed": config["seed"], **config["datasets"]})
    names = [name for name in SPLITS if len(source.splits.get(name, ()))]
    if not names:
        raise InputError(
            f"evaluate: {source.id} has no validation or test split. Set datasets.val_fraction or "
            "datasets.test_fraction above 0."
        )
    found = {}
    for name in names:
        found[name] = evaluate(
            model,
            source.splits[name],
            classes=source.classes,
            task=config["task"],
            batch_size=config["pipeline"].get("batch_size", 32),
            pipeline=_reading(config["pipeline"]),
            progress=True,
        )
    evaluated.write(run, found, source, config["task"])
    evaluated.show(found)


def _reading(pipeline: Mapping[str, Any]) -> dict[str, Any]:
    """The pipeline settings that still have a say when pictures are read once, whole and in order."""
    return {key: value for key, value in pipeline.items() if key == "workers"}


if __name__ == "__main__":
    from tfmap.cli import main

    main("evaluate")
