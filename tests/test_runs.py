"""The run folder: files whole or not at all, on real disks that are full and folders that are shut."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tfmap.errors import InputError
from tfmap.runs import BESIDE, FILES, Run, remove, replacing, replacing_folder
from tfmap.stages import STAGES

# A writer under a limit of 64 KiB a file, as `ulimit -f` sets it: the kernel refuses the write half-way.
LIMITED = """
import resource, signal, sys
from tfmap.runs import Run
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
try:
    Run(sys.argv[1]).write_bytes("model.tflite", bytes(1_000_000))
except OSError as error:
    print(type(error).__name__, error.errno)
"""
KILLED = """
import os, signal, sys
from tfmap.runs import replacing
with replacing(sys.argv[1]) as path:
    path.write_bytes(b"half of the ")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def _python(code, *arguments):
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_a_write_replaces_the_file_and_leaves_nothing_beside_it(tmp_path):
    run = Run(tmp_path / "new")
    run.write_text("labels.txt", "old")
    assert run.write_text("labels.txt", "katze\nhünd") == run.path / "labels.txt"
    assert (run.path / "labels.txt").read_text(encoding="utf-8") == "katze\nhünd"
    assert os.listdir(run.path) == ["labels.txt"]


def test_an_error_while_writing_keeps_the_old_file(tmp_path):
    path = tmp_path / "model.keras"
    path.write_bytes(b"old")

    def interrupted():
        with replacing(path) as temporary:
            temporary.write_bytes(b"half of the n")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["model.keras"]


def test_the_temporary_path_keeps_the_suffix(tmp_path):
    with replacing(tmp_path / "golden.npz") as temporary:
        assert temporary.name == "golden.npz"
        temporary.write_bytes(b"x")


def test_a_refused_write_keeps_the_old_file(tmp_path):
    run = Run(tmp_path)
    run.write_bytes("model.tflite", b"old")
    found = _python(LIMITED, tmp_path)
    assert found.stdout.split() == ["OSError", "27"], found.stderr
    assert (tmp_path / "model.tflite").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["model.tflite"]


def test_a_killed_process_keeps_the_old_file(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(b"old")
    assert _python(KILLED, path).returncode == -9
    assert path.read_bytes() == b"old"


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 256 KiB, where the machine lets us mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk_keeps_the_old_file(small_disk):
    run = Run(small_disk)
    run.write_bytes("model.tflite", b"old")
    with pytest.raises(OSError, match="No space left"):
        run.write_bytes("model.tflite", bytes(1_000_000))
    assert (small_disk / "model.tflite").read_bytes() == b"old"
    assert os.listdir(small_disk) == ["model.tflite"]


def test_a_disk_that_may_only_be_read_keeps_the_old_file(small_disk):
    run = Run(small_disk)
    run.write_text("labels.txt", "old")
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(OSError, match="Read-only file system"):
        run.write_text("labels.txt", "new")
    assert (small_disk / "labels.txt").read_text(encoding="utf-8") == "old"


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is shut to root")
def test_a_folder_that_may_not_be_written_keeps_the_old_file(tmp_path):
    run = Run(tmp_path)
    run.write_text("labels.txt", "old")
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(PermissionError):
            run.write_text("labels.txt", "new")
    finally:
        tmp_path.chmod(0o700)
    assert (tmp_path / "labels.txt").read_text(encoding="utf-8") == "old"


def test_a_folder_that_takes_no_file_is_an_error_with_its_path(tmp_path):
    (tmp_path / "runs").write_text("a file stands where the folder should")
    with pytest.raises(OSError, match=re.escape(str(tmp_path / "runs"))):
        Run(tmp_path / "runs" / "a").write_text("labels.txt", "x")


def test_json_and_rows_come_back(tmp_path):
    run = Run(tmp_path)
    run.write_json("verify.json", {"passed": True, "ratio": 0.5})
    assert run.read_json("verify.json") == {"passed": True, "ratio": 0.5}
    run.write_rows("history.csv", ["epoch", "loss"], [[1, 0.5], [2, 0.25]])
    assert run.read_rows("history.csv") == [{"epoch": "1", "loss": "0.5"}, {"epoch": "2", "loss": "0.25"}]


def test_json_refuses_nan_and_keeps_the_old_file(tmp_path):
    run = Run(tmp_path)
    run.write_json("verify.json", {"loss": 1.0})
    with pytest.raises(ValueError, match="not JSON compliant"):
        run.write_json("verify.json", {"loss": float("nan")})
    assert run.read_json("verify.json") == {"loss": 1.0}


def test_names_are_fixed(tmp_path):
    with pytest.raises(InputError, match=r"run folder: 'best.keras' is no file of a run. Known: config.yaml, "):
        Run(tmp_path).file("best.keras")


def test_a_missing_file_names_the_stage_that_writes_it(tmp_path):
    expected = f"{tmp_path}/model.tflite is missing. Run this stage first: python -m tfmap.export {tmp_path}"
    with pytest.raises(FileNotFoundError, match=f"^{re.escape(expected)}$"):
        Run(tmp_path).need("model.tflite")


def test_every_file_is_written_by_a_command():
    assert set(FILES.values()) - {"explain"} <= set(STAGES)


def test_only_a_run_folder_is_existing(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"run folder .*nowhere does not exist. Make one: python -m tfmap.train"
    ):
        Run.existing(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"is not a run folder: it holds no config.yaml"):
        Run.existing(tmp_path)
    (tmp_path / "config.yaml").write_text("task: classification\n")
    assert Run.existing(tmp_path).has("config.yaml")


def test_a_candidate_is_published_as_a_whole(tmp_path):
    run = Run(tmp_path)
    run.write_bytes("model.tflite", b"old")
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "old").write_text("")
    waiting = run.candidate()
    waiting.write_bytes("model.tflite", b"new")
    waiting.write_text("labels.txt", "a\n")
    (waiting.path / "checkpoints").mkdir()
    (waiting.path / "checkpoints" / "new").write_text("")
    assert run.file("model.tflite").read_bytes() == b"old"
    run.publish()
    assert sorted(os.listdir(tmp_path)) == ["checkpoints", "labels.txt", "model.tflite"]
    assert run.file("model.tflite").read_bytes() == b"new"
    assert os.listdir(tmp_path / "checkpoints") == ["new"]


