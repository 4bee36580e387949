from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageEnhance

import tfmap
from tests.doctor.conftest import encoded, four_each
from tfmap.datasets.survey import survey
from tfmap.doctor import copies, findings


def found_in(folder, distance=6):
    seen = survey(str(folder))
    return list(copies.check(seen, distance=distance))


def ends(names):
    return ["/".join(name.split("/")[-3:]) for name in names]


def test_the_sample_has_no_copies():
    assert [case for case in tfmap.examine("sample:trash").cases if case.kind is findings.COPY] == []


def test_exact_copies_all_but_the_first(write):
    (case,) = found_in(write(four_each(**{"a/9.jpg": 0, "a/8.jpg": 0})))
    assert case.kind is findings.COPY
    assert len(case.pictures) == 3
    assert ends(case.quarantine) == ["data/a/8.jpg", "data/a/9.jpg"]


def test_one_picture_under_two_labels(write):
    (case,) = found_in(write(four_each(**{"b/9.jpg": 0})))
    assert case.kind is findings.CONFLICT
    assert ends(case.quarantine) == ["data/a/0.jpg", "data/b/9.jpg"]


def parts(**more):
    places = {f"train/{place}": which for place, which in four_each().items()}
    return {**places, **{f"test/{place}": which + 10 for place, which in four_each().items()}, **more}


def test_a_leak_takes_the_copy_in_train(write):
    (case,) = found_in(write(parts(**{"train/a/9.jpg": 10})))
    assert case.kind is findings.LEAK
    assert ends(case.quarantine) == ["train/a/9.jpg"]


def again(glass, index, change):
    return encoded(change(Image.open(io.BytesIO(glass[index])).convert("RGB")), quality=80)


CHANGES = {
    "encoded again": lambda image: image,
    "smaller": lambda image: image.resize((image.width // 2, image.height // 2)),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.85),
    "cut a little": lambda image: image.crop((2, 2, image.width - 1, image.height - 2)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_near_duplicates(write, glass, change):
    (case,) = found_in(write(four_each(**{"a/9.jpg": again(glass, 0, CHANGES[change])})))
    assert case.kind in (findings.NEAR, findings.NEAR_LEAK)
    assert sorted(ends(case.pictures)) == ["data/a/0.jpg", "data/a/9.jpg"]


def test_near_duplicates_under_two_labels_are_only_listed(write, glass):
    places = {f"train/{place}": which for place, which in four_each().items()}
    (case,) = found_in(write({**places, "train/b/9.jpg": again(glass, 0, CHANGES["smaller"])}), distance=8)
    seen = {case.kind}
    assert seen <= {findings.NEAR_CONFLICT, findings.NEAR_LEAK}
    assert bool(case.quarantine) == (case.kind is findings.NEAR_LEAK)


def test_near_duplicates_across_given_parts_take_the_one_in_train(write, glass):
    (case,) = found_in(write(parts(**{"train/a/9.jpg": again(glass, 10, CHANGES["darker"])})))
    assert case.kind is findings.NEAR_LEAK
    assert ends(case.quarantine) == ["train/a/9.jpg"]
    assert case.text.startswith("test: ")


def test_near_duplicates_in_val_and_test_are_only_listed(write, glass):
    places = {f"{part}/{place}": which + 10 * p for p, part in enumerate(("train", "val", "test"))
              for place, which in four_each().items()}  # fmt: skip
    (case,) = found_in(write({**places, "val/a/9.jpg": again(glass, 20, CHANGES["darker"])}))
    assert case.kind is findings.NEAR_LEAK
    assert case.quarantine == ()


def test_too_many_pairs_end_this_check_alone(listed, glass, monkeypatch):
    monkeypatch.setattr(copies.near, "MOST_PAIRS", 1)
    pictures = [again(glass, 0, lambda image, side=side: image.resize((side, side))) for side in range(60, 200, 10)]
    cases = list(copies.check(listed([*pictures, glass[1], glass[1]]), distance=16))
    assert [case.kind for case in cases] == [findings.COPY, findings.NOT_SEARCHED]
    assert cases[1].text == "more than 1 pairs of hashes differ in at most 16 bits"


def test_an_upright_picture_and_its_lying_twin(write, photograph, glass):
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = Image.open(io.BytesIO(glass[0])).transpose(Image.Transpose.ROTATE_90)
    (case,) = found_in(write(four_each(**{"a/9.jpg": encoded(lying, exif=exif, quality=95)})))
    assert len(case.pictures) == 2


def test_plain_pictures_are_alike_in_one_colour_only(listed):
    colours = ["red", "red", "blue", "white", "black"]
    plain = [encoded(Image.new("RGB", (64 + 8 * i, 64), colour), "PNG") for i, colour in enumerate(colours)]
    (case,) = copies.check(listed(plain), distance=16)
    assert case.pictures == ("picture 0", "picture 1")


def test_many_black_pictures_are_compared_with_the_first(listed):
    black = [encoded(Image.new("RGB", (40 + i, 40)), "PNG") for i in range(60)]
    seen = listed(black)
    members = np.arange(60)
    hashes = np.array([int(verdict.hash, 16) for verdict in seen.verdicts], np.uint64)
    assert len(set(hashes.tolist())) == 1
    assert len(copies._candidates(hashes, members, 6)) == 59
    (case,) = copies.check(seen, distance=6)
    assert len(case.pictures) == 60


def test_a_picture_that_went_away_is_no_copy(write, glass):
    folder = write(four_each(**{"a/9.jpg": again(glass, 0, CHANGES["encoded again"])}))
    seen = survey(str(folder))
    (folder / "a" / "9.jpg").unlink()
    assert list(copies.check(seen, distance=6)) == []


def test_likeness_is_one_with_itself_and_less_with_others(listed, glass):
    from tfmap.doctor.pictures import edges

    seen = listed(glass[:4])
    known = [edges(seen.listing, i) for i in range(4)]
    for i in range(4):
        assert copies.likeness(known[i], known[i]) == pytest.approx(1)
        assert all(copies.likeness(known[i], known[j]) < copies.ALIKE for j in range(4) if j != i)
