"""Every bar of compression on one page: what was asked for, what was measured, whether it holds.

    python -m benchmarks.compress CIFAR10.npz MLPERF_TINY TRASHNET [--weights NAME=FILE ...] [--read]

Runs benchmarks.cifar10, compression, channels, pretrained_int8 and by_hand one after another on this machine, hours of
work, and sums up what they wrote; --read sums up what earlier runs have left. A bar that nothing was measured for is
listed as such.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

from benchmarks import results

SMALL, LARGE = 98_496, 512_024  # bytes of MLPerf Tiny's files
# what MobileNetV2 is put through
_HOW = "epochs=4, learning_rate=2e-4, batchnorm='frozen'"
_PRUNE = f"prune({{'block_1[1-3]_*': 0.2, 'block_1[4-6]_*': 0.73, 'Conv_1': 0.65}}, {_HOW})"
_RECIPE = f"{_PRUNE}|cluster(24, {_HOW})|qat(epochs=2)"
SHARED = ("--seeds", "1", "--only", "int8", "prune(*", "--recipes", _RECIPE)
TAYLOR = ("--scores", "taylor", "--then", "distill(epochs=40)")
Rows = list[dict[str, Any]]


class Bar(NamedTuple):
    """One line of the page.

    Attributes:
        what: is measured.
        bar: the figure that it is held to.
        least: whether the bar is the least that will do, rather than the most.
        found: the figure.
    """

    what: str
    bar: float
    least: bool
    found: float

    def row(self) -> dict[str, Any]:
        """For the table."""
        holds = self.found >= self.bar if self.least else self.found <= self.bar
        return {
            "what": self.what,
            "bar": f"{'>=' if self.least else '<='} {self.bar:g}",
            "found": self.found,
            "holds": "yes" if holds else "NO",
        }


def main() -> None:
    """Run what is to be run, then the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("cifar10", "tiny", "trash"):
        parser.add_argument(name)
    parser.add_argument("--weights", nargs="*", default=[])
    parser.add_argument("--read", action="store_true")
    given = parser.parse_args()
    if not given.read:
        for script in _scripts(given.cifar10, given.tiny, given.trash, given.weights):
            subprocess.run([sys.executable, "-m", *script], check=True)
    rows = []
    for name in BARS:
        path = results.FOLDER / f"{name}.json"
        measured = json.loads(path.read_text())["rows"] if path.exists() else []
        rows += [bar.row() for bar in BARS[name](measured)] or [_missing(name)]
    results.write("compress", "Compression, bar by bar", rows)


def _scripts(cifar10: str, tiny: str, trash: str, weights: list[str]) -> Iterator[list[str]]:
    """Every script with its arguments; MobileNetV2 takes part where its weights are given, NAME=FILE."""
    files = [file for name, _, file in (pair.partition("=") for pair in weights) if name == "mobilenet_v2_100"]
    mobile = ["--network", "mobilenet_v2_100", "--size", "128", "--weights", *files[:1]] if files else []
    yield ["benchmarks.cifar10", cifar10, tiny]
    yield ["benchmarks.compression", trash]
    if mobile:
        yield ["benchmarks.compression", trash, *mobile, *SHARED]
    yield ["benchmarks.channels", trash, *mobile, *(TAYLOR if mobile else ())]
    yield ["benchmarks.pretrained_int8", trash, *(["--weights", *weights] if weights else [])]
    yield ["benchmarks.by_hand", trash]


def _missing(name: str) -> dict[str, Any]:
    return {"what": f"results/{name}.json", "bar": "", "found": "", "holds": "not measured"}


def _cifar10(rows: Rows) -> Iterator[Bar]:
    ours = [row for row in rows if not row["file"].startswith("pretrained")]
    budgets = (("any network", SMALL, 89.5, ""), ("ResNet-8", SMALL, 88.0, "resnet8"), ("any network", LARGE, 93.0, ""))
    for network, most, bar, name in budgets:
        right = [row["right"] for row in ours if row["bytes"] <= most and row["file"].startswith(name)]
        if right:
            yield Bar(f"CIFAR-10, {network}, file of at most {most:,} bytes, percent right", bar, True, max(right))


def _compression(rows: Rows, of: str = "") -> Iterator[Bar]:
    means = {row["variant"]: row for row in rows if row["seed"] == "mean"}
    if not means:
        return
    yield Bar(f"{of}int8, points lost to float", 0.3, False, means["int8"]["lost"])
    if "QAT int8" in means:
        qat = means["QAT int8"]["lost"] - means["int8"]["lost"]
        yield Bar(f"{of}QAT, points lost to rounding afterwards", 0, False, qat)
    for variant, row in means.items():
        if "prune" in variant and "cluster" in variant:
            what = f"{of}{variant}, int8"
            yield Bar(f"{what}: points lost", 1, False, row["lost"])
            yield Bar(f"{what}: gzip, plain int8 = 1", 0.5, False, row["gzip"] / means["int8"]["gzip"])


def _channels(rows: Rows) -> Iterator[Bar]:
    for row in rows[1:]:
        lost = rows[0]["float32: all"] - row["float32: all"]
        yield Bar(f"half of the multiply-adds, {row['variant']}: points lost", 1, False, lost)
        yield Bar(f"half of the multiply-adds, {row['variant']}: latency", 0.6, False, row["float32: latency"])


def _pretrained(rows: Rows) -> Iterator[Bar]:
    for row in rows:
        yield Bar(f"{row['network']}'s features of TrashNet, int8: points lost", 1, False, row["lost"])
        if row["network"] == "mobilenet_v2_100":
            yield Bar("MobileNetV2 at 224 px: int8's latency, float32 = 1", 0.5, False, row["latency"])


def _by_hand(rows: Rows) -> Iterator[Bar]:
    means = {(row["recipe"], row["way"]): row for row in rows if row["seed"] == "mean"}
    for (recipe, way), row in means.items():
        if way.startswith("ours"):
            lost = means[recipe, "by hand"]["all"] - row["all"]
            yield Bar(f"{recipe}, {way}: points lost to tfmot by hand", 0.5, False, lost)
            yield Bar(f"{recipe}, {way}: time, by hand = 1", 1.1, False, row["time by hand = 1"])


BARS = {
    "cifar10": _cifar10,
    "compression": _compression,
    "compression_mobilenet_v2_100": partial(_compression, of="MobileNetV2 at 128 px, "),
    "channels": _channels,
    "pretrained_int8": _pretrained,
    "by_hand": _by_hand,
}

if __name__ == "__main__":
    main()