def test_what_an_earlier_export_left_is_not_published_again(tmp_path):
    run = Run(tmp_path)
    installed = tmp_path / "handoff" / "web" / "node_modules" / "x.js"
    for path in (tmp_path / "saved_model" / "saved_model.pb", tmp_path / "handoff" / "web" / "index.html", installed):
        path.parent.mkdir(parents=True)
        path.write_text("old")
    for name in ("model.keras", "model.onnx", "inference.keras", "golden.npz", "export.json", "handoff/README.md"):
        (tmp_path / name).write_text("old")
    run.candidate().write_text("labels.txt", "a\n")
    run.candidate().write_bytes("model.tflite", b"new")
    run.publish()
    assert sorted(os.listdir(tmp_path)) == ["handoff", "labels.txt", "model.keras", "model.tflite"]
    # What npm has put into a kit is the next kit's.
    assert [path for path in (tmp_path / "handoff").rglob("*") if path.is_file()] == [installed]
    remove(tmp_path / "handoff")
    remove(tmp_path / "handoff")
    assert not run.has("handoff")


def test_export_s_files_are_told_from_what_others_write():
    assert BESIDE == (
        "labels.txt",
        "export.json",
        "golden.npz",
        "handoff",
        "saved_model",
        "model.onnx",
        "inference.keras",
    )


def test_a_folder_takes_the_place_of_the_old_one(tmp_path):
    for text in ("old", "new"):
        with replacing_folder(tmp_path / "made" / "kit") as folder:
            (folder / f"{text}.txt").write_text(text)
    assert os.listdir(tmp_path / "made") == ["kit"]
    assert os.listdir(tmp_path / "made" / "kit") == ["new.txt"]


def test_an_error_keeps_the_old_folder(tmp_path):
    with replacing_folder(tmp_path / "kit") as folder:
        (folder / "old.txt").write_text("old")

    def interrupted():
        with replacing_folder(tmp_path / "kit") as folder:
            (folder / "new.txt").write_text("new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert os.listdir(tmp_path) == ["kit"]
    assert os.listdir(tmp_path / "kit") == ["old.txt"]
