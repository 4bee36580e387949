"""Small data sets of real photographs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import tfmap.datasets.samples as samples


@pytest.fixture(scope="session")
def glass():
    """Paths of 40 photographs of one class, all different."""
    return sorted((samples.folder("trash") / "glass").glob("*.jpg"))[:40]


@pytest.fixture
def own_cache_folder(tmp_path, monkeypatch):
    """A cache that no other test has filled."""
    monkeypatch.setenv("TFMAP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def fill(tmp_path, glass):
    """Copy photographs to places below a folder: {"a/1.jpg": 0} puts photograph 0 at a/1.jpg."""

    def copy(places: dict[str, int | bytes]) -> Path:
        for place, which in places.items():
            path = tmp_path / "data" / place
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(which, bytes):
                path.write_bytes(which)
            else:
                shutil.copyfile(glass[which], path)
        return tmp_path / "data"

    return copy
