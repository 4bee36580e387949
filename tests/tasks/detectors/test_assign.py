"""The assignment of anchors to objects, against a count by hand and a loop over all pairs."""

from __future__ import annotations

import numpy as np
import pytest

from tfmap import boxes
from tfmap.tasks.detectors import anchors
from tfmap.tasks.detectors.assign import by_overlap, task_aligned


def assigned(found, scores, cells, truths, classes, **options):
    received = task_aligned(*(np.asarray(x, "float32") for x in (found, scores, cells, truths)), classes, **options)
    return np.asarray(received.boxes), np.asarray(received.scores)


def by_loops(found, scores, cells, truths, classes, top):
    """The same, one picture and one pair at a time."""
    to_boxes, to_scores = np.zeros_like(found), np.zeros_like(scores)
    for b in range(len(found)):
        overlap = np.asarray(boxes.iou(truths[b], found[b]))
        fit = np.zeros_like(overlap)
        for n, kind in enumerate(classes[b]):
            for a, cell in enumerate(cells):
                y, x = (cell[0] + cell[2]) / 2, (cell[1] + cell[3]) / 2
                top_, left, bottom, right = truths[b][n]
                if kind >= 0 and top_ < y < bottom and left < x < right:
                    fit[n, a] = scores[b][a][kind] ** 0.5 * overlap[n, a] ** 6
        owner = np.full(len(cells), -1)
        for n in range(len(truths[b])):
            for a in np.argsort(-fit[n], kind="stable")[:top]:
                if fit[n, a] > 1e-12 and (owner[a] < 0 or overlap[n, a] > overlap[owner[a], a]):
                    owner[a] = n
        for n, kind in enumerate(classes[b]):
            mine = owner == n
            if mine.any():
                share = fit[n] / fit[n][mine].max() * overlap[n][mine].max()
                to_scores[b, mine, kind] = share[mine]
                to_boxes[b, mine] = truths[b][n]
    return to_boxes, to_scores


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("top", [1, 3, 10])
def test_as_by_loops(seed, top):
    rng = np.random.default_rng(seed)
    cells = anchors.cells((64, 64), (8, 16))
    low = rng.uniform(0, 40, (2, 5, 2))
    truths = np.concatenate([low, low + rng.uniform(6, 24, (2, 5, 2))], axis=-1).astype("float32")
    classes = rng.integers(0, 3, (2, 5)).astype("int32")
    truths[0, 3:], classes[0, 3:] = 0, -1
    found = (cells + rng.normal(0, 3, (2, len(cells), 4))).astype("float32")
    scores = rng.uniform(0.01, 1, (2, len(cells), 3)).astype("float32")
    received = assigned(found, scores, cells, truths, classes, top=top)
    expected = by_loops(found, scores, cells, truths, classes, top)
    np.testing.assert_allclose(received[1], expected[1], atol=1e-5)
    there = expected[1].sum(-1) > 0
    assert there.sum() >= 5
    np.testing.assert_array_equal(received[0][there], expected[0][there])


CELLS = anchors.cells((32, 32), (16,))  # four of them


def test_by_hand():
    """One object over two cells: the better of them gets the overlap as its score, the other less in proportion."""
    truth = np.array([[[0, 0, 16, 32]]], "float32")
    found = np.array([[[0, 0, 16, 32], [0, 16, 16, 32], [0, 0, 1, 1], [0, 0, 1, 1]]], "float32")
    scores = np.full((1, 4, 2), 0.25, "float32")
    to_boxes, to_scores = assigned(found, scores, CELLS, truth, np.array([[1]], "int32"))
    np.testing.assert_allclose(to_scores[0], [[0, 1], [0, 0.5**6], [0, 0], [0, 0]], atol=1e-6)
    np.testing.assert_array_equal(to_boxes[0, :2], np.repeat(truth[0], 2, axis=0))


def test_of_two_objects_a_cell_takes_the_one_it_overlaps_more():
    truths = np.array([[[0, 0, 16, 16], [0, 0, 16, 20]]], "float32")
    found = np.tile(np.array([0, 0, 16, 19], "float32"), (1, 4, 1))
    scores = np.full((1, 4, 2), 0.5, "float32")
    to_boxes, to_scores = assigned(found, scores, CELLS, truths, np.array([[0, 1]], "int32"))
    np.testing.assert_array_equal(to_boxes[0, 0], truths[0, 1])
    np.testing.assert_allclose(to_scores[0], [[0, 19 / 20], [0, 0], [0, 0], [0, 0]], atol=1e-6)


@pytest.mark.parametrize("objects", [1, 4])
def test_a_picture_without_objects_has_nothing_to_say(objects):
    nothing = np.zeros((2, objects, 4), "float32"), np.full((2, objects), -1, "int32")
    _, to_scores = assigned(np.tile(CELLS, (2, 1, 1)), np.full((2, 4, 2), 0.5), CELLS, *nothing)
    assert not to_scores.any()


