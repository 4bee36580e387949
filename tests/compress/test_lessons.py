"""Networks of boxes and masks made smaller: what they learn again is their task's loss and their teacher's answers."""

from __future__ import annotations

from functools import partial

import keras
import numpy as np
import pytest

import tfmap
from tests.compress.test_qat import computes_in_integers, decibels
from tests.tasks.detectors.test_tfmap_det import body
from tfmap import export, flatbuffer, tasks
from tfmap.average_precision import Found
from tfmap.compress import bridge, compress, judge, lessons, qat, quantizers, unrounded
from tfmap.compress.prune import sparsities
from tfmap.compress.quantized_model import QuantizedModel
from tfmap.errors import InputError
from tfmap.litert import LiteModel
from tfmap.models.levels import marked
from tfmap.source import Source
from tfmap.tasks.detectors import retinanet, ssd, tail, tfmap_det, yolo
from tfmap.tasks.segmenters import deeplab_v3plus, fcn, segnet, tfmap_seg, unet
from tfmap.train.feed import Feed
from tfmap.verify import integers

CASES = {
    "tfmap_det": ("detection", partial(tfmap_det.head, depth=1)),
    "yolo": ("detection", partial(yolo.head, depth=1)),
    "ssd": ("detection", ssd.head),
    "tfmap_seg": ("segmentation", tfmap_seg.head),
    "segnet": ("segmentation", segnet.head),
}
SEGMENTERS = {"unet": unet.head, "fcn": fcn.head, "segnet": segnet.head, "deeplab_v3plus": deeplab_v3plus.head}
SEGMENTERS["tfmap_seg"] = tfmap_seg.head
DETECTORS = {name: CASES[name][1] for name in ("tfmap_det", "yolo", "ssd")} | {"retinanet": retinanet.head}
SAMPLES = {"detection": "sample:cells", "segmentation": "sample:membrane"}


@pytest.fixture(scope="module")
def sources():
    """Eight pictures of each sample, the same to learn from and to be judged on."""
    found = {}
    for task, name in SAMPLES.items():
        whole = tfmap.load(name, seed=0)
        few = whole.split("train").take(np.arange(8))
        found[task] = Source(name, whole.classes, {"train": few, "val": few}, target=whole.target)
    return found


FAST = ("ssd", "tfmap_seg")


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=[] if name in FAST else pytest.mark.slow) for name in CASES]
)
def case(request, sources):
    """A task's name, its data, and a network of it that has learned nothing."""
    task, head = CASES[request.param]
    keras.utils.set_random_seed(0)
    return task, sources[task], head(marked(body()), len(sources[task].classes), width=16)


def fed(net, source, task):
    return Feed(net, source, tasks.get(task), options={"batch_size": 4}, seed=0)


def losses(net, source, task):
    """The task's own loss of each picture of a batch, and what a lesson makes of the same."""
    module = tasks.get(task)
    batch = next(iter(fed(net, source, task).val()))
    image, targets, _ = lessons.of(module, net, len(source.classes)).example(batch)
    lesson = lessons.of(module, net, len(source.classes))
    theirs = lesson.loss(targets, lesson.network(image))
    whole = module.losses(**tasks.accepted(module.losses, model=net))
    seen = net(image)
    if getattr(whole, "reads", ()):
        seen = {**seen, **{name: lesson.network(image)[name] for name in whole.reads}}
    return np.asarray(whole(targets, seen)), np.asarray(theirs)


def test_the_loss_is_that_of_training(case):
    task, source, net = case
    np.testing.assert_allclose(*losses(net, source, task), rtol=1e-5)


def test_a_pupil_is_nearest_to_its_teacher_when_it_says_the_same(case):
    task, source, net = case
    lesson = lessons.of(tasks.get(task), net, len(source.classes))
    moved, rng = keras.models.clone_model(net), np.random.default_rng(0)
    # New weights alone will not do: a deep network that has learned nothing says about a half, whatever they are.
    moved.set_weights([weight + rng.normal(0, 0.1, weight.shape) for weight in moved.get_weights()])
    other = lessons.of(tasks.get(task), moved, len(source.classes))
    image, targets, _ = lesson.example(next(iter(fed(net, source, task).val())))
    mine, other = lesson.network(image), other.network(image)
    same, apart = (np.asarray(lesson.imitation(mine, said)) for said in (mine, other))
    assert same.shape == (4,)
    assert (same < apart).all()
    half = lesson.cost(targets, other, mine, 0.5)
    np.testing.assert_allclose(half, (lesson.loss(targets, other) + apart) / 2, rtol=1e-5)
    np.testing.assert_array_equal(lesson.cost(targets, other), lesson.loss(targets, other))


