import os
import subprocess
import sys

from tfmap.compress.legacy import tfmot

CODE = """
import os
from tfmap.compress.legacy import tfmot
import sys
assert "tensorflow_model_optimization" not in sys.modules  # late
module = tfmot()
import tensorflow as tf
import keras
from tensorflow_model_optimization.python.core.keras import compat
print(os.environ.get("TF_USE_LEGACY_KERAS"), tf.keras.Model is keras.Model, compat.keras.__name__)
"""


def run(**variables):
    environment = {**os.environ, **variables}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", CODE], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_tfmot_leaves_no_trace_in_the_environment():
    assert run() == ["None", "True", "tf_keras"]


def test_the_switch_of_a_user_stays():
    before = os.environ.get("TF_USE_LEGACY_KERAS")
    os.environ["TF_USE_LEGACY_KERAS"] = "0"
    try:
        tfmot()
        assert os.environ["TF_USE_LEGACY_KERAS"] == "0"
    finally:
        os.environ.pop("TF_USE_LEGACY_KERAS") if before is None else os.environ.update(TF_USE_LEGACY_KERAS=before)
