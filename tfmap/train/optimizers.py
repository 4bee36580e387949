"""AdamW and SGD with a rate per layer and weight decay on kernels alone; warm-up and cosine schedules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from tfmap.errors import InputError


class _LayerwiseRates:
    """Optimizer mixin: one factor on the learning rate of each variable, and decoupled weight decay where it belongs.

    Keras' own weight decay uses the same rate for every variable, so it is switched off and done here, at the rate of
    the variable.

    Args:
        factors: variable path -> factor on the learning rate; 1 for those that are not named.
        decay: decoupled weight decay per unit of learning rate, on variables of rank 2 and above.

    Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2019; Clark et al., ELECTRA, 2020, appendix A
    (rates that fall layer by layer).
    """

    def __init__(self, *args: Any, factors: Mapping[str, float] | None = None, decay: float = 0.0, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.factors = dict(factors or {})
        self.decay = decay
        self._factor_of: list[float] = []
        self._decays: list[bool] = []

    def build(self, variables: list[keras.Variable]) -> None:
        """Make the optimizer's variables, and look up what holds for each model variable once."""
        super().build(variables)
        self._factor_of = [self.factors.get(variable.path, 1.0) for variable in variables]
        self._decays = [self.decay > 0 and is_kernel(variable) for variable in variables]

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Decay, then the optimizer's own step, both at the variable's own rate."""
        index = self._get_variable_index(variable)
        rate = learning_rate * self._factor_of[index]
        if self._decays[index]:
            shrink = keras.ops.cast(rate * self.decay, variable.dtype)
            self.assign_sub(variable, variable * shrink)
        super().update_step(gradient, variable, rate)

    def get_config(self) -> dict[str, Any]:
        """Constructor arguments."""
        return {**super().get_config(), "factors": self.factors, "decay": self.decay}


@keras.saving.register_keras_serializable("tfmap")
class AdamW(_LayerwiseRates, keras.optimizers.Adam):
    """Adam with decoupled weight decay and a rate per layer."""


@keras.saving.register_keras_serializable("tfmap")
class SGD(_LayerwiseRates, keras.optimizers.SGD):
    """Momentum SGD with decoupled weight decay and a rate per layer."""


def is_kernel(variable: keras.Variable) -> bool:
    """Whether weight decay applies: matrices and convolution kernels, not biases and the scales and shifts of norms."""
    return len(variable.shape) >= 2


def build(
    name: str,
    *,
    schedule: keras.optimizers.schedules.LearningRateSchedule,
    factors: Mapping[str, float],
    weight_decay: float,
    clip_norm: float | None,
    accumulate: int,
) -> keras.optimizers.Optimizer:
    """An optimizer by name.

    Raises:
        InputError: an unknown name.
    """
    options = {
        "learning_rate": schedule,
        "global_clipnorm": clip_norm,
        "gradient_accumulation_steps": accumulate if accumulate > 1 else None,
        "factors": factors,
        "decay": weight_decay,
    }
    if name == "adamw":
        return AdamW(**options)
    if name == "sgd":
        return SGD(momentum=0.9, nesterov=True, **options)
    raise InputError(f"train.optimizer must be adamw or sgd, received {name!r}.")


def warmup_cosine(peak: float, *, steps: int, warmup: float) -> keras.optimizers.schedules.LearningRateSchedule:
    """A rate that rises linearly from 0 to `peak`, then falls along half a cosine to 0.

    Args:
        peak: highest learning rate.
        steps: batches in all.
        warmup: share of `steps` that rise, in [0, 1).

    Source: Loshchilov and Hutter, SGDR, 2017; Goyal et al., Accurate, Large Minibatch SGD, 2017, section 2.2.
    """
    rising = max(1, round(steps * warmup)) if warmup else 0
    if not rising:
        return keras.optimizers.schedules.CosineDecay(peak, decay_steps=steps)
    return keras.optimizers.schedules.CosineDecay(
        0.0, decay_steps=max(1, steps - rising), warmup_target=peak, warmup_steps=rising
    )
