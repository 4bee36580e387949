"""What a classifier learns from: how its probabilities differ from what the labels say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

EPSILON = 1e-7  # keeps a logarithm of a probability finite in float32


def log_odds(priors: Sequence[float], multi_label: bool) -> np.ndarray:
    """float32 (K,): what the priors add to a logit."""
    priors = np.asarray(priors, "float32")
    return np.log(priors) - (np.log1p(-priors) if multi_label else 0)


def shifted(probabilities: Any, shift: np.ndarray, multi_label: bool) -> Any:
    """The probabilities of the logits plus `shift`, computed from the probabilities."""
    if multi_label:
        odds = ops.log(probabilities) - ops.log1p(-probabilities) + shift
        return ops.clip(ops.sigmoid(odds), EPSILON, 1.0 - EPSILON)
    return ops.clip(ops.softmax(ops.log(probabilities) + shift), EPSILON, 1.0 - EPSILON)


def exclusive(y_true: Any, y_pred: Any, power: float) -> Any:
    """Cross-entropy of exclusive classes, float32 (B, K) twice -> (B, K); `power` above 0 turns to the hard ones."""
    hardness = ops.power(1.0 - y_pred, power) if power else 1.0
    return -y_true * hardness * ops.log(y_pred)


def independent(y_true: Any, y_pred: Any, power: float) -> Any:
    """The same of classes that may come together."""
    hard_yes = ops.power(1.0 - y_pred, power) if power else 1.0
    hard_no = ops.power(y_pred, power) if power else 1.0
    return -(y_true * hard_yes * ops.log(y_pred) + (1.0 - y_true) * hard_no * ops.log(1.0 - y_pred))
