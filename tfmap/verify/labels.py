"""What the file says about itself: labels and normalisation that a phone's library will believe."""

from __future__ import annotations

from collections.abc import Sequence

from tfmap import flatbuffer
from tfmap.export import metadata


def failures(data: bytes, classes: Sequence[str]) -> list[str]:
    """Lines where the metadata is not that of this model; nothing where the file holds none.

    Args:
        data: the file.
        classes: the K class names, in the order of the model's outputs.
    """
    if flatbuffer.named_buffer(data, metadata.BUFFER) is None:
        return []
    about, found = metadata.read(data), []
    if not about.labels:
        found.append("the file names no labels, or its end, where they are packed, is cut.")
    elif about.labels != tuple(classes):
        found.append(f"the file's labels ({', '.join(about.labels[:5])}, ...) are not the data's classes.")
    # Pixels went into the file as they are, 0..255, and that is how it was scored.
    if any(mean != 0 for mean in about.mean) or any(std != 1 for std in about.std):
        found.append(
            f"the file's metadata has callers subtract {_numbers(about.mean)} and divide by {_numbers(about.std)}; "
            "the model normalises pixels of 0 to 255 itself."
        )
    return found


def findings(data: bytes) -> list[str]:
    """A line where the file holds no metadata."""
    silent = flatbuffer.named_buffer(data, metadata.BUFFER) is None
    return ["the file holds no metadata: an app that gets it does not know the labels."] * silent


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values)
