from __future__ import annotations

from pathlib import Path

import pytest

from tfmap import caches


def test_where_caches_are(monkeypatch):
    monkeypatch.setenv("TFMAP_CACHE", "/own")
    assert caches.folder("scan") == Path("/own/scan")
    monkeypatch.delenv("TFMAP_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert caches.folder("scan") == Path("/xdg/tfmap/scan")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    assert caches.folder("scan") == Path("/home/me/.cache/tfmap/scan")


def test_a_locked_folder(tmp_path):
    with caches.locked(tmp_path / "new", wait=False):
        with pytest.raises(BlockingIOError), caches.locked(tmp_path / "new", wait=False):
            pass
        with caches.locked(tmp_path / "other", wait=True):
            pass
    with caches.locked(tmp_path / "new", wait=False):
        pass
