"""Spoilt files of every format: each is refused, listed or harmless; none crashes, hangs or eats the memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.datasets import mutations

ROOT = Path(__file__).parents[2]


def ends(count, seed):
    """How many mutations end in which way, and those that end in no allowed one; run in a process of their own."""
    command = [sys.executable, "-m", "tests.datasets.mutations", str(count), str(seed)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=3000, check=False)
    *log, last = done.stdout.splitlines() or [""]
    assert done.returncode == 0, f"{log[-1:]} ended the process: {done.stderr[-3000:]}"
    assert len(log) == count
    return json.loads(last)


def test_sixty_spoilt_files():
    found = ends(60, 1)
    assert found["wrong"] == []
    assert all(found["ends"][end] >= 3 for end in ("refused", "listed", "harmless"))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 2])
def test_a_thousand_spoilt_files(seed):
    found = ends(1000, seed)
    assert found["wrong"] == []
    assert all(found["ends"][end] >= 100 for end in ("refused", "listed", "harmless"))


def test_every_set_and_every_spoiler_takes_part(tmp_path):
    for name, (write, _) in mutations.SETS.items():
        write(tmp_path / name)
    drawn = list(mutations.mutations(1000, 0, tmp_path))
    assert {mutation.format for mutation in drawn} == set(mutations.SETS)
    assert {mutation.spoil for mutation in drawn} == set(mutations.SPOILERS)
    assert drawn == list(mutations.mutations(1000, 0, tmp_path))


def test_a_broken_promise_is_seen(tmp_path):
    """The judge itself: a lost picture that nothing lists is wrong."""
    write, target = mutations.SETS["voc"]
    source = mutations.load(str(write(tmp_path / "voc")), target=target, seed=1)
    normal = {"voc": (len(source), mutations.lines(tmp_path / "voc", source))}
    mutation = mutations.Mutation("voc", None, "JPEGImages/BloodImage_00164.jpg", "truncated")
    assert mutations.judged(mutation, tmp_path / "voc", source, normal) == "harmless"
    normal = {"voc": (len(source) + 1, normal["voc"][1])}
    assert mutations.judged(mutation, tmp_path / "voc", source, normal).startswith("lost JPEGImages")
