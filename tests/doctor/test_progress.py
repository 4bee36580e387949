from __future__ import annotations

import pytest

from tfmap.doctor import progress


@pytest.mark.parametrize(
    ("terminal", "worth", "seen"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_a_bar_where_it_can_be_seen_and_is_worth_it(monkeypatch, capsys, terminal, worth, seen):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: terminal)
    assert list(progress.shown(iter("abc"), 3, "Looking", worth=worth)) == list("abc")
    assert ("Looking" in capsys.readouterr().err) == seen
