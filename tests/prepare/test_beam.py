from __future__ import annotations

import sys

import pytest

from tests.prepare.test_shards import bytes_of
from tfmap.errors import InputError
from tfmap.prepare import prepare


@pytest.fixture(autouse=True)
def quiet():
    """Apache Beam logs what it does not find at its first import, and uses what others deprecate."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import apache_beam  # noqa: F401
        from apache_beam.options.pipeline_options import PipelineOptions  # noqa: F401

        yield


@pytest.mark.parametrize("kind", ["path", "encoded", "pixels"])
def test_beam_makes_what_processes_make(kinds, tmp_path, kind):
    prepare(kinds[kind], tmp_path / "here", max_side=40, workers=1)
    prepare(kinds[kind], tmp_path / "beam", max_side=40, beam=["--runner=DirectRunner"])
    assert bytes_of(tmp_path / "beam") == bytes_of(tmp_path / "here")


def test_boxes_and_masks_on_beam(annotated, tmp_path):
    prepare(annotated, tmp_path / "here", workers=1)
    prepare(annotated, tmp_path / "beam", beam=["--runner=DirectRunner"])
    assert bytes_of(tmp_path / "beam") == bytes_of(tmp_path / "here")


def test_an_unknown_runner(kinds, tmp_path):
    with pytest.raises(InputError, match=r"Apache Beam with --runner=Spork failed: Unexpected pipeline runner: Spork"):
        prepare(kinds["path"], tmp_path, beam=["--runner=Spork"])


def test_without_apache_beam(kinds, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(InputError, match=r"prepare.beam needs Apache Beam, .* pip install 'tfmap\[beam\]'"):
        prepare(kinds["path"], tmp_path, beam=["--runner=DirectRunner"])
