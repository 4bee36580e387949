from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tfmap.runs import Run
from tfmap.shrink import ladder, points

numbers = st.floats(0, 10).map(lambda value: round(value, 1))
some = st.lists(
    st.builds(
        lambda name, drop, size, latency, passed: {
            "name": name,
            "drop_points": drop,
            "gzip_bytes": size,
            "latency_ratio": latency,
            "passed": passed,
        },
        st.text(max_size=3),
        numbers,
        numbers,
        numbers,
        st.booleans(),
    ),
    max_size=8,
)


@given(some)
def test_the_front_is_what_no_other_point_beats(found):
    marked = points.with_front(found)
    assert bool(found) == any(point["front"] for point in marked)
    for point in marked:
        beaten = [
            other
            for other in found
            if all(other[axis] <= point[axis] for axis in points.AXES)
            and any(other[axis] < point[axis] for axis in points.AXES)
        ]
        assert point["front"] == (not beaten)


@given(some, st.sampled_from(["size", "latency", "budget"]))
def test_the_best_passed_and_none_that_passed_is_better(found, optimise):
    best, axis = points.best(found, optimise), points._ORDER[optimise]
    passed = [point for point in found if point["passed"]]
    assert (best is None) == (not passed)
    assert best is None or (best["passed"] and all(best[axis] <= point[axis] for point in passed))


def test_the_longest_name_stands_whole_in_a_narrow_terminal(tmp_path, capsys):
    name = max((rung.name for rungs in ladder.LADDERS.values() for rung in rungs), key=len)
    numbers = {"drop_points": 25.55, "drop_error": 13.72, "gzip_bytes": 22_117_650, "latency_ratio": 2.22}
    point = {"name": name, **numbers, "passed": False, "front": True, "commands": []}
    points.show({"points": [point], "best": None}, Run(tmp_path))
    table = capsys.readouterr().out
    assert f" {name} " in table
    assert "+25.55 ± 13.72" in table
    assert "22,117,650" in table
