"""Backbones that several tests look at, built once."""

from __future__ import annotations

import functools
import logging

import pytest

from tfmap import models
from tfmap.models import catalogue


@functools.cache
def _backbone(name):
    row = catalogue.find(name)
    size = max(64, row.smallest) if row.family != "Small pictures" else row.size
    return models.build(name, input_shape=(size, size, 3), weights=None)


@pytest.fixture(scope="session")
def backbone():
    """Name -> backbone with random weights at the smallest sensible size, one build per session."""
    return _backbone


@pytest.fixture(scope="session")
def save_as_keras_2():
    """(model, path) -> a weights file in the format of the published ones."""

    def save(model, path):
        logger = logging.getLogger("absl")  # Keras logs that this format is legacy; it is what we test
        logger.disabled, before = True, logger.disabled
        model.save(path)
        logger.disabled = before

    return save
