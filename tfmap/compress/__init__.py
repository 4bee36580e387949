"""Model -> smaller model. `python -m tfmap.compress RUN [compress.key=value …]`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from tfmap.checked import checked

if TYPE_CHECKING:
    import keras

    from tfmap.compress.quantized_model import QuantizedModel
    from tfmap.runs import Run
    from tfmap.source import Source


@checked("compress")
def compress(
    model: keras.Model,
    source: Source,
    *,
    task: str = "classification",
    seed: int = 0,
    augment: str = "",
    pipeline: dict | None = None,
    watch: Callable[[str, int, dict], None] | None = None,
    recipe: str = "prune(0.5)",
    epochs: int = 6,
    learning_rate: float = 1e-3,
    teacher_weight: float = 0.5,
    batchnorm: Literal["live", "frozen"] = "live",
    verbose: bool = True,
) -> keras.Model | QuantizedModel:
    """Make a trained model smaller while it goes on learning; the model itself is left as it is.

    Args:
        model: trained Keras 3 model: images (B, H, W, C), values 0..255 -> what the task's OUTPUTS says.
        source: the data it was trained on; needs a split "train", and "val" to choose the best epoch by.
        task: name of the task.
        seed: seed of the order and of the augmentation.
        augment: augmentation policy, as in training.
        pipeline: keyword arguments of `pipeline.batches`, such as {"batch_size": 64}.
        watch: called with (step, epoch, numbers) after every epoch.
        recipe: steps separated by "|", in this order: channels(0.5) takes channels out until half of the multiply-adds
            are left; low_rank(0.9) splits wide layers; distill lets the model learn from the uncompressed one;
            prune(0.5) zeroes half of the weights; cluster(16) leaves all kernels the same 16 integers; low_bits
            trains with kernels in 4 bits, for export.format=int4; qat trains with int8 rounding. A step may have its
            own epochs and learning_rate: "prune(0.5, epochs=8)|qat(epochs=2)".
        epochs: epochs of each step.
        learning_rate: highest rate of each step; qat takes a fiftieth of it, which moves converged weights
            by about a step of int8.
        teacher_weight: share of the uncompressed model's opinion in the labels, in [0, 1]; qat as the first step
            learns that alone, unless it is 0.
        batchnorm: live (norms follow the batches) or frozen (they stay as they came): frozen where training left a
            backbone's own statistics, as train.unfreeze and train.batchnorm=frozen do, and little is taken out. qat
            keeps statistics anyhow; a step may have its own: "prune(0.5, batchnorm='frozen')".
        verbose: print a line an epoch.

    Returns:
        an ordinary Keras 3 model; or, if the recipe ends in qat, a QuantizedModel: `to_tflite()` gives the int8 file
        for `export.tflite`, `model` the Keras 3 model with the same weights.

    Raises:
        InputError: a recipe that cannot be read or that a detector of two stages cannot follow, a setting out of range,
            a model with a layer that cannot be carried to Keras 2, or a loss that is no number any more.
    """
    import keras

    from tfmap import augment as augmentation
    from tfmap import tasks
    from tfmap.compress import flow, lessons
    from tfmap.compress.finetune import FineTuning
    from tfmap.compress.recipe import parse
    from tfmap.train import settings
    from tfmap.train.feed import Feed

    steps = parse(recipe)
    settings.check_fits(model, source, task)
    module, classes = tasks.get(task), len(source.classes)
    lesson = lessons.of(module, model, classes)
    lessons.check(lesson, steps)
    start = lesson.network if lesson else model
    how = FineTuning(
        epochs=epochs,
        learning_rate=learning_rate,
        teacher=None if lesson and lesson.imitation is None else start,
        teacher_weight=teacher_weight,
        batchnorm=batchnorm,
        policy=augmentation.build(augment, classes=classes) if augment else None,
        multi_label=source.multi_label,
        lesson=lesson,
        seed=seed,
        verbose=verbose,
        watch=watch,
    )
    feed = Feed(model, source, module, options=pipeline or {}, seed=seed)
    small = flow.run(start, feed, steps, how)
    return lesson.finished(small) if lesson and isinstance(small, keras.Model) else small


def command(config: dict[str, Any], run: Run) -> None:
    """Write a run's compressed.keras and compress.json, and quantized.tflite if the recipe ends in qat.

    Args:
        config: sections -> keyword arguments, and task, seed.
        run: the run folder.

    Raises:
        FileNotFoundError: the model is not there.
        InputError: as `compress`.
    """
    from tfmap import datasets, runtime, signatures, tasks
    from tfmap.compress import judge, record
    from tfmap.train.feed import Feed

    start, history = time.monotonic(), []
    runtime.seed_everything(config["seed"])
    with runtime.strategy().scope():
        model = tasks.load(run.need("model.keras"))
    source = datasets.load(**{"seed": config["seed"], **config["datasets"]})
    small = compress(
        model,
        source,
        task=config["task"],
        seed=config["seed"],
        augment=config["augment"].get("ops", ""),
        pipeline=config["pipeline"],
        watch=lambda step, epoch, numbers: history.append({"step": step, "epoch": epoch, **numbers}),
        **config["compress"],
    )
    known = signatures.keys("compress")
    defaults = {key: known[key].default for key in ("recipe", "epochs", "learning_rate", "teacher_weight", "batchnorm")}
    settings = {**defaults, **config["compress"]}
    seconds, task = time.monotonic() - start, tasks.get(config["task"])
    feed = Feed(model, source, task, options=config["pipeline"], seed=config["seed"])
    judged = judge.scores(record.keras_model(small), feed, task, source.classes)
    record.write(run, small, history, settings={**settings, "scores": judged}, seconds=seconds)
