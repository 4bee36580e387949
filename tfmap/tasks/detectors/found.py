"""A detector's outputs for a picture -> its boxes: the good ones, each once."""

from __future__ import annotations

import numpy as np

from tfmap.average_precision import Found
from tfmap.boxes import suppress

LISTED = ("boxes", "classes", "scores", "count")  # outputs of a file that suppresses itself, by the same numbers:
MOST = 100  # boxes of a picture
THRESHOLD, OVERLAP = 0.01, 0.6  # least score; IoU with a better box of the class from which on a box goes


def finished(
    boxes: np.ndarray,
    scores: np.ndarray,
    masks: np.ndarray | None = None,
    *,
    threshold: float = THRESHOLD,
    overlap: float = OVERLAP,
    most: int = MOST,
) -> Found:
    """The boxes of a picture without those that a better one of their class covers.

    Args:
        boxes: float32 (A, 4), yxyx.
        scores: float32 (A, K).
        masks: float32 (A, S, S), where boxes have some.
        threshold: least score.
        overlap: IoU with a better box of the class from which on a box goes.
        most: boxes at most.

    Returns:
        Found, best first.
    """
    places, kinds = np.nonzero(scores >= threshold)
    values = scores[places, kinds]
    # Classes far from each other, so that none suppresses another one's boxes.
    reach = float(np.ptp(boxes)) + 1 if len(boxes) else 1.0
    kept = suppress(boxes[places] + reach * kinds[:, None], values, threshold=overlap, most=most)
    places = places[kept]
    return Found(boxes[places], values[kept], kinds[kept].astype(np.int32), None if masks is None else masks[places])


def listed(boxes: np.ndarray, classes: np.ndarray, scores: np.ndarray, count: float, size: tuple[int, int]) -> Found:
    """What a file lists, whose suppression is its last op.

    Args:
        boxes: float32 (M, 4), yxyx in shares of the picture.
        classes: float32 (M,).
        scores: float32 (M,).
        count: how many of them there are.
        size: (height, width) of the model's input.

    Returns:
        Found, in pixels of the input.
    """
    many = int(round(float(count)))
    pixels = boxes[:many] * np.tile(np.asarray(size, np.float32), 2)
    return Found(pixels.astype(np.float32), scores[:many], np.round(classes[:many]).astype(np.int32))


def moved(found: Found, size: tuple[int, int], whole: np.ndarray) -> Found:
    """Boxes in pixels of a model's input -> in those of the picture itself, cut at its borders.

    Args:
        found: in the input.
        size: (height, width) of the input.
        whole: int (2,), height and width of the picture.
    """
    scale = np.tile(np.asarray(whole, np.float32) / np.asarray(size, np.float32), 2)
    limits = np.tile(np.asarray(whole, np.float32), 2)
    return found._replace(boxes=np.clip(found.boxes * scale, 0, limits).astype(np.float32))
