"""A training of a config, ready to be run step by step."""

from __future__ import annotations

import inspect
import resource
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from tfmap import augment, datasets, pipeline, runtime, tasks, train
from tfmap.pipeline import cache
from tfmap.pipeline.reader import Reader
from tfmap.profile import inputs
from tfmap.profile.timing import WARM, batch_ms, step_ms
from tfmap.train import norms, phases, settings, trainer
from tfmap.train.checkpoint import State
from tfmap.train.feed import Feed
from tfmap.train.loop import Loop

_ENDLESS = 10**6  # epochs


class Training:
    """What `python -m tfmap.train` would run, in its last phase, on a part of its pictures.

    Args:
        config: the sections of a config.
        steps: steps that each part is timed over.

    Attributes:
        cache: what the pipeline keeps of the whole split: none, memory or disk.
        batch_size: pictures in a step.
        split: the part of the training split that is read.
        count: pictures in the whole of it.
    """

    def __init__(self, config: Mapping[str, Any], steps: int) -> None:
        self._steps, self._seed, self._config = steps, config.get("seed", 0), config
        runtime.seed_everything(self._seed)
        source = datasets.load(**{"seed": self._seed, **config["datasets"]})
        self._task, self._recipe = tasks.get(config["task"]), _recipe(config)
        self._strategy = runtime.strategy()
        with self._strategy.scope():
            self._model = tasks.build(config["task"], source, config.get("model", {}))
        settings.check(self._recipe)
        settings.check_fits(self._model, source, config["task"])
        self.count = len(source.split("train"))
        self._options = {"batch_size": 32, **config.get("pipeline", {})}
        self._options["batch_size"] = self.batch_size = min(self._options["batch_size"], self.count)
        self.cache = self._resolved(source)
        self.split = _some(source.split("train"), (steps + WARM) * self.batch_size, self._seed)
        self._feed = self._fed(replace(source, splits={"train": self.split}))
        self._loop = self._looped(source)

    def input_parts(self) -> dict[str, float]:
        """Part -> milliseconds a step, of pictures that nothing is kept of."""
        height, width, channels = self._model.input_shape[1:]
        options = {**self._options, "size": (height, width), "channels": channels, "prepare": self._task.prepare}
        return inputs.parts(self.split, options, self._steps)

    def input_ms(self) -> float:
        """The pipeline as the config asks for it, with nothing beside it."""
        return batch_ms(self._feed.train(0, 0, _ENDLESS), self._steps)

    def compute_parts(self) -> dict[str, float]:
        """Part -> milliseconds a step, with one batch that is there already."""
        with norms.fused(self._loop.net):
            return self._compute_parts(next(iter(self._feed.train(0, 0, 1))))

    def _compute_parts(self, batch: dict) -> dict[str, float]:
        net, policy, steps = self._loop.net, self._loop.policy, self._steps
        forward = tf.function(lambda image: net(tf.cast(image, tf.float32), training=True))
        numbers = iter(range(_ENDLESS))
        parts = {
            "transfer": step_ms(lambda: _on_device(batch["image"]), steps),
            "augment": step_ms(lambda: policy(batch, (self._seed, next(numbers))), steps),
            "forward": step_ms(lambda: forward(batch["image"]), steps),
        }
        whole = self._stepped(tf.data.Dataset.from_tensors(batch).repeat())
        return parts | {"backward": max(whole - parts["augment"] - parts["forward"], 0.0)}

    def step_ms(self) -> float:
        """Whole steps: the input beside the computation."""
        with norms.fused(self._loop.net):
            return self._stepped(self._feed.train(0, 0, _ENDLESS))

    def memory(self) -> dict[str, float]:
        """Most MB that the process has taken, and the most of the first GPU where there is one."""
        taken = {"process": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
        if tf.config.list_logical_devices("GPU"):
            taken["gpu"] = tf.config.experimental.get_memory_info("GPU:0")["peak"] / 2**20
        return taken

    def about(self) -> dict[str, Any]:
        """What was measured, and on what."""
        return {
            "source": self._config["datasets"]["source"],
            "pictures": self.count,
            "odd": float(self.split.odd.mean()),
            "kind": self.split.kind,
            "batch_size": self.batch_size,
            "input_shape": list(self._model.input_shape[1:]),
            "steps": self._steps,
            "precision": self._recipe["precision"],
            "machine": runtime.machine(),
            "gpus": len(tf.config.list_logical_devices("GPU")),
        }

    def _resolved(self, source: Any) -> str:
        """`cache: auto` looks at the size of the whole split, of which only a part is read here."""
        height, width, channels = self._model.input_shape[1:]
        reader = Reader(source.split("train"), (height, width), channels, self._task.prepare)
        needed = cache.megabytes(source.split("train"), reader)
        wanted, limit = self._options.get("cache", "auto"), self._options.pop("cache_limit_mb", 1024)
        return cache.resolved(wanted, self._options.get("crop"), needed, limit)

    def _fed(self, source: Any) -> Feed:
        options = {**self._options, "cache": self.cache}
        return Feed(self._model, source, self._task, options=options, seed=self._seed)

    def _looped(self, source: Any) -> Loop:
        recipe = self._recipe
        facts = {"multi_label": source.multi_label, "gamma": recipe["gamma"]}
        return Loop(
            net=trainer.in_precision(self._model, recipe["precision"]),
            task=self._task,
            classes=len(source.classes),
            feed=self._feed,
            policy=augment.build(self._config.get("augment", {}).get("ops", ""), classes=len(source.classes)),
            losses=lambda net: self._task.losses(
                recipe["loss"], **tasks.accepted(self._task.losses, model=net, **facts)
            ),
            metrics=partial(tasks.metrics, self._config["task"], source),
            recipe=recipe,
            state=State(),
            run=None,
            seed=self._seed,
        )

    def _stepped(self, batches: tf.data.Dataset) -> float:
        """Milliseconds of a whole training step on batches."""
        train_step, elements = self._train_function(), iter(self._strategy.experimental_distribute_dataset(batches))
        with pipeline.clear_errors():
            return step_ms(lambda: train_step(elements), self._steps)

    def _train_function(self) -> Callable:
        names = ("epochs", "head_epochs", "unfreeze", "learning_rate")
        last = phases.plan(
            **{name: self._recipe[name] for name in names},
            head_learning_rate=self._recipe["head_learning_rate"] or self._recipe["learning_rate"],
        )[-1]
        with self._strategy.scope(), phases.momentum(self._model, self._recipe["batchnorm_momentum"]):
            phases.set_trainable(self._loop.net, last.trainable, batchnorm=self._recipe["batchnorm"])
            wrapped = self._loop.compiled(last, 0)
            wrapped.optimizer.build(self._loop.net.trainable_variables)
            wrapped.make_train_function()
        return wrapped.train_function


def _recipe(config: Mapping[str, Any]) -> dict[str, Any]:
    """What `train.fit` would work with: its defaults and the config."""
    keys = inspect.signature(train.fit).parameters.values()
    defaults = {key.name: key.default for key in keys if key.default is not inspect.Parameter.empty}
    return {**defaults, **config.get("train", {})}


def _some(split: Any, count: int, seed: int) -> Any:
    if len(split) <= count:
        return split
    return split.take(np.sort(np.random.default_rng(seed).permutation(len(split))[:count]))


def _on_device(image: tf.Tensor) -> tf.Tensor:
    gpus = tf.config.list_logical_devices("GPU")
    with tf.device(gpus[0].name if gpus else "CPU:0"):
        return tf.identity(image)
