"""The ways to a small file as a picture: what each loses, weighs and takes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

_STYLE = {"font.size": 10, "text.parse_math": False, "axes.spines.top": False, "axes.spines.right": False}
_BUDGET, _COLOURS = "#d55e00", {True: "#0072b2", False: "#999999"}
_ACROSS = {
    "kB after gzip": lambda point: point["gzip_bytes"] / 1000,
    "latency, float32 = 1": lambda point: point["latency_ratio"],
}
_RING = {"linestyle": "", "marker": "o", "markersize": 15, "markerfacecolor": "none", "markeredgewidth": 1.6}
_NAME = {"fontsize": 9, "bbox": {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 0.3}}
_LINE = {"arrowstyle": "-", "color": "#666666", "linewidth": 0.6, "shrinkA": 0, "shrinkB": 4}
# where a name may stand beside its dot, in points of 1/72 inch: the nearest free place is taken
_PLACES = [(side * 9, sign * high) for high in (8, 20, 32, 44, 56, 68) for side in (1, -1) for sign in (1, -1)]


def draw(result: Mapping[str, Any], path: Path) -> None:
    """Write `figure` as a PNG.

    Args:
        result: what `shrink` returns.
        path: file to write.
    """
    figure(result).savefig(path, format="png", metadata={"Software": None})


@mpl.rc_context(_STYLE)
def figure(result: Mapping[str, Any]) -> Figure:
    """Size and latency against the points lost, a dot with its name for each way.

    Args:
        result: what `shrink` returns.
    """
    points = result["points"]
    drawn = Figure(figsize=(11, 4.6), layout="constrained", dpi=120)
    panels = drawn.subplots(1, 2, sharey=True)
    for axes, (title, across) in zip(panels, _ACROSS.items(), strict=True):
        _panel(axes, result, [across(point) for point in points])
        axes.set_xlabel(title)
    panels[0].set_ylabel(f"points of {points[0]['metric']['name']} lost")
    _legend(drawn, panels[0])
    drawn.draw_without_rendering()  # only now is it known where a dot stands
    for axes, across in zip(panels, _ACROSS.values(), strict=True):
        _names(axes, {point["name"]: (across(point), point["drop_points"]) for point in points})
    return drawn


def _panel(axes: Any, result: Mapping[str, Any], across: list[float]) -> None:
    axes.axhline(result["budget"], color=_BUDGET, linewidth=1, linestyle="--", label="budget")
    for x, point in zip(across, result["points"], strict=True):
        y, error, colour = point["drop_points"], point.get("drop_error") or 0.0, _COLOURS[point["front"]]
        label = "on the Pareto front" if point["front"] else "behind the Pareto front"
        axes.errorbar([x], [y], [error], fmt="o", color=colour, ms=7, elinewidth=0.8, capsize=3, label=label)
        if point["name"] == result["best"]:
            axes.plot([x], [y], color=_BUDGET, label=f"best by {result['optimise']}", **_RING)
    axes.margins(x=0.15, y=0.12)
    axes.grid(color="#e6e6e6")
    axes.set_axisbelow(True)


def _legend(figure: Figure, axes: Any) -> None:
    """What the marks mean, once each, above both panels."""
    handles, labels = axes.get_legend_handles_labels()
    known = dict(zip(labels, handles, strict=True))
    figure.legend(known.values(), known, loc="outside upper center", ncols=len(known), frameon=False)


def _names(axes: Any, dots: Mapping[str, tuple[float, float]]) -> None:
    """Write each name beside its dot, inside the panel and clear of dots and of other names, if there is room."""
    taken = [Bbox([at - 9, at + 9]) for at in axes.transData.transform([*dots.values()])]
    for name, dot in dots.items():
        text = axes.annotate(name, dot, (0, 0), textcoords="offset points", va="center", **_NAME)
        for place in _PLACES:
            text.set(position=place, ha="left" if place[0] > 0 else "right")
            box = text.get_window_extent()
            inside = axes.bbox.contains(*box.min) and axes.bbox.contains(*box.max)
            if inside and not box.count_overlaps(taken):
                break
        axes.annotate("", dot, place, textcoords="offset points", arrowprops=_LINE)
        taken.append(box)
