"""The ways to a small file as a picture: what each loses, weighs and takes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

_STYLE = {"font.size": 10, "text.parse_math": False, "axes.spines.top": False, "axes.spines.right": False}
_COLOURS = {True: "#0072b2", False: "#999999"}


def draw(result: Mapping[str, Any], path: Path) -> None:
    """Write a PNG: size and latency against the points lost; filled dots are on the front, the ring is the best.

    Args:
        result: what `shrink` returns.
        path: file to write.
    """
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(11, 4.2), layout="constrained", dpi=120)
        left, right = figure.subplots(1, 2, sharey=True)
        _panel(left, result, [point["gzip_bytes"] / 1000 for point in result["points"]], "kB after gzip")
        _panel(right, result, [point["latency_ratio"] for point in result["points"]], "latency, float32 = 1")
        left.set_ylabel("points lost")
        figure.savefig(path, format="png", metadata={"Software": None})


def _panel(axes: Any, result: Mapping[str, Any], across: list[float], title: str) -> None:
    axes.axhline(result["budget"], color="#d55e00", linewidth=1, linestyle="--")
    for x, point in zip(across, result["points"], strict=True):
        y, error, colour = point["drop_points"], point.get("drop_error") or 0.0, _COLOURS[point["front"]]
        axes.errorbar([x], [y], yerr=[error], fmt="o", color=colour, markersize=7, elinewidth=0.8, capsize=3)
        if point["name"] == result["best"]:
            axes.plot(
                [x], [y], "o", markersize=15, markerfacecolor="none", markeredgecolor="#d55e00", markeredgewidth=1.6
            )
        axes.annotate(point["name"], (x, y), xytext=(8, 6), textcoords="offset points", fontsize=9)
    axes.margins(x=0.22, y=0.2)
    axes.set_xlabel(title)
    axes.grid(color="#e6e6e6")
    axes.set_axisbelow(True)
