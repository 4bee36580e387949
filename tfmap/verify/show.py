"""What verify found, on a terminal: what a mobile team wants to see."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

SHOWN = 3  # layers that lose most


def show(found: Mapping[str, Any]) -> None:
    """Print a table of the file beside the model, and what else there is to say in a few lines."""
    console = Console()
    console.print(_table(found))
    for line in (*_lines(found), *(f"Found: {line}" for line in found["findings"])):
        console.print(line, highlight=False, markup=False)


def error(metric: Mapping[str, Any]) -> str:
    """The standard error of a drop; there is none for mAP."""
    return f" ± {metric['drop_error']:.2f}" if metric.get("drop_error") else ""


def _table(found: Mapping[str, Any]) -> Table:
    metric, file, reference, memory = found["metric"], found["file"], found["float32"], found["memory"]
    table = Table("", "Keras, float32 file", "this file", "change")
    change = f"{-metric['drop_points']:+.2f} points"
    table.add_row(metric["name"], f"{metric['keras']:.4f}", f"{metric['file']:.4f}", change)
    if "log_loss" in found["keras"]:
        table.add_row("log loss", *_pair(found["keras"]["log_loss"], found["file_metrics"]["log_loss"], "{:.4f}"))
    table.add_row("bytes", *_pair(reference["bytes"], file["bytes"], "{:,}"))
    table.add_row("bytes, gzip", *_pair(reference["gzip_bytes"], file["gzip_bytes"], "{:,}"))
    table.add_row("bytes of working memory", *_pair(memory["float32"], memory["file"], "{:,}"))
    for threads, times in found["latency_ms"].items():
        title = f"ms a picture, {threads} thread{'s' * (threads != '1')}"
        table.add_row(title, *_pair(times["float32"]["median"], times["file"]["median"], "{:.2f}"))
    return table


def _lines(found: Mapping[str, Any]) -> list[str]:
    metric, file = found["metric"], found["file"]
    tells = f" (they tell the change to{error(metric)} points)" if error(metric) else ""
    return [
        f"{found['examples']} pictures{tells}; {100 * found['agreement']:.2f}% decided alike; scores differ by at most "
        f"{found['difference']['max']:.4f}, {found['difference']['mean']:.5f} on average.",
        f"{file['format']} inside, {len(file['float_tensors'])} float tensors; in {file['input']['dtype']}, out "
        f"{file['output']['dtype']}; {100 * file['sparsity']:.1f}% of the weights are zero.",
        _runtimes(found["runtimes"]),
        f"{found['kernels']['compared']} of {found['kernels']['of']} kernels compared with the model's.",
        *_layers(found["layers"]),
        *_client(found["clients"]),
        *_client(found["browser"]),
    ]


def _runtimes(runtimes: Mapping[str, Any]) -> str:
    most, usual = (max(way[key] for way in runtimes["ways"]) for key in ("difference", "mean"))
    judged = " on average" if runtimes["judged"] == "mean" else ""
    return (
        f"With and without XNNPACK, with 1, 2 and 4 threads: scores differ by at most {most:.5f}, {usual:.5f} on "
        f"average (allowed: {runtimes['bound']:g}{judged})."
    )


def _layers(layers: Mapping[str, Any]) -> list[str]:
    if not layers["worst"]:
        return []
    worst = ", ".join(f"{row['op']} {_short(row['name'])} {row['sqnr_db']:.1f} dB" for row in layers["worst"][:SHOWN])
    return [f"Signal to noise of {layers['compared']} ops: {layers['median_db']:.1f} dB at the median; worst: {worst}."]


def _short(name: str) -> str:
    """A tensor's name without the model's; of an op that several layers were fused to, the last one's."""
    last = name.split(";")[-1]
    return (last.partition("/")[2] or last)[-40:]


def _client(client: Mapping[str, Any] | None) -> list[str]:
    if not client or client["difference"] is None:
        return []
    return [f"{client['client']}: the same answers, {difference(client)}."]


def difference(client: Mapping[str, Any]) -> str:
    """How far a client's answers are from ours, in words."""
    if client.get("unit") == "pixels":
        return f"all but {client['difference']:.3%} of a picture's pixels"
    places = f", boxes to an IoU of {client['overlap']:.3f}" if "overlap" in client else ""
    return f"scores to {client['difference']:.6f}{places}"


def _pair(before: float, after: float, form: str) -> tuple[str, str, str]:
    return form.format(before), form.format(after), f"x {after / before:.2f}" if before else ""
