"""Splits of real photographs."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

import tfmap.datasets.samples as samples
from tfmap.source import Split


def of_paths(paths, odd=None):
    """A Split of files whose label is their number."""
    names = np.empty(len(paths), object)
    names[:] = [str(path) for path in paths]
    odd = np.zeros(len(paths), bool) if odd is None else np.array(odd)
    return Split("path", names, np.arange(len(paths), dtype=np.int32), names, odd)


@pytest.fixture(scope="session")
def path_split():
    """Makes a Split of files."""
    return of_paths


@pytest.fixture(scope="session")
def files():
    """50 photographs."""
    return sorted(samples.folder("trash").glob("*/*.jpg"))[::22][:50]


@pytest.fixture(scope="session")
def split(files):
    """The 50 photographs; labels 0..49 tell which row a picture came from."""
    return of_paths(files)


@pytest.fixture
def copies(tmp_path, files):
    """A split of 50 files that a test may break."""
    return of_paths([shutil.copyfile(path, tmp_path / f"{i:02}.jpg") for i, path in enumerate(files)])
