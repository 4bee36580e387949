from __future__ import annotations

import numpy as np

from tfmap.tasks.detectors import anchors


def test_cells_tile_the_picture_map_by_map_and_row_by_row():
    found = anchors.cells((16, 32), (8, 16))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(
        found[:5], [[0, 0, 8, 8], [0, 8, 8, 16], [0, 16, 8, 24], [0, 24, 8, 32], [8, 0, 16, 8]]
    )
    np.testing.assert_array_equal(found[8:], [[0, 0, 16, 16], [0, 16, 16, 32]])


def test_several_shapes_of_a_place_by_hand():
    found = anchors.boxes((16, 32), (16,), ((1.0, 1.0), (0.5, 2.0)))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [[0, 0, 16, 16], [4, -8, 12, 24], [0, 16, 16, 32], [4, 8, 12, 40]])


def test_a_last_row_that_is_cut_off_has_places_too():
    """As a strided convolution with "same" padding has: 320 pixels at stride 128 are three places."""
    assert len(anchors.cells((320, 256), (128,))) == 3 * 2


def test_shapes_of_a_scale_have_one_area():
    found = np.array(anchors.shapes((2.0, 4.0), (0.5, 1.0, 2.0)))
    np.testing.assert_allclose(found.prod(axis=1), [4, 4, 4, 16, 16, 16])
    np.testing.assert_allclose(found[:, 0] / found[:, 1], [0.5, 1, 2] * 2)
