from __future__ import annotations

import re

import numpy as np

from tests.doctor.conftest import four_each
from tfmap.datasets.survey import survey
from tfmap.doctor import findings, gather, page
from tfmap.doctor.pictures import thumbnail
from tfmap.source import Boxes

LIMITS = {"smallest": 32, "largest": 50.0, "aspect": 10.0, "distance": 6}


def rendered(seen):
    found = gather(seen, **LIMITS)
    return found, page.render(found, seen)


def test_the_page_needs_nothing_beside_it_and_shows_the_pictures(write):
    found, html = rendered(survey(str(write(four_each(**{"b/9.jpg": 0, "a/broken.jpg": b"x"})))))
    assert not re.search(r'(src|href)="(?!data:|#)', html)
    assert "<script" not in html
    assert html.count("data:image/jpeg;base64,") == 2
    assert "cannot be shown" in html
    for case in found.cases:
        assert case.kind.name.capitalize() in html
        assert case.kind.advice.replace("'", "&#39;") in html
    assert html.count('class="out"') == 3


def test_names_are_escaped(write):
    _, html = rendered(
        survey(str(write(four_each(**{"<b>bold</b>&".replace("/", "") + "/1.jpg": 20, "a/<i>.jpg": b"x"}))))
    )
    assert "<i>.jpg" not in html
    assert "<b>bold" not in html
    assert "&lt;i&gt;.jpg" in html


def test_many_cases_are_cut_short(write, monkeypatch):
    monkeypatch.setattr(page, "MOST_CASES", 3)
    _, html = rendered(survey(str(write(four_each(**{f"a/broken{i}.jpg": b"x" for i in range(10)})))))
    assert "… and 7 more in findings.json" in html
    assert html.count("cannot be shown") == 3


def test_boxes_are_drawn_on_a_frame(listed, glass):
    table = Boxes(
        np.array([0, 1]), np.array([[10, 10, 10, 90]], np.float32), *(np.zeros(1, t) for t in (int, bool, bool))
    )
    seen = listed(glass[:1], labels=np.array([[1, 0, 0]], np.float32), boxes=table)
    plain, drawn = thumbnail(seen.listing, 0), thumbnail(seen.listing, 0, [(10, 10, 60, 90)])
    assert plain != drawn
    found, html = rendered(seen)
    assert findings.NO_AREA in found.by_kind()
    assert "picture 0: a (10, 10, 10, 90)" in html


def test_the_plot_of_sizes_spans_all_of_them():
    plot = page._sizes({(100, 200): 1000, (400, 300): 10, (1, 1): 1})
    for point in plot["points"]:
        assert plot["margin"] <= point["x"] <= plot["width"] - plot["margin"]
        assert plot["margin"] <= point["y"] <= plot["height"] - plot["margin"]
    assert plot["frequent"][0] == "200 x 100 (1,000)"
    assert plot["points"][0]["r"] > plot["points"][2]["r"]
    assert page._sizes({}) is None
