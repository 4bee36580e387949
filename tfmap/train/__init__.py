"""Model + batches -> trained model + run folder. `python -m tfmap.train CONFIG [section.key=value …] [out=RUN]`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tfmap.checked import checked

if TYPE_CHECKING:
    import keras

    from tfmap.runs import Run
    from tfmap.source import Source


@checked("train")
def fit(
    model: keras.Model,
    source: Source,
    *,
    out: str | Path | None = None,
    task: str = "classification",
    seed: int = 0,
    augment: str = "",
    pipeline: dict | None = None,
    callbacks: list | None = None,
    epochs: int = 20,
    head_epochs: int = 0,
    unfreeze: bool | str = True,
    batchnorm: Literal["live", "frozen"] = "live",
    batchnorm_momentum: float | None = 0.9,
    optimizer: Literal["adamw", "sgd"] = "adamw",
    learning_rate: float = 1e-3,
    head_learning_rate: float | None = None,
    layer_decay: float = 1.0,
    weight_decay: float = 0.05,
    warmup: float = 0.1,
    unmixed_epochs: int = 0,
    multi_scale: float = 0.0,
    label_smoothing: float = 0.1,
    loss: Literal["cross_entropy", "focal", "logit_adjustment", "dice", "lovasz"] = "cross_entropy",
    gamma: float = 2.0,
    tau: float = 1.0,
    class_weights: Literal["none", "balanced", "effective_number"] | list[float] = "none",
    clip_norm: float | None = 1.0,
    accumulate: int = 1,
    ema: float = 0.0,
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = "float32",
    keep: Literal["best", "last"] = "best",
    patience: int | None = None,
    resume: Literal["auto", "never"] = "auto",
    checkpoint_minutes: float = 5.0,
    tensorboard: bool = False,
    verbose: bool = True,
) -> keras.Model:
    """Train a model in place and leave its best or its last weights in it.

    The best weights are those of the epoch with the highest validation metric; without a validation split they are the
    last. A training that is stopped (Ctrl-C, SIGTERM, a crash) goes on when `fit` is called again with the
    same settings and the same `out`.

    Args:
        model: what a task's `build` returns, or any functional model from pictures 0..255 to (B, K) probabilities.
        source: what `datasets.load` returns; needs a split "train", and "val" for validation.
        out: run folder for checkpoints and history; none writes nothing.
        task: name of the task.
        seed: seed of the order and of the augmentation.
        augment: augmentation policy such as "rrc(0.5,1)|flip|color(.3)".
        pipeline: keyword arguments of `pipeline.batches`, such as {"batch_size": 64}.
        callbacks: Keras callbacks of your own.
        epochs: epochs in which the network learns.
        head_epochs: epochs before those in which only the new head learns.
        unfreeze: what learns after the head phase: true (everything), or the stage (P1 to P5) or layer from which on.
        batchnorm: live (batch statistics, updated) or frozen (the statistics the weights came with) normalisation.
        batchnorm_momentum: share of the old statistics that a step keeps while training; null leaves each layer its own
            (0.99 in most pretrained networks, which is too slow for a training of a few hundred steps).
        optimizer: adamw or sgd (Nesterov momentum 0.9).
        learning_rate: highest rate, reached after the warm-up and left along a cosine.
        head_learning_rate: highest rate of the head phase; null takes learning_rate.
        layer_decay: factor on the rate for each stage away from the head; 1 is the same rate everywhere.
        weight_decay: decoupled decay per unit of rate, on kernels only, never on norms and biases.
        warmup: share of a phase's steps in which the rate rises.
        unmixed_epochs: last epochs in which the ops across pictures (mosaic, mixup, cutmix, copy_paste) rest, so that a
            detector ends on pictures as they are.
        multi_scale: by how much of its sides the pictures of an epoch may be larger or smaller than the model's, in
            steps of 32 pixels; 0.25 of 320 is 256 to 384. Each epoch has one size; in the unmixed ones it is the
            model's own.
        label_smoothing: share of each label that is spread over all classes, in [0, 1).
        loss: cross_entropy; focal for many easy pictures (places, pixels) and few hard ones; in classification also
            logit_adjustment for rare classes that matter as much as frequent ones (it aims at balanced accuracy); in
            segmentation also dice and lovasz, which weigh classes by overlap rather than by pixels.
        gamma: how strongly focal turns to hard pictures.
        tau: how strongly logit_adjustment makes up for the classes' frequencies; 0 is cross_entropy.
        class_weights: none, balanced (each class has the same share of the loss), effective_number (a milder balance),
            or a factor per class. See also pipeline.sampling.
        clip_norm: highest global norm of the gradient; null does not clip.
        accumulate: batches whose gradients are averaged before a step.
        ema: momentum of the moving average of weights that is validated and kept, such as 0.99; 0 keeps none.
        precision: float32, or mixed float16 or bfloat16 computation; the model itself stays float32.
        keep: best keeps the epoch that scored highest on the validation split, which flatters that score on a small
            one; last keeps the end of the training, with ema and the cosine about as good, and judged by no choice.
        patience: epochs without a better metric before training stops; null runs to the end.
        resume: auto goes on from the run folder's checkpoint; never starts over.
        checkpoint_minutes: time between two checkpoints inside an epoch.
        tensorboard: write TensorBoard logs into the run folder.
        verbose: print a line an epoch.

    Returns:
        the model itself.

    Raises:
        InputError: a setting out of range, a checkpoint of another recipe, or a loss that is no number any more.
    """
    recipe = {key: value for key, value in locals().items() if key not in ("model", "source", "out", "callbacks")}
    from tfmap import augment as augmentation
    from tfmap import runtime, tasks
    from tfmap.runs import Run
    from tfmap.train import checkpoint, imbalance, phases, settings, trainer
    from tfmap.train.feed import Feed
    from tfmap.train.loop import Loop

    settings.check(recipe)
    settings.check_target(source, task)
    imbalance.check(class_weights, loss, pipeline or {})
    module, classes = tasks.get(task), len(source.classes)
    settings.check_fits(model, source, task)
    settings.check_loss(recipe)
    run = Run(out) if out is not None else None
    state = checkpoint.start(run, recipe)
    plan = phases.plan(
        epochs=epochs,
        head_epochs=head_epochs,
        unfreeze=unfreeze,
        learning_rate=learning_rate,
        head_learning_rate=head_learning_rate or learning_rate,
    )
    feed = Feed(model, source, module, options=pipeline or {}, seed=seed)
    facts = {
        "multi_label": source.multi_label,
        "gamma": gamma,
        "class_weights": imbalance.class_weights(class_weights, feed.split, classes),
        "priors": imbalance.priors(feed.split, classes) if loss == "logit_adjustment" else None,
        "tau": tau,
    }
    with runtime.scope_of(model), phases.momentum(model, batchnorm_momentum):
        net = trainer.in_precision(model, precision)
        Loop(
            net=net,
            task=module,
            classes=classes,
            feed=feed,
            policy=augmentation.build(augment, classes=classes),
            losses=lambda net: module.losses(loss, **tasks.accepted(module.losses, model=net, **facts)),
            metrics=partial(tasks.metrics, task, source),
            recipe=recipe,
            state=state,
            run=run,
            seed=seed,
            callbacks=callbacks or [],
        ).run_all(plan)
    phases.set_trainable(model, True, batchnorm="live")
    if net is not model:
        model.set_weights(net.get_weights())
    return model


def command(config: dict[str, Any], run: Run) -> None:
    """Train what a config describes; leaves config, data, versions, history, checkpoints and model.keras in the run."""
    from tfmap import datasets, runtime, tasks
    from tfmap.runs import replacing
    from tfmap.train import records, settings

    seed = config.get("seed", 0)
    runtime.seed_everything(seed)
    source = datasets.load(**{"seed": seed, **config["datasets"]})
    settings.check_target(source, config["task"])
    records.write(run, config, source)
    with runtime.strategy().scope():
        model = tasks.build(config["task"], source, config.get("model", {}))
    fit(
        model,
        source,
        out=run.path,
        task=config["task"],
        seed=seed,
        augment=config.get("augment", {}).get("ops", ""),
        pipeline=config.get("pipeline", {}),
        **config.get("train", {}),
    )
    with replacing(run.file("model.keras")) as temporary:
        model.save(temporary)
