"""Few pictures, read without a data set: whatever a data set would say of them, to the last bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import tfmap
from tfmap import pipeline, tasks
from tfmap.errors import InputError
from tfmap.tasks.classification import prepare

SAMPLES = {"trash": {}, "cells": {}, "membrane": {}, "nuclei": {"target": "instances"}}
TASKS = {"trash": "classification", "cells": "detection", "membrane": "segmentation", "nuclei": "instances"}


def both(split, **how):
    """The batches of a data set, and those without."""
    how = {"size": (48, 64), "batch_size": 5, "prepare": prepare} | how
    few = list(pipeline.in_order(split, **how))
    many = [{key: value.numpy() for key, value in b.items()} for b in pipeline.batches(split, cache="none", **how)]
    return many, few


def same(many, few):
    assert len(many) == len(few)
    for ours, theirs in zip(few, many, strict=True):
        assert ours.keys() == theirs.keys()
        for key, expected in theirs.items():
            assert ours[key].dtype == expected.dtype, key
            np.testing.assert_array_equal(ours[key], expected, err_msg=key)


@pytest.mark.parametrize("name", SAMPLES)
def test_every_task_sees_the_same(name):
    split = tfmap.load(f"sample:{name}", **SAMPLES[name]).split("train").take(np.arange(7))
    same(*both(split, prepare=tasks.get(TASKS[name]).prepare))


def test_lost_pictures_are_blank(copies, tmp_path):
    for row in (2, *range(10, 15)):  # one of a batch, and all of one
        (tmp_path / f"{row:02}.jpg").unlink()
    same(*both(copies))
    assert len(pipeline.lost(copies)) == 6


def test_several_labels_a_picture(split):
    same(*both(replace(split, labels=np.eye(50, dtype=np.float32))))


def test_many_are_read_by_a_data_set(split, monkeypatch):
    monkeypatch.setattr(pipeline, "FEW", 49)
    monkeypatch.setattr(pipeline.few, "batches", None)
    same(*both(split))


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_change_nothing(split, workers):
    same(*both(split, workers=workers))


def test_settings_are_those_of_batches(split):
    with pytest.raises(InputError, match="batch_size"):
        next(pipeline.in_order(split, size=(32, 32), prepare=prepare, batch_size=0))
