"""The ways to a small file, from cheap to dear. Read without TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tfmap.errors import InputError, did_you_mean


@dataclass(frozen=True)
class Rung:
    """One way.

    Attributes:
        name: of its folder.
        recipe: of compress; empty where the trained model is exported as it is.
        export: further keys of export.
        helps: what it does better than the ways before it: accuracy, size, latency.
    """

    name: str
    recipe: str = ""
    export: dict[str, Any] = field(default_factory=dict)
    helps: tuple[str, ...] = ()

    @property
    def settings(self) -> list[str]:
        """What one would add on the command line."""
        compress = [f"compress.recipe={self.recipe}"] if self.recipe else []
        return compress + [f"export.{key}={value}" for key, value in self.export.items()]


RUNGS = (
    Rung("int8", helps=("accuracy", "size", "latency")),
    Rung("float4", export={"keep_float": 4}, helps=("accuracy",)),
    Rung("qat", "qat", helps=("accuracy",)),
    Rung("prune50", "prune(0.5)", helps=("size",)),
    Rung("prune50_qat", "prune(0.5)|qat", helps=("size",)),
    Rung("prune50_cluster16_qat", "prune(0.5)|cluster(16)|qat", helps=("size",)),
    Rung("channels50", "channels(0.5)", helps=("size", "latency")),
    Rung("channels50_distill", "channels(0.5)|distill", helps=("size", "latency")),
)


_INT4, _DYNAMIC = {"format": "int4"}, {"format": "dynamic"}
LADDERS = {
    "int8": RUNGS,
    "int4": (
        Rung("int4", export=_INT4, helps=("accuracy", "size", "latency")),
        Rung("low_bits", "low_bits", _INT4, helps=("accuracy",)),
        Rung("prune50_low_bits", "prune(0.5)|low_bits", _INT4, helps=("size",)),
        Rung("channels50_low_bits", "channels(0.5)|low_bits", _INT4, helps=("size", "latency")),
    ),
    "dynamic": (
        Rung("dynamic", export=_DYNAMIC, helps=("accuracy", "size", "latency")),
        Rung("prune50", "prune(0.5)", _DYNAMIC, helps=("size",)),
        Rung("prune50_cluster16", "prune(0.5)|cluster(16)", _DYNAMIC, helps=("size",)),
        Rung("channels50", "channels(0.5)", _DYNAMIC, helps=("size", "latency")),
    ),
}


def chosen(names: Sequence[str] | None, target: str = "int8") -> tuple[Rung, ...]:
    """The rungs of these names, all of them for None.

    Args:
        names: of rungs.
        target: which ladder, a key of LADDERS.

    Raises:
        InputError: an unknown name, or none at all.
    """
    rungs = LADDERS[target]
    if names is None:
        return rungs
    known = {rung.name: rung for rung in rungs}
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known)
            raise InputError(f"shrink.rungs: unknown way {name!r} to {target}. Known: {', '.join(known)}.{hint}")
    if not names:
        raise InputError(f"shrink.rungs is empty. Known: {', '.join(known)}.")
    return tuple(known[name] for name in names)