def test_it_is_pruned_and_learns(case):
    task, source, net = case
    told = []
    options = {"task": task, "pipeline": {"batch_size": 4}, "verbose": False, "watch": lambda *row: told.append(row)}
    small = compress(
        net, source, recipe="prune(0.5, 'constant')", epochs=3, learning_rate=3e-3, augment="flip", **options
    )
    assert {name: tuple(one.shape) for name, one in _named(small.output)} == {
        name: tuple(one.shape) for name, one in _named(net.output)
    }
    assert max(sparsities(small).values()) == pytest.approx(0.5, abs=0.05)
    said = [zeros for name, zeros in sparsities(small).items() if name.startswith(("codes_", "logits_", "scores_"))]
    assert said
    assert max(said) < 0.1  # what is said last is left whole
    first, last = (row[2]["loss"] for row in (told[0], told[-1]))
    assert last < first
    assert np.isfinite(losses(small, source, task)[0]).all()


@pytest.mark.slow
@pytest.mark.parametrize("name", SEGMENTERS)
def test_a_segmenter_learns_with_rounding(name, sources):
    keras.utils.set_random_seed(0)
    net, source = SEGMENTERS[name](marked(body(name="normalisation")), 2, width=16), sources["segmentation"]
    options = {"task": "segmentation", "pipeline": {"batch_size": 4}, "verbose": False}
    learnt = compress(net, source, recipe="prune(0.01, 'constant')", epochs=60, learning_rate=1e-2, **options)
    quantized = compress(learnt, source, recipe="qat", epochs=1, **options)
    file = export.tflite(quantized.to_tflite(), classes=source.classes, task="segmentation")
    computes_in_integers(file)
    pictures = next(iter(fed(net, source, "segmentation").val()))["image"].numpy()
    received, expected = LiteModel(file).predict(pictures), quantized.predict(pictures)
    assert received.shape == (4, *net.output_shape[1:])
    assert decibels(received, expected) > 15
    assert decibels(expected, learnt.predict(pictures, verbose=0)) > 10


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == "tfmap_det" else pytest.mark.slow) for name in DETECTORS]
)
def test_a_detector_is_rounded_up_to_its_last_kernels(name):
    net = DETECTORS[name](marked(body()), 3, width=16)
    legacy = bridge.to_tf_keras(lessons.of(tasks.get("detection"), net, 3).network)
    plain = unrounded.layers(legacy, tail.EXACT)
    kernels = sorted(one for one in plain if legacy.get_layer(one).weights)
    assert kernels
    assert all(one.startswith(("codes_P", "distributions_P")) for one in kernels)
    rounded, ranges = qat.quantized(legacy, tail.EXACT)
    assert {layer.name for layer in rounded.layers} & set(plain) == set(plain)
    assert {kernel.name.split("/")[0] for kernel in unrounded.kernels(rounded)} == set(kernels)
    pictures = np.random.default_rng(0).integers(0, 256, (2, *net.input_shape[1:]), np.uint8)
    quantizers.calibrate(rounded, ranges, [pictures.astype("float32")])
    whole, found = QuantizedModel(rounded, net, tail.boxes_of(net)), {}
    about = {"classes": ("a", "b", "c"), "task": "detection", "watch": found.update}
    raw = export.tflite(whole.to_tflite(), suppression=False, **about)
    _floats_on_purpose(flatbuffer.read(raw), found["kept_float"])
    rounded_again = [op.outputs[0].name for op in flatbuffer.read(raw).ops if op.name == "QUANTIZE"]
    assert not [name for name in rounded_again if "logits" in name]  # some runtimes do it differently
    expected, received = whole.predict(pictures), LiteModel(raw).predict(pictures)
    assert {name: one.shape for name, one in received.items()} == {name: one.shape for name, one in expected.items()}
    np.testing.assert_allclose(received["boxes"], expected["boxes"], atol=0.5)


