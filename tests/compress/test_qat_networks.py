"""What the bridge's contract test covers is trained with rounding: every family of networks becomes an int8 file."""

import keras
import pytest

import tfmap
from tests.compress.test_bridge import FAMILIES, one_of_each_kind
from tests.compress.test_qat import agrees
from tfmap.models import catalogue


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_networks_of_keras_applications(family):
    keras.utils.set_random_seed(0)
    name, options, size = FAMILIES[family]
    model = getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3), classes=4, **options)
    agrees(model, size)


@pytest.mark.slow
@pytest.mark.parametrize("name", one_of_each_kind())
def test_our_backbones(name):
    keras.utils.set_random_seed(0)
    size = catalogue.find(name).smallest
    agrees(tfmap.build_classifier(name, classes=4, input_shape=(size, size, 3), weights=None), size)
