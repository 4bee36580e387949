from __future__ import annotations

import pytest

from tfmap.shrink import plot, points


def point(name, drop, kilobytes, latency):
    metric = {"name": "accuracy", "keras": 0.9, "file": 0.9 - drop / 100}
    sizes = {"gzip_bytes": 1000 * kilobytes, "latency_ratio": latency}
    return {"name": name, "metric": metric, "drop_points": drop, "drop_error": 1.2, **sizes}


CLOSE = (
    point("int8", 0.4, 224, 0.94),
    point("qat", 0.3, 222, 0.93),
    point("prune50", 0.5, 160, 0.93),
    point("prune50_qat", 0.4, 159, 0.92),
    point("prune50_cluster16_qat", 0.5, 158, 0.92),
)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_no_name_covers_another_or_leaves_its_panel(count):
    found = points.with_front(CLOSE[:count])
    drawn = plot.figure({"points": found, "budget": 1.0, "best": found[-1]["name"], "optimise": "size"})
    for axes in drawn.axes:
        boxes = [text.get_window_extent() for text in axes.texts if text.get_text()]
        assert len(boxes) == count
        assert not any(box.count_overlaps([*boxes[:i], *boxes[i + 1 :]]) for i, box in enumerate(boxes))
        assert all(axes.bbox.contains(*corner) for box in boxes for corner in (box.min, box.max))


@pytest.mark.parametrize(("best", "labels"), [("int8", 4), (None, 3)])
def test_every_kind_of_mark_is_explained_once(best, labels):
    found = points.with_front(CLOSE)
    drawn = plot.figure({"points": found, "budget": 1.0, "best": best, "optimise": "size"})
    assert len(drawn.legends[0].get_texts()) == labels
