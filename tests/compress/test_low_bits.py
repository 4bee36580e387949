import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from tfmap import flatbuffer
from tfmap.compress import low_bits as module
from tfmap.compress.finetune import FineTuning
from tfmap.compress.low_bits import low_bits, rounded
from tfmap.compress.prune import prune, sparsities
from tfmap.errors import InputError
from tfmap.export import correction, quantizer
from tfmap.litert import LiteModel

HOW = FineTuning(epochs=3, learning_rate=0.003, verbose=False)


@pytest.fixture(scope="module")
def small(wide, feed):
    return low_bits(wide, feed, how=HOW)


def levels(model, name):
    """Most different magnitudes in a channel of a kernel, zero among them."""
    weights = np.abs(np.asarray(model.get_layer(name).kernel)).reshape(-1, model.get_layer(name).kernel.shape[-1])
    return max(len(np.unique(np.round(channel / max(channel.max(), 1e-9), 5))) for channel in weights.T)


def test_kernels_lie_on_the_grid_and_the_photographs_are_still_known(small, wide, photos, accuracy):
    assert isinstance(small, keras.Model)
    assert [levels(small, name) <= 8 for name in ("stem", "body", "top", "probabilities")] == [False, True, True, True]
    assert levels(wide, "body") > 100  # left as it was
    assert accuracy(small.predict(photos[0].astype("float32"), verbose=0)) > 0.95


def test_an_int4_file_holds_the_very_kernels(small, photos, accuracy):
    file = quantizer.int4(small, photos[0])
    found = [tensor for tensor in flatbuffer.read(file).tensors if tensor.dtype == "int4"]
    assert len(found) == 3
    interpreter = LiteModel(file)._interpreter
    body = next(tensor for tensor in found if tuple(tensor.shape) == (32, 3, 3, 16))
    detail = interpreter.get_tensor_details()[body.index]
    step = detail["quantization_parameters"]["scales"].reshape(-1, 1, 1, 1)
    kernel = np.moveaxis(np.asarray(small.get_layer("body").kernel), -1, 0)
    norm = small.layers[[layer.name for layer in small.layers].index("body") + 1]
    gain = np.asarray(norm.gamma) / np.sqrt(np.asarray(norm.moving_variance) + norm.epsilon)
    folded = kernel * gain.reshape(-1, 1, 1, 1)
    np.testing.assert_allclose(folded / step, np.round(folded / step), atol=1e-3)
    assert np.abs(folded / step).max() < 7.001
    assert accuracy(LiteModel(file).predict(photos[0])) > 0.95


@pytest.mark.slow
def test_zeros_of_a_pruned_kernel_stay(wide, feed):
    pruned = prune(wide, feed, sparsity=0.5, how=HOW)
    before = np.asarray(pruned.get_layer("body").kernel) == 0
    after = low_bits(pruned, feed, how=HOW)
    assert sparsities(after)["body"] >= 0.5
    assert np.all(np.asarray(after.get_layer("body").kernel)[before] == 0)


@given(
    st.sampled_from([2, 4]),
    st.lists(st.floats(-100, 100, width=32), min_size=12, max_size=12),
)
@settings(deadline=None)
def test_rounding_twice_is_rounding_once_and_the_largest_is_a_whole_number_of_steps(bits, values):
    kernel = np.array(values, "float32").reshape(6, 2)
    once = np.asarray(rounded(kernel, bits))
    most = 2 ** (bits - 1) - 1
    for before, channel in zip(kernel.T, once.T, strict=True):
        largest = np.abs(channel).max()
        assert largest <= np.abs(before).max() * (1 + 1e-5) + 1e-6
        if largest > 1e-6:
            steps = channel / (largest / most)
            np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)


def test_four_bits_of_a_normal_distribution_err_no_more_than_the_best_step():
    draw = np.random.default_rng(0).normal(size=(20_000, 1)).astype("float32")
    error = float(np.mean((np.asarray(rounded(draw)) - draw) ** 2))
    candidates = [np.mean((np.clip(np.round(draw / s), -7, 7) * s - draw) ** 2) for s in np.linspace(0.2, 0.6, 81)]
    assert error < 1.02 * min(candidates)


@pytest.mark.parametrize("sparsity", [0.5, 0.75, 0.9])
def test_zeros_of_a_pruned_kernel_do_not_count(sparsity):
    """The survivors of a normal distribution lose as little as if there were no zeros."""
    kernel = np.random.default_rng(0).normal(size=(5000, 4)).astype("float32")
    kernel[np.abs(kernel) < np.quantile(np.abs(kernel), sparsity)] = 0
    found = np.asarray(rounded(kernel))
    np.testing.assert_array_equal(found[kernel == 0], 0)
    assert np.square(found - kernel).sum() < 0.02 * np.square(kernel).sum()


@pytest.mark.parametrize("bits", [1, 3, 5, 8, True, 4.0])
def test_bits_out_of_range(bits, residual, feed):
    with pytest.raises(InputError, match=r"low_bits takes 2 or 4 bits, received .*For 8 bits take qat"):
        low_bits(residual, feed, bits=bits)


def test_a_network_without_such_kernels(feed):
    image = keras.Input((48, 48, 3))
    x = layers.Conv2D(3, 3, name="narrow")(image)
    model = keras.Model(image, layers.Softmax()(layers.GlobalAveragePooling2D()(x)), name="tiny")
    with pytest.raises(InputError, match="no convolution and no dense layer of more than 4 input channels in 'tiny'"):
        low_bits(model, feed)


def test_export_and_training_round_the_same_kernels():
    assert module.NARROW == correction.NARROW
