from __future__ import annotations

import struct
import zlib

import pytest
from PIL import Image

from tests.doctor.conftest import encoded, four_each, kinds
from tfmap.datasets.survey import survey
from tfmap.doctor import files, findings

LIMITS = {"smallest": 32, "largest": 50.0, "aspect": 10.0}


def bomb(side=60_000):
    """A PNG whose header declares side x side pixels, and holds next to none."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    )


def case(write, name, data):
    """The findings about one file among good ones."""
    seen = survey(str(write(four_each(**{f"a/{name}": data}))))
    return [found for found in files.check(seen, **LIMITS) if any(name in picture for picture in found.pictures)]


def test_good_files_have_no_findings(write):
    assert not list(files.check(survey(str(write(four_each()))), **LIMITS))


@pytest.mark.parametrize(
    ("make", "kind", "text"),
    [
        (lambda good, image: b"no picture", findings.UNREADABLE, "is no picture in a format that Pillow knows"),
        (lambda good, image: b"", findings.UNREADABLE, "is empty"),
        (lambda good, image: good[: len(good) // 2], findings.TRUNCATED, "truncated"),
        (lambda good, image: bomb(), findings.BOMB, "is larger than 64 million pixels"),
        (lambda good, image: encoded(image, "PNG"), findings.EXTENSION, "is a PNG file"),
        (lambda good, image: encoded(image.resize((20, 40))), findings.TINY, "is 20 x 40 pixels"),
        (lambda good, image: encoded(image.resize((700, 60))), findings.ASPECT, "is 700 x 60 pixels"),
        (lambda good, image: encoded(image.convert("CMYK")), findings.MODE, "is of mode CMYK"),
        (lambda good, image: encoded(Image.new("L", (8000, 7000))), findings.HUGE, "is 8000 x 7000 pixels"),
    ],
)
def test_each_check(write, glass, photograph, make, kind, text):
    (found,) = case(write, "odd.jpg", make(glass[9], photograph))
    assert found.kind is kind
    assert text in found.text
    assert bool(found.quarantine) == (kind.rule == "all")


def test_a_picture_that_lies_on_its_side(write, photograph):
    exif = Image.Exif()
    exif[0x0112] = 6
    (found,) = case(write, "lying.jpg", encoded(photograph, exif=exif))
    assert found.kind is findings.ROTATED
    assert found.text.endswith("has EXIF orientation 6")


@pytest.mark.parametrize("name", ["a.png", "a.PNG", "a.unheard", "none"])
def test_endings_that_are_right_or_say_nothing(write, photograph, name):
    assert findings.EXTENSION.name not in kinds(case(write, name, encoded(photograph, "PNG")))


def test_what_the_reader_left_out_is_a_note(write, glass):
    seen = survey(str(write(four_each(**{"outside.jpg": 20, "a/deep/1.jpg": 21}))))
    notes = [found for found in files.check(seen, **LIMITS) if found.kind is findings.SKIPPED]
    assert len(notes) == 2
    assert all(not note.quarantine for note in notes)
