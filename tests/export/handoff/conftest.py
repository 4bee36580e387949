"""Kits of real files: the small classifier in several formats, and what else a file may be."""

from __future__ import annotations

import pytest

from tfmap.export import golden, handoff, metadata

WHOLE = {
    "name": 'Trash "sorter"',
    "description": "Sorts a picture | of trash.",
    "version": "3",
    "author": "We",
    "license": "MIT",
    "thresholds": (0.1, 0.2, 0.3, 0.4, 0.5, 0.6),
    "temperature": 1.5,
    "about": {"task": "classification", "tfmap": "1.0"},
}
ODD = ("$a", 'b"c', "d\\e", "Müll", "</script>", "it's")  # labels that a careless template would break on


@pytest.fixture(scope="session")
def make_kit(tmp_path_factory, trash_split, trash_classes):
    """File with metadata -> folder of its kit."""

    def make(file, **more):
        folder = tmp_path_factory.mktemp("run") / "handoff"
        labels = metadata.read(file).labels
        handoff.write(folder, file, golden.vectors(file, trash_split, classes=labels, count=10), **more)
        return folder

    return make


@pytest.fixture(scope="session")
def whole_file(lite_files, trash_classes):
    """int8, with everything that metadata can say."""
    about = metadata.Metadata(trash_classes, translations={"de": tuple("ABCDEF")}, **WHOLE)
    return metadata.attach(lite_files["int8"], about)


@pytest.fixture(scope="session")
def kit(make_kit, whole_file):
    """The kit of `whole_file`."""
    return make_kit(whole_file)


@pytest.fixture(scope="session")
def files(classifier, photos, lite_files):
    """Name -> file: every format and border, other batches, several labels a picture, labels that are hard to quote."""
    from tfmap.export import convert, quantizer

    plain = metadata.Metadata(tuple("abcdef"), name="plain", temperature=1.5)
    made = {
        "float border": convert.float32(classifier, input_type="float32"),
        "int8, float border": convert.int8(classifier, photos[0], input_type="float32"),
        "two at a time": convert.float32(classifier, batch_size=2),
        "grey": convert.int8(_grey(), photos[0][..., :1]),
        "int8 at both ends": convert.int8(classifier, photos[0], input_type="int8"),
        "int8 scores": convert.int8(classifier, photos[0], output_type="int8"),
        "int16x8": convert.int16x8(classifier, photos[0]),
        "int4": quantizer.int4(classifier, photos[0]),
        "open batch": convert.int8(classifier, photos[0], batch_size=0),
    }
    several = metadata.Metadata(tuple("abcdef"), temperature=1.5, about={"multi_label": True})
    odd = metadata.Metadata(ODD, name='*/ odd """ name', thresholds=(0.5,) * 6)
    return {
        **lite_files,
        **{name: metadata.attach(file, plain) for name, file in made.items()},
        "several labels": metadata.attach(lite_files["int8"], several),
        "odd labels": metadata.attach(lite_files["int8"], odd),
    }


def _grey():
    """A model of one channel, untrained."""
    import keras

    keras.utils.set_random_seed(0)
    inputs = keras.Input((48, 48, 1))
    x = keras.layers.Conv2D(8, 5, strides=4, activation="relu")(keras.layers.Rescaling(1 / 255)(inputs))
    return keras.Model(inputs, keras.layers.Dense(6, activation="softmax")(keras.layers.Flatten()(x)))


NAMES = (
    "float32",
    "float16",
    "dynamic",
    "int8",
    "float border",
    "int8, float border",
    "two at a time",
    "grey",
    "int8 at both ends",
    "int16x8",
    "int4",
    "open batch",
    "several labels",
    "odd labels",
)


@pytest.fixture(scope="session", params=NAMES)
def any_kit(request, files, make_kit):
    """The kit of each of `files`."""
    return make_kit(files[request.param])
