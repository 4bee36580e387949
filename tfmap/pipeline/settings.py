"""Are the settings of batches possible at all? Told before anything is read."""

from __future__ import annotations

from tfmap.errors import InputError
from tfmap.source import Split


def checked_crop(crop: list[float] | None, cache: str) -> tuple[float, float] | None:
    """The shares of the area that a random part may have, as numbers.

    Raises:
        InputError: they are no shares, or a cache was asked to keep what differs each time.
    """
    if crop is None:
        return None
    if len(crop) != 2 or not 0 < crop[0] <= crop[1] <= 1:
        raise InputError(f"pipeline.crop must be two shares of the area, 0 < from <= to <= 1, received {crop}.")
    if cache in ("memory", "disk"):
        raise InputError(
            f"pipeline.crop takes another part of a picture each time, so pipeline.cache {cache!r} cannot keep it. Set "
            "pipeline.cache to none, or crop on the device with augment."
        )
    return float(crop[0]), float(crop[1])


def check(
    split: Split,
    size: tuple[int, int],
    channels: int,
    batch_size: int,
    epoch: int,
    step: int,
    epochs: int | None,
    workers: int | None,
    max_boxes: int | None,
) -> None:
    """Check what has a range.

    Raises:
        InputError: a setting out of its range, or an empty split.
    """
    if not len(split):
        raise InputError("pipeline: the split holds no pictures.")
    if min(size) < 1 or channels not in (1, 3):
        raise InputError(f"pipeline: size must be positive and channels 1 or 3, received {size} and {channels}.")
    least = {"batch_size": (batch_size, 1), "epoch": (epoch, 0), "step": (step, 0)}
    least |= {"epochs": (epochs, 1), "workers": (workers, 1), "max_boxes": (max_boxes, 1)}
    for name, (value, smallest) in least.items():
        if value is not None and value < smallest:
            raise InputError(f"pipeline.{name} must be at least {smallest}, received {value}.")
