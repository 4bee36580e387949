"""What the ways came to: the Pareto front, the best one, the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tfmap.runs import Run

# what a smaller number of is better; a point is on the front if no other is as good in all of them and better in one
AXES = ("drop_points", "gzip_bytes", "latency_ratio")
_ORDER = {"size": "gzip_bytes", "latency": "latency_ratio", "budget": "drop_points"}


def best(points: Sequence[Mapping[str, Any]], optimise: str) -> Mapping[str, Any] | None:
    """The point with the least of what is optimised among those that passed; None where none has."""
    passed = [point for point in points if point["passed"]]
    return min(passed, key=lambda point: point[_ORDER[optimise]], default=None)


def with_front(points: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The points, each with "front": whether no other point beats it."""
    return [{**point, "front": not any(_beats(other, point) for other in points)} for point in points]


def _beats(other: Mapping[str, Any], point: Mapping[str, Any]) -> bool:
    pairs = [(other[axis], point[axis]) for axis in AXES]
    return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)


def line(point: Mapping[str, Any]) -> str:
    """A point in a line."""
    verdict = "within the budget" if point["passed"] else "not published: " + " ".join(point["failures"])
    return (
        f"{point['name']}: {point['drop_points']:+.2f} points lost, {point['bytes']:,} bytes "
        f"({point['gzip_bytes']:,} gzip), latency x {point['latency_ratio']:.2f} of float32; {verdict}"
    )


def show(result: Mapping[str, Any], run: Run) -> None:
    """Print every way, the front and how to make each again."""
    from rich.console import Console
    from rich.table import Column, Table

    table = Table(Column("way", no_wrap=True), Column("points lost", no_wrap=True), "bytes, gzip", "latency", "")
    for point in result["points"]:
        marks = ["best"] * (point["name"] == result["best"]) + ["front"] * point["front"]
        error = f" ± {point['drop_error']:.2f}" if point.get("drop_error") else ""
        table.add_row(
            point["name"],
            f"{point['drop_points']:+.2f}{error}",
            f"{point['gzip_bytes']:,}",
            f"x {point['latency_ratio']:.2f}",
            ", ".join(marks if point["passed"] else ["over budget", *marks]),
        )
    console = Console(soft_wrap=True, highlight=False)
    console.print(table)
    for point in result["points"]:
        console.print(f"{point['name']}: {'; '.join(point['commands'])}")
    console.print(f"The picture: {run.file('shrink.png')}")
