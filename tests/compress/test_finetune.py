import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tfmap.compress.finetune import FineTuning, fine_tune
from tfmap.errors import InputError


class Numbers:
    """A feed of pictures of one pixel: 1 where the label is 1, else 0."""

    steps = 4

    def __init__(self, label="index", val=True, scale=1.0):
        y = np.arange(32, dtype="int32") % 2
        label = y if label == "index" else np.eye(2, dtype="float32")[y]
        image = (scale * y[:, None, None, None]).astype("float32")
        self.batch = {"image": image, "label": label, "weight": np.ones(32, "float32")}
        self.has_val = val

    def train(self, epoch, step, epochs):
        return tf.data.Dataset.from_tensors(self.batch).repeat(self.steps * epochs)

    def val(self):
        return tf.data.Dataset.from_tensors(self.batch) if self.has_val else None


def small(activation="softmax"):
    tf_keras.utils.set_random_seed(0)
    image = tf_keras.Input((1, 1, 1))
    x = tf_keras.layers.Dense(2, activation=activation, name="top")(tf_keras.layers.Flatten()(image))
    return tf_keras.Model(image, x)


def watched():
    rows = []
    return rows, lambda step, epoch, numbers: rows.append({"step": step, "epoch": epoch, **numbers})


@pytest.mark.parametrize("label", ["index", "row"])
def test_it_learns_and_tells_of_every_epoch(label, capsys):
    rows, watch = watched()
    fine_tune(small(), Numbers(label), FineTuning(epochs=3, learning_rate=0.3, watch=watch), step="prune")
    assert [(row["step"], row["epoch"]) for row in rows] == [("prune", 1), ("prune", 2), ("prune", 3)]
    assert rows[-1]["val_accuracy"] == 1
    assert rows[-1]["loss"] < rows[0]["loss"]
    assert "prune   3/3  loss " in capsys.readouterr().err


def test_silence(capsys):
    fine_tune(small(), Numbers(), FineTuning(epochs=1, verbose=False))
    assert capsys.readouterr().err == ""


def test_several_labels_a_picture_and_no_validation():
    rows, watch = watched()
    how = FineTuning(epochs=3, learning_rate=0.3, multi_label=True, verbose=False, watch=watch)
    fine_tune(small("sigmoid"), Numbers("row", val=False), how)
    assert "val_loss" not in rows[0]
    assert rows[-1]["loss"] < 0.6


class Spoil(tf_keras.callbacks.Callback):
    """Sets the bias, and with it the accuracy, before the validation of each epoch."""

    def __init__(self, biases):
        super().__init__()
        self.biases = biases

    def on_test_begin(self, logs=None):
        self.model.get_layer("top").bias.assign(self.biases.pop(0))


# The kernel answers right by itself as long as no bias rules.
@pytest.mark.parametrize(("keep_from", "kept"), [(0, [1.0, 0.0]), (1, [0.0, 9.0])])
def test_the_best_epoch_is_kept_of_those_that_count(keep_from, kept):
    model = small()
    model.get_layer("top").kernel.assign([[-2.0, 2.0]])
    how = FineTuning(epochs=3, learning_rate=1e-9, verbose=False)
    # Half right wherever one bias rules; of two alike, the later one.
    biases = [[1.0, 0.0], [9.0, 0.0], [0.0, 9.0]]
    fine_tune(model, Numbers(), how, callbacks=[Spoil(list(map(np.array, biases)))], keep_from=keep_from)
    np.testing.assert_allclose(model.get_layer("top").bias.numpy(), kept, atol=1e-6)


@pytest.mark.parametrize(("batchnorm", "same"), [("frozen", True), ("live", False)])
def test_frozen_norms_stay_as_they_came(batchnorm, same):
    image = tf_keras.Input((1, 1, 1))
    norm = tf_keras.layers.BatchNormalization()
    x = tf_keras.layers.Flatten()(norm(image))
    model = tf_keras.Model(image, tf_keras.layers.Dense(2, "softmax", name="top")(x))
    before, kernel = norm.get_weights(), model.get_layer("top").kernel.numpy()
    fine_tune(model, Numbers(), FineTuning(epochs=2, learning_rate=0.1, batchnorm=batchnorm, verbose=False))
    assert all(np.array_equal(*pair) for pair in zip(before, norm.get_weights(), strict=True)) is same
    assert not np.allclose(model.get_layer("top").kernel, kernel)