def test_an_object_without_area_or_between_the_cells_is_nobodys():
    truths = np.array([[[4, 4, 4, 9], [15, 15, 17, 17]]], "float32")
    _, to_scores = assigned(CELLS[None], np.full((1, 4, 2), 0.5), CELLS, truths, np.array([[0, 1]], "int32"))
    assert not to_scores.any()
    assert np.isfinite(to_scores).all()


def matched(places, truths, classes, many=3, overlaps=(0.4, 0.5)):
    received = by_overlap(*(np.asarray(x, "float32") for x in (places, truths)), classes, many, overlaps=overlaps)
    return tuple(np.asarray(x) for x in received[:3])


def matched_by_loops(places, truths, classes, many, overlaps):
    """The same, one picture and one anchor at a time."""
    to_boxes, to_scores = np.tile(places, (len(truths), 1, 1)), np.zeros((len(truths), len(places), many))
    counts = np.ones(to_scores.shape[:2])
    for b, kinds in enumerate(classes):
        there = np.flatnonzero(kinds >= 0)
        overlap = np.asarray(boxes.iou(truths[b], places))
        owners = {}
        for a in range(len(places)):
            best = max(there, key=lambda n: overlap[n, a])
            counts[b, a] = not overlaps[0] <= overlap[best, a] < overlaps[1]
            if overlap[best, a] >= overlaps[1]:
                owners[a] = best
        wanted = {}
        for n in there:
            a = int(np.argmax(overlap[n]))
            if overlap[n, a] > 0 and (a not in wanted or overlap[n, a] > overlap[wanted[a], a]):
                wanted[a] = n
        for a, n in {**owners, **wanted}.items():
            to_boxes[b, a], to_scores[b, a, kinds[n]], counts[b, a] = truths[b, n], 1, 1
    return to_boxes, to_scores, counts


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("overlaps", [(0.4, 0.5), (0.5, 0.5), (0.3, 0.7)])
def test_by_overlap_as_by_loops(seed, overlaps):
    rng = np.random.default_rng(seed)
    places = anchors.boxes((64, 64), (8, 16), ((2.0, 2.0), (1.0, 3.0)))
    low = rng.uniform(0, 40, (2, 9, 2))
    truths = np.concatenate([low, low + rng.uniform(2, 24, (2, 9, 2))], axis=-1).astype("float32")
    classes = rng.integers(0, 3, (2, 9)).astype("int32")
    truths[0, 5:], classes[0, 5:] = 0, -1
    received = matched(places, truths, classes, overlaps=overlaps)
    expected = matched_by_loops(places, truths, classes, 3, overlaps)
    assert expected[1].sum() >= 10
    for mine, theirs in zip(received, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-6)


def test_by_overlap_by_hand():
    """Of four cells of 16: one has the object, one overlaps it between the two bars, two have nothing."""
    truth = np.array([[[0, 0, 16, 16], [16, 0, 32, 7.2]]], "float32")
    to_boxes, to_scores, counts = matched(CELLS, truth, np.array([[2, -1]], "int32"))
    np.testing.assert_array_equal(to_scores[0], [[0, 0, 1], [0, 0, 0], [0, 0, 0], [0, 0, 0]])
    assert counts[0].tolist() == [1, 1, 1, 1]
    to_boxes, to_scores, counts = matched(CELLS, truth, np.array([[2, 0]], "int32"))
    np.testing.assert_array_equal(to_scores[0], [[0, 0, 1], [0, 0, 0], [1, 0, 0], [0, 0, 0]])  # its best, though 0.45
    np.testing.assert_array_equal(to_boxes[0, [0, 2]], truth[0])
    near = np.array([[[0, 0, 16, 16], [0, 0, 16, 23.2]]], "float32")  # 0.45 of the second cell's side
    assert matched(CELLS, near[:, 1:], np.array([[1]], "int32"))[2][0].tolist() == [1, 1, 1, 1]
    wide = np.array([[[0, 0, 16, 32]]], "float32")  # half of it is each of two cells: equals, so the first is forced
    assert matched(CELLS, wide, np.array([[1]], "int32"), overlaps=(0.4, 0.6))[2][0].tolist() == [1, 0, 1, 1]


def test_anchors_of_each_picture():
    both = np.stack([CELLS, CELLS[::-1]])
    truth = np.tile(np.array([[[0, 0, 16, 16]]], "float32"), (2, 1, 1))
    _, to_scores, _ = matched(both, truth, np.array([[0], [0]], "int32"), many=1)
    assert to_scores[..., 0].tolist() == [[1, 0, 0, 0], [0, 0, 0, 1]]


@pytest.mark.parametrize("objects", [1, 4])
def test_without_objects_every_anchor_says_nothing(objects):
    nothing = np.zeros((2, objects, 4), "float32"), np.full((2, objects), -1, "int32")
    to_boxes, to_scores, counts = matched(CELLS, *nothing)
    assert not to_scores.any()
    assert counts.all()
    np.testing.assert_array_equal(to_boxes, np.stack([CELLS, CELLS]))
