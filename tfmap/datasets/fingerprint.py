"""One number for a data set: which pictures it has, in which split, and what is said about each."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from tfmap.datasets.listing import Listing
from tfmap.datasets.scan import Verdict


def fingerprint(listing: Listing, verdicts: Sequence[Verdict], parts: np.ndarray, keep: np.ndarray) -> str:
    """The digest of a data set's manifest: a line for each picture, sorted, so that names and order do not count.

    Args:
        listing: N pictures and what is said about them. A mask counts by its class labels alone: it may be large.
        verdicts: N digests of the pictures' bytes.
        parts: (N,), the split of each.
        keep: bool (N,), whether it is used.

    Returns:
        64 hex digits, SHA-256.
    """
    lines = sorted(f"{parts[i]} {verdicts[i].digest} {_said(listing, i)}" for i in np.flatnonzero(keep))
    manifest = "\n".join([*listing.classes, "", *lines])
    return hashlib.sha256(manifest.encode(errors="surrogateescape")).hexdigest()


def _said(listing: Listing, index: int) -> str:
    label = listing.labels[index]
    said = str(label) if label.ndim == 0 else "".join(str(int(one)) for one in label)
    if listing.boxes is None:
        return said
    rows = listing.boxes.rows(index)
    boxes = [listing.boxes.boxes[rows].astype("<f4"), listing.boxes.classes[rows].astype("<i4")]
    return f"{said} {hashlib.sha256(b''.join(one.tobytes() for one in boxes)).hexdigest()}"
