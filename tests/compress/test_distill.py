import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tfmap.compress.distill import SoftLabels, attention_distance, distill
from tfmap.compress.finetune import FineTuning
from tfmap.compress.students import Distiller
from tfmap.errors import InputError

pytestmark = pytest.mark.slow  # minutes of conversion and training on two cores

HOW = FineTuning(epochs=6, learning_rate=0.01, verbose=False)


def small(seed=0, size=48, classes=6):
    keras.utils.set_random_seed(seed)
    image = keras.Input((size, size, 3), name="image")
    x = layers.Rescaling(1 / 127.5, offset=-1)(image)
    x = layers.Conv2D(8, 3, strides=2, padding="same", name="first")(x)
    x = layers.ReLU(name="first_relu")(layers.BatchNormalization(momentum=0.8)(x))
    x = layers.Conv2D(16, 3, strides=2, padding="same", activation="relu", name="second")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(classes, activation="softmax")(x), name="student")


class Pictures:
    """Batches of one kind, two an epoch; none to validate with."""

    steps = 2

    def __init__(self, **batch):
        self.batch = batch

    def train(self, epoch, step, epochs):
        return tf.data.Dataset.from_tensors(self.batch).repeat(self.steps * epochs)

    def val(self):
        return None


def numpy_softened(p, temperature):
    p = p ** (1 / temperature)
    return p / p.sum(-1, keepdims=True)


def test_soft_labels_are_a_divergence_at_a_temperature():
    rng = np.random.default_rng(0)
    teacher, student = rng.dirichlet(np.ones(5), 8), rng.dirichlet(np.ones(5), 8)
    given, said = numpy_softened(teacher, 3.0), numpy_softened(student, 3.0)
    expected = 9 * np.mean(np.sum(given * np.log(given / said), axis=-1))
    np.testing.assert_allclose(SoftLabels(3.0).compute_loss(teacher, student), expected, rtol=1e-4)
    np.testing.assert_allclose(SoftLabels(3.0).compute_loss(teacher, teacher), 0, atol=1e-6)


def test_soft_labels_of_independent_classes():
    teacher, student = np.array([[0.9, 0.2]]), np.array([[0.6, 0.2]])
    pairs = [np.stack([x, 1 - x], axis=-1) for x in (teacher, student)]
    given, said = (numpy_softened(pair, 2.0) for pair in pairs)
    expected = 4 * np.mean(np.sum(given * np.log(given / said), axis=-1))
    np.testing.assert_allclose(SoftLabels(2.0, multi_label=True).compute_loss(teacher, student), expected, rtol=1e-4)


def test_statistics_of_norms_keep_up(photos):
    """Keras' MobileNetV2 remembers 1,000 batches, more than a short training has: its students lost ten points."""
    keras.utils.set_random_seed(0)
    image = keras.Input((48, 48, 3))
    body = keras.Sequential([image, layers.BatchNormalization(momentum=0.999)])
    x = layers.GlobalAveragePooling2D()(layers.BatchNormalization(momentum=0.999, name="own")(body(image)))
    student = keras.Model(image, layers.Dense(6, activation="softmax")(x))
    batch = {"image": photos[0].astype("float32"), "label": photos[1], "weight": np.ones(48, "float32")}
    trained = distill(student, Pictures(**batch), teacher=student, how=HOW)
    (norm,) = (layer for layer in trained._flatten_layers() if layer.name == body.layers[0].name)
    mean = photos[0].mean((0, 1, 2))
    np.testing.assert_allclose(norm.moving_mean, (1 - 0.9**12) * mean, rtol=1e-3)
    assert {layer.momentum for layer in trained._flatten_layers() if hasattr(layer, "momentum")} == {0.999}


