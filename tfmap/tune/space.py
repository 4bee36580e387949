"""The search space: config keys and what each may be.

    train.learning_rate: {min: 1e-4, max: 1e-2, log: true}     any number between, even on a logarithmic scale
    train.epochs: {min: 10, max: 30, step: 5}                  10, 15, 20, 25 or 30
    augment.ops: ["", "flip", "rrc(0.3,1)|flip"]               one of these
    model.backbone: [mobilenet_v1_025, mobilenet_v3_small]

A grid search cuts a range without a step in ten.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tfmap import signatures
from tfmap.errors import InputError, did_you_mean

# What a trial may change. The data is no part of it: trials that validate on other pictures cannot be compared.
SECTIONS = ("pipeline", "augment", "model", "train")
_GRAMMAR = "a list of choices or {min:, max:, log: true | step:}"


@dataclass(frozen=True)
class Dimension:
    """One key of a space.

    Attributes:
        key: the config key.
        choices: the values it may have; empty for a range.
        low: least value of a range.
        high: greatest value of a range.
        log: whether the range is searched evenly on a logarithmic scale.
        step: distance of two values of a range, if it is not continuous.
    """

    key: signatures.Key
    choices: tuple[Any, ...] = ()
    low: float = 0
    high: float = 0
    log: bool = False
    step: float | None = None

    @property
    def numeric(self) -> bool:
        """Whether the choices are all int or all float, so that an optimiser may use their order."""
        return {type(choice) for choice in self.choices} in ({int}, {float})

    def declare(self, hp: Any) -> None:
        """Add this dimension to keras-tuner's HyperParameters, which know numbers and texts only."""
        name = self.key.name
        if self.choices and self.numeric:
            hp.Choice(name, list(self.choices))
        elif self.choices:
            hp.Choice(name, [json.dumps(choice) for choice in self.choices], ordered=False)
        else:
            of = hp.Int if isinstance(self.low, int) and isinstance(self.high, int) else hp.Float
            of(name, self.low, self.high, step=self.step, sampling="log" if self.log else "linear")

    def described(self) -> Any:
        """The dimension as it may stand in a config."""
        if self.choices:
            return list(self.choices)
        given = {"min": self.low, "max": self.high, "log": self.log or None, "step": self.step}
        return {name: value for name, value in given.items() if value is not None}

    def value(self, drawn: Any) -> Any:
        """The config value that stands behind a value which keras-tuner has drawn."""
        return self.key.check(json.loads(drawn) if isinstance(drawn, str) else drawn, "tune.space")


def parse(space: Mapping[str, Any], task: str = signatures.TASKS[0]) -> list[Dimension]:
    """The dimensions of a space.

    Args:
        space: config key -> its values.
        task: whose keys.

    Raises:
        InputError: an unknown key, one that no trial may change, a value of another type, or a range that is none.
    """
    if not isinstance(space, Mapping) or not space:
        raise InputError(f"tune.space must map config keys to {_GRAMMAR}, received {space!r}.")
    return [_dimension(_searchable(str(name), task), values) for name, values in space.items()]


def _searchable(name: str, task: str) -> signatures.Key:
    section = name.partition(".")[0]
    if section in signatures.SECTIONS and section not in SECTIONS:
        raise InputError(
            f"tune.space: {name!r} cannot be searched: trials differ in {', '.join(SECTIONS)} alone, so that all are "
            "measured on the same pictures."
        )
    return signatures.key(name, "tune.space", task)


def _dimension(key: signatures.Key, values: Any) -> Dimension:
    if isinstance(values, (list, tuple)) and values:
        return Dimension(key, tuple(key.check(value, "tune.space") for value in values))
    if isinstance(values, Mapping):
        return _range(key, values)
    raise InputError(f"tune.space: {key.name} must be {_GRAMMAR}, received {values!r}.")


def _range(key: signatures.Key, values: Mapping[str, Any]) -> Dimension:
    known = ("min", "max", "log", "step")
    for name in values:
        if name not in known:
            hint = did_you_mean(name, known)
            raise InputError(f"tune.space: {key.name} has an unknown field {name!r}. Known: {', '.join(known)}.{hint}")
    low, high = (_number(key, values, name) for name in ("min", "max"))
    log, step = values.get("log", False), _number(key, values, "step") if values.get("step") is not None else None
    if not isinstance(log, bool) or (log and step is not None):
        raise InputError(f"tune.space: {key.name}: log must be true or false, and excludes step; received {values!r}.")
    if not low < high or (log and low <= 0) or (step is not None and not 0 < step <= high - low):
        raise InputError(
            f"tune.space: {key.name} must have min < max, min > 0 with log, and 0 < step <= max - min; "
            f"received {dict(values)!r}."
        )
    return Dimension(key, (), low, high, log, step)


def _number(key: signatures.Key, values: Mapping[str, Any], name: str) -> Any:
    value = values.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InputError(f"tune.space: {key.name} needs {name}: a number, received {value!r}.")
    return key.check(value, "tune.space")


def default(config: Mapping[str, Any]) -> dict[str, Any]:
    """The space that is searched when none is given, of what the task can set.

    The backbone is part of it where the config names none, so that a search never fetches weights nobody asked for.
    """
    space: dict[str, Any] = {
        "train.learning_rate": {"min": 3e-4, "max": 1e-2, "log": True},
        "train.weight_decay": {"min": 1e-3, "max": 0.3, "log": True},
        "train.unfreeze": [True, "P3", "P4"],
        "augment.ops": ["", "flip", "rrc(0.5,1)|flip", "rrc(0.5,1)|flip|color(.3)|mixup(.2)"],
        "model.dropout": {"min": 0.0, "max": 0.5},
    }
    if "backbone" not in config.get("model", {}):
        space["model.backbone"] = ["mobilenet_v1_025", "mobilenet_v3_small", "efficientnet_v2_b0"]
    known = signatures.keys("model", config.get("task", signatures.TASKS[0]))
    return {name: values for name, values in space.items() if not name.startswith("model.") or name[6:] in known}


def check_epochs(dimensions: list[Dimension], algorithm: str, epochs: int | None) -> None:
    """Refuse a search in which two settings decide how long a trial trains.

    Raises:
        InputError: train.epochs is searched, while hyperband or tune.epochs sets it.
    """
    if (algorithm == "hyperband" or epochs is not None) and any(d.key.name == "train.epochs" for d in dimensions):
        raise InputError(
            "tune.space: train.epochs cannot be searched while tune.epochs or algorithm hyperband sets it. "
            "Leave one of the two out."
        )


def apply(config: Mapping[str, Any], dimensions: list[Dimension], drawn: Mapping[str, Any]) -> dict[str, Any]:
    """The config of a trial: `config` with the drawn values in their places; `config` itself is not changed."""
    changed = {name: dict(value) if isinstance(value, Mapping) else value for name, value in config.items()}
    for dimension in dimensions:
        section, _, short = dimension.key.name.partition(".")
        changed.setdefault(section, {})[short] = dimension.value(drawn[dimension.key.name])
    return changed
