"""Numbers -> pictures: SVG drawn by matplotlib, each a data URI that an <img> shows without a network."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito's palette: told apart with any colour vision, and on a grey print.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d31", "#000000", "#7f7f7f", "#6a3d9a")
STYLE = {
    "font.family": "sans-serif",
    "font.size": 10,
    "text.parse_math": False,  # a class named "a$b$" is a name, not a formula
    "svg.fonttype": "none",  # text stays text: small, sharp, and in the reader's fonts for any script
    "svg.hashsalt": "tfmap",  # the same numbers give the same bytes
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#888888",
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "axes.axisbelow": True,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
}
NO_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))
MOST_NAMED = 10  # curves with a colour and a name of their own
MOST_COUNTED = 99_999  # beyond it a cell shows its share
MOST_NUMBERED = 25  # classes up to which a cell has room for its number
MOST_TICKED = 60


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    with warnings.catch_warnings():
        # matplotlib measures text in its own font; the browser draws it in one that has the glyph
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(buffer, format="svg", metadata=NO_METADATA)
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue().encode()).decode()


def learning_curves(history: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """One plot per column of a history, each with its validation twin; phases are marked.

    Args:
        history: a dict per epoch; values are numbers, or None where there is none; "phase" is a text.

    Returns:
        list: (title, data URI).
    """
    skipped = ("epoch", "phase", "seconds", "learning_rate")
    columns = list(dict.fromkeys(key.removeprefix("val_") for row in history for key in row if key not in skipped))
    columns.append("learning_rate")
    return [(name.replace("_", " "), _history(history, name)) for name in columns if _any(history, name)]


def _any(history: Sequence[Mapping[str, Any]], name: str) -> bool:
    return any(row.get(key) is not None for row in history for key in (name, f"val_{name}"))


def _history(history: Sequence[Mapping[str, Any]], name: str) -> str:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.6, 3.1), layout="constrained")
        axes = figure.subplots()
        epochs = np.arange(1, len(history) + 1)
        for key, label, colour in ((name, "training", COLOURS[0]), (f"val_{name}", "validation", COLOURS[1])):
            values = [row.get(key) for row in history]
            if any(value is not None for value in values):
                numbers = np.array([np.nan if value is None else value for value in values], float)
                axes.plot(epochs, numbers, label=label, color=colour, marker="o", markersize=3)
        _mark_phases(axes, [str(row.get("phase") or "") for row in history])
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        if len(axes.get_legend_handles_labels()[1]) > 1:
            axes.legend(loc="best")
        return _svg(figure)


def _mark_phases(axes: Axes, phases: Sequence[str]) -> None:
    starts = [i for i in range(len(phases)) if i == 0 or phases[i] != phases[i - 1]]
    for i in starts if len(starts) > 1 else []:
        if i:
            axes.axvline(i + 0.5, color="#888888", linewidth=0.8, linestyle=":", label="_phase")
        axes.annotate(
            phases[i], (i + 0.6, 1), xycoords=("data", "axes fraction"), fontsize=8, color="#555555", va="bottom"
        )


def confusion(matrix: Sequence[Sequence[int]], classes: Sequence[str]) -> str:
    """A heat map of K x K counts, rows truths; colour is the share of the row. Data URI."""
    counts = np.asarray(matrix)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = float(np.clip(0.55 * len(classes), 4.4, 11.0))
    with mpl.rc_context({**STYLE, "axes.grid": False}):
        figure = Figure(figsize=(side + 1.2, side + 1.0), layout="constrained")
        axes = figure.subplots()
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        axes.set(xlabel="predicted", ylabel="truth")
        ticks = range(len(classes)) if len(classes) <= MOST_TICKED else []
        names = [_short(name) for name in classes] if len(classes) <= MOST_TICKED else []
        size = 10 if len(classes) <= MOST_NUMBERED else 6
        axes.set_xticks(ticks, names, rotation=45, ha="right", rotation_mode="anchor", fontsize=size)
        axes.set_yticks(ticks, names, fontsize=size)
        for row, column in np.argwhere(counts > 0) if len(classes) <= MOST_NUMBERED else ():
            dark = shares[row, column] > 0.55
            colour = "white" if dark else "#1a1a1a"
            share, count = shares[row, column], counts[row, column]
            text = f"{share:.1%}" if counts.max() > MOST_COUNTED else str(count)  # pixels are too many to read
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=9)
        return _svg(figure)


def precision_recall(curves: Sequence[Mapping[str, Any]]) -> str:
    """Precision-recall curves of `tfmap.curves.curves`, one line per class. Data URI."""
    return _lines(curves, "recall", "precision", "average_precision", diagonal=False)


def f1(curves: Sequence[Mapping[str, Any]]) -> str:
    """F1 of `tfmap.detections.curves` over the threshold, one line per class. Data URI."""
    there = [curve for curve in curves if curve["f1"]]
    lines = [
        {**curve, "threshold": np.linspace(0, 1, len(curve["f1"])), "best F1": max(curve["f1"]), "F1": curve["f1"]}
        for curve in there
    ]
    return _lines(lines, "threshold", "F1", "best F1", diagonal=False)


def roc(curves: Sequence[Mapping[str, Any]]) -> str:
    """ROC curves of `tfmap.curves.curves`, one line per class. Data URI."""
    return _lines(curves, "false_positive_rate", "true_positive_rate", "auc", diagonal=True)


def _lines(curves: Sequence[Mapping[str, Any]], x: str, y: str, area: str, *, diagonal: bool) -> str:
    """One line per class; with many classes only the ten of the smallest area have a colour and a name."""
    # a class keeps its colour from plot to plot
    coloured = [(curve, COLOURS[k % len(COLOURS)]) for k, curve in enumerate(curves) if curve[area] is not None]
    known = sorted(coloured, key=lambda pair: pair[0][area])
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.6, 4.0), layout="constrained")
        axes = figure.subplots()
        if diagonal:
            axes.plot([0, 1], [0, 1], color="#999999", linewidth=0.8, linestyle=":")
        for curve, _ in known[MOST_NAMED:]:
            axes.plot(curve[x], curve[y], color="#cccccc", linewidth=0.6)
        for curve, colour in known[:MOST_NAMED]:
            axes.plot(curve[x], curve[y], color=colour, label=f"{_short(curve['class'])}  {curve[area]:.3f}")
        # A single example makes the curve a corner; room on all sides keeps it visible.
        axes.set(xlabel=x.replace("_", " "), ylabel=y.replace("_", " "), xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
        if known:
            title = f"{area.replace('auc', 'AUC').replace('_', ' ')}, lowest first"
            axes.legend(title=title, loc="lower right" if diagonal else "lower left", fontsize=8, title_fontsize=8)
        return _svg(figure)


def reliability(bins: Sequence[Mapping[str, Any]]) -> str:
    """A reliability diagram of `tfmap.curves.reliability` bins: how often the model is right, by how sure it is."""
    full = [row for row in bins if row["count"]]
    most = max(row["count"] for row in full)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.6, 4.0), layout="constrained")
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color="#999999", linewidth=0.8, linestyle=":")
        width = bins[0]["high"] - bins[0]["low"]
        axes.bar(
            [row["low"] for row in full],
            [row["count"] / most for row in full],
            width=width,
            align="edge",
            color="#e3e9ef",
            label=f"examples (tallest: {most})",
        )
        axes.plot(
            [row["confidence"] for row in full], [row["accuracy"] for row in full], color=COLOURS[0], marker="o",
            label="share that is right",
        )  # fmt: skip
        axes.set(xlabel="confidence", ylabel="share", xlim=(-0.02, 1.02), ylim=(-0.02, 1.04))
        axes.legend(loc="upper left", fontsize=8)
        return _svg(figure)


def _short(name: str, most: int = 22) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"
