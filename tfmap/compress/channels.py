"""Channel pruning: whole channels are taken out and the layers become smaller, so that any runtime is faster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import keras
import numpy as np

from tfmap.compress import bridge, channels_choice, channels_scores
from tfmap.compress.callbacks import check_finite
from tfmap.compress.channels_groups import Groups, groups
from tfmap.compress.channels_rebuild import flattened, shrunk
from tfmap.compress.finetune import Feed, FineTuning, fine_tune
from tfmap.compress.lessons import Lesson
from tfmap.errors import InputError

Score = Literal["taylor", "l1", "batchnorm"]
SCORES = ("taylor", "l1", "batchnorm")


def channels(
    model: keras.Model,
    feed: Feed,
    *,
    macs: float = 0.5,
    score: Score = "taylor",
    multiple: int = 8,
    keep: Sequence[str] = (),
    how: FineTuning | None = None,
) -> keras.Model:
    """Take channels out of a classifier and fine-tune what is left.

    Args:
        model: Keras 3 classifier: images (B, H, W, C), values 0..255 -> probabilities (B, K).
        feed: batches.
        macs: share of the multiply-adds to keep, in (0, 1): the most it may have afterwards, and it comes close.
        score: what says which channels go: "taylor" (the change of the loss on pictures of the training split), "l1"
            (magnitude of their filters) or "batchnorm" (scale of their batch norms).
        multiple: layers end with a multiple of so many channels, which kernels of runtimes want; those with fewer stay.
        keep: patterns of layer names whose channels stay. Channels of inputs and outputs always do.
        how: the fine-tuning.

    Returns:
        keras.Model: a new functional model with smaller layers of the same names; nested models are dissolved in it.

    Raises:
        InputError: a setting out of range, a share that cannot be reached, a pattern that no layer matches, weights or
            gradients that are no numbers, or a model that cannot be bridged or whose graph cannot be read.

    Source: Molchanov et al., 2019, and Liu et al., 2017, for the scores; Fang et al., 2023, for what belongs together.
    """
    how = how or FineTuning()
    cost = {"multi_label": how.multi_label, "lesson": how.lesson}
    small = without_channels(model, feed, macs=macs, score=score, multiple=multiple, keep=keep, **cost)
    legacy = bridge.to_tf_keras(small)
    fine_tune(legacy, feed, how, step="channels")
    return bridge.brought_home(legacy, small)


def without_channels(
    model: keras.Model,
    feed: Feed | None = None,
    *,
    macs: float = 0.5,
    score: Score = "taylor",
    multiple: int = 8,
    keep: Sequence[str] = (),
    multi_label: bool = False,
    lesson: Lesson | None = None,
) -> keras.Model:
    """The smaller model, not yet fine-tuned. It needs no bridge, so the model may have any layers.

    Args:
        model: a functional or Sequential model of fixed input size.
        feed: batches, which only score="taylor" looks at.
        macs: as in `channels`.
        score: as in `channels`.
        multiple: as in `channels`.
        keep: as in `channels`.
        multi_label: whether the outputs are independent classes.
        lesson: what is learnt by a model that is no classifier.
    """
    _check(macs, score, multiple)
    flat = flattened(model)
    check_finite(flat, "channels")
    found = groups(flat, keep)
    if not np.any(found.family >= 0):
        raise InputError(f"compress: channels finds none in model {model.name!r} that may go: nothing to take out.")
    worth = _worth(flat, found, feed, score, {"multi_label": multi_label, "lesson": lesson})
    cost = channels_choice.Cost(flat, found)
    return shrunk(flat, found, channels_choice.choose(found, cost, worth, macs=macs, multiple=multiple))


def _worth(flat: keras.Model, found: Groups, feed: Feed | None, score: str, told: dict[str, Any]) -> np.ndarray:
    if score != "taylor":
        return getattr(channels_scores, score)(flat, found)
    if feed is None:
        raise InputError("compress: channels(score='taylor') looks at pictures; give it a feed, or take score='l1'.")
    return channels_scores.taylor(flat, found, feed, **told)


def _check(macs: float, score: str, multiple: int) -> None:
    if not 0 < macs < 1:
        raise InputError(f"compress: macs must be in (0, 1), received {macs!r}; 0.5 keeps half of the multiply-adds.")
    if score not in SCORES:
        raise InputError(f"compress: score must be one of {', '.join(SCORES)}, received {score!r}.")
    if multiple < 1:
        raise InputError(f"compress: multiple must be at least 1, received {multiple!r}.")
