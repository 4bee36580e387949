"""Pictures larger than a model's input, seen window by window at their own scale."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfmap.average_precision import Found
from tfmap.boxes import area, intersection, suppress

Size = tuple[int, int]
EDGE = 2.0  # pixels: a box that ends so near to an edge inside of the picture may be a part of an object
COVERED = 0.6  # share of such a box that lies in a better one's neighbour from which on it is that one's part


def fits(whole: Size, window: Size) -> bool:
    """Whether a picture is large enough for windows: nowhere smaller than one, and somewhere larger."""
    return all(side >= one for side, one in zip(whole, window, strict=True)) and tuple(whole) != tuple(window)


def corners(whole: Size, window: Size, overlap: float) -> np.ndarray:
    """Where windows stand: at even distances, the first at one end of the picture and the last at the other.

    Args:
        whole: (height, width) of the picture, nowhere smaller than a window.
        window: (height, width) of a window.
        overlap: share of a window's side, in [0, 1), that neighbours have in common at least.

    Returns:
        int32 (N, 2): top and left.
    """
    rows, columns = (_starts(side, one, overlap) for side, one in zip(whole, window, strict=True))
    return np.array([(top, left) for top in rows for left in columns], np.int32)


def _starts(side: int, window: int, overlap: float) -> list[int]:
    many = 1 + int(np.ceil((side - window) / max(window * (1 - overlap), 1.0)))
    return np.round(np.linspace(0, side - window, many)).astype(int).tolist()


def cut(image: np.ndarray, places: np.ndarray, window: Size) -> np.ndarray:
    """The windows of a picture, uint8 (N, height, width, C).

    Args:
        image: uint8 (h, w, C).
        places: what `corners` returned.
        window: (height, width).
    """
    return np.stack([image[top : top + window[0], left : left + window[1]] for top, left in places])


def blended(parts: np.ndarray, places: np.ndarray, whole: Size) -> np.ndarray:
    """What windows say of their pixels, as what is said of the picture's: a mean that leans to the middle of windows.

    Args:
        parts: float32 (N, H, W, K).
        places: what `corners` returned.
        whole: (height, width) of the picture.

    Returns:
        float32 (height, width, K).
    """
    height, width = parts.shape[1:3]
    rows, columns = (1 - np.abs((np.arange(side) + 0.5) / side * 2 - 1) for side in (height, width))
    weight = np.outer(rows, columns).astype(np.float32)[..., None]
    total, weights = np.zeros((*whole, parts.shape[-1]), np.float32), np.zeros((*whole, 1), np.float32)
    for part, (top, left) in zip(parts, places, strict=True):
        here = slice(top, top + height), slice(left, left + width)
        total[here] += part * weight
        weights[here] += weight
    return total / weights


def gathered(parts: Sequence[Found], places: np.ndarray, window: Size, whole: Size, *, overlap: float) -> Found:
    """What is found in windows, as what is found in the picture: an object in two of them once.

    A box that ends at an edge between windows is dropped where most of it lies in a box of its class from another one,
    which sees more of the object.

    Args:
        parts: of the N windows, boxes in their pixels.
        places: what `corners` returned.
        window: (height, width) of a window.
        whole: (height, width) of the picture.
        overlap: IoU with a better box of the class from which on a box goes.

    Returns:
        Found, best first, boxes in pixels of the picture.
    """
    limits = np.float32(whole)
    moved = [one._replace(boxes=one.boxes + np.tile(place, 2)) for one, place in zip(parts, places, strict=True)]
    masks = [one.masks for one in moved]
    every = Found(
        *(np.concatenate([one[place] for one in moved]) for place in range(3)),
        None if masks[0] is None else np.concatenate(masks),
    )
    source = np.repeat(np.arange(len(parts)), [len(one.scores) for one in parts])
    low, high = places[source], places[source] + np.int32(window)
    cut_low = (every.boxes[:, :2] <= low + EDGE) & (low > 0)
    cut_high = (every.boxes[:, 2:] >= high - EDGE) & (high < limits)
    every = every.take(~_is_part(every.boxes, every.classes, source, (cut_low | cut_high).any(axis=1)))
    every = every._replace(boxes=every.boxes.astype(np.float32))
    # Classes far from each other, so that none suppresses another one's boxes.
    apart = every.boxes + np.float32(max(whole) * 2) * every.classes[:, None]
    return every.take(suppress(apart, every.scores, threshold=overlap, most=len(every.scores)))


def _is_part(boxes: np.ndarray, classes: np.ndarray, source: np.ndarray, at_edge: np.ndarray) -> np.ndarray:
    """bool (M,): which of the boxes that are cut by an edge lie in another window's box of their class."""
    found = np.zeros(len(boxes), bool)
    for i in np.flatnonzero(at_edge):
        others = (
            (source != source[i]) & (classes == classes[i]) & (np.asarray(area(boxes)) >= area(boxes[i : i + 1])[0])
        )
        shared = np.asarray(intersection(boxes[i : i + 1], boxes[others]))
        found[i] = bool(shared.size) and float(shared.max()) >= COVERED * float(area(boxes[i : i + 1])[0])
    return found
