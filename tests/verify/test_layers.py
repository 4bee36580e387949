"""Signal to noise, layer by layer."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers as L

from tfmap import flatbuffer
from tfmap.export import convert, equalisation, rewriting
from tfmap.graph import Op, Tensor
from tfmap.verify import alignment, layers


def meter(**options):
    return layers.Meter(Op("CONV_2D", (), (Tensor("conv", "int8", (1, 4, 4, 8), (), (), 0, 0),)), **options)


def compared(lite_files, name, pictures):
    pairs = alignment.pairs(flatbuffer.read(lite_files["float32"]), flatbuffer.read(lite_files[name]))
    return layers.compare(pairs, lite_files["float32"], lite_files[name], pictures)


def test_a_file_beside_itself_is_equal_to_the_last_bit(lite_files, photos):
    found = compared(lite_files, "float32", photos[0][:4])
    assert {row["sqnr_db"] for row in found["rows"]} == {layers.MOST}
    assert (found["findings"], found["median_db"], found["pictures"]) == ([], layers.MOST, 4)


def test_int8_loses_more_than_float16_and_the_loss_is_in_the_order_of_its_bits(lite_files, photos):
    int8, float16 = (compared(lite_files, name, photos[0][:8]) for name in ("int8", "float16"))
    assert 15 < int8["median_db"] < 50 < float16["median_db"]
    assert int8["worst"] == sorted(int8["rows"], key=lambda row: row["sqnr_db"])[:10]
    assert int8["worst"][0]["sqnr_db"] <= int8["median_db"]


def test_the_answer_of_a_layer_is_that_of_the_interpreter(lite_files, photos):
    """The last softmax, counted here by hand."""
    from tfmap.litert import LiteModel

    found = compared(lite_files, "int8", photos[0][:8])
    (row,) = [row for row in found["rows"] if row["op"] == "SOFTMAX"]
    theirs = LiteModel(lite_files["float32"], xnnpack=False).predict(photos[0][:8])
    ours = LiteModel(lite_files["int8"], xnnpack=False).predict(photos[0][:8])
    expected = 10 * np.log10(np.square(theirs).sum() / np.square(theirs - ours).sum())
    assert row["sqnr_db"] == pytest.approx(expected, abs=1e-3)


@settings(deadline=None)
@given(st.floats(-20, 60), st.integers(0, 2**32 - 1))
def test_noise_of_known_power_is_measured(decibels, seed):
    rng = np.random.default_rng(seed)
    signal, noise = rng.normal(size=(2, 2, 4, 4, 8))
    noise *= np.sqrt(np.square(signal).sum() / np.square(noise).sum()) * 10 ** (-decibels / 20)
    one = meter()
    for exact, extra in zip(signal, noise, strict=True):
        one.add(exact, exact + extra)
    assert one.row()["sqnr_db"] == pytest.approx(decibels, abs=1e-6)


def test_a_channel_that_stands_still_in_the_file_alone_is_found():
    exact = np.random.default_rng(0).normal(size=(1, 16, 16, 8)).astype(np.float32)
    still = exact.copy()
    still[..., 2] = 0.5
    one = meter()
    one.add(exact, still)
    assert one.stuck() == (1, 8)
    assert one.finding() == "CONV_2D conv: 1 of 8 channels say the same to every picture; the model's do not."


def test_a_channel_that_hardly_moves_in_the_model_may_stand_still():
    exact = np.random.default_rng(0).normal(size=(1, 16, 16, 8)).astype(np.float32)
    exact[..., 2] *= 0.01
    still = exact.copy()
    still[..., 2] = 0
    one = meter()
    one.add(exact, still)
    assert (one.stuck(), one.finding()) == ((0, 8), "")


@pytest.mark.parametrize(("share", "stuck"), [(0.3, 0), (0.9, 1)])
def test_a_channel_of_few_values_must_have_moved_by_half_the_range(share, stuck):
    exact = np.zeros((16, 1, 1, 8), np.float32)
    exact[::2, ..., 0], exact[::2, ..., 2] = 1.0, share
    still = exact.copy()
    still[..., 2] = 0
    one = meter()
    one.add(exact, still)
    assert one.stuck() == (stuck, 8)


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_channels_scale_is_taken_back_where_it_is_free_and_no_noise_with_it(seed):
    rng = np.random.default_rng(seed)
    exact, noise = rng.normal(size=(2, 4, 64, 64, 8))
    own, free = meter(), meter(free=True)
    scale = rng.uniform(1, 256, 8)
    for one in (own, free):
        one.add(exact, (exact + 0.01 * noise) * scale)
    assert own.row()["sqnr_db"] < 0
    assert free.row()["sqnr_db"] == pytest.approx(40, abs=0.2)


def test_a_channel_of_other_values_is_noise_whatever_its_scale():
    exact = np.random.default_rng(0).normal(size=(1, 64, 64, 2))
    turned = np.stack([exact[..., 0], -exact[..., 1]], axis=-1)
    one = meter(free=True)
    one.add(exact, turned)
    assert one.row()["sqnr_db"] == pytest.approx(3, abs=0.2)  # half of the energy is lost


def test_only_what_depthwise_convolutions_alone_read_may_be_rescaled(photos):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((48, 48, 3))
    x = L.ReLU(6.0)(L.Conv2D(4, 3, name="free")(inputs))
    x = L.Conv2D(4, 3, name="bound")(L.DepthwiseConv2D(3, strides=2, name="reader")(L.ZeroPadding2D(1)(x)))
    model = keras.Model(inputs, L.DepthwiseConv2D(3)(L.Add()([x, L.Conv2D(4, 1)(x)])))
    graph = flatbuffer.read(convert.int8(model, photos[0]))
    free = layers._rescalable(graph)
    assert [op.name for op in graph.ops if op.outputs[0].index in free] == ["CONV_2D", "PAD", "ADD"]


def test_a_file_that_was_equalised_is_as_close_as_it_is(photos):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((48, 48, 3))
    x = L.ReLU(6.0)(L.Conv2D(8, 3)(L.Rescaling(1 / 127.5, offset=-1)(inputs)))
    model = keras.Model(inputs, L.DepthwiseConv2D(3)(x))
    kernel, bias = model.layers[2].get_weights()
    model.layers[2].set_weights([kernel * np.geomspace(1, 1e-3, 8), bias])
    float32, int8 = convert.float32(model), convert.int8(equalisation.equalised(model, photos[0]), photos[0])
    pairs = alignment.pairs(flatbuffer.read(float32), flatbuffer.read(int8))
    found = layers.compare(pairs, float32, int8, photos[0][:8])
    assert found["worst"][0]["sqnr_db"] > 25


def test_the_centred_picture_is_compared_without_the_factor_that_kernels_carry(photos):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((48, 48, 3))
    scaled = L.Rescaling(1 / 127.5, offset=-1)(inputs)
    model = keras.Model(inputs, L.Add()([L.Conv2D(4, 3, padding="same")(scaled) for _ in range(2)]))
    float32, int8 = convert.float32(model), convert.int8(rewriting.for_integers(model), photos[0])
    graph = flatbuffer.read(int8)
    assert [op.name for op in graph.ops if op.outputs[0].index in layers._centred(graph)] == ["SUB"]
    added = next(op for op in flatbuffer.read(float32).ops if op.name == "ADD")
    centred = next(op for op in graph.ops if op.name == "SUB")
    found = layers.compare([(added, centred)], float32, int8, photos[0][:8])
    assert found["worst"][0]["sqnr_db"] > 35


def test_a_channel_that_answers_to_a_further_picture_does_not_stand_still(photos):
    def network(bias):
        inputs = keras.Input((48, 48, 3))
        model = keras.Model(inputs, L.Conv2D(2, 1, activation="relu", name="conv")(inputs))
        model.layers[-1].set_weights([np.ones((1, 1, 3, 2)) / 3, np.array([0, bias])])
        return model

    dark, bright = photos[0][:16] // 4, photos[0][:16]
    float32, int8 = convert.float32(network(0)), convert.int8(network(-80), photos[0])
    pairs = alignment.pairs(flatbuffer.read(float32), flatbuffer.read(int8))
    for further, lines in ((None, 1), (lambda: dark, 1), (lambda: bright, 0)):
        found = layers.compare(pairs, float32, int8, dark, further)
        assert len(found["findings"]) == lines
        assert found["pictures"] == 16


@pytest.mark.parametrize("free", [False, True])
def test_numbers_that_are_none_count_as_lost(free):
    one = meter(free=free)
    one.add(np.ones((1, 4, 4, 8)), np.full((1, 4, 4, 8), np.nan))
    assert one.row()["sqnr_db"] == -layers.MOST


def test_files_without_a_common_op_have_nothing_to_compare(lite_files, photos):
    found = layers.compare([], lite_files["float32"], lite_files["int8"], photos[0][:2])
    assert (found["compared"], found["median_db"], found["worst"], found["findings"]) == (0, None, [], [])
