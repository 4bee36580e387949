"""The pictures of a listing once more: small arrays to compare, thumbnails to show."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from tfmap import pixels
from tfmap.datasets.listing import Listing

SIDE = 160  # pixels of a thumbnail, about 5 KB
_FRAME = 16  # pixels around a thumbnail with boxes
_SMALLEST = 8  # pixels of a side of a box as it is drawn
_SMALL = 32  # pixels of what is compared

Box = tuple[float, float, float, float]


def read(listing: Listing, index: int, at_least: int) -> np.ndarray:
    """One picture upright, uint8 (h, w, 3); a JPEG may come smaller, but both sides stay at least so long.

    Raises:
        OSError: it cannot be read. Pillow's plugins may raise other errors too.
    """
    image = listing.images[index]
    if listing.kind == "pixels":
        return np.broadcast_to(image, (*image.shape[:2], 3))
    if listing.kind == "record":
        with open(listing.shards[image["shard"]], "rb") as shard:
            shard.seek(image["offset"])
            image = shard.read(image["length"])
    return pixels.read(image, at_least=(at_least, at_least))


class Edges(NamedTuple):
    """What two pictures are compared by.

    Attributes:
        colour: float32 (3,), the mean of the picture.
        steps: float32 (5952,), from neighbour to neighbour in a 32 x 32 version. Plain backgrounds and their shading,
            which make different objects look alike to a hash, have none.
    """

    colour: np.ndarray
    steps: np.ndarray


def edges(listing: Listing, index: int) -> Edges:
    """The edges of one picture; raises as `read`."""
    picture = Image.fromarray(read(listing, index, _SMALL)).resize((_SMALL, _SMALL), Image.Resampling.BOX)
    values = np.asarray(picture, np.float32)
    steps = np.concatenate([np.diff(values, axis=0).ravel(), np.diff(values, axis=1).ravel()])
    return Edges(values.mean(axis=(0, 1)), steps)


def thumbnail(listing: Listing, index: int, boxes: Sequence[Box] = ()) -> str | None:
    """A JPEG data URI of at most 160 x 160, with boxes drawn in.

    Args:
        listing: the pictures.
        index: which of them.
        boxes: (ymin, xmin, ymax, xmax) in pixels of the whole picture.

    Returns:
        the URI, or None where the picture cannot be read.
    """
    try:
        full = read(listing, index, 1 << 30 if boxes else 2 * SIDE)
    except Exception:  # Pillow's plugins raise whatever their parsers stumble over
        return None
    image = Image.fromarray(full)
    image.thumbnail((SIDE, SIDE))
    if boxes:
        image = _framed(image, np.array(boxes) * (image.width / full.shape[1]))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _framed(image: Image.Image, boxes: np.ndarray) -> Image.Image:
    """The picture with boxes drawn in, on a grey frame, so that those that leave it show; a point is a small box."""
    frame = Image.new("RGB", (image.width + 2 * _FRAME, image.height + 2 * _FRAME), "#ccc")
    frame.paste(image, (_FRAME, _FRAME))
    draw = ImageDraw.Draw(frame)
    low, high = np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])
    grow = np.maximum(_SMALLEST - (high - low), 0) / 2
    limits = np.array([frame.height, frame.width]) - 3
    corners = np.concatenate([low - grow, high + grow], axis=1) + _FRAME
    for top, left, bottom, right in np.clip(corners, 2, np.tile(limits, 2)):
        draw.rectangle((left, top, right, bottom), outline="#e00", width=2)
    return frame
