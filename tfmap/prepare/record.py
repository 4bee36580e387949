"""One row of a shard -> one record: a tf.train.Example, and where its pictures lie inside.

Its features:

    id                        bytes
    image/encoded             a plain JPEG or PNG; image/format "jpeg" or "png"; image/sha256 of it, hex digits
    image/height, width, channels
    label                     its classes
    boxes                     float (4 n): y, x, y, x of the corners, in pixels of the picture as it is in the record
    boxes/classes, boxes/crowd, boxes/difficult
    mask/encoded              a grey PNG: class of each pixel, 255 is ignored
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from tfmap.prepare import encode, example, index, plan
from tfmap.prepare.encode import Picture
from tfmap.source import Boxes


@dataclass(frozen=True)
class Record:
    """One record before it has a place in a file.

    Attributes:
        data: the tf.train.Example in bytes.
        row: its row of the index, its places counted from the start of `data`.
    """

    data: bytes
    row: index.Row

    def placed(self, offset: int) -> index.Row:
        """Its row of the index, where `data` begins at `offset` of the file."""
        picture, mask = self.row.picture, self.row.mask
        moved = None if mask is None else (mask[0] + offset, mask[1])
        return replace(self.row, picture=(picture[0] + offset, picture[1]), mask=moved)


def build(shard: plan.Shard, number: int) -> Record:
    """Read and encode one picture of a shard, with all that is known of it.

    Raises:
        OSError, ValueError: the picture or its mask cannot be used. Pillow's plugins may raise other errors too.
    """
    split, held = shard.split, plan.content(shard.split, number)
    if plan.content_digest(held) != shard.digests[number]:
        raise ValueError("was changed while it was being prepared")
    picture = encode.encode(held, bool(split.odd[number]), shard.settings)
    name, labels = shard.names[number], _labels(split.labels[number])
    features = _about(name, picture) | {"label": labels}
    row = index.Row(name, shard.digests[number], (0, len(picture.data)), (picture.height, picture.width), labels)
    if split.boxes is not None:
        row = replace(row, boxes=_boxes(split.boxes, number, picture))
        features |= _box_features(row.boxes)
    if split.masks is not None:
        mask = split.masks.read(number)
        features["mask/encoded"] = _mask(mask, picture)
        row = replace(row, mask=(0, len(features["mask/encoded"])), mask_digest=plan.content_digest(mask))
    data, offsets = example.serialise(features)
    mask_place = row.mask and (offsets["mask/encoded"], row.mask[1])
    return Record(data, replace(row, picture=(offsets["image/encoded"], row.picture[1]), mask=mask_place))


def _about(name: str, picture: Picture) -> dict[str, example.Value]:
    return {
        "id": name.encode("utf-8", "surrogateescape"),
        "image/encoded": picture.data,
        "image/format": picture.format.encode(),
        "image/height": [picture.height],
        "image/width": [picture.width],
        "image/channels": [picture.channels],
        "image/sha256": hashlib.sha256(picture.data).hexdigest().encode(),
    }


def _labels(label: np.integer | np.ndarray) -> list[int]:
    return [int(label)] if np.ndim(label) == 0 else np.flatnonzero(label).tolist()


def _boxes(boxes: Boxes, number: int, picture: Picture) -> Boxes:
    """The boxes of one picture, shrunk with it."""
    own = boxes.take(np.array([number]))
    share = np.array([picture.height, picture.width]) / picture.was
    return replace(own, boxes=(own.boxes * np.tile(share, 2)).astype(np.float32))


def _box_features(boxes: Boxes) -> dict[str, example.Value]:
    return {
        "boxes": boxes.boxes.ravel(),
        "boxes/classes": boxes.classes.tolist(),
        "boxes/crowd": boxes.crowd.tolist(),
        "boxes/difficult": boxes.difficult.tolist(),
    }


def _mask(mask: np.ndarray, picture: Picture) -> bytes:
    if mask.shape != picture.was:
        raise ValueError("its mask is {} x {}, the picture {} x {}".format(*mask.shape, *picture.was))
    size = (picture.height, picture.width)
    return encode.png(mask if size == picture.was else encode.shrink_mask(mask, size))
