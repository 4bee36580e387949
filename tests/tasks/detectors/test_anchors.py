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
