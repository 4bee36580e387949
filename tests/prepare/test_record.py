from __future__ import annotations

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfmap.prepare import plan, record
from tfmap.prepare.plan import Settings


def shard_of(source, **settings) -> plan.Shard:
    wanted = Settings(**settings)
    (rows,), _ = plan.look(source, wanted, 1)
    return next(plan.shards(rows, len(source.classes), wanted))


def features_of(data: bytes) -> dict:
    values = {}
    for name, feature in tf.train.Example.FromString(data).features.feature.items():
        values[name] = list(getattr(feature, feature.WhichOneof("kind")).value)
    return values


def test_all_that_is_known_of_a_picture_is_in_it(annotated):
    shard = shard_of(annotated)
    for number in range(len(shard)):
        built = record.build(shard, number)
        read = features_of(built.data)
        split, rows = shard.split, shard.split.boxes.rows(number)
        with open(split.images[number], "rb") as file:
            assert read["image/encoded"] == [file.read()]
        height, width = tf.io.decode_jpeg(read["image/encoded"][0]).shape[:2]
        assert (read["image/height"], read["image/width"], read["image/channels"]) == ([height], [width], [3])
        assert (read["image/format"], read["id"]) == ([b"jpeg"], [shard.names[number].encode()])
        assert read["label"] == np.flatnonzero(split.labels[number]).tolist()
        np.testing.assert_array_equal(np.reshape(read["boxes"], (-1, 4)), split.boxes.boxes[rows])
        assert read["boxes/classes"] == split.boxes.classes[rows].tolist()
        assert read["boxes/crowd"] == split.boxes.crowd[rows].tolist()
        assert read["boxes/difficult"] == split.boxes.difficult[rows].tolist()
        mask = np.asarray(Image.open(io.BytesIO(read["mask/encoded"][0])))
        np.testing.assert_array_equal(mask, split.masks.read(number))


def test_the_index_says_where_the_pictures_lie(annotated):
    built = record.build(shard_of(annotated), 4)
    read, row = features_of(built.data), built.placed(1000)
    for name, (offset, length) in {"image/encoded": row.picture, "mask/encoded": row.mask}.items():
        assert built.data[offset - 1000 :][:length] == read[name][0]


def test_boxes_and_masks_are_shrunk_with_the_picture(annotated):
    whole, small = shard_of(annotated), shard_of(annotated, max_side=60)
    for number in range(len(whole)):
        was, now = record.build(whole, number).row, record.build(small, number)
        assert max(now.row.size) == 60
        np.testing.assert_allclose(
            now.row.boxes.boxes / np.tile(now.row.size, 2), was.boxes.boxes / np.tile(was.size, 2), atol=1e-6
        )
        mask = np.asarray(Image.open(io.BytesIO(features_of(now.data)["mask/encoded"][0])))
        assert mask.shape == now.row.size
        assert set(np.unique(mask)) == set(np.unique(whole.split.masks.read(number)))
        assert now.row.mask_digest == was.mask_digest


def test_a_mask_of_another_size_is_an_error(annotated):
    shard = shard_of(annotated)
    shard.split.masks.reader.keywords["heights"][shard.split.masks.items[0]] = (10, 20)
    with pytest.raises(ValueError, match="its mask is 10 x 20, the picture 192 x 144|the picture 144 x 192"):
        record.build(shard, 0)


def test_a_picture_that_changes_meanwhile_is_an_error(annotated, tmp_path):
    shard = shard_of(annotated)
    other = tmp_path / "other.jpg"
    Image.new("RGB", (10, 10)).save(other)
    shard.split.images[2] = str(other)
    with pytest.raises(ValueError, match="was changed while it was being prepared"):
        record.build(shard, 2)
