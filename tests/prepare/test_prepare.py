"""The whole way: a source -> shards -> the same source."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.prepare.test_pool import heard
from tests.prepare.test_shards import bytes_of, state
from tfmap.datasets import load, records, samples
from tfmap.errors import InputError
from tfmap.prepare import prepare


def rows_of(split) -> dict[str, tuple]:
    return {
        name: (records.read_bytes(split.shards, place), np.asarray(label).tolist(), odd)
        for name, place, label, odd in zip(split.ids, split.images, split.labels, split.odd, strict=True)
    }


def test_what_was_prepared_is_the_source_again(pictures, tmp_path):
    source = load(str(pictures), test_fraction=0.2)
    prepare(source, tmp_path / "out", workers=1)
    read = load(str(tmp_path / "out"))
    assert (read.classes, read.target, read.multi_label) == (source.classes, "label", False)
    assert list(read.splits) == ["train", "val", "test"]
    for name, split in source.splits.items():
        files = [Path(path) for path in split.images]
        expected = {str(path.relative_to(pictures)): path.read_bytes() for path in files}
        rows = rows_of(read.split(name))
        assert {key: data for key, (data, _, _) in rows.items()} == expected
        labels = {str(path.relative_to(pictures)): label for path, label in zip(files, split.labels, strict=True)}
        assert {key: label for key, (_, label, _) in rows.items()} == labels
        assert not read.split(name).odd.any()


@pytest.mark.parametrize("kind", ["path", "encoded", "pixels"])
def test_sources_of_every_kind(kinds, tmp_path, kind):
    prepare(kinds[kind], tmp_path / "out", workers=1)
    read = load(str(tmp_path / "out"), val_fraction=0.0).split("train")
    split = kinds[kind].split("train")
    for row, (name, label) in enumerate(zip(split.ids, split.labels, strict=True)):
        data, found, _ = rows_of(read)[name]
        assert found == label
        if kind == "pixels":
            import io

            np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(data))), split.images[row])
        else:
            assert data == (Path(split.images[row]).read_bytes() if kind == "path" else split.images[row])


def test_records_can_be_prepared_again(pictures, tmp_path):
    prepare(load(str(pictures)), tmp_path / "whole", workers=1)
    manifest = prepare(load(str(tmp_path / "whole")), tmp_path / "small", max_side=40, workers=1)
    assert manifest["splits"]["train"]["bytes"] < 60 * 4000
    small, whole = load(str(tmp_path / "small")), load(str(tmp_path / "whole"))
    assert sorted(small.split("val").ids) == sorted(whole.split("val").ids)


def test_boxes_and_masks_come_back(annotated, tmp_path):
    from tfmap.datasets import detect

    prepare(annotated, tmp_path / "out", workers=1)
    listing, split = detect.read(str(tmp_path / "out"), columns=("", "", "", "")), annotated.split("train")
    back = {name: row for row, name in enumerate(listing.ids)}
    for row, path in enumerate(split.ids):
        new = back["/".join(Path(path).parts[-2:])]
        was, now = split.boxes.take(np.array([row])), listing.boxes.take(np.array([new]))
        for name in ("boxes", "classes", "crowd", "difficult"):
            np.testing.assert_array_equal(getattr(was, name), getattr(now, name))
        np.testing.assert_array_equal(split.masks.read(row), listing.masks.read(new))
        np.testing.assert_array_equal(split.labels[row], listing.labels[new])


def test_several_labels_come_back(kinds, tmp_path):
    source = kinds["encoded"]
    split = source.split("train")
    labels = np.random.default_rng(0).integers(0, 2, (30, 3)).astype(np.float32)
    source = replace(source, splits={"train": replace(split, labels=labels)}, multi_label=True)
    prepare(source, tmp_path / "out", workers=1)
    read = load(str(tmp_path / "out"), val_fraction=0.0)
    assert read.multi_label
    found = dict(zip(read.split("train").ids, read.split("train").labels.tolist(), strict=True))
    assert found == dict(zip(split.ids, labels.tolist(), strict=True))


def test_a_picture_that_is_broken_meanwhile_is_left_out_and_listed(pictures, tmp_path):
    source = load(str(pictures), val_fraction=0.0)
    broken = Path(source.split("train").ids[5])
    broken.write_bytes(broken.read_bytes()[:300])
    manifest = prepare(source, tmp_path / "out", workers=1)
    assert manifest["splits"]["train"]["records"] == 59
    ((path, reason),) = manifest["skipped"]
    assert path == str(broken)
    assert "truncated" in reason.lower()
    read = load(str(tmp_path / "out"), val_fraction=0.0)
    assert [(one.path, one.reason) for one in read.skipped] == [(path, reason)]


def test_names_that_are_no_utf8(kinds, tmp_path):
    kinds["encoded"].split("train").ids[3] = "glass/\udcff.jpg"
    prepare(kinds["encoded"], tmp_path / "out", workers=1)
    assert "glass/\udcff.jpg" in load(str(tmp_path / "out"), val_fraction=0.0).split("train").ids


def test_an_edited_picture_and_other_settings_make_only_what_they_must(kinds, tmp_path):
    source = kinds["encoded"]
    images = source.split("train").images
    images[:] = [data + bytes(100_000) for data in images]
    prepare(source, tmp_path, shard_mb=1, workers=1)
    before = state(tmp_path)
    images[7] += b"!"
    prepare(source, tmp_path, shard_mb=1, workers=1)
    after = state(tmp_path)
    kept = {name for name in before if before[name] == after[name]}
    assert len(kept) == len(before) - 3  # but one shard, its index and the manifest
    prepare(source, tmp_path, shard_mb=2, workers=1)
    assert {path.name for path in tmp_path.iterdir() if "-of-00004" in path.name} == set()
    records.verify(tmp_path)


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ({"shard_mb": 0}, "prepare.shard_mb must be at least 1, received 0."),
        ({"max_side": -1}, "prepare.max_side must be at least 1, received -1."),
        ({"workers": 0}, "prepare.workers must be at least 1, received 0."),
        ({"quality": 101}, "prepare.quality must be from 1 to 100, received 101."),
        (
            {"quality": 50, "encode": "png"},
            "prepare.quality is that of JPEG, but prepare.encode is png. Remove one of them.",
        ),
        (
            {"workers": 2, "beam": []},
            "prepare.workers counts processes of this machine, but prepare.beam is set. Remove one.",
        ),
        ({"encode": "webp"}, "prepare(): prepare.encode must be keep | jpeg | png, received 'webp' (str)."),
    ],
)
def test_settings_that_make_no_sense(kinds, tmp_path, setting, text):
    with pytest.raises(InputError) as error:
        prepare(kinds["path"], tmp_path, **setting)
    assert str(error.value) == text
    assert not list(tmp_path.iterdir())


def test_a_split_by_another_name(kinds, tmp_path):
    split = kinds["path"].split("train")
    with pytest.raises(InputError, match=r"prepare: unknown split 'more'\. Known: train, val, test\."):
        prepare(replace(kinds["path"], splits={"train": split, "more": split}), tmp_path / "out")


def test_a_url_is_no_folder(kinds):
    with pytest.raises(InputError, match="gs://bucket/x is a URL, expected a folder. Write to a folder and copy it"):
        prepare(kinds["path"], "gs://bucket/x")


def test_a_prepared_set_can_be_moved(kinds, tmp_path):
    prepare(kinds["encoded"], tmp_path / "here", workers=1)
    os.rename(tmp_path / "here", tmp_path / "there")
    split = load(str(tmp_path / "there"), val_fraction=0.0).split("train")
    assert rows_of(split)["photo 7"][0] == kinds["encoded"].split("train").images[7]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "tfmap.prepare", *arguments]


SETTINGS = ("prepare.shard_mb=1", "prepare.encode=png", "prepare.max_side=120")


def children(process: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        found += [int(path.parent.name)] if parent == process else []
    return found


def wait_for(condition) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture(scope="module")
def half(tmp_path_factory):
    """Three classes of the sample."""
    folder = tmp_path_factory.mktemp("half")
    for name in ("cardboard", "glass", "metal"):
        (folder / name).symlink_to(samples.folder("trash") / name)
    return folder


def test_killed_and_resumed_is_the_same_to_the_last_byte(tmp_path, half):
    prepare(load(str(half)), tmp_path / "whole", shard_mb=1, encode="png", max_side=120, workers=1)
    uninterrupted = bytes_of(tmp_path / "whole")
    out = tmp_path / "out"
    wanted = (str(half), str(out), *SETTINGS)
    running = subprocess.Popen(command(*wanted, "prepare.workers=2"), stdout=subprocess.DEVNULL)
    wait_for(lambda: list(out.glob("*.npz")))
    workers = children(running.pid)
    running.send_signal(signal.SIGKILL)
    running.wait()
    wait_for(lambda: not any(list_fds(worker) for worker in workers))
    made = {path.name: path.stat().st_ino for path in out.glob("*.tfrecord") if path.with_suffix(".npz").exists()}
    assert 0 < len(made) < len([name for name in uninterrupted if name.endswith(".npz")])
    with pytest.raises(InputError, match="was not finished") as error:
        load(str(out))
    assert str(error.value).endswith(
        f"python -m tfmap.prepare {half} {out} prepare.shard_mb=1 prepare.max_side=120 prepare.encode=png "
        "prepare.quality=92 seed=0"
    )
    done = subprocess.run(command(*wanted, "prepare.workers=1"), capture_output=True, text=True, check=True)
    assert f"train on it with datasets.source={out}" in done.stdout
    assert bytes_of(out) == uninterrupted
    assert {name: (out / name).stat().st_ino for name in made} == made  # kept, not made again


def list_fds(process: int) -> list[str]:
    """What a living process has open; nothing of one that has ended."""
    try:
        return os.listdir(f"/proc/{process}/fd")
    except OSError:
        return []


def interrupted(wanted, out):
    """Exit code and stderr of a run that got Ctrl-C behind its first file; None where it had made its last by then."""
    with heard():
        running = subprocess.Popen(command(*wanted), stderr=subprocess.PIPE, text=True)
    wait_for((out / "manifest.json").exists)
    running.send_signal(signal.SIGINT)
    late = len(list(out.glob("*.tfrecord"))) == 7
    error = running.communicate(timeout=60)[1]
    return None if late else (running.returncode, error)


def test_interrupted_it_says_how_to_go_on(tmp_path):
    for attempt in range(3):  # on a busy machine the three seconds of the run may be over before the signal is sent
        out = tmp_path / f"out{attempt}"
        wanted = ("sample:trash", str(out), "prepare.shard_mb=1", "prepare.encode=png", "prepare.workers=2")
        if found := interrupted(wanted, out):
            break
    code, error = found
    # Where the signal met the import of a dataclass, Python ends itself by it in the end: to a shell that is 130, too.
    assert (code if code >= 0 else 128 - code) == 130
    assert error.splitlines() == [
        f"tfmap prepare: stopped: interrupted. To go on: python -m tfmap.prepare {' '.join(wanted)}"
    ]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((), "SOURCE is missing. Usage: python -m tfmap.prepare SOURCE DST [section.key=value ...]"),
        (("sample:trash",), "DST is missing. Usage: python -m tfmap.prepare SOURCE DST [section.key=value ...]"),
        (("nowhere", "out"), "prepare: datasets.source: nowhere does not exist. Expected a folder,"),
        (("sample:trash", "out", "prepare.shard=1"), "unknown key 'prepare.shard'. Keys of prepare: shard_mb,"),
        (("sample:trash", "out", "train.epochs=1"), "this stage does not read 'train'. It reads: prepare, datasets"),
    ],
)
def test_a_wrong_command_line(tmp_path, arguments, text):
    done = subprocess.run(command(*arguments), capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 2
    assert text in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_the_screen_tells_what_was_left_out(pictures, tmp_path):
    shutil.copyfile(next((pictures / "glass").iterdir()), pictures / "glass" / "again.jpg")
    (pictures / "metal" / "text.jpg").write_text("no picture")
    done = subprocess.run(
        command(str(pictures), str(tmp_path / "out"), "datasets.val_fraction=0"), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "train        60 pictures in 1 shard, 0.3 MB"
    assert f"left out: {pictures}/metal/text.jpg: is no picture in a format that Pillow knows" in lines
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["skipped"][-1][0].endswith("text.jpg")
