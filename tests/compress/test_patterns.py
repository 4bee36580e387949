import pytest

from tfmap.compress import patterns
from tfmap.errors import InputError


def test_patterns_of_names():
    assert patterns.among("conv_pw_12", ["dense", "conv_pw_1*"])
    assert not patterns.among("conv_pw_2", ["dense", "conv_pw_1*"])
    assert not patterns.among("conv", [])


def test_a_pattern_that_means_nothing():
    patterns.check("st?m", ["stem", "body"], "that makes channels")
    with pytest.raises(InputError, match="no layer that makes channels matches 'bdy'. Layers: stem, body. Did"):
        patterns.check("bdy", ["stem", "body"], "that makes channels")
    with pytest.raises(InputError, match="Layers: none"):
        patterns.check("*", [], "that makes channels")
