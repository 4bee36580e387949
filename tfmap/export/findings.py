"""What was found while a file was made: in the file itself, and on the screen."""

from __future__ import annotations

import re
from typing import Any

import tfmap
from tfmap.export.order import Order

NOTED = 3  # warnings that the command prints


def origin(task: str, digest: str, *, several: bool, raw: bool, class_map: bool) -> dict[str, Any]:
    """Where a file comes from, and what it is, for its metadata.

    Args:
        task: name of the task.
        digest: of the data set; none is left out.
        several: whether a picture may have several labels.
        raw: whether it is a detector's file without suppression.
        class_map: whether it is a segmenter's file that gives classes.
    """
    about = {"task": task, "tfmap": tfmap.__version__}
    if digest:
        about["data"] = f"sha256:{digest}"
    said = {"multi_label": (several, True), "suppression": (raw, False), "class_map": (class_map, True)}
    return about | {name: value for name, (holds, value) in said.items() if holds}


def told(order: Order, found: dict[str, Any]) -> dict[str, Any]:
    """What the file says about how it was made and what its scores are worth, as keywords of `Metadata`.

    Args:
        order: what was asked for.
        found: see the argument watch of `tfmap.export.tflite`.
    """
    about: dict[str, Any] = {"format": order.format, "engine": order.made_by}
    if found.get("kept_float"):
        about["keep_float"] = found["kept_float"]
    if coverage := found.get("coverage"):
        about["coverage"] = {key: coverage[key] for key in ("pictures", "least_covered", "most_saturated")}
    if (threshold := found.get("threshold")) is not None:
        about["threshold"] = threshold
    if not (fitted := found.get("calibration")):
        return {"about": about}
    about["calibration"] = {key: fitted[key] for key in ("examples", "ece_before", "ece_after", "precision")}
    thresholds = tuple(row["threshold"] for row in fitted["classes"])
    return {"about": about, "temperature": fitted["temperature"], "thresholds": thresholds}


def notes(found: dict[str, Any]) -> list[str]:
    """What the command prints beside the file's size."""
    kept, coverage, fitted = (found.get(key) for key in ("kept_float", "coverage", "calibration"))
    layers = dict.fromkeys(_layer(tensor) for tensor in kept or () if "PartitionedCall" not in tensor)
    lines = [f"in float: {', '.join(layers)}"] if layers else []
    lines += _warnings(coverage) if coverage else []
    if "threshold" in found:
        lines.append(f"boxes are shown from a score of {found['threshold']:.2f} on: the best F1 on validation pictures")
    return lines + (_calibration(fitted) if fitted else [])


def _layer(tensor: str) -> str:
    """The layer that gives a tensor; of several that one op was fused of, the first. TensorFlow appends a number."""
    *scopes, op = tensor.partition(";")[0].split("/")
    return re.sub(r"_\d+$", "", scopes[-1]) if scopes else op.partition(":")[0]


def _warnings(coverage: dict[str, Any]) -> list[str]:
    more = len(coverage["warnings"]) - NOTED
    lines = [f"warning: {line}" for line in coverage["warnings"][:NOTED]]
    return lines + [f"warning: {more} more tensors like these, see export.json"] * (more > 0)


def _calibration(fitted: dict[str, Any]) -> list[str]:
    short = [row["class"] for row in fitted["classes"] if not row["reached"]]
    lines = [f"warning: no threshold is good enough for {', '.join(short)}, see export.json"] * bool(short)
    after = "unknown" if fitted["ece_after"] is None else f"{fitted['ece_after']:.3f}"
    return [
        *lines,
        f"calibration error {fitted['ece_before']:.3f}, {after} at temperature {fitted['temperature']:.2f}, "
        f"on {fitted['examples']} validation pictures",
    ]
