"""The model card: sentences made of what the run folder says, and of nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tfmap.report.facts import SPLIT_NAMES

FEW = 30  # examples of a class below which its recall is known to no better than about 18 points either way
MANY = 12  # classes that a sentence can list
# number of a score -> what the card says of it
_SAID = {
    "accuracy": "accuracy {:.1%}",
    "f1_macro": "macro F1 {:.3f}",
    "map": "mAP {:.3f}",
    "ece": "calibration error {:.1%}",
    "mAP": "mAP {:.3f}",
    "mAP50": "mAP at IoU 0.5 {:.3f}",
    "mIoU": "mean IoU {:.3f}",
    "pixel_accuracy": "pixels right {:.1%}",
    "boundary_f1": "F1 of edges {:.3f}",
}


def model_card(facts: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """The model card of a run.

    Args:
        facts: "data" (data.json), "metrics" (split -> numbers), "model" (input, parameters, backbone, weights,
            seed, keep) and "epochs" (rows of the history); data may be None, metrics empty.

    Returns:
        list: (heading, sentences); a heading without facts is left out.

    Source: Mitchell et al., Model Cards for Model Reporting, 2019 (the headings).
    """
    parts = [
        ("Intended use", _use(facts)),
        ("Model and training", _training(facts)),
        ("Data", _data(facts["data"])),
        ("Metrics", _metrics(facts["metrics"])),
        ("Limits", _limits(facts)),
    ]
    return [(heading, sentences) for heading, sentences in parts if sentences]


def _use(facts: Mapping[str, Any]) -> list[str]:
    data = facts["data"]
    if not data:
        return []
    if data.get("multi_label"):
        return [
            f"Says for each of {len(data['classes'])} classes whether a picture shows it: {_listed(data['classes'])}."
        ]
    return [
        f"Says which one of {len(data['classes'])} classes a picture shows: {_listed(data['classes'])}.",
        "It knows no other answer: a picture of anything else is given one of these classes too.",
    ]


def _training(facts: Mapping[str, Any]) -> list[str]:
    model = facts["model"]
    size, weights = " x ".join(map(str, model["input"])), model["weights"] or "none (random)"
    found = [
        f"Backbone {model['backbone']}, {model['parameters']:,} parameters in all, pictures of {size}; "
        f"initial weights: {weights}."
    ]
    if facts["epochs"]:
        found.append(f"Trained for {facts['epochs']} epochs with seed {model['seed']}.")
    return found


def _data(data: Mapping[str, Any] | None) -> list[str]:
    if not data:
        return []
    sizes = [f"{sum(split.values()):,} {SPLIT_NAMES.get(name, name)}" for name, split in data["splits"].items()]
    what = "labels" if data.get("multi_label") else "pictures"
    found = [f"{data['source']}: {', '.join(sizes)} {what}."]
    if data.get("skipped"):
        found.append(f"Files left out: {len(data['skipped'])}; they are listed under Data.")
    return found


def _metrics(metrics: Mapping[str, Any]) -> list[str]:
    found = []
    for name, row in metrics.items():
        known = [text.format(row[key]) for key, text in _SAID.items() if row.get(key) is not None]
        pictures = f"{SPLIT_NAMES.get(name, name).capitalize()} ({row['examples']:,} pictures)"
        found.append(f"{pictures}: {', '.join(known)}.")
    return found


def _limits(facts: Mapping[str, Any]) -> list[str]:
    metrics, found = facts["metrics"], []
    if not metrics:
        return []
    if "test" not in metrics and facts["model"].get("keep") == "last":
        found.append("No test split was set apart; the last epoch was kept, so validation did not choose it.")
    elif "test" not in metrics:
        found.append(
            "The validation pictures also chose the best epoch, so these numbers lean to the good side; "
            "no test split was set apart."
        )
    name, row = next(reversed(metrics.items()))
    found += _weak(row["per_class"], SPLIT_NAMES.get(name, name))
    findings = (facts["data"] or {}).get("findings") or {}
    if findings:
        counts = ", ".join(f"{kind.replace('_', ' ')} ({len(lines)})" for kind, lines in findings.items())
        found.append(f"Findings in the data: {counts}.")
    return [*found, "Nothing outside these splits was measured."]


def _weak(per_class: Sequence[Mapping[str, Any]], split: str) -> list[str]:
    per_class = [row for row in per_class if "support" in row]
    known = [row for row in per_class if row["recall"] is not None]
    found = []
    if known:
        low = min(known, key=lambda row: row["recall"])
        found.append(
            f"Weakest class: {low['class']} is found in {low['recall']:.1%} of its {low['support']} {split} pictures."
        )
    few = [row["class"] for row in per_class if row["support"] < FEW]
    if few:
        found.append(f"Fewer than {FEW} {split} pictures, so known only roughly: {_listed(few)}.")
    return found


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:MANY])
    return f"{shown} and {len(names) - MANY} more" if len(names) > MANY else shown
