from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tfmap.shrink import points

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
