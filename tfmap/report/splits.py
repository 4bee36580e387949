"""What evaluation has found in each split, as the page shows it: whatever numbers, curves and pictures there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tfmap import curves
from tfmap.report import facts, pictures, plots
from tfmap.runs import Run
from tfmap.source import Source

MOST_MISTAKES = 24  # thumbnails of each split; mistakes.json holds the rest
SHARES = ("accuracy", "top_5", "subset_accuracy", "ece", "pixel_accuracy")
NUMBERS = {
    "accuracy": "accuracy",
    "top_5": "true class among the first five",
    "subset_accuracy": "every label right",
    "map": "mean average precision",
    "precision_macro": "precision, macro",
    "recall_macro": "recall, macro",
    "f1_macro": "F1, macro",
    "f1_weighted": "F1, weighted",
    "log_loss": "log loss",
    "ece": "expected calibration error",
    "mAP": "mAP, IoU 0.5 to 0.95",
    "mAP50": "mAP, IoU 0.5",
    "mAP75": "mAP, IoU 0.75",
    "mAP_small": "mAP, below 32 x 32 pixels",
    "mAP_medium": "mAP, up to 96 x 96 pixels",
    "mAP_large": "mAP, larger",
    "recall": "recall of the best 100 boxes",
    "f1": "F1 at the best threshold",
    "threshold": "that threshold",
    "mIoU": "mean IoU",
    "pixel_accuracy": "pixels right",
    "boundary_f1": "F1 of edges",
}
NOTHING = "nothing"  # the last row and column of a detector's confusions


def collect(run: Run, metrics: Mapping[str, Any], source: Source | None) -> list[dict[str, Any]]:
    """A dict per split for the page.

    Args:
        run: the run folder.
        metrics: split -> numbers.
        source: the data, for thumbnails; None where it cannot be read any more.
    """
    predictions, found = facts.predictions(run), []
    mistakes, drawn = (facts.read(run, name) or {} for name in ("mistakes.json", "curves.json"))
    for name, row in metrics.items():
        classes = [one["class"] for one in row["per_class"]]
        found.append(
            {
                "id": f"split-{name}",
                "name": facts.SPLIT_NAMES.get(name, name),
                "metrics": row,
                "numbers": _numbers(row),
                **_confusion(row, classes),
                "columns": [key for key in row["per_class"][0] if key != "class"],
                "plots": _plots(drawn.get(name), *predictions.get(name, (None, None))),
                **_mistakes(run, name, mistakes.get(name, []), row, source),
            }
        )
    return found


def _numbers(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (text, f"{100 * row[key]:.1f}%" if key in SHARES else f"{row[key]:.3f}")
        for key, text in NUMBERS.items()
        if row.get(key) is not None
    ]


def _confusion(row: Mapping[str, Any], classes: list[str]) -> dict[str, Any]:
    """The matrix as a picture, and its largest entries; neither where a picture has several labels."""
    matrix = row.get("confusion_matrix")
    if matrix is None or "subset_accuracy" in row:
        return {"confusion": None, "confusions": []}
    names = [*classes, NOTHING][: len(matrix)]
    return {"confusion": plots.confusion(matrix, names), "confusions": facts.confusions(matrix, names)}


def _plots(lines: Sequence[Mapping[str, Any]] | None, probabilities: Any, truths: Any) -> list[tuple[str, str, str]]:
    """Name, picture and caption of each curve."""
    sure = "Points under the dotted line: surer than right. Points above it: more often right than sure."
    found = []
    if lines:
        found.append(("Precision and recall", plots.precision_recall(lines), "Each class against the rest."))
    if lines and "auc" in lines[0]:
        found.append(("ROC", plots.roc(lines), "Each class against the rest."))
    if lines and "f1" in lines[0]:
        found.append(("F1 and threshold", plots.f1(lines), "How good boxes are from each score on."))
    if probabilities is not None:
        found.append(("Reliability", plots.reliability(curves.reliability(probabilities, truths)), sure))
    return found


def _mistakes(
    run: Run, name: str, rows: Sequence[Mapping[str, Any]], row: Mapping[str, Any], source: Source | None
) -> dict[str, Any]:
    """Thumbnails of wrong labels, or the sheet of the worst pictures."""
    single = "accuracy" if "subset_accuracy" not in row else "subset_accuracy"
    sheet = run.file(f"worst_{name}.png")
    if single not in row:
        return {"mistakes": [], "below": "", "wrong": 0, "sheet": pictures.embedded(sheet) if sheet.is_file() else None}
    worst = rows[:MOST_MISTAKES]
    ids = [one["id"] for one in worst]
    below, thumbnails = facts.common_folder(ids), pictures.thumbnails(source.splits.values() if source else (), ids)
    shown = [{**one, "short": one["id"][len(below) :], "picture": thumbnails.get(one["id"])} for one in worst]
    return {"mistakes": shown, "below": below, "wrong": round((1 - row[single]) * row["examples"]), "sheet": None}