def test_the_teacher_overrules_wrong_labels():
    teacher = keras.Sequential([keras.Input((1, 1, 1)), keras.layers.Flatten(), keras.layers.Dense(2, "softmax")])
    teacher.layers[1].set_weights([np.array([[20.0, -20.0]]), np.array([-10.0, 10.0])])  # the labels turned round
    model = small()
    how = FineTuning(epochs=4, learning_rate=0.3, teacher=teacher, teacher_weight=1.0, verbose=False)
    fine_tune(model, Numbers(val=False), how)
    answers = model.predict(np.array([0.0, 1.0], "float32").reshape(2, 1, 1, 1), verbose=0).argmax(1)
    np.testing.assert_array_equal(answers, [1, 0])


def test_augmentation_draws_anew_each_step():
    seeds = []

    def policy(batch, seed):
        tf.py_function(lambda s: seeds.append(tuple(s.numpy())), [seed], [])
        return batch

    fine_tune(small(), Numbers(), FineTuning(epochs=2, policy=policy, seed=7, verbose=False))
    assert sorted(seeds) == [(7, step) for step in range(8)]


def test_a_loss_that_is_no_number_ends_it():
    with pytest.raises(
        InputError, match=r"nan at batch 1 .*the pictures themselves are not finite\. Lower compress.learning_rate"
    ):
        fine_tune(small(), Numbers(scale=np.nan), FineTuning(epochs=1, verbose=False))


WRONG = {
    "epochs": (0, "compress.epochs must be a whole number of at least 1, received 0"),
    "learning_rate": (0.0, "compress.learning_rate must be above 0, received 0.0"),
    "teacher_weight": (1.5, r"compress.teacher_weight must be in \[0, 1\], received 1.5"),
}


@pytest.mark.parametrize("name", WRONG)
def test_settings_out_of_range(name):
    value, text = WRONG[name]
    with pytest.raises(InputError, match=text):
        FineTuning(**{name: value})


def test_the_model_as_it_comes_may_be_the_best():
    model, (rows, watch) = small(), watched()
    model.get_layer("top").set_weights([np.array([[-2.0, 2.0]]), np.array([1.0, -1.0])])
    how = FineTuning(epochs=2, learning_rate=5.0, verbose=False, watch=watch)
    fine_tune(model, Turned(), how, keep_from=-1, step="qat")
    assert [row["epoch"] for row in rows] == [0, 1, 2]
    assert rows[0] == {"step": "qat", "epoch": 0, "val_loss": rows[0]["val_loss"], "val_accuracy": 1.0,
                       "seconds": rows[0]["seconds"]}  # fmt: skip
    assert rows[-1]["val_accuracy"] < 1
    np.testing.assert_array_equal(model.get_layer("top").get_weights()[0], [[-2.0, 2.0]])


class Turned(Numbers):
    """Training teaches the wrong label, validation knows the right one."""

    def train(self, epoch, step, epochs):
        batch = {**self.batch, "label": 1 - self.batch["label"]}
        return tf.data.Dataset.from_tensors(batch).repeat(self.steps * epochs)


def test_without_validation_there_is_no_start_to_judge():
    rows, watch = watched()
    fine_tune(small(), Numbers(val=False), FineTuning(epochs=1, verbose=False, watch=watch), keep_from=-1)
    assert [row["epoch"] for row in rows] == [1]


def test_a_layer_that_gives_no_number_is_named():
    model = small()
    model.get_layer("top").kernel.assign([[np.inf, 0.0]])
    with pytest.raises(InputError, match="became nan at batch 1 .*first layer whose output is no number is 'top'"):
        fine_tune(model, Numbers(), FineTuning(epochs=1, verbose=False))


def test_a_step_is_traced_once(monkeypatch):
    """Keras traces one that makes variables a second time."""
    traces, step = [], tf_keras.Model.train_step
    monkeypatch.setattr(tf_keras.Model, "train_step", lambda self, data: traces.append(1) or step(self, data))
    fine_tune(small(), Numbers(), FineTuning(epochs=2, verbose=False), step="prune")
    assert len(traces) == 1
