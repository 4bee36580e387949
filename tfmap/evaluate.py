"""Stage: a model or a .tflite file, and data -> metrics, curves and the worst mistakes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

from tfmap.checked import checked
from tfmap.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    import keras

    from tfmap.litert import LiteModel
    from tfmap.runs import Run
    from tfmap.source import Split

SPLITS = ("val", "test")


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
        pipeline: further keywords of `tfmap.pipeline.in_order`: workers.
        progress: show a bar with the time left on a terminal.

    Returns:
        dict: "metrics", "curves" and "mistakes" (see the task's `score`, `curves` and `worst`), and, in the order of
            the split, "ids" object (N,), "answers" (see `tfmap.inference.predict`) and "truths" (see `truths`).

    Raises:
        InputError: as `tfmap.inference.predict`, or the model's outputs are not the classes.
    """
    from tfmap import inference, tasks

    module, model = tasks.get(task), inference.opened(model)
    _check_classes(module, model, classes)
    answers = inference.predict(model, split, task=task, batch_size=batch_size, pipeline=pipeline, progress=progress)
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
    from tfmap import datasets, evaluated, inference

    model = inference.opened(run.need("model.keras"))
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
