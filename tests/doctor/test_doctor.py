"""`examine` and the command, from a folder on disk to the files they leave."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

import tfmap
from tests.doctor.conftest import encoded, four_each, kinds
from tfmap import cli, doctor
from tfmap.errors import InputError
from tfmap.source import Source, Split


@pytest.fixture
def sick(write, glass, photograph):
    """A folder with many things wrong in it."""
    return write(
        four_each(**{
            "a/copy.jpg": 0, "b/other label.jpg": 1, "a/cut.jpg": glass[9][:900], "b/text.jpg": b"no picture",
            "b/small.png": encoded(photograph.resize((9, 9)), "PNG"), "B /1.jpg": 12, "B /2.jpg": 13,
        })
    )  # fmt: skip


def digests(folder):
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


def call(capsys, *argv):
    with pytest.raises(SystemExit) as exit:
        cli.main("doctor", list(map(str, argv)))
    out, err = capsys.readouterr()
    return exit.value.code, out, err


def test_everything_at_once(sick):
    found = tfmap.examine(str(sick))
    assert kinds(found.cases) >= {
        *("truncated", "unreadable", "exact duplicates", "same picture under two labels", "tiny picture"),
        "class names that look alike",
    }
    severities = [case.kind.severity for case in found.cases]
    assert severities == sorted(severities, key=["error", "warning", "note"].index)
    names = {name.removeprefix(f"{sick}/") for name in found.quarantine()}
    assert names == {"a/copy.jpg", "a/1.jpg", "b/other label.jpg", "a/cut.jpg", "b/text.jpg"}


def test_a_loaded_source_is_examined_too(sick):
    found = tfmap.examine(tfmap.load(str(sick)))
    assert "left out by the reader" in kinds(found.cases)
    assert not kinds(found.cases) & {"truncated", "exact duplicates"}


def test_pixels_in_arrays(trash_split, trash_classes):
    images, labels = np.array(trash_split.images), np.array(trash_split.labels)
    images[5] = images[3]
    images[20] = np.clip(images[19].astype(int) + 3, 0, 255)
    split = Split("pixels", images, labels, trash_split.ids, trash_split.odd)
    found = tfmap.examine(Source("arrays", trash_classes, {"train": split}))
    assert [case.pictures for case in found.cases if case.kind.name == "exact duplicates"] == [("photo 3", "photo 5")]
    assert ("photo 19", "photo 20") in [case.pictures for case in found.cases if case.kind.name == "near duplicates"]


@pytest.mark.parametrize(
    ("places", "text"),
    [
        ({"a/1.jpg": 0, "a/2.jpg": 1}, "needs at least two classes to tell apart, found a"),
        (
            {"train/a/1.jpg": 0, "train/b/1.jpg": 1, "val/a/1.jpg": 2, "val/b/.keep": b""},
            "holds no pictures, it is empty",
        ),
        ({"a/1.jpg": 0, "b/1.jpg": b"broken"}, "no usable train picture of class b"),
    ],
)
def test_what_load_refuses_is_a_finding(write, places, text):
    folder = str(write(places))
    with pytest.raises(InputError, match=text):
        tfmap.load(folder)
    refused = [case for case in tfmap.examine(folder).cases if case.kind.name == "refused by load"]
    assert len(refused) == 1
    assert text in refused[0].text


def test_the_command_leaves_three_files_and_changes_nothing(sick, tmp_path, capsys):
    before = digests(sick)
    code, out, err = call(capsys, sick, "doctor.smallest=5", f"out={tmp_path / 'out'}")
    assert (code, err) == (0, "")
    assert digests(sick) == before
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        *("doctor.html", "findings.json", "quarantine.txt"),
    ]
    found = json.loads((tmp_path / "out" / "findings.json").read_text())
    assert "tiny picture" not in {case["kind"] for case in found["findings"]}
    listed = [
        line for line in (tmp_path / "out" / "quarantine.txt").read_text().splitlines() if line[:1] not in ("", "#")
    ]
    assert sorted(listed) == sorted(found["quarantine"])
    assert f"datasets.exclude={tmp_path / 'out' / 'quarantine.txt'}" in out
    assert "same picture under two labels" in out


def test_without_what_is_on_the_list_only_notes_and_warnings_are_left(sick):
    for name in tfmap.examine(str(sick)).quarantine():
        shutil.move(name, sick.parent)
    assert "error" not in {case.kind.severity for case in tfmap.examine(str(sick)).cases}


def test_a_healthy_folder(write, tmp_path, capsys):
    code, out, _ = call(capsys, write(four_each()), f"out={tmp_path / 'out'}")
    assert code == 0
    assert out.startswith("Nothing to object to in 8 pictures.")
    assert "exclude" not in out
    assert "Nothing to object to" in (tmp_path / "out" / "doctor.html").read_text()


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ("doctor.smallest=0", "doctor.smallest must be at least 1, received 0"),
        ("doctor.largest=0", "doctor.largest must be above 0, received 0"),
        ("doctor.aspect=0.5", "doctor.aspect must be at least 1, received 0.5"),
        ("doctor.distance=17", "doctor.distance must be from 0 to 16, received 17"),
        ("doctor.distanze=3", "unknown key 'doctor.distanze'.*Did you mean 'distance'"),
        ("train.epochs=3", "this stage does not read 'train'"),
        ("datasets.val_fraction=2", "datasets.val_fraction must be at least 0 and below 1"),
        ("datasets.workers=0", "datasets.workers must be at least 1"),
    ],
)
def test_bad_settings_exit_with_2(write, tmp_path, capsys, setting, text):
    code, _, err = call(capsys, write(four_each()), setting, f"out={tmp_path / 'out'}")
    assert code == 2
    assert re.search(text, err)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda folder: folder / "gone", "does not exist"),
        (lambda folder: folder / "a", "has no class folders"),
        (lambda folder: folder / "a" / "0.jpg", "is no data set"),
    ],
)
def test_what_is_no_data_set_exits_with_2(write, tmp_path, capsys, make, text):
    code, _, err = call(capsys, make(write(four_each())), f"out={tmp_path / 'out'}")
    assert code == 2
    assert text in err


def test_an_option_that_load_does_not_have(write):
    with pytest.raises(InputError, match="survey: unknown key 'datasets.val_fracton'"):
        tfmap.examine(str(write(four_each())), datasets={"val_fracton": 0.1})


VOC = """<annotation><size><width>{width}</width><height>{height}</height></size>
<object><name>cell</name><bndbox><xmin>10</xmin><ymin>10</ymin><xmax>{xmax}</xmax><ymax>90</ymax></bndbox></object>
</annotation>"""


def test_what_readers_leave_out_is_still_seen(write, glass, photograph):
    """A box that load drops, a broken annotation, and one that was drawn on another size: through the real reader."""
    width, height = photograph.size
    root = write({f"{name}.jpg": number for number, name in enumerate(("good", "flat", "broken", "other"))})
    sizes = {"width": width, "height": height}
    (root / "good.xml").write_text(VOC.format(**sizes, xmax=80))
    (root / "flat.xml").write_text(VOC.format(**sizes, xmax=10))
    (root / "broken.xml").write_text("<annotation><object>")
    (root / "other.xml").write_text(VOC.format(width=width + 7, height=height, xmax=80))
    found = {case.kind.name: case for case in doctor.examine(str(root)).cases}
    assert "flat.jpg" in found["box without area"].text
    assert "broken" in found["left out by the reader"].text
    assert "other.jpg" in found["annotation of another size than its picture"].text


def test_masks_that_load_refuses_are_named(tmp_path, glass):
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    for number, value in enumerate((1, 2, 9)):
        (tmp_path / "images" / f"{number}.jpg").write_bytes(glass[number])
        width, height = Image.open(io.BytesIO(glass[number])).size
        mask = np.zeros((height, width - (number == 0)), np.uint8)
        mask[5:9, 5:9] = value
        Image.fromarray(mask).save(tmp_path / "masks" / f"{number}.png")
    (tmp_path / "classes.txt").write_text("ground\nred\nblue\n")
    found = {case.kind.name: case for case in doctor.examine(str(tmp_path)).cases}
    assert "0.jpg" in found["mask of another size"].text
    assert "values: 9; the classes are 0 to 2" in found["mask with unknown values"].text
