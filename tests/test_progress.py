from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from tfmap import progress

CODE = """
from tfmap.progress import bar
with bar("Counting sheep", 4) as show:
    for done in range(5):
        show(done)
print("done")
"""


def test_a_bar_on_a_terminal():
    ours, theirs = pty.openpty()
    done = subprocess.run([sys.executable, "-c", CODE], stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    text = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert done.stdout == b"done\n"
    assert "Counting sheep" in text
    assert "100%" in text


def test_nothing_elsewhere():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True)
    assert (done.stdout, done.stderr) == (b"done\n", b"")


@pytest.mark.parametrize(
    ("terminal", "worth", "seen"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_items_pass_with_a_bar_where_it_can_be_seen_and_is_worth_it(monkeypatch, capsys, terminal, worth, seen):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: terminal)
    assert list(progress.shown(iter("abc"), 3, "Looking", worth=worth)) == list("abc")
    assert ("Looking" in capsys.readouterr().err) == seen