@pytest.mark.slow
@pytest.mark.parametrize("name", DETECTORS)
def test_a_detector_learns_with_rounding(name, sources):
    keras.utils.set_random_seed(0)
    net, source = DETECTORS[name](marked(body(name="normalisation")), 3, width=16), sources["detection"]
    options = {"task": "detection", "pipeline": {"batch_size": 4}, "verbose": False}
    rate = 1e-4 if name == "ssd" else 3e-3  # of which the ReLUs of so small a backbone die, of 3e-4 too
    net = compress(net, source, recipe="prune(0.01, 'constant')", learning_rate=rate, epochs=60, **options)
    pictures = next(iter(fed(net, source, "detection").val()))["image"].numpy()
    quantized = compress(net, source, recipe="qat", epochs=1, **options)
    before, home, expected = (model.predict(pictures) for model in (net, quantized.model, quantized))
    about, found, file = {"classes": source.classes, "task": "detection"}, {}, quantized.to_tflite()
    raw = export.tflite(file, suppression=False, watch=found.update, **about)
    received, whole = (LiteModel(one).predict(pictures) for one in (raw, export.tflite(file, **about)))
    assert {name: one.shape for name, one in received.items()} == {name: one.shape for name, one in before.items()}
    _floats_on_purpose(flatbuffer.read(raw), found["kept_float"])
    _near(received, expected, pixels=0.5, score=0.01)
    _near(expected, before, pixels=2, score=0.03)
    _near(home, before, pixels=2, score=0.03)
    decode, size = tasks.get("detection").decode, net.input_shape[1:3]
    for one, other in zip(decode(received, size=size), decode(whole, size=size), strict=True):
        np.testing.assert_allclose(one.scores[:10], other.scores[:10], atol=1e-6)


def _near(ours, theirs, *, pixels, score):
    """All but a thousandth of the boxes and scores."""
    for key, bound in (("boxes", pixels), ("scores", score)):
        assert np.quantile(np.abs(ours[key] - theirs[key]), 0.999) < bound, key


def _floats_on_purpose(graph, kept):
    assert not [line for line in integers.findings(graph, keep_float=kept) if "float" in line]
    kernels = [op.outputs[0].name for op in graph.ops if op.name == "CONV_2D" and op.outputs[0].dtype == "float32"]
    assert kernels
    assert all("codes_P" in one or "distributions_P" in one for one in kernels)


def _named(output):
    return output.items() if isinstance(output, dict) else [("", output)]


@pytest.mark.slow
def test_channels_go_and_the_teacher_helps(case):
    task, source, net = case
    options = {"task": task, "pipeline": {"batch_size": 4}, "verbose": False, "epochs": 1}
    small = compress(net, source, recipe="channels(0.6, multiple=4)|distill", **options)
    assert small.count_params() < net.count_params()
    assert np.isfinite(losses(small, source, task)[0]).all()


def test_judged_in_pixels_of_the_input(case, monkeypatch):
    """A network that said what is there would have all points."""
    task, source, net = case
    module = tasks.get(task)
    answers = iter(
        [
            {key: batch[key] for key in ("boxes", "classes", "mask") if key in batch}
            for batch in fed(net, source, task).val()
        ]
    )
    monkeypatch.setattr(module, "decode", _true)
    monkeypatch.setattr(net, "predict_on_batch", lambda images: next(answers))
    found = judge.scores(net, fed(net, source, task), module, source.classes)
    assert found == pytest.approx({tasks.headline(found): 1.0})


def _true(batch):
    if "mask" in batch:
        return [mask.astype(np.uint8) for mask in batch["mask"]]
    there = [kinds >= 0 for kinds in batch["classes"]]
    return [
        Found(boxes[here], np.ones(here.sum(), np.float32), kinds[here].astype(np.int32))
        for boxes, kinds, here in zip(batch["boxes"], batch["classes"], there, strict=True)
    ]


def test_what_boxes_and_masks_do_not_learn_is_told(sources):
    net = tfmap_seg.head(marked(body()), 2, width=8)
    options = {"task": "segmentation", "pipeline": {"batch_size": 4}, "verbose": False, "epochs": 1}
    with pytest.raises(InputError, match=r"distill takes temperature and features for classifiers.*temperature=2.0"):
        compress(net, sources["segmentation"], recipe="distill(2.0)", **options)
