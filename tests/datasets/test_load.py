"""From a folder on disk to a Source: everything that `load` promises, on real files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import pytest

from tfmap.datasets import load
from tfmap.errors import InputError


def names(split):
    """The files of a split by their last two parts."""
    return {"/".join(name.split(os.sep)[-2:]) for name in split.ids}


def four_each(**more):
    """Two classes with four photographs each."""
    places = {f"{label}/{i}.jpg": 4 * j + i for j, label in enumerate("ab") for i in range(4)}
    return {**places, **more}


def test_sample_is_whole_and_clean():
    source = load("sample:trash")
    assert source.classes == ("cardboard", "glass", "metal", "paper", "plastic", "trash")
    assert len(source) == 1137
    assert source.skipped == ()
    assert source.findings == {}
    assert not source.multi_label
    labels = np.concatenate([split.labels for split in source.splits.values()])
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(np.bincount(labels), [200, 200, 200, 200, 200, 137])
    assert 0.15 < len(source.split("val")) / 1137 < 0.25
    assert not source.split("train").odd.any()


def test_labels_follow_the_folders(fill):
    source = load(str(fill(four_each())))
    for split in source.splits.values():
        for name, label in zip(split.ids, split.labels, strict=True):
            assert name.split(os.sep)[-2] == source.classes[label]


def test_hidden_files_are_ignored(fill):
    source = load(str(fill(four_each(**{"a/.DS_Store": b"x", ".git/config": b"x"}))))
    assert len(source) == 8
    assert source.skipped == ()


def test_given_parts_are_kept(fill):
    places = {f"{part}/{label}/{i}.jpg": 8 * p + 4 * j + i for p, part in enumerate(["train", "validation", "test"])
              for j, label in enumerate("ab") for i in range(4)}  # fmt: skip
    source = load(str(fill(places)), val_fraction=0.9)
    assert {part: len(split) for part, split in source.splits.items()} == {"train": 8, "val": 8, "test": 8}


def test_val_is_drawn_from_train_where_it_is_not_given(fill):
    places = {f"{part}/{label}/{i}.jpg": 10 * p + 5 * j + i for p, part in enumerate(["Training", "test"])
              for j, label in enumerate("ab") for i in range(5)}  # fmt: skip
    source = load(str(fill(places)), val_fraction=0.4)
    assert len(source.split("test")) == 10
    assert len(source.split("train")) + len(source.split("val")) == 10
    assert len(source.split("val")) >= 2


def test_train_alone_is_cut(fill):
    places = {f"train/{place}": which for place, which in four_each().items()}
    source = load(str(fill(places)))
    assert set(source.splits) == {"train", "val"}


def test_no_val_if_its_fraction_is_zero(fill):
    assert set(load(str(fill(four_each())), val_fraction=0).splits) == {"train"}


def test_a_picture_never_changes_side_when_others_come(fill):
    def sides(source):
        return {name: part for part, split in source.splits.items() for name in names(split)}

    few = sides(load(str(fill({f"{label}/{i}.jpg": 8 * j + i for j, label in enumerate("ab") for i in range(8)}))))
    many = sides(
        load(str(fill({f"{label}/new{i}.jpg": 16 + 8 * j + i for j, label in enumerate("ab") for i in range(8)})))
    )
    assert len(many) == 32
    assert few == {name: many[name] for name in few}


def test_another_seed_cuts_other_parts():
    assert names(load("sample:trash").split("val")) != names(load("sample:trash", seed=1).split("val"))


def test_a_copy_in_the_same_class_is_left_out(fill):
    source = load(str(fill(four_each(**{"a/9.jpg": 0}))))
    assert len(source) == 8
    assert [skipped.path.endswith("a/9.jpg") for skipped in source.skipped] == [True]
    assert source.skipped[0].reason.startswith("exact duplicates: ")
    assert "a/0.jpg = " in source.findings["exact duplicates"][0]


def test_the_same_picture_under_two_labels_is_left_out_twice(fill):
    source = load(str(fill(four_each(**{"b/9.jpg": 0}))))
    assert len(source) == 7
    assert {"a/0.jpg", "b/9.jpg"} == {"/".join(skipped.path.split(os.sep)[-2:]) for skipped in source.skipped}
    (line,) = source.findings["same picture under two labels"]
    assert "a/0.jpg = " in line
    assert line.endswith("b/9.jpg")


def test_a_leak_between_given_parts_is_left_out_of_train(fill):
    places = {f"{part}/{place}": which + 10 * p for p, part in enumerate(["train", "val", "test"])
              for place, which in four_each().items()}  # fmt: skip
    leaks = {"train/a/leak.jpg": 10, "train/b/leak.jpg": 24, "val/a/leak.jpg": 20}
    source = load(str(fill({**places, **leaks})))
    assert {part: len(split) for part, split in source.splits.items()} == {"train": 8, "val": 8, "test": 8}
    assert len(source.findings["same picture in two parts"]) == 3
    assert all(skipped.reason.startswith("same picture in two parts") for skipped in source.skipped)


def test_given_test_parts_are_not_thinned(fill):
    places = {f"train/{place}": which for place, which in four_each().items()}
    places |= {f"test/{place}": which + 10 for place, which in four_each().items()}
    source = load(str(fill({**places, "test/a/copy.jpg": 10, "test/b/other.jpg": 11})))
    assert len(source.split("test")) == 10
    assert set(source.findings) == {"exact duplicates", "same picture under two labels"}


def test_broken_files_are_listed_and_do_not_stop_a_load(fill, glass):
    whole = glass[0].read_bytes()
    folder = fill(four_each(**{
        "a/cut.jpg": whole[: len(whole) // 2], "a/empty.jpg": b"", "b/text.jpg": b"no picture", "b/x.txt": b"notes",
    }))  # fmt: skip
    (folder / "b" / "folder.jpg").mkdir()
    os.symlink("nowhere", folder / "a" / "gone.jpg")
    source = load(str(folder))
    assert len(source) == 8
    reasons = {os.path.basename(skipped.path): skipped.reason for skipped in source.skipped}
    assert "truncated" in reasons.pop("cut.jpg")
    assert reasons == {
        "empty.jpg": "is empty (0 bytes)",
        "text.jpg": "is no picture in a format that Pillow knows",
        "x.txt": "is no picture in a format that Pillow knows",
        "folder.jpg": "is a folder inside a class folder; it was not searched",
        "gone.jpg": "No such file or directory",
    }
    assert len(source.findings["unreadable"]) == 5


def test_odd_pictures_are_marked(fill, glass):
    from PIL import Image

    folder = fill(four_each())
    Image.open(glass[20]).save(folder / "a" / "odd.webp")
    source = load(str(folder))
    odd = {name for split in source.splits.values() for name in names(split.take(split.odd))}
    assert odd == {"a/odd.webp"}


def test_imbalance_is_found(fill):
    places = {f"a/{i}.jpg": i for i in range(30)} | {f"b/{i}.jpg": 30 + i for i in range(4)}
    (line,) = load(str(fill(places)), val_fraction=0).findings["imbalance"]
    assert line == "a has 30 pictures, 7.5 times b with 4"


def test_multi_label_can_be_asked_for(fill):
    source = load(str(fill(four_each())), multi_label=True)
    labels = source.split("train").labels
    assert source.multi_label
    assert labels.dtype == np.float32
    np.testing.assert_array_equal(labels.sum(1), 1)


def test_missing_source():
    with pytest.raises(
        FileNotFoundError, match=r"datasets: no/where does not exist. Expected a folder, .*sample:trash"
    ):
        load("no/where")


def test_empty_folder(tmp_path):
    with pytest.raises(
        InputError, match=r"has no class folders: expected folder/<class>/<picture>.* It holds nothing\."
    ):
        load(str(tmp_path))


def test_pictures_without_class_folders(fill):
    with pytest.raises(InputError, match=r"has no class folders.* It holds 1.jpg, 2.jpg, 3.jpg and 1 more\."):
        load(str(fill({f"{i}.jpg": i for i in range(1, 5)})))


def test_empty_class(fill):
    folder = fill(four_each())
    (folder / "c").mkdir()
    with pytest.raises(InputError, match=r"class folder .*c holds no pictures, it is empty\. Add pictures to it or"):
        load(str(folder))


def test_one_class_only(fill):
    with pytest.raises(InputError, match=r"needs at least two classes to tell apart, found a\."):
        load(str(fill({"a/1.jpg": 1, "a/2.jpg": 2})))


def test_nothing_readable(fill):
    with pytest.raises(InputError, match=r"none of the 2 pictures of .* can be used\. The first: .*1.jpg is empty"):
        load(str(fill({"a/1.jpg": b"", "b/1.jpg": b""})))


def test_a_class_with_nothing_readable(fill):
    with pytest.raises(
        InputError, match=r"no usable train picture of class c in .*\. Add pictures or remove the class"
    ):
        load(str(fill(four_each(**{"c/1.jpg": b"x"}))))


def test_no_train_part(fill):
    with pytest.raises(InputError, match=r"has no train part, only val\."):
        load(str(fill({f"val/{place}": which for place, which in four_each().items()})))


@pytest.mark.parametrize("fraction", [-0.1, 1.0, 3])
def test_fractions_out_of_range(fraction):
    with pytest.raises(InputError, match=rf"datasets.val_fraction must be at least 0 and below 1, received {fraction}"):
        load("sample:trash", val_fraction=fraction)
    with pytest.raises(
        InputError, match=rf"datasets.test_fraction must be at least 0 and below 1, received {fraction}"
    ):
        load("sample:trash", test_fraction=fraction)


def test_fractions_that_leave_nothing():
    with pytest.raises(InputError, match=r"must stay below 1, received 0.5 \+ 0.5: nothing would be left to train on"):
        load("sample:trash", val_fraction=0.5, test_fraction=0.5)


def test_test_fraction_beside_a_given_test_part(fill):
    places = {f"{part}/{place}": which + 10 * p for p, part in enumerate(["train", "test"])
              for place, which in four_each().items()}  # fmt: skip
    with pytest.raises(InputError, match=r"datasets.test_fraction is 0.1, but .* has a test part. Set it to 0"):
        load(str(fill(places)), test_fraction=0.1)


def test_workers_out_of_range():
    with pytest.raises(InputError, match="datasets.workers must be at least 1, received 0"):
        load("sample:trash", workers=0)


@pytest.fixture
def other_user(fill):
    """A folder that everybody can reach, and a switch to a user who owns nothing (root may read everything)."""
    with tempfile.TemporaryDirectory() as reachable:
        os.chmod(reachable, 0o755)
        folder = shutil.copytree(fill(four_each()), os.path.join(reachable, "data"))
        root = os.geteuid() == 0
        yield folder, lambda: os.seteuid(65534) if root else None
        if root:
            os.seteuid(0)
        os.chmod(os.path.join(folder, "a"), 0o755)


def test_a_folder_without_the_right_to_read(other_user):
    folder, switch = other_user
    os.chmod(os.path.join(folder, "a"), 0)
    switch()
    with pytest.raises(InputError, match=f"^datasets: no permission to read {folder}/a.$"):
        load(folder)


def test_a_file_without_the_right_to_read(other_user):
    folder, switch = other_user
    load(folder)  # fills the cache: a verdict from a better day must not hide the error
    os.chmod(os.path.join(folder, "a", "1.jpg"), 0)
    switch()
    assert [skipped.reason for skipped in load(folder).skipped] == ["Permission denied"]


def test_load_is_light():
    """Naming the function costs no TensorFlow; `--help` depends on it."""
    code = (
        "import sys, tfmap.datasets; sys.exit(any(m in sys.modules for m in ('tensorflow', 'keras', 'numpy', 'PIL')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
