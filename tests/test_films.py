"""Films: read and written by a real OpenCV, looked at frame by frame."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from PIL import Image

from tfmap import films, predict, watched
from tfmap.errors import InputError

RATE = 10.0


@pytest.fixture(scope="module")
def pictures(photos):
    """Ten photographs, 96 x 96, each for a second or so."""
    large = [np.asarray(Image.fromarray(one).resize((96, 96))) for one in photos[0][::5]]
    return [frame for frame in large for _ in range(3)]


@pytest.fixture(scope="module")
def film(tmp_path_factory, pictures):
    path = tmp_path_factory.mktemp("films") / "photos.mp4"
    films.write(path, pictures, RATE)
    return path


def test_a_film_is_what_was_written(film, pictures):
    assert films.about(film) == (len(pictures), RATE)
    found = list(films.frames(film))
    assert len(found) == len(pictures)
    apart = [np.abs(one.astype(int) - other).mean() for one, other in zip(found, pictures, strict=True)]
    assert max(apart) < 12  # it is compressed
    assert np.abs(found[0].astype(int) - pictures[6]).mean() > 20


def test_odd_sides_lose_a_row(tmp_path):
    films.write(tmp_path / "odd.mp4", [np.full((65, 97, 3), 128, np.uint8)] * 3, RATE)
    assert next(films.frames(tmp_path / "odd.mp4")).shape == (64, 96, 3)


def test_what_is_no_film_is_told(tmp_path):
    path = tmp_path / "broken.mp4"
    path.write_bytes(b"no film")
    with pytest.raises(
        InputError, match=r"predict: .*broken.mp4 is no film that OpenCV can read. Expected one of .mp4"
    ):
        films.about(path)


def test_a_folder_that_cannot_be_written(tmp_path):
    with pytest.raises(InputError, match=r"predict: OpenCV cannot write .*out.mp4. Choose another folder: out=FOLDER"):
        films.write(tmp_path / "missing" / "out.mp4", [np.zeros((32, 32, 3), np.uint8)], RATE)


def test_without_opencv_it_says_what_to_install(film, monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(InputError, match=r"OpenCV, which is not installed here .* pip install 'tfmap\[video\]'"):
        films.about(film)


@pytest.fixture(scope="module")
def model(tmp_path_factory, lite_files):
    path = tmp_path_factory.mktemp("model") / "model.tflite"
    path.write_bytes(lite_files["int8"])
    return path


def test_a_film_is_named_and_drawn(film, model, pictures, tmp_path):
    (row,) = predict.predict(model, [film], top_k=1, out=tmp_path)
    assert row["frames"] == len(pictures)
    assert sum(part["frames"] for part in row["classes"]) == len(pictures)
    assert row["drawn"] == str(tmp_path / "photos.mp4")
    drawn = list(films.frames(row["drawn"]))
    assert len(drawn) == len(pictures)
    assert drawn[0].shape == (96 + watched.TEXT, 96, 3)


def test_its_frames_are_named_as_pictures_are(film, model, tmp_path):
    frames = list(films.frames(film))[::3]
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / f"{number}.png")
    rows = predict.predict(model, [tmp_path], top_k=1)
    (row,) = predict.predict(model, [film], top_k=1)
    named = [one["classes"][0]["label"] for one in rows]
    counts = {part["label"]: part["frames"] for part in row["classes"]}
    assert counts == {label: 3 * named.count(label) for label in set(named)}


def test_films_and_pictures_side_by_side_and_a_broken_one(film, model, pictures, tmp_path):
    Image.fromarray(pictures[0]).save(tmp_path / "b.png")
    (tmp_path / "a.mp4").write_bytes(b"no film")
    (tmp_path / "c.mp4").write_bytes(film.read_bytes())
    rows = predict.predict(model, [tmp_path])
    assert "is no film that OpenCV can read" in rows[0]["error"]
    assert [row.get("frames") for row in rows] == [None, None, len(pictures)]
    assert rows[1]["classes"]


def test_a_film_s_parts_are_summed_up():
    frames = [
        [{"label": "a", "score": 0.5}, {"label": "a", "score": 0.9}, {"label": "b", "score": 0.4}],
        [{"label": "a", "score": 0.7}],
        [],
    ]
    assert watched.summed(frames) == [
        {"label": "a", "score": pytest.approx(0.8), "frames": 2},
        {"label": "b", "score": 0.4, "frames": 1},
    ]


@pytest.mark.parametrize(("side", "expected"), [(100, 100), (109, 54), (220, 55), (435, 108), (436, 54)])
def test_large_frames_are_averaged(side, expected):
    """As a JPEG's decoder would: both sides stay at least 0.85 of the model's 64."""
    frame = np.arange(side * side * 3, dtype=np.uint32).reshape(side, side, 3).astype(np.uint8)
    small = watched.reduced(frame, (64, 64))
    assert small.shape == (expected, expected, 3)
    if expected < side:
        by = side // expected
        assert small[0, 0, 0] == np.round(frame[:by, :by, 0].mean())
