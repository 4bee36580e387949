from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tfmap.errors import InputError
from tfmap.prepare import manifest
from tfmap.prepare.plan import Settings
from tfmap.source import Source

SOURCE = Source("here", ("a", "b"), {})


def test_a_new_folder_and_an_earlier_state_are_fine(tmp_path):
    manifest.check_folder(tmp_path / "new", "here")
    manifest.check_folder(tmp_path, "here")
    (tmp_path / "train-00000-of-00002.tfrecord").touch()
    (tmp_path / ".train-00001-of-00002.npz.x8k").mkdir()
    (tmp_path / ".manifest.json.x8k").mkdir()
    manifest.begin(tmp_path, SOURCE, Settings())
    manifest.check_folder(tmp_path, "here")


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file is a file, expected a new or an empty folder"):
        manifest.check_folder(tmp_path / "file", "here")


def test_a_folder_inside_the_source_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"new lies inside the source, which would then hold itself\. Give another"):
        manifest.check_folder(tmp_path / "new", str(tmp_path))


@pytest.mark.parametrize("name", ["photo.jpg", "train-0-of-1.tfrecord", ".hidden", "others-00000-of-00001.npz"])
def test_a_folder_with_other_files_is_refused(tmp_path, name):
    (tmp_path / name).touch()
    with pytest.raises(InputError, match=r"holds other files, such as .*\. Give a new or an empty folder"):
        manifest.check_folder(tmp_path, "here")


def test_the_records_of_another_source_are_not_overwritten(tmp_path):
    manifest.begin(tmp_path, SOURCE, Settings())
    with pytest.raises(InputError, match="holds the records of another source, 'here'. Give another folder"):
        manifest.check_folder(tmp_path, "there")


@pytest.mark.parametrize("text", ["{", "[]", '{"source": "here"}'])
def test_a_foreign_or_broken_manifest_is_not_overwritten(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(InputError, match="holds the records of another source"):
        manifest.check_folder(tmp_path, "here")


def test_tidying_leaves_what_is_wanted(tmp_path):
    for name in ("train-00000-of-00001.npz", "train-00000-of-00002.npz", "val-00000-of-00001.tfrecord"):
        (tmp_path / name).touch()
    (tmp_path / ".train-00000-of-00001.npz.x8k").mkdir()
    manifest.tidy(tmp_path, ["train-00000-of-00001"])
    assert [path.name for path in tmp_path.iterdir()] == ["train-00000-of-00001.npz"]


def test_two_processes_do_not_write_to_one_folder(tmp_path):
    code = (
        "import sys; from pathlib import Path; from tfmap.prepare import manifest\n"
        "with manifest.locked(Path(sys.argv[1])): print('locked', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline() == b"locked\n"
        with pytest.raises(InputError, match="another process is writing to"), manifest.locked(tmp_path):
            pass
        other.kill()
    with manifest.locked(tmp_path):  # it ends with the process
        pass


def test_a_split_of_which_nothing_is_left_is_an_error(tmp_path):
    line = {"name": "train-00000-of-00001", "records": 0, "bytes": 0}
    made = {"train": [{"shard": line, "skipped": [["a.jpg", "is gone"]], "counts": [0, 0]}]}
    with pytest.raises(InputError, match=r"no picture of train can be read any more\. The first: a.jpg is gone\."):
        manifest.finish(tmp_path, SOURCE, Settings(), made, [])


def test_an_unfinished_manifest_says_so(tmp_path):
    manifest.begin(tmp_path, SOURCE, Settings(max_side=5))
    held = json.loads((tmp_path / "manifest.json").read_text())
    assert (held["finished"], held["source"], held["settings"]["max_side"]) == (False, "here", 5)
