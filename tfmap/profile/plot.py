"""The picture of a profile: two bars, what prepares a step and what computes it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito's palette: told apart with any colour vision.
_COLOURS = {
    "read": "#0072b2",
    "decode": "#56b4e9",
    "resize": "#009e73",
    "batch": "#e69f00",
    "transfer": "#8c6d31",
    "augment": "#cc79a7",
    "forward": "#d55e00",
    "backward": "#7f7f7f",
}
_SIDES = {"input": ("read", "decode", "resize", "batch"), "compute": ("transfer", "augment", "forward", "backward")}
_STYLE = {"font.size": 10, "svg.fonttype": "none", "svg.hashsalt": "tfmap", "text.parse_math": False}
_ROOM = 0.045  # of the width: a part that is narrower has no room for its number


def draw(found: Mapping[str, Any], path: Path) -> None:
    """Draw a profile.

    Args:
        found: what `profile` returns.
        path: where to; the suffix names the format.
    """
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(8.0, 3.0), layout="constrained", dpi=150)
        axes = figure.subplots()
        _bars(axes, found)
        axes.axvline(found["step_ms"], color="black", linestyle=":", linewidth=1.2)
        top = (found["step_ms"], 1.0)
        axes.annotate(" whole step", top, xycoords=("data", "axes fraction"), va="top", fontsize=9)
        about, rates = found["about"], found["rates"]
        axes.set_title(
            f"{about['source']}: {about['batch_size']} pictures a step, {rates['step']:.0f} a second; "
            f"the {found['limit']} limits",
            fontsize=10,
            loc="left",
        )
        axes.set_xlabel("milliseconds a step")
        axes.spines[["top", "right"]].set_visible(False)
        figure.legend(loc="outside lower center", ncols=8, fontsize=8, frameon=False, handlelength=1)
        figure.savefig(path, metadata={} if path.suffix == ".png" else {"Date": None})


def _bars(axes: Axes, found: Mapping[str, Any]) -> None:
    kept = found["cache"] != "none"
    most = max(found["step_ms"], *(sum(found["parts"][p]["ms"] for p in parts) for parts in _SIDES.values()))
    names = []
    for row, (side, parts) in enumerate(_SIDES.items()):
        left, once = 0.0, kept and side == "input"
        names.append(f"{side}, once\n(then kept: {found['input_ms']:.1f} ms)" if once else side)
        for part in parts:
            width = found["parts"][part]["ms"]
            axes.barh(row, width, left=left, color=_COLOURS[part], label=part, alpha=0.45 if once else 1.0)
            if width > _ROOM * most:
                axes.text(left + width / 2, row, f"{width:.0f}", ha="center", va="center", color="white", fontsize=9)
            left += width
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.75)
    axes.set_xlim(0, 1.15 * most)
