"""Runs the phases of a training one after another, from wherever the state says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from types import ModuleType
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfmap import pipeline, tasks
from tfmap.augment.policy import Policy
from tfmap.runs import Run
from tfmap.train import norms, optimizers, phases, scales, trainer
from tfmap.train.callbacks import Best, History, Progress, StopIfNotFinite
from tfmap.train.checkpoint import Checkpoint, State
from tfmap.train.ema import MovingAverage
from tfmap.train.feed import Feed

Stretch = tuple[int, int, int]  # first epoch, first step, epochs


@dataclass
class Loop:
    """A training.

    Attributes:
        net: the model that learns, in the precision it computes in.
        task: the task's module.
        classes: K.
        feed: batches.
        policy: augmentation.
        losses: makes the loss of a model, (targets, outputs) -> loss per example.
        metrics: makes the metrics that are shown, anew for each phase.
        recipe: the settings of `fit`.
        state: where it stands.
        run: folder for checkpoints, history and TensorBoard; None writes nothing.
        seed: base seed.
        callbacks: the caller's own Keras callbacks.
    """

    net: keras.Model
    task: ModuleType
    classes: int
    feed: Feed
    policy: Policy
    losses: Callable[[keras.Model], scales.Loss]
    metrics: Callable[[], list[keras.metrics.Metric]]
    recipe: Mapping[str, Any]
    state: State
    run: Run | None
    seed: int
    callbacks: list[keras.callbacks.Callback] = field(default_factory=list)

    def run_all(self, plan: list[phases.Phase]) -> None:
        """Every phase that is not done yet; then the weights to keep into the model."""
        names = [phase.name for phase in plan]
        at = names.index(self.state.phase) if self.state.phase else 0
        with norms.fused(self.net):
            for index, phase in enumerate(plan[at:], start=at):
                best = self._phase(phase, total=plan[-1].end, number=index)
                following = plan[index + 1].name if index + 1 < len(plan) else phase.name
                self._pass_on(best, following, finished=index + 1 == len(plan))

    def _phase(self, phase: phases.Phase, *, total: int, number: int) -> Best:
        """One phase, or the rest of it."""
        phases.set_trainable(self.net, phase.trainable, batchnorm=self.recipe["batchnorm"])
        wrapped = self.compiled(phase, number)
        restored = self._restore(phase, wrapped)
        best = Best(self.net, self._monitor(), self.state, patience=self._patience(phase, total), run=self.run)
        average = self._average(restored)
        watchers = self._watchers(phase, total, wrapped, best, average)
        try:
            for stretch in self._stretches(phase, total - self.recipe["unmixed_epochs"]):
                mixed = stretch[0] < total - self.recipe["unmixed_epochs"]
                size = self._size_of(stretch[0]) if mixed else self.feed.size
                wrapped.turn_to(self.policy if mixed else self._unmixed, size)
                self._fit(wrapped, stretch, size, watchers)
                if wrapped.stop_training:
                    break
        finally:
            watchers[-1].release()
        if average:
            average.finish()
        return best

    def _fit(
        self, wrapped: trainer.Trainer, stretch: Stretch, size: scales.Size, watchers: list[keras.callbacks.Callback]
    ) -> None:
        first, step, epochs = stretch
        with pipeline.clear_errors():
            wrapped.fit(
                self.feed.train(*stretch, size),
                initial_epoch=first,
                epochs=first + epochs,
                steps_per_epoch=self.feed.steps - step,
                validation_data=self.feed.val(),
                callbacks=watchers,
                shuffle=False,
                verbose=0,
            )

    def _stretches(self, phase: phases.Phase, unmixed: int) -> list[Stretch]:
        """What each call of Keras' fit does.

        A cut epoch is finished in a call of its own, one whose pictures have a size of their own has one, and another
        begins with the first unmixed epoch.
        """
        first, step = max(phase.first, self.state.epoch), self.state.step
        cut = [(first, step, 1)] if step else []
        first += len(cut)
        turn = min(max(first, unmixed), phase.end)
        mixed = [(epoch, 0, 1) for epoch in range(first, turn)] if len(self._sizes) > 1 else [(first, 0, turn - first)]
        return [*cut, *(stretch for stretch in (*mixed, (turn, 0, phase.end - turn)) if stretch[2])]

    @cached_property
    def _sizes(self) -> list[scales.Size]:
        return scales.sizes(self.feed.size, self.recipe["multi_scale"])

    def _size_of(self, epoch: int) -> scales.Size:
        """Of the pictures of an epoch, counted over the whole run."""
        return scales.of_epoch(self._sizes, self.seed, epoch)

    @cached_property
    def _unmixed(self) -> Policy:
        return self.policy.unmixed()

    def compiled(self, phase: phases.Phase, number: int) -> trainer.Trainer:
        """The network, ready for the steps of one phase."""
        recipe = self.recipe
        smoothed = {"classes": self.classes, "label_smoothing": recipe["label_smoothing"]}
        optimizer = optimizers.build(
            recipe["optimizer"],
            schedule=optimizers.warmup_cosine(
                phase.learning_rate, steps=phase.epochs * self.feed.steps, warmup=recipe["warmup"]
            ),
            factors=phases.layer_factors(self.net, recipe["layer_decay"]),
            weight_decay=recipe["weight_decay"],
            clip_norm=recipe["clip_norm"],
            accumulate=recipe["accumulate"],
        )
        wrapped = trainer.Trainer(
            self.net,
            policy=self.policy,
            targets=partial(self.task.targets, **tasks.accepted(self.task.targets, **smoothed)),
            truths=partial(self.task.targets, classes=self.classes),
            loss=self.losses(self.net),
            shown=self.metrics(),
            seed=self.seed + number,
            twins={size: scales.Twin(self.net, size, self.losses) for size in self._sizes if size != self.feed.size},
        )
        wrapped.compile(optimizer=optimizer)
        return wrapped

    def _monitor(self) -> str:
        return self.metrics()[0].name

    def _patience(self, phase: phases.Phase, total: int) -> int | None:
        return self.recipe["patience"] if phase.end == total else None

    def _average(self, restored: bool) -> MovingAverage | None:
        if not self.recipe["ema"]:
            return None
        average = MovingAverage(self.net, self.recipe["ema"])
        if restored and "average" in self.state.arrays:
            average.restore(self.state.arrays["average"])
        return average

    def _watchers(
        self, phase: phases.Phase, total: int, wrapped: trainer.Trainer, best: Best, average: MovingAverage | None
    ) -> list[keras.callbacks.Callback]:
        """In this order: the best (of what the average shows), the average, the caller's, the checkpoint last."""
        state, run, steps = self.state, self.run, self.feed.steps

        def snapshot() -> dict[str, list[np.ndarray]]:
            return {
                "net": _arrays(self.net.variables),
                "optimizer": _arrays(wrapped.optimizer.variables),
                "average": average.state() if average else [],
                "best": best.weights,
            }

        board = []
        if run is not None and self.recipe["tensorboard"]:
            board = [keras.callbacks.TensorBoard(run.file("tensorboard"), write_graph=False)]
        path = run.file("checkpoints") / "last.npz" if run is not None else None
        return [
            *([best] if self.feed.validation is not None else []),
            *([average] if average else []),
            StopIfNotFinite(),
            *self.callbacks,
            *board,
            History(state, phase.name, run),
            *([Progress(state, phase.name, total=total, steps=steps)] if self.recipe["verbose"] else []),
            Checkpoint(snapshot, state, path, steps=steps, minutes=self.recipe["checkpoint_minutes"]),
        ]

    def _restore(self, phase: phases.Phase, wrapped: trainer.Trainer) -> bool:
        """Put a resumed state into the model and the optimizer; whether there was one for this phase."""
        arrays = self.state.arrays
        wrapped.optimizer.build(self.net.trainable_variables)
        resumed = bool(arrays.get("optimizer")) and self.state.phase == phase.name
        if arrays.get("net"):
            _assign(self.net.variables, arrays["net"])
        if resumed:
            _assign(wrapped.optimizer.variables, arrays["optimizer"])
        self.state.phase = phase.name
        return resumed

    def _pass_on(self, best: Best, following: str, *, finished: bool) -> None:
        """The end of a phase: what the next one starts from, or the weights to keep at the very end."""
        if finished and best.weights and self.recipe["keep"] == "best":
            self.net.set_weights(best.weights)
        self.state.phase, self.state.finished = following, finished
        self.state.arrays = {"net": _arrays(self.net.variables), "best": best.weights}
        if self.run is not None:
            self.state.save(self.run.file("checkpoints") / "last.npz")


def _arrays(variables: list[keras.Variable]) -> list[np.ndarray]:
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def _assign(variables: list[keras.Variable], values: list[np.ndarray]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(tf.convert_to_tensor(value))
