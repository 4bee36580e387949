"""Cut a data set in train, val and test by the content of each picture."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from tfmap.errors import InputError


def check_fractions(val_fraction: float, test_fraction: float) -> None:
    """Refuse fractions that leave nothing to train on.

    Raises:
        InputError: a fraction is outside [0, 1), or both add up to 1 or more.
    """
    for name, value in (("val_fraction", val_fraction), ("test_fraction", test_fraction)):
        if not 0 <= value < 1:
            raise InputError(f"datasets.{name} must be at least 0 and below 1, received {value}.")
    if val_fraction + test_fraction >= 1:
        raise InputError(
            f"datasets.val_fraction + datasets.test_fraction must stay below 1, received {val_fraction} + "
            f"{test_fraction}: nothing would be left to train on."
        )


def split(
    digests: Sequence[str], labels: np.ndarray, *, val_fraction: float, test_fraction: float, seed: int
) -> np.ndarray:
    """The part that each picture belongs to.

    A picture's place in [0, 1) is the hash of its content and the seed: below `test_fraction` it is a test picture, in
    the next `val_fraction` a val picture, else a train picture. So a picture never changes side when others come or go,
    and equal pictures stand on the same side.

    One exception, for small classes: each class with two or more distinct pictures keeps at least one in train and one
    in val (if `val_fraction` > 0), the one whose place is nearest. Where pictures have several labels it does not hold,
    as one picture belongs to several classes.

    Args:
        digests: N content digests.
        labels: int32 (N,), or float32 (N, K) for several labels.
        val_fraction: share of val, in [0, 1).
        test_fraction: share of test, in [0, 1).
        seed: another seed, another cut.

    Returns:
        object (N,) of "train", "val" or "test".
    """
    if not val_fraction and not test_fraction:
        return np.full(len(digests), "train", object)
    places = np.array([place(digest, seed) for digest in digests], np.float64)
    parts = np.full(len(places), "train", object)
    parts[places < test_fraction + val_fraction] = "val"
    parts[places < test_fraction] = "test"
    if labels.ndim == 1 and val_fraction > 0:
        for label in np.unique(labels):
            _keep_one_each(parts, places, np.flatnonzero(labels == label))
    return parts


def place(digest: str, seed: int) -> float:
    """Where in [0, 1) a content stands under a seed."""
    mixed = hashlib.blake2b(f"{seed}:{digest}".encode(), digest_size=8).digest()
    return (int.from_bytes(mixed) >> 11) / 2**53  # 53 bits: what a float64 holds exactly, so 1.0 cannot come out


def _keep_one_each(parts: np.ndarray, places: np.ndarray, members: np.ndarray) -> None:
    """Move one picture of a class where train or val would have none; `parts` is changed in place."""
    ordered = members[np.argsort(places[members], kind="stable")]
    first, last = places[ordered[0]], places[ordered[-1]]
    if first == last:  # one picture, or copies of one
        return
    if not np.any(parts[ordered] == "train"):
        parts[members[places[members] == last]] = "train"
    if not np.any(parts[ordered] == "val"):
        rest = ordered[parts[ordered] == "train"]
        rest = rest if len(np.unique(places[rest])) > 1 else ordered
        parts[members[places[members] == places[rest[0]]]] = "val"
