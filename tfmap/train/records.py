"""What a training leaves in the run folder beside the model: config, data, versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tfmap import config as configs
from tfmap import runtime
from tfmap.runs import Run
from tfmap.source import Source, Split


def write(run: Run, config: Mapping[str, Any], source: Source) -> None:
    """Write config.yaml, data.json, skipped.csv and versions.json, so that a run explains itself."""
    run.write_text("config.yaml", configs.dump({**config, "out": str(run.path)}))
    run.write_json("data.json", describe(source))
    run.write_rows("skipped.csv", ["path", "reason"], [[item.path, item.reason] for item in source.skipped])
    run.write_json("versions.json", runtime.versions())


def describe(source: Source) -> dict[str, Any]:
    """A data set in numbers: pictures per class and split, findings, files left out."""
    return {
        "source": source.id,
        "classes": list(source.classes),
        "multi_label": source.multi_label,
        "splits": {name: counts(split, source.classes) for name, split in source.splits.items()},
        "findings": {kind: list(lines) for kind, lines in source.findings.items()},
        "skipped": [[item.path, item.reason] for item in source.skipped],
    }


def counts(split: Split, classes: tuple[str, ...]) -> dict[str, int]:
    """Class name -> pictures that carry it."""
    per_class = (
        split.labels.sum(axis=0) if split.labels.ndim == 2 else np.bincount(split.labels, minlength=len(classes))
    )
    return {name: int(count) for name, count in zip(classes, per_class, strict=True)}
