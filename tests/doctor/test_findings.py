from __future__ import annotations

import json

import pytest

from tfmap.doctor import findings, quarantine
from tfmap.doctor.findings import Finding, Findings


def found(*cases):
    return Findings("data", ("a", "b"), {"train": [2, 1]}, {(10, 20): 3}, 3, cases)


def test_every_kind_has_a_name_of_its_own_and_says_what_to_do():
    assert len({kind.name for kind in findings.KINDS}) == len(findings.KINDS) > 30
    for kind in findings.KINDS:
        assert kind.severity in ("error", "warning", "note")
        assert kind.advice[-1] in ".?"
    severities = [kind.severity for kind in findings.KINDS]
    assert severities == sorted(severities, key=["error", "warning", "note"].index)


def test_json_holds_every_case():
    cases = (
        Finding(findings.COPY, "x = y", ("x", "y"), ("y",)),
        Finding(findings.NO_AREA, "x", ("x",), boxes=((1, 2, 1, 4),)),
    )
    row = json.loads(json.dumps(found(*cases).as_json()))
    assert row["severities"] == {"warning": 1, "error": 1}
    assert row["quarantine"] == ["y"]
    assert row["findings"][0]["pictures"] == ["x", "y"]
    assert row["findings"][1]["boxes"] == [[1, 2, 1, 4]]
    assert row["counts"] == {"train": [2, 1]}


def test_a_picture_stands_on_the_list_once_under_its_gravest_reason():
    text = quarantine.text(
        found(Finding(findings.CONFLICT, "", ("x",), ("x",)), Finding(findings.COPY, "", ("x", "y"), ("x", "y")))
    )
    assert [line for line in text.splitlines() if line and line[0] != "#"] == ["y", "x"]
    assert "# exact duplicates: 1\ny\n" in text
    assert "# same picture under two labels: 1\nx\n" in text


@pytest.mark.parametrize(
    ("names", "below"),
    [
        (["/x/a/1.jpg", "/x/a/2.jpg", "/x/b/1.jpg"], "/x/"),
        (["/x/a/1.jpg", "/x/a/11.jpg"], "/x/a/"),
        (["picture 1", "picture 2"], ""),
        (["/x/a/1.jpg"], ""),
        ([], ""),
    ],
)
def test_the_folder_that_all_names_share(names, below):
    assert findings.common_folder(names) == below
