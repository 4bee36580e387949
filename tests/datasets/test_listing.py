from __future__ import annotations

import pytest

from tfmap.datasets.listing import check_classes, distinct_classes, objects
from tfmap.errors import InputError


@pytest.mark.parametrize("name", ["", " ", ".", "..", "a/b", "../../etc", "a\\b", "a\nb", "a\rb", "a\0b", "a\u2028b"])
def test_names_that_are_no_file_name_and_no_line(name):
    with pytest.raises(InputError, match="cannot be a class name .x.: class names become file names and lines of"):
        check_classes(["fine", name], "x")


def test_other_names_pass():
    assert check_classes(["a b", "c++", "Café", "🗑", "...", "x|y"], "x") == ("a b", "c++", "Café", "🗑", "...", "x|y")


def test_bytes_keep_their_trailing_zeros():
    array = objects([b"a\0\0", b"b"])
    assert array.dtype == object
    assert array[0] == b"a\0\0"
    assert objects([]).shape == (0,)


def test_an_array_of_tuples_is_not_spread():
    assert objects([(1, 2), (3, 4)]).shape == (2,)


def test_a_class_may_stand_once():
    assert distinct_classes(["a", "b"], "x") == ("a", "b")
    with pytest.raises(InputError, match=r"^datasets: the class 'a' stands twice \(x\)\. Rename one\.$"):
        distinct_classes(["a", "b", "a"], "x")
    with pytest.raises(InputError, match="cannot be a class name"):
        distinct_classes(["a/b"], "x")