def test_attention_is_where_not_how_much():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(2, 4, 4, 6)).astype("float32")
    np.testing.assert_allclose(attention_distance(features, 3 * features), 0, atol=1e-6)
    apart = np.zeros((2, 1, 2, 2), "float32")
    apart[0, 0, 0], apart[1, 0, 1] = 1, 1
    np.testing.assert_allclose(attention_distance(apart[:1], np.repeat(apart[1:], 2, axis=-1)), 2, rtol=1e-5)


def test_a_student_learns_its_teachers_opinions(classifier, feed, photos):
    images = photos[0].astype("float32")
    opinions = classifier.predict(images, verbose=0)
    student, rows = small(), []
    before = student.get_weights()
    how = FineTuning(epochs=24, learning_rate=0.02, verbose=False, watch=lambda *row: rows.append(row))
    learned = distill(student, feed, teacher=classifier, label_weight=0.0, how=how)
    apart = [np.abs(model.predict(images, verbose=0) - opinions).mean() for model in (student, learned)]
    assert apart[1] < 0.7 * apart[0]
    assert all(map(np.array_equal, before, student.get_weights()))
    assert [row[:2] for row in rows] == [("distill", epoch) for epoch in range(1, 25)]
    assert {"val_accuracy", "total_loss", "seconds"} <= set(rows[0][2])
    assert classifier.trainable
    assert len(learned.trainable_weights) == len(student.trainable_weights)


def test_the_best_epoch_is_kept(classifier, feed, photos, accuracy):
    rows = []
    how = FineTuning(epochs=3, learning_rate=0.02, verbose=False, watch=lambda *row: rows.append(row[2]))
    learned = distill(small(), feed, how=FineTuning(**{**how.__dict__, "teacher": classifier}))
    scored = accuracy(learned.predict(photos[0].astype("float32"), verbose=0))
    assert scored == pytest.approx(max(row["val_accuracy"] for row in rows), abs=1e-6)


@pytest.mark.slow
def test_layers_look_where_those_of_the_teacher_look(classifier, feed, photos):
    images = photos[0].astype("float32")
    theirs = next(layer.name for layer in classifier.layers if isinstance(layer, layers.ReLU))

    def apart(student):
        maps = [keras.Model(model.input, model.get_layer(name).output)(images) for model, name in
                ((classifier, theirs), (student, "first_relu"))]  # fmt: skip
        return float(np.mean(attention_distance(*maps)))

    student = small()
    found = [
        apart(distill(student, feed, teacher=classifier, features=features, how=HOW))
        for features in (None, {"first_relu": theirs})
    ]
    assert found[1] < 0.5 * found[0]


def test_a_loss_that_is_no_number_names_the_layer(classifier, feed):
    student = small()
    student.get_layer("second").kernel.assign(np.full(student.get_layer("second").kernel.shape, np.inf))
    # A ReLU of NaN is 0 on some processors.
    what = "(the loss became nan|a gradient became no number)"
    text = f"distill: {what} at batch 1; the first layer whose output is no number is 'second'"
    with pytest.raises(InputError, match=text):
        distill(student, feed, teacher=classifier, how=HOW)


class Mirror(layers.Layer):
    """A layer that no bridge knows."""

    def call(self, x):
        return keras.ops.flip(x, -1)


def test_a_loss_that_is_no_number_of_a_student_that_no_bridge_carries(classifier, feed):
    image = keras.Input((48, 48, 3))
    x = Mirror()(layers.Conv2D(4, 3, strides=4, name="first")(image))
    x = layers.Dense(6, activation="softmax")(layers.GlobalAveragePooling2D()(x))
    student = keras.Model(image, x)
    student.get_layer("first").kernel.assign(np.full((3, 3, 3, 4), np.inf))
    text = (
        "distill: the loss became nan at batch 1; which layer began cannot be told of a "
        "student that cannot be carried to Keras 2. Lower compress.learning_rate, and check that the teacher's outputs"
    )
    with pytest.raises(InputError, match=text):
        distill(student, feed, teacher=classifier, how=HOW)


