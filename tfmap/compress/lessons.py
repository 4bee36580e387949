"""What a network of boxes or masks learns again after it was made smaller: its task's loss, and its teacher's answers.

Classifiers need none of this: their labels and their teacher's opinions are mixed before the loss, see `finetune`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import keras
import tensorflow as tf
import tf_keras

from tfmap import tasks
from tfmap.compress import bridge
from tfmap.compress.recipe import Step
from tfmap.errors import InputError
from tfmap.tasks import taught
from tfmap.tasks.detectors import heads, tail

_INTEGERS = "which has no integer kernels"
_ONCE = {
    "qat": _INTEGERS,
    "low_bits": _INTEGERS,
    "distill": "which a teacher, who looks at others, says nothing of",
}


@dataclass(frozen=True)
class Lesson:
    """What is learnt.

    Attributes:
        network: the model as it is compressed: without a last layer that a phone computes in float, and with what the
            loss reads besides.
        targets: batch -> what is there.
        loss: (targets, the network's outputs) -> float32 (B,).
        imitation: (a teacher's outputs, the network's) -> float32 (B,); None where there is no teacher: a second look
            at boxes of one's own cannot be compared with a look at others.
        layer: the last layer that was left out, if one was.
        outputs: names of the model's own, where the network has more.
    """

    network: keras.Model
    targets: Callable[[Mapping[str, Any]], Any]
    loss: Callable[[Any, Any], Any]
    imitation: Callable[[Any, Any], Any] | None
    layer: heads.Boxes | None = None
    outputs: tuple[str, ...] = ()

    @property
    def exact(self) -> str:
        """The output that is not to be rounded, by its name; none if empty."""
        return tail.EXACT if self.layer else ""

    def finished(self, network: keras.Model) -> keras.Model:
        """A network like this one -> the model again."""
        if self.layer:
            return tail.mended(network, self.layer)
        if not self.outputs:
            return network
        return keras.Model(network.input, {name: network.output[name] for name in self.outputs}, name=network.name)

    def example(self, batch: Mapping[str, Any]) -> tuple[Any, Any, Any]:
        """(image float32 (B, H, W, C), targets, weight float32 (B,)) of a batch."""
        return tf.cast(batch["image"], tf.float32), self.targets(batch), batch["weight"]

    def cost(self, targets: Any, outputs: Any, opinion: Any = (), share: float = 0.0) -> Any:
        """Float32 (B,): the loss, a share of it replaced by the distance from an opinion, if there is one."""
        loss = self.loss(targets, outputs)
        if not (share and self.imitation and tf.nest.flatten(opinion)):
            return loss
        return loss + share * (self.imitation(opinion, outputs) - loss)


def of(task: ModuleType, model: keras.Model, classes: int) -> Lesson | None:
    """The lesson of a task; None where labels are learnt.

    Args:
        task: its module.
        model: what its `build` returned.
        classes: K.
    """
    if tasks.target(task) == "label":
        return None
    layer, twice = tail.boxes_of(model), tail.looks_twice(model)
    criterion = task.losses(**tasks.accepted(task.losses, model=model))
    network = tail.cut(model, also=getattr(criterion, "reads", ())) if layer else taught.said(model, criterion)
    _register(network)

    def seen(outputs: Any) -> Any:
        return {**outputs, "boxes": layer(outputs["codes"])} if layer else outputs

    def targets(batch: Mapping[str, Any]) -> Any:
        return task.targets(batch, classes=classes)

    return Lesson(
        network,
        targets,
        lambda truths, outputs: criterion(truths, seen(outputs)),
        None if twice else lambda theirs, ours: task.imitation(seen(theirs), seen(ours)),
        layer,
        tuple(model.output) if twice else (),
    )


def check(lesson: Lesson | None, steps: Sequence[Step]) -> None:
    """Refuse what a detector of two stages cannot do.

    Args:
        lesson: of the model.
        steps: of a recipe.

    Raises:
        InputError: a step that rounds for files of integers, or that learns from a teacher alone.
    """
    for step in steps:
        if lesson and lesson.imitation is None and step.name in _ONCE:
            raise InputError(
                f"compress: {lesson.network.name} looks a second time at boxes that it has worked out, "
                f"{_ONCE[step.name]}; received the step {step.name}. Use prune, cluster, low_rank or channels, and "
                "export.format=dynamic."
            )


def _register(model: keras.Model) -> None:
    """Layers of ours, none of which has weights, run in Keras 2 as they are."""
    for layer in model.layers:
        if type(layer).__module__.startswith("tfmap.") and not layer.weights:
            bridge.register(type(layer))


def teach(
    model: tf_keras.Model, lesson: Lesson, optimizer: tf_keras.optimizers.Optimizer, share: float
) -> tf_keras.callbacks.Callback:
    """Give a model its steps: `fit` takes (image, (targets, opinion), weight), `evaluate` (image, targets, weight).

    Keras would judge each output by a loss of its own; this one sees them all.

    Args:
        model: bridged from the lesson's network; its steps are replaced.
        lesson: what it learns.
        optimizer: new.
        share: of the teacher's opinion in the loss, 0..1.

    Returns:
        a callback that `fit` and `evaluate` need.
    """
    model.compile(optimizer, weighted_metrics=[])
    optimizer.build(model.trainable_variables)
    seen, judged = (tf_keras.metrics.Mean(name="loss") for _ in range(2))
    cost = tf.autograph.experimental.do_not_convert(lesson.cost)  # Keras 3's sources are no code for Keras 2

    def learn(data: Any) -> dict[str, Any]:
        image, (targets, opinion), weight = data
        with tf.GradientTape() as tape:
            loss = cost(targets, model(image, training=True), opinion, share)
            mean = tf.nn.compute_average_loss(loss, sample_weight=weight)
        optimizer.minimize(mean, model.trainable_variables, tape=tape)
        seen.update_state(loss, weight)
        return {"loss": seen.result()}

    def judge(data: Any) -> dict[str, Any]:
        image, targets, weight = data
        judged.update_state(cost(targets, model(image, training=False)), weight)
        return {"loss": judged.result()}

    model.train_step, model.test_step = learn, judge
    return _Anew(seen, judged)


class _Anew(tf_keras.callbacks.Callback):
    """Every epoch and every validation counts from zero."""

    def __init__(self, seen: tf_keras.metrics.Metric, judged: tf_keras.metrics.Metric) -> None:
        super().__init__()
        self.seen, self.judged = seen, judged

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.seen.reset_state()

    def on_test_begin(self, logs: dict | None = None) -> None:
        self.judged.reset_state()
