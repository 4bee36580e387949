from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfmap.datasets.clean import CONFLICT, COPY, LEAK, UNREADABLE, clean, imbalance
from tfmap.datasets.listing import Listing, objects
from tfmap.datasets.scan import Verdict


def listed(rows):
    """Listing and verdicts of rows (content, label, part)."""
    labels = np.array([label for _, label, _ in rows], np.int32)
    ids = objects([f"picture {i}" for i in range(len(rows))])
    listing = Listing("path", ids, labels, ids, objects([part for _, _, part in rows]), ("a", "b", "c"))
    return listing, [Verdict(content, "" if content else "is empty") for content, _, _ in rows]


ROWS = st.lists(
    st.tuples(st.sampled_from("wxyz") | st.just(""), st.integers(0, 2), st.sampled_from(["", "train", "val", "test"]))
)


@given(ROWS)
def test_what_stays_is_readable_and_never_in_two_parts(rows):
    keep, left_out, _ = clean(*listed(rows))
    assert len(left_out) == len(rows) - keep.sum()
    stays = [row for row, kept in zip(rows, keep, strict=True) if kept]
    assert all(content for content, _, _ in stays)
    trained = [(content, label) for content, label, part in stays if part in ("", "train")]
    assert len({content for content, _ in trained}) == len(trained)
    assert not {content for content, _ in trained} & {content for content, _, part in stays if part in ("val", "test")}


@given(ROWS)
def test_readable_test_pictures_all_stay(rows):
    keep, _, _ = clean(*listed(rows))
    assert all(kept for (content, _, part), kept in zip(rows, keep, strict=True) if content and part == "test")


@pytest.mark.parametrize(
    ("rows", "kept", "kind"),
    [
        ([("x", 0, ""), ("x", 0, "")], [True, False], COPY),
        ([("x", 0, ""), ("x", 1, "")], [False, False], CONFLICT),
        ([("x", 0, "train"), ("x", 0, "val")], [False, True], LEAK),
        ([("x", 0, "val"), ("x", 0, "test")], [False, True], LEAK),
        ([("x", 0, "train"), ("x", 1, "test")], [False, True], CONFLICT),
        ([("x", 0, "test"), ("x", 0, "test")], [True, True], COPY),
        ([("x", 0, ""), ("", 0, "")], [True, False], UNREADABLE),
    ],
)
def test_each_rule(rows, kept, kind):
    keep, left_out, findings = clean(*listed(rows))
    assert list(keep) == kept
    assert list(findings) == [kind]
    assert len(left_out) == kept.count(False)


def test_reasons_name_the_other_picture():
    _, (left_out,), findings = clean(*listed([("x", 0, ""), ("y", 0, ""), ("x", 0, "")]))
    assert left_out.path == "picture 2"
    assert left_out.reason == "exact duplicates: picture 0"
    assert findings[COPY] == ["picture 0 = picture 2"]


def test_imbalance_from_three_times():
    assert imbalance(np.array([10, 29]), "ab") == []
    assert imbalance(np.array([10, 30]), "ab") == ["b has 30 pictures, 3.0 times a with 10"]
    assert imbalance(np.array([0, 30]), "ab") == ["b has 30 pictures, against a with 0"]
