"""Further formats of a run's model."""

from __future__ import annotations

import subprocess
import sys

import keras
import numpy as np
import pytest

from tfmap.errors import InputError
from tfmap.export import formats
from tfmap.runs import FILES, Run


def test_every_format_has_a_fixed_name_in_the_run_folder():
    assert {FILES[name] for name in formats.FILES.values()} == {"export"}


@pytest.mark.parametrize("name", ["savedmodel", "keras"])
def test_a_format_is_written_where_it_says(tmp_path, classifier, trash_classes, name):
    path = formats.write(name, classifier, Run(tmp_path), classes=trash_classes)
    assert path == tmp_path / formats.FILES[name]
    assert path.exists()


def test_an_unknown_format(tmp_path, classifier, trash_classes):
    with pytest.raises(InputError, match=r"^export.also: unknown format 'onx'. Formats: savedmodel, onnx, keras. Did "):
        formats.write("onx", classifier, Run(tmp_path), classes=trash_classes)


def test_the_keras_file_loads_without_tfmap_and_answers_alike(tmp_path, classifier, photos):
    formats.write_keras(tmp_path / "inference.keras", classifier)
    np.save(tmp_path / "x.npy", photos[0][:4].astype("float32"))
    code = (
        "import sys, keras, numpy as np; m = keras.saving.load_model('inference.keras'); "
        "np.save('y.npy', m.predict(np.load('x.npy'), verbose=0)); "
        "assert not m.compiled and 'tfmap' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    wanted = classifier.predict(photos[0][:4].astype("float32"), verbose=0)
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), wanted, atol=1e-6)


def test_half_precision_becomes_single(tmp_path):
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, dtype="mixed_float16")(inputs)
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D(dtype="float32")(x))
    formats.write_keras(tmp_path / "inference.keras", model)
    loaded = keras.saving.load_model(tmp_path / "inference.keras")
    assert {layer.dtype_policy.name for layer in loaded.layers} == {"float32"}
    for one, two in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.fixture(scope="module")
def written(tmp_path_factory, classifier, trash_classes):
    """A run folder with the formats that need no extra."""
    run = Run(tmp_path_factory.mktemp("run"))
    for name in ("savedmodel", "keras"):
        formats.write(name, classifier, run, classes=trash_classes)
    return run


@pytest.mark.parametrize(("name", "way"), [("savedmodel", "pixels"), ("keras", "scores")])
def test_a_format_answers_as_its_model_and_no_other(written, classifier, photos, name, way):
    path = written.file(formats.FILES[name])
    formats.compare(name, path, classifier, photos[0][:4])
    other = keras.models.clone_model(classifier)
    text = (
        rf"^export.also: {path} \({way}\) differs from tiny by 0\.\d+ in a score, expected at most 0.001. Mend the "
        f"get_config or the call of the layer that is saved wrongly, or leave {name} out of export.also.$"
    )
    with pytest.raises(InputError, match=text):
        formats.compare(name, path, other, photos[0][:4])


@pytest.mark.parametrize("name", ["savedmodel", "keras"])
def test_a_damaged_file_is_told(tmp_path, written, classifier, photos, name):
    path = tmp_path / formats.FILES[name]
    if name == "keras":
        path.write_bytes(written.file("inference.keras").read_bytes()[:-1000])
    else:
        path.mkdir()
    text = (
        f"^export.also: {path} was written but cannot be read back: .*. See that the disk is not full, or leave {name} "
        "out of export.also.$"
    )
    with pytest.raises(InputError, match=text):
        formats.compare(name, path, classifier, photos[0][:4])


def test_a_layer_that_does_not_save_its_setting_is_told(tmp_path, photos):
    @keras.saving.register_keras_serializable("test_formats")
    class Times(keras.layers.Layer):
        def __init__(self, factor=1.0, **kwargs):
            super().__init__(**kwargs)
            self.factor = factor

        def call(self, x):
            return x * self.factor

        def get_config(self):
            return super().get_config()  # forgets the factor

    inputs = keras.Input((48, 48, 3))
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(Times(0.5)(inputs)), name="forgetful")
    path = formats.write("keras", model, Run(tmp_path), classes=("r", "g", "b"))
    with pytest.raises(
        InputError, match=r"inference.keras \(scores\) differs from forgetful by \d+ in a score, expect"
    ):
        formats.compare("keras", path, model, photos[0][:4])


def test_what_cannot_be_written_is_known_at_once(monkeypatch):
    formats.check(("savedmodel", "keras"))
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(
        InputError, match=r"^export.also: onnx needs its extra \(.*\). Install it: pip install 'tfmap\["
    ):
        formats.check(("keras", "onnx"))
