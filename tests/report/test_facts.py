"""What is read out of a run folder."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from tfmap import runs
from tfmap.report import artefacts, facts


def test_history_reads_numbers_and_gaps(tmp_path):
    run = runs.Run(tmp_path)
    assert facts.history(run) == []
    run.write_text("history.csv", "epoch,phase,loss,val_loss\n1,head,0.5,\n2,all,nan,what\n")
    assert facts.history(run) == [
        {"epoch": 1.0, "phase": "head", "loss": 0.5, "val_loss": None},
        {"epoch": 2.0, "phase": "all", "loss": None, "val_loss": None},
    ]


def test_confusions_are_the_largest_off_the_diagonal():
    found = facts.confusions([[9, 1, 0], [4, 5, 1], [0, 0, 0]], ["a", "b", "c"])
    assert found == [
        {"truth": "b", "predicted": "a", "count": 4, "share": 0.4},
        {"truth": "a", "predicted": "b", "count": 1, "share": 0.1},
        {"truth": "b", "predicted": "c", "count": 1, "share": 0.1},
    ]
    assert facts.confusions(np.eye(3, dtype=int), ["a", "b", "c"]) == []


def test_balance_counts_each_class_in_each_split():
    data = {"classes": ["a", "b"], "splits": {"train": {"a": 6, "b": 2}, "val": {"a": 2}}}
    assert facts.balance(data) == [
        {"class": "a", "counts": [6, 2], "share": 1.0},
        {"class": "b", "counts": [2, 0], "share": 0.25},
    ]


def test_files_are_told_by_their_hash(tmp_path):
    run = runs.Run(tmp_path)
    run.write_text("labels.txt", "a\n")
    run.file("checkpoints").mkdir()
    assert facts.files(run) == [{"name": "labels.txt", "bytes": 2, "sha256": hashlib.sha256(b"a\n").hexdigest()[:16]}]


@pytest.mark.parametrize(
    ("paths", "folder"),
    [
        (["/a/b/c.jpg", "/a/b/d/e.jpg"], "/a/b/"),
        (["/a/bc/x.jpg", "/a/bd/x.jpg"], "/a/"),
        (["x.jpg", "/a/x.jpg"], ""),
        (["photo 1", "photo 2"], ""),
        ([], ""),
    ],
)
def test_common_folder_ends_at_a_slash(paths, folder):
    assert facts.common_folder(paths) == folder


@pytest.mark.parametrize(("count", "text"), [(0, "0.0 kB"), (98_496, "98.5 kB"), (2_730_000, "2.73 MB")])
def test_sizes_are_written_for_people(count, text):
    assert artefacts.readable_size(count) == text
