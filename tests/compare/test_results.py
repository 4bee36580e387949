from __future__ import annotations

import csv
import json

import pytest

from tfmap.compare import plot, results
from tfmap.errors import InputError
from tfmap.runs import Run


def row(value, seed, accuracy, gap=0.1):
    numbers = {"accuracy": accuracy, "recall_macro": accuracy, "f1_macro": accuracy, "gap": gap}
    return {"value": value, "seed": seed, "folder": f"{value}-{seed}", **numbers, "seconds_per_epoch": 2.0}


ROWS = [row("", 0, 0.80), row("flip", 0, 0.84), row("", 1, 0.82), row("flip", 1, 0.88)]


def test_means_spreads_and_paired_differences():
    first, second = results.summary(ROWS)
    assert (first["value"], second["value"]) == ("", "flip")
    assert first["accuracy"]["mean"] == pytest.approx(0.81)
    assert first["accuracy"]["spread"] == pytest.approx(0.02 / 2**0.5)
    assert second["accuracy"]["difference"] == pytest.approx(0.05)
    assert second["accuracy"]["difference_spread"] == pytest.approx(0.02 / 2**0.5)
    assert first["accuracy"]["difference"] == 0


def test_one_seed_has_no_spread_and_differences_need_the_same_seed():
    first, second = results.summary([row(True, 0, 0.8), row("P4", 1, 0.9)])
    assert first["accuracy"]["spread"] is None
    assert second["accuracy"]["difference"] is None


def test_rows_and_summary_are_written_as_they_come(tmp_path):
    kept = results.Results(Run(tmp_path), {"key": "augment.ops", "source": "x"})
    for one in ROWS:
        kept.keep(one)
        kept.add(one)
    assert kept.known("flip-1") == ROWS[3]
    assert kept.known("hue-1") is None
    with open(tmp_path / "compare.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert [line["value"] for line in table] == ["", "flip", "", "flip"]
    assert float(table[3]["accuracy"]) == 0.88
    written = json.loads((tmp_path / "compare.json").read_text())
    assert written["rows"] == ROWS
    assert written["summary"] == results.summary(ROWS)


def test_a_folder_of_another_comparison_is_refused(tmp_path):
    results.Results(Run(tmp_path), {"key": "augment.ops", "source": "x"})
    results.Results(Run(tmp_path), {"key": "augment.ops", "source": "x"})
    with pytest.raises(InputError, match=r"holds a comparison with other settings: key\. Choose another out=, or "):
        results.Results(Run(tmp_path), {"key": "train.ema", "source": "x"})


def test_the_table_says_what_each_is_worth(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    results.show("augment.ops", results.summary(ROWS), Run(tmp_path))
    text = capsys.readouterr().out
    assert "augment.ops, 2 seeds each" in text
    assert "  2  augment.ops = flip\n" in text
    assert "81.0±1.4" in text
    assert "…" not in text
    assert "+5.0±1.4" in text
    assert str(tmp_path / "compare.csv") in text


def test_the_plot_is_a_picture_of_every_training(tmp_path):
    from PIL import Image

    rows = [*ROWS, *(row("rrc(0.3,1)|" * 6 + "flip", seed, 0.7) for seed in (0, 1))]
    plot.draw(rows, results.summary(rows), "augment.ops", tmp_path / "p.png")
    plot.draw(ROWS, results.summary(ROWS), "augment.ops", tmp_path / "q.png")
    with Image.open(tmp_path / "p.png") as long, Image.open(tmp_path / "q.png") as short:
        assert long.width == short.width
        assert long.height > short.height
        colours = {colour for _, colour in short.convert("RGB").getcolors(1 << 20)}
    assert (213, 94, 0) in colours  # the bars of the means
