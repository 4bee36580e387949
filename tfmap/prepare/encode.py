"""One picture as it goes into a shard: plain, upright, no larger than asked."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image

from tfmap import pixels
from tfmap.prepare.plan import Settings

_ORIENTATION = 0x0112
_GREY = ("1", "L", "LA", "La", "I", "F", "I;16", "I;16L", "I;16B", "I;16N")
_LOSSY = ("JPEG", "MPO", "WEBP", "JPEG2000", "AVIF")


@dataclass(frozen=True)
class Picture:
    """An encoded picture.

    Attributes:
        data: a plain JPEG or PNG: 8 bits, grey or RGB, upright, opaque.
        format: "jpeg" or "png".
        height: in pixels.
        width: in pixels.
        channels: 1 or 3.
        was: height and width of the upright picture in the source.
    """

    data: bytes
    format: str
    height: int
    width: int
    channels: int
    was: tuple[int, int]


def encode(content: bytes | np.ndarray, odd: bool, settings: Settings) -> Picture:
    """Encode one picture.

    A plain picture that is small enough keeps its very bytes under "keep". Any other is written anew: as JPEG what was
    lossy already, as PNG what was not; under "jpeg" and "png" every picture is.

    Args:
        content: an encoded picture, or uint8 (h, w, 1 or 3).
        odd: whether only Pillow reads it rightly.
        settings: how.

    Raises:
        OSError: it cannot be read. Pillow's plugins may raise other errors too.
    """
    if isinstance(content, np.ndarray):
        size, channels, format, whole = content.shape[:2], content.shape[2], "png", False
    else:
        size, channels, format = _header(content)
        whole = settings.encode == "keep" and not odd
    target = _target(size, settings.max_side)
    if whole and target == size:
        return Picture(content, format, *size, channels, size)
    format = format if settings.encode == "keep" else settings.encode
    image = _read(content, channels, target)
    return Picture(_written(image, format, settings.quality), format, *target, channels, size)


def png(values: np.ndarray) -> bytes:
    """A mask uint8 (h, w) as a grey PNG."""
    return _written(Image.fromarray(values), "png", 0)


def shrink_mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A mask uint8 (h, w) in another (height, width): the nearest class, none invented between two."""
    return np.asarray(Image.fromarray(mask).resize(size[::-1], Image.Resampling.NEAREST))


def _header(data: bytes) -> tuple[tuple[int, int], int, str]:
    """(height, width) of the upright picture, its channels, and the format to write it in."""
    with pixels.header(data) as image:
        swapped = image.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
        size = image.size if swapped else image.size[::-1]
        lossless = image.format == "WEBP" and data[12:16] == b"VP8L"
        format = "jpeg" if image.format in _LOSSY and not lossless else "png"
        return size, 1 if image.mode in _GREY else 3, format


def _target(size: tuple[int, int], max_side: int | None) -> tuple[int, int]:
    """The size, shrunk so that its longer side is `max_side` at most; never enlarged."""
    longest = max(size)
    if max_side is None or longest <= max_side:
        return size
    height, width = (max(1, round(side * max_side / longest)) for side in size)
    return height, width


def _read(content: bytes | np.ndarray, channels: int, size: tuple[int, int]) -> Image.Image:
    # A JPEG is decoded at 1/2, 1/4 or 1/8 where that is still large enough.
    values = content if isinstance(content, np.ndarray) else pixels.read(content, channels, at_least=size)
    image = Image.fromarray(values[..., 0] if channels == 1 else values)
    if size == values.shape[:2]:
        return image
    return image.resize(size[::-1], Image.Resampling.LANCZOS)


def _written(image: Image.Image, format: str, quality: int) -> bytes:
    file = io.BytesIO()
    image.save(file, format.upper(), **({"quality": quality} if format == "jpeg" else {}))
    return file.getvalue()
