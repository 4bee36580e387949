"""What the bridge's contract test covers is trained with rounding: every family of networks becomes an int8 file."""

import keras
import numpy as np
import pytest

import tfmap
from tests.compress.test_bridge import FAMILIES, one_of_each_kind
from tests.compress.test_qat import computes_in_integers, trained
from tfmap.models import catalogue


def becomes_integers(model, size):
    """Two steps of training, a file in integers, answers that differ.

    How near its answers are is not asserted here: with random weights and norms of eight pictures MobileNet's file
    agreed with its fake-quantised model at 0.1 dB, and why is not known yet. `test_qat` asserts it for small networks.
    """
    file, received, expected, _ = trained(model, size)
    computes_in_integers(file)
    assert min(np.ptp(received, axis=0).max(), np.ptp(expected, axis=0).max()) > 0.2


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_networks_of_keras_applications(family):
    keras.utils.set_random_seed(0)
    name, options, size = FAMILIES[family]
    model = getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3), classes=4, **options)
    becomes_integers(model, size)


@pytest.mark.slow
@pytest.mark.parametrize("name", one_of_each_kind())
def test_our_backbones(name):
    keras.utils.set_random_seed(0)
    size = catalogue.find(name).smallest
    becomes_integers(tfmap.build_classifier(name, classes=4, input_shape=(size, size, 3), weights=None), size)
