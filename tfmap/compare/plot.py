"""A comparison as a picture: a dot per training, a bar at the mean."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tfmap.signatures import as_yaml

_PANELS = {"accuracy": "validation accuracy, %", "f1_macro": "macro F1, %", "gap": "training - validation accuracy, %"}
_STYLE = {"font.size": 10, "text.parse_math": False, "axes.spines.top": False, "axes.spines.right": False}


def draw(rows: Sequence[dict[str, Any]], summary: Sequence[dict[str, Any]], key: str, path: Path) -> None:
    """Write a PNG with a panel for accuracy, F1 and the gap; values from top to bottom in the order given.

    Args:
        rows: a dict per training.
        summary: a dict per value, see `results.summary`.
        key: the config key that was compared.
        path: file to write.
    """
    names = [_wrapped(as_yaml(about["value"])) for about in summary]
    lines = sum(name.count("\n") + 2 for name in names)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(11, 1.2 + 0.22 * lines), layout="constrained", dpi=120)
        panels = figure.subplots(1, len(_PANELS), sharey=True)
        for axes, (number, title) in zip(panels, _PANELS.items(), strict=True):
            _panel(axes, rows, summary, number)
            axes.set_xlabel(title)
        panels[0].set_yticks(range(len(names)), names)
        panels[0].set_ylim(len(names) - 0.5, -0.5)
        panels[0].set_ylabel(key)
        figure.savefig(path, format="png", metadata={"Software": None})


def _panel(axes: Axes, rows: Sequence[dict[str, Any]], summary: Sequence[dict[str, Any]], number: str) -> None:
    for place, about in enumerate(summary):
        values = [100 * row[number] for row in rows if row["value"] == about["value"]]
        axes.plot(values, [place] * len(values), "o", color="#0072b2", alpha=0.6, markersize=6)
        axes.plot([100 * about[number]["mean"]] * 2, [place - 0.3, place + 0.3], color="#d55e00", linewidth=2)
    axes.grid(axis="x", color="#e6e6e6")
    axes.set_axisbelow(True)


def _wrapped(text: str, width: int = 34) -> str:
    """The text in lines; broken behind a bar, a comma or a space."""
    lines = [""]
    for piece in re.split(r"(?<=[|, ])", text):
        if lines[-1] and len(lines[-1]) + len(piece) > width:
            lines.append("")
        lines[-1] += piece
    return "\n".join(lines)
