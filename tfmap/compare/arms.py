"""What is compared: one key, several values, each a config of its own. No TensorFlow here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from tfmap import signatures
from tfmap.errors import InputError

# The data is no part of it: what learns or is judged on other pictures cannot be compared.
SECTIONS = ("pipeline", "augment", "model", "train")


def check(name: str, values: Sequence[Any], task: str = signatures.TASKS[0]) -> list[Any]:
    """The values as the type of their key.

    Args:
        name: of a config key.
        values: that it may have.
        task: whose keys.

    Raises:
        InputError: a key that cannot be compared, fewer than two values, one twice, or one of another type.
    """
    if name.partition(".")[0] not in SECTIONS:
        raise InputError(
            f"compare.key: {name!r} cannot be compared; expected a key of {', '.join(SECTIONS)}, such as augment.ops: "
            "all trainings must see the same data."
        )
    key = signatures.key(name, "compare.key", task)
    checked = [key.check(value, "compare.values") for value in values]
    texts = [json.dumps(value) for value in checked]
    if len(texts) < 2 or len(set(texts)) < len(texts):
        raise InputError(
            f"compare: expected two or more different values of {name}, received {', '.join(texts) or 'none'}. Give it "
            f"several times: {name}=... {name}=..."
        )
    return checked


def config_of(config: Mapping[str, Any], name: str, value: Any) -> dict[str, Any]:
    """The config with one value in its place; `config` itself is not changed."""
    section, _, short = name.partition(".")
    return {**config, section: {**config.get(section, {}), short: value}}


def folder_of(value: Any, seed: int) -> str:
    """Name of the folder of one training: the same in every start, whatever else is compared."""
    return f"{hashlib.sha256(json.dumps(value).encode()).hexdigest()[:8]}-seed{seed}"
