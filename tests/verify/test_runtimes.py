"""The same file with other kernels and more threads."""

from __future__ import annotations

import numpy as np
import pytest

from tfmap.verify import runtimes


@pytest.mark.parametrize("name", ["float32", "int8"])
def test_every_way_to_run_a_file_gives_its_answers(lite_files, photos, name):
    found = runtimes.compare(lite_files[name], photos[0], format=name)
    assert [(way["xnnpack"], way["threads"]) for way in found["ways"]] == [
        (xnnpack, threads) for xnnpack in (True, False) for threads in (1, 2, 4)
    ]
    assert found["ways"][0]["difference"] == 0
    assert found["judged"] == ("mean" if name == "int8" else "difference")
    assert max(way[found["judged"]] for way in found["ways"]) <= found["bound"]
    assert all(way["mean"] <= way["difference"] for way in found["ways"])
    assert found["findings"] == []


def test_answers_beyond_the_bound_are_named(lite_files, photos, monkeypatch):
    monkeypatch.setitem(runtimes.BOUND, "float32", -1.0)
    found = runtimes.compare(lite_files["float32"], photos[0][:2], format="float32")
    assert len(found["findings"]) == 6
    assert found["findings"][-1].startswith(
        "scores with the built-in kernels and 4 threads differ by 0.0000 from those "
    )


def test_integers_are_judged_by_the_mean(lite_files, photos, monkeypatch):
    monkeypatch.setattr(runtimes, "BOUND_INTEGER", -1.0)
    found = runtimes.compare(lite_files["int8"], photos[0][:2], format="int8")
    assert found["findings"][0].startswith("scores with XNNPACK and 1 threads differ on average by 0.0000 from those ")


def test_latency_is_measured_in_pairs(lite_files):
    found = runtimes.latencies(lite_files["int8"], lite_files["float32"], 0.02)
    assert list(found) == ["1", "2", "4"]
    for times in found.values():
        assert times["ratio"] == times["file"]["median"] / times["float32"]["median"]
        assert 0 < times["paired"]["low"] <= times["paired"]["median"] <= times["paired"]["high"]
        for row in (times["file"], times["plain"], times["float32"]):
            assert 0 < row["median"] <= row["p90"]
            assert row["iqr"] >= 0


def test_a_ratio_is_that_of_neighbours():
    """The machine slows down fourfold on the way; the pairs do not see it."""
    drift = np.array([[1.0], [2.0], [4.0]])
    found = runtimes._paired(drift * np.full((3, 10), 0.5), drift * np.ones((3, 10)))
    assert found == {"median": 0.5, "low": 0.5, "high": 0.5}


def test_integers_need_less_memory_than_floats(lite_files):
    found = runtimes.memory(lite_files["int8"], lite_files["float32"])
    # at least the largest tensor beside the one that it is made from: 48 x 48 x 3 and 24 x 24 x 16 values
    assert 48 * 48 * 3 + 24 * 24 * 16 <= found["file"] < found["float32"] / 2
    assert found["float32"] < 10 * 4 * (48 * 48 * 3 + 24 * 24 * 16)


def test_a_class_that_some_threads_never_find_is_told(monkeypatch):
    """As the runtime's own op loses it: the scores of the others hardly move."""
    few = {"boxes": np.tile(np.float32([0, 0, 0.2, 0.2]), (1, 100, 1)), "classes": np.zeros((1, 100), "float32")}
    few |= {"scores": np.zeros((1, 100), "float32"), "count": np.float32([50])}
    few["scores"][0, :50] = np.linspace(0.9, 0.4, 50)
    few["boxes"][0, :, 1::2] += np.arange(100)[:, None]
    more = {name: values.copy() for name, values in few.items()}
    more["classes"][0, 49] = 2

    class Model:
        def __init__(self, data, threads=1, xnnpack=True):
            self.threads = threads

        def predict(self, pictures):
            return few if self.threads == 2 else more

    monkeypatch.setattr(runtimes, "LiteModel", Model)
    found = runtimes.compare(b"", np.zeros((1, 8, 8, 3), "uint8"), format="int8")
    assert len(found["findings"]) == 2
    assert found["findings"][0] == (
        "boxes with XNNPACK and 2 threads are others than with XNNPACK and one thread: of a class only 0% lie on each "
        "other; the least is 75%."
    )


def test_the_order_of_places_does_not_matter():
    """A network of two stages may find equally good proposals in another order."""
    rng = np.random.default_rng(0)
    scores, order = rng.uniform(0, 1, (2, 150, 3)).astype("float32"), rng.permutation(150)
    one, other = ({"scores": scores}, {"scores": scores[:, order]})
    np.testing.assert_array_equal(runtimes._scores(one), runtimes._scores(other))
    other["scores"] = np.where(scores == scores.max(), 0, scores)
    assert np.abs(runtimes._scores(one) - runtimes._scores(other)).max() > 0
