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
