"""What the catalogue says of names and shapes that it cannot serve."""

from __future__ import annotations

import re
from pathlib import Path

import keras
import pytest

from tfmap import InputError, models
from tfmap.models import catalogue, normalisation


def test_unknown_name_lists_families_and_the_nearest():
    with pytest.raises(InputError) as raised:
        models.build("mobilnet_v3_small")
    text = str(raised.value)
    assert "unknown backbone 'mobilnet_v3_small'. Did you mean 'mobilenet_v3_small'?" in text
    assert "ResNet V2: resnet50_v2, resnet101_v2, resnet152_v2;" in text


@pytest.mark.parametrize("shape", [(32, 32), 32, (32, 32, 3.0), (0, 32, 3), (None, None, 3), "big", (True, 32, 3)])
def test_shape_that_is_not_three_numbers(shape):
    with pytest.raises(InputError, match=r"three positive whole numbers \(height, width, channels\), received"):
        models.build("resnet8", input_shape=shape, weights=None)


def test_picture_too_small_for_the_family():
    text = (
        "xception needs pictures of at least 71x71 pixels, received input_shape=(96, 28, 3). Enlarge the pictures or "
    )
    with pytest.raises(InputError, match=re.escape(text + "take a backbone for small ones: lenet, resnet8, resnet20")):
        models.build("xception", input_shape=(96, 28, 3))
    with pytest.raises(InputError, match=r"take a backbone for small ones\.$"):
        models.build("xception", input_shape=(4, 4, 3))


def test_channels():
    with pytest.raises(InputError, match=r"1 \(grey\) or 3 \(RGB\) channels, received 4 in \(32, 32, 4\)"):
        models.build("resnet8", input_shape=(32, 32, 4), weights=None)
    with pytest.raises(InputError, match=r"need 3 channels.*Use input_shape=\(32, 32, 3\).*or weights=None for a grey"):
        models.build("mobilenet_v1_025", input_shape=(32, 32, 1))


@pytest.mark.parametrize("row", catalogue.BACKBONES.values(), ids=lambda row: row.name)
def test_row_is_complete(row):
    module, function = row.builder.split(":")
    assert module != "keras.applications" or hasattr(keras.applications, function)
    assert row.normalisation in normalisation.KINDS
    assert 8 <= row.smallest <= row.size
    assert bool(row.file) == bool(row.url) == bool(row.licence)
    assert row.url.startswith(("https://", "package:")) or row.url in ("embedded", "")


def test_docs_list_every_name_and_no_other():
    """`python -m benchmarks.backbones` writes the page; a new row needs a new page."""
    page = (Path(__file__).parents[2] / "docs" / "backbones.md").read_text()
    assert re.findall(r"^\| `(\w+)`", page, re.MULTILINE) == list(catalogue.BACKBONES)