def without_norms():
    """A student in which no picture touches another."""
    keras.utils.set_random_seed(0)
    image = keras.Input((48, 48, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same", name="first")(layers.Rescaling(1 / 255)(image))
    x = layers.GlobalAveragePooling2D()(layers.ReLU()(x))
    return keras.Model(image, layers.Dense(6, activation="softmax")(x))


@pytest.mark.parametrize("label_weight", [0.0, 0.5, 1.0])
def test_a_picture_of_weight_0_counts_for_nothing(classifier, photos, label_weight):
    theirs = next(layer.name for layer in classifier.layers if isinstance(layer, layers.ReLU))
    images, labels, weights = photos[0][::3].copy(), photos[1][::3].copy(), np.repeat([1.0, 0.0], 8).astype("float32")

    def learned(lost, label):
        images[8:], labels[8:] = lost, label
        pictures = Pictures(image=images.copy(), label=labels.copy(), weight=weights)
        settings = {"teacher": classifier, "features": {"first": theirs}, "label_weight": label_weight}
        how = FineTuning(epochs=2, learning_rate=0.01, verbose=False)
        return distill(without_norms(), pictures, how=how, **settings).get_weights()

    black, white = learned(0, 0), learned(255, 5)
    for one, other, before in zip(black, white, without_norms().get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
        assert np.abs(one - before).max() > 1e-3


@pytest.fixture
def mixed_precision():
    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_dtype_policy("float32")


def test_under_mixed_precision(classifier, feed, photos, mixed_precision):
    """A teacher of another precision, and maps of attention too; the student comes back as it was."""
    images, student = photos[0].astype("float32"), small()
    assert student.get_layer("second").compute_dtype == "float16"
    theirs = next(layer.name for layer in classifier.layers if isinstance(layer, layers.ReLU))
    how = FineTuning(epochs=8, learning_rate=0.02, verbose=False)
    settings = {"features": {"first_relu": theirs}, "feature_weight": 0.1, "label_weight": 0.0}
    learned = distill(student, feed, teacher=classifier, how=how, **settings)
    assert learned.get_layer("second").compute_dtype == "float16"
    opinions = classifier.predict(images, verbose=0)
    apart = [np.abs(model.predict(images, verbose=0) - opinions).mean() for model in (student, learned)]
    assert apart[1] < apart[0]


WRONG = {
    "teacher": ({}, {}, "distill needs a teacher"),
    "inputs": ({"size": 32}, {}, r"the student's input_shape is \(None, 32, 32, 3\), its teacher's"),
    "classes": ({"classes": 5}, {}, r"the student's output_shape is \(None, 5\), its teacher's \(None, 6\)"),
    "temperature": ({}, {"temperature": 0.5}, "a temperature of at least 1, received 0.5"),
    "label_weight": ({}, {"label_weight": 2}, r"label_weight in \[0, 1\], received 2"),
    "layer": ({}, {"features": {"frist": "x"}}, "the student has no layer 'frist'.*Did you mean 'first'"),
    "teacher's layer": ({}, {"features": {"first": "x"}}, "the teacher has no layer 'x'"),
    "maps": ({}, {"features": {"second": "probabilities"}}, r"features \(B, h, w, C\) of equal h and w, received"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong(name, classifier, feed):
    model, arguments, text = WRONG[name]
    teacher = None if name == "teacher" else classifier
    with pytest.raises(InputError, match=text):
        distill(small(**model), feed, teacher=teacher, how=HOW, **arguments)


def test_a_step_is_traced_once(classifier, feed, monkeypatch):
    """Keras traces one that makes variables a second time."""
    traces, step = [], Distiller.train_step
    monkeypatch.setattr(Distiller, "train_step", lambda self, *batch: traces.append(1) or step(self, *batch))
    distill(small(), feed, teacher=classifier, how=FineTuning(epochs=1, verbose=False))
    assert len(traces) == 1
