import numpy as np
from keras import layers

from tfmap.compress.channels_notes import READS, Notes


def test_channels_are_numbered_as_they_are_made():
    notes, layer = Notes(), layers.Dense(3, name="top")
    np.testing.assert_array_equal(notes.fresh(2), [0, 1])
    np.testing.assert_array_equal(notes.made(layer, 3), [2, 3, 4])
    np.testing.assert_array_equal(notes.made(layer, 3), [2, 3, 4])
    assert len(notes.fresh(None)) == 0
    assert notes.count == 5


def test_a_layer_that_is_called_again_ties_what_it_reads():
    notes, layer = Notes(), layers.Dense(3, name="top")
    one, other = notes.fresh(2), notes.fresh(2)
    for channels in (one, other):
        notes.axis(layer, "kernel", 0, READS, channels)
    assert any(tie[0] is one and tie[1] is other for tie in notes.ties)
    assert len(notes.axes) == 1


def test_what_cannot_be_tied_stays():
    notes = Notes()
    one, other = notes.fresh(2), notes.fresh(3)
    notes.tie(one, other)
    assert notes.ties == []
    assert [len(channels) for channels in notes.kept] == [2, 3]


def test_a_layer_that_is_lost_once_is_lost():
    notes, layer = Notes(), layers.Reshape((-1, 2), name="reshape")
    channels = notes.fresh(2)
    notes.size(layer, "target_shape", channels)
    notes.give_up()
    assert notes.kept == []
    notes.lost.add("reshape")
    notes.give_up()
    assert notes.kept == [channels]
