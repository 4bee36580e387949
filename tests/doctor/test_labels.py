from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfmap.doctor import findings, labels


def texts(cases, kind):
    return [case.text for case in cases if case.kind is kind]


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("plastic", "Plastic", "differ in case, spaces or signs alone"),
        ("plastic", "plastic ", "differ in case, spaces or signs alone"),
        ("light_bulb", "light-bulb", "differ in case, spaces or signs alone"),
        ("plastic", "plastik", "are spelt almost alike"),
        ("bottle", "bottles", "are spelt almost alike"),
        ("bottle", "bottel", "are spelt almost alike"),
        ("paper", "papers", "are spelt almost alike"),
        ("cat", "cats", "are spelt almost alike"),
        ("cat", "car", None),
        ("glass", "grass", None),
        ("class 1", "class 2", None),
        ("cardboard", "paperboard", None),
    ],
)
def test_names_that_look_alike(one, other, alike):
    cases = list(labels._alike((one, other, "something else")))
    assert [case.text for case in cases] == ([f"{one!r} and {other!r} {alike}"] if alike else [])


@given(st.text("abcde", min_size=7, max_size=12), st.integers(0, 6), st.sampled_from("xyz"))
def test_any_slip_of_one_letter_is_seen(name, place, letter):
    left_out, another = name[:place] + name[place + 1 :], name[:place] + letter + name[place + 1 :]
    for slip in (left_out, another, name[:place] + letter + name[place:]):
        assert labels._shortened(name) & labels._shortened(slip)


def test_names_that_count_up_are_meant_so():
    assert list(labels._alike([f"species number {i}" for i in range(2000)])) == []


def test_counts_and_imbalance(listed, glass):
    seen = listed(glass[:8], labels=[0, 0, 0, 0, 0, 0, 1, 1], parts=["train"] * 7 + ["val"])
    found = labels.counts(seen)
    np.testing.assert_array_equal(found["train"], [6, 1, 0])
    np.testing.assert_array_equal(found["val"], [0, 1, 0])
    cases = list(labels.check(seen))
    assert texts(cases, findings.IMBALANCE) == ["a has 6 pictures, 3.0 times b with 2"]
    assert texts(cases, findings.NO_PICTURES) == ["class 'c' has no picture that can be read"]
    assert texts(cases, findings.MISSING) == ["class 'a' has no picture in val"]


def test_several_labels_a_picture(listed, glass):
    values = np.array([[1, 1, 0], [1, 0, 0], [1, 0, 1]], np.float32)
    seen = listed(glass[:3], labels=values)
    np.testing.assert_array_equal(labels.counts(seen)["train"], [3, 1, 1])
    assert texts(labels.check(seen), findings.IMBALANCE) == ["a has 3 pictures, 3.0 times b with 1"]


def test_unreadable_pictures_do_not_count(listed, glass):
    seen = listed([glass[0], b"broken"], labels=[0, 1])
    np.testing.assert_array_equal(labels.counts(seen)["train"], [1, 0, 0])
