"""How good masks are: overlap of each class, share of pixels, and how near the edges lie."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

IGNORED = 255
MOST = 100  # pictures listed
NEAR = 0.0075  # of the diagonal: how far an edge may lie from one that is there


def score(said: Sequence[np.ndarray], truths: Sequence[np.ndarray], classes: Sequence[str]) -> dict[str, Any]:
    """Compare masks.

    Args:
        said: uint8 (h, w) each, in [0, K).
        truths: uint8 (h, w) each, of the same sizes; 255 does not count.
        classes: K names.

    Returns:
        dict: "mIoU" (mean over the classes that are there or were said), "pixel_accuracy", "boundary_f1" (mean over
            pictures of F1 of edges within 0.75% of the diagonal; None where no picture has an edge), "per_class" (a
            dict of "class", "IoU", "precision", "recall", "F1" and "pixels" each) and "confusion_matrix" (K x K pixels,
            rows truths). All others in 0..1; None where nothing of that kind is.

    Source: Everingham et al., Pascal VOC, 2015, section 4.1.3, for IoU; Csurka et al., What is a good evaluation
        measure for semantic segmentation?, 2013, section 2, for edges.
    """
    counts = np.zeros((len(classes), len(classes)), np.int64)
    for mask, truth in zip(said, truths, strict=True):
        counts += confusion(mask, truth, len(classes))
    shared, there, claimed = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    iou = [_ratio(a, b) for a, b in zip(shared, there + claimed - shared, strict=True)]
    edges = [value for pair in zip(said, truths, strict=True) if (value := boundary_f1(*pair)) is not None]
    known = [value for value in iou if value is not None]
    return {
        "mIoU": float(np.mean(known)) if known else None,
        "pixel_accuracy": _ratio(shared.sum(), counts.sum()),
        "boundary_f1": float(np.mean(edges)) if edges else None,
        "per_class": [
            {
                "class": name,
                "IoU": iou[k],
                "precision": _ratio(shared[k], claimed[k]),
                "recall": _ratio(shared[k], there[k]),
                "F1": _ratio(2 * shared[k], there[k] + claimed[k]),
                "pixels": int(there[k]),
            }
            for k, name in enumerate(classes)
        ],
        "confusion_matrix": counts.tolist(),
    }


def worst(
    said: Sequence[np.ndarray], truths: Sequence[np.ndarray], ids: Sequence[str], classes: Sequence[str]
) -> list[dict[str, Any]]:
    """The pictures whose masks are furthest off.

    Args:
        said: uint8 (h, w) each.
        truths: uint8 (h, w) each, of the same sizes; 255 does not count.
        ids: N source paths.
        classes: K names.

    Returns:
        list: dicts of "id", "score" (share of the known pixels that are wrong), "truth" and "predicted" (the pair of
            classes that is mixed up most). Largest score first, ties by id; without those that are right throughout.
    """
    rows = []
    for mask, truth, name in zip(said, truths, ids, strict=True):
        counts = confusion(mask, truth, len(classes))
        wrong = counts - np.diag(np.diag(counts))
        if wrong.any():
            there, claimed = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
            share = round(float(wrong.sum() / counts.sum()), 6)
            rows.append({"id": str(name), "score": share, "truth": classes[there], "predicted": classes[claimed]})
    return sorted(rows, key=lambda row: (-row["score"], row["id"]))[:MOST]


def confusion(said: np.ndarray, truth: np.ndarray, classes: int) -> np.ndarray:
    """int64 (K, K): pixels of each class (rows) by what was said of them (columns); 255 in the truth does not count."""
    known = truth != IGNORED
    places = classes * truth[known].astype(np.int64) + said[known]
    return np.bincount(places, minlength=classes**2).reshape(classes, classes)


def boundary_f1(said: np.ndarray, truth: np.ndarray) -> float | None:
    """F1 of edges: which share of those said lies near one that is there, and the other way round.

    Args:
        said: uint8 (h, w).
        truth: uint8 (h, w); an edge of what is not known does not count.

    Returns:
        0..1, or None where neither has an edge.
    """
    from scipy.ndimage import distance_transform_edt

    unknown = truth == IGNORED
    edges = [_edges(np.where(unknown, IGNORED, mask)) & ~unknown for mask in (said, truth)]
    if not any(edge.any() for edge in edges):
        return None
    if not all(edge.any() for edge in edges):
        return 0.0
    reach = max(1.0, NEAR * float(np.hypot(*truth.shape)))
    near = [distance_transform_edt(~edge) <= reach for edge in edges]
    precision, recall = near[1][edges[0]].mean(), near[0][edges[1]].mean()
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def _edges(mask: np.ndarray) -> np.ndarray:
    """bool (h, w): pixels with another class, that is known, to their right or below."""
    found = np.zeros(mask.shape, bool)
    for axis in (0, 1):
        one, other = (
            np.take(mask, np.arange(*span), axis) for span in ((0, mask.shape[axis] - 1), (1, mask.shape[axis]))
        )
        differ = (one != other) & (one != IGNORED) & (other != IGNORED)
        part = [slice(None), slice(None)]
        part[axis] = slice(0, mask.shape[axis] - 1)
        found[tuple(part)] |= differ
    return found


def _ratio(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None
