"""Which groups of channels go, so that a share of the multiply-adds is left."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import keras
import numpy as np

from tfmap.compress.channels_groups import Groups
from tfmap.errors import InputError

# A family keeps at least this share of its channels: one layer that is a bottleneck spoils all others.
_LEAST = 1 / 8


class Cost:
    """The multiply-adds of a model as a function of the groups that it keeps.

    Args:
        model: a flat functional model.
        groups: its groups.
    """

    def __init__(self, model: keras.Model, groups: Groups) -> None:
        axes = defaultdict(dict)
        for axis in groups.axes:
            axes[axis.layer, axis.weight][axis.axis] = axis.channels
        self._number = len(groups.family)
        self._kernels = []
        for layer in model.layers:
            for weight in layer.weights if groups.places.get(layer.name) else ():
                if weight.name.endswith("kernel"):
                    along = axes[layer.name, weight.name]
                    fixed = [size for axis, size in enumerate(weight.shape) if axis not in along]
                    self._kernels.append((groups.places[layer.name] * int(np.prod(fixed)), list(along.values())))

    def of(self, kept: np.ndarray) -> int:
        """Multiply-adds for one picture.

        Args:
            kept: bool (G,).
        """
        return sum(
            fixed * int(np.prod([np.count_nonzero(kept[channels]) for channels in along], dtype=np.int64))
            for fixed, along in self._kernels
        )

    def saved(self) -> np.ndarray:
        """float (G,): what the model saves without one group, all others kept."""
        saved = np.zeros(self._number)
        for fixed, along in self._kernels:
            work = fixed * float(np.prod([len(channels) for channels in along]))
            for channels in along:
                np.add.at(saved, channels, work / len(channels))
        return saved


def choose(groups: Groups, cost: Cost, worth: np.ndarray, *, macs: float, multiple: int = 8) -> np.ndarray:
    """The groups to keep: the least worth go first, until the share of multiply-adds is reached.

    Args:
        groups: of a model.
        cost: of the same model.
        worth: float (G,), comparable between all groups.
        macs: share of multiply-adds to keep at most, in (0, 1).
        multiple: families end with a multiple of it; one of fewer channels stays whole.

    Returns:
        bool (G,).

    Raises:
        InputError: the share cannot be reached.
    """
    bundles = _bundles(groups, worth, multiple)
    full = np.ones(len(worth), bool)
    goal = macs * cost.of(full)
    fewest, most = 0, len(bundles)
    least = cost.of(_without(full, bundles)) / cost.of(full)
    if least > macs:
        raise InputError(
            f"compress: channels can leave no less than {least:.3f} of the multiply-adds of this model, received "
            f"macs={macs}. Ask for more, keep fewer layers, or lower multiple={multiple}."
        )
    while fewest < most:
        middle = (fewest + most) // 2
        enough = cost.of(_without(full, bundles[:middle])) <= goal
        fewest, most = (fewest, middle) if enough else (middle + 1, most)
    return _refilled(_without(full, bundles[:fewest]), bundles[:fewest], cost, goal)


def _bundles(groups: Groups, worth: np.ndarray, multiple: int) -> list[np.ndarray]:
    """The groups of each family in portions that leave a multiple, all portions by their mean worth."""
    bundles = []
    for family in range(groups.family.max(initial=-1) + 1):
        members = np.flatnonzero(groups.family == family)
        members = members[np.argsort(worth[members], kind="stable")]
        start, end = 0, len(members) % multiple or multiple
        while len(members) - end >= max(multiple, _LEAST * len(members)):
            bundles.append(members[start:end])
            start, end = end, end + multiple
    return sorted((bundle for bundle in bundles if np.isfinite(worth[bundle]).all()), key=lambda b: worth[b].mean())


def _without(kept: np.ndarray, bundles: Sequence[np.ndarray]) -> np.ndarray:
    kept = kept.copy()
    for bundle in bundles:
        kept[bundle] = False
    return kept


def _refilled(kept: np.ndarray, removed: Sequence[np.ndarray], cost: Cost, goal: float) -> np.ndarray:
    """Put back what fits in: the last portion may have been larger than what was missing."""
    for bundle in reversed(removed):
        kept[bundle] = True
        if cost.of(kept) > goal:
            kept[bundle] = False
    return kept
