"""Boxes and masks through every stage, by its command: from the embedded samples to a verified file."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

import tfmap
from tests.tasks.detectors.test_tfmap_det import body
from tfmap import config as configs
from tfmap import evaluate, evaluated, export, predict, preview, report, tasks, verify
from tfmap.errors import InputError
from tfmap.export import metadata
from tfmap.litert import LiteModel
from tfmap.models.levels import marked
from tfmap.runs import Run
from tfmap.signatures import keys
from tfmap.tasks.detectors import mask_rcnn, tfmap_det
from tfmap.tasks.segmenters import tfmap_seg
from tfmap.train import records

SIZE = (64, 96, 3)
CONFIGS = {
    "detection": {"datasets": {"source": "sample:cells"}, "augment": {"ops": "flip"}},
    "segmentation": {"datasets": {"source": "sample:membrane"}, "pipeline": {"batch_size": 4}},
    "instances": {"datasets": {"source": "sample:nuclei", "target": "instances"}, "export": {"format": "dynamic"}},
}
SHORT = {"model": {"input_shape": [64, 96, 3]}, "export": {"samples": 8, "coverage": 0}, "verify": {"seconds": 0.01}}
HEADS = {
    "detection": partial(tfmap_det.head, depth=1),
    "segmentation": tfmap_seg.head,
    "instances": partial(mask_rcnn.head, proposals=20),
}


def untrained(task, classes):
    """As small as a network of the task can be."""
    return HEADS[task](marked(body()), classes, width=8)


@pytest.fixture(scope="module", params=CONFIGS)
def run(request, tmp_path_factory):
    """A run folder that every stage but training (which tests/tasks have) has worked on, and its config."""
    own = {name: {**SHORT.get(name, {}), **part} for name, part in CONFIGS[request.param].items()}
    config = configs.check({"task": request.param, **SHORT, **own}, "test")
    source = tfmap.load(**config["datasets"], seed=0)
    run = Run(tmp_path_factory.mktemp(request.param))
    records.write(run, config, source)
    untrained(request.param, len(source.classes)).save(run.file("model.keras"))
    for stage in (evaluate, export):
        stage.command(config, run)
    config["verify"]["mode"] = "report"  # a network that has learned nothing may say the same to every picture
    verify.command(config, run)
    return run, config


def test_it_is_scored_as_its_task_is(run):
    folder, config = run
    scored = folder.read_json("metrics.json")["splits"]["val"]
    headline = tasks.headline(scored)
    assert headline == {"segmentation": "mIoU"}.get(config["task"], "mAP")
    verified = folder.read_json("verify.json")
    assert verified["metric"]["name"] == headline
    assert verified["metric"]["keras"] == pytest.approx(scored[headline] or 0.0, abs=1e-6)
    assert verified["passed"]
    json.dumps(scored, allow_nan=False)


def test_the_worst_pictures_are_drawn(run):
    folder, _ = run
    if folder.read_json("mistakes.json")["val"]:
        with Image.open(folder.file("worst_val.png")) as sheet:
            assert sheet.width > 2 * evaluated.SIDE


def test_the_page_shows_them(run):
    folder, config = run
    text = report.report(folder).read_text()
    assert {"segmentation": "F1 of edges"}.get(config["task"], "mAP, IoU 0.5") in text
    assert "Per class" in text


def test_the_file_names_its_task_and_its_labels(run):
    folder, config = run
    about = metadata.read(folder.file("model.tflite"))
    source = tfmap.load(**config["datasets"])
    assert about.labels == source.classes
    assert about.about["task"] == config["task"]


def test_pictures_are_named_and_drawn(run, tmp_path):
    folder, config = run
    picture = tmp_path / "wide.png"
    Image.fromarray(np.full((50, 120, 3), 128, np.uint8)).save(picture)
    (row,) = predict.predict(folder.path, [picture], threshold=0.0, out=tmp_path / "drawn")
    with Image.open(row["drawn"]) as drawn:
        assert drawn.width == 120
    if config["task"] == "segmentation":
        assert sum(part["share"] for part in row["classes"]) == pytest.approx(1)
    for part in row["classes"]:
        top, left, bottom, right = part.get("box", (0, 0, 50, 120))
        assert 0 <= top <= bottom <= 50
        assert 0 <= left <= right <= 120
        if config["task"] == "instances":
            assert part["mask"]["size"] == [50, 120]
            assert coco_mask.area({**part["mask"], "counts": part["mask"]["counts"].encode()}) == part["pixels"]


def test_the_file_says_from_which_score_on_boxes_are_shown(run, tmp_path):
    folder, config = run
    if not tasks.accepted(tasks.get(config["task"]).describe, threshold=0.0):
        pytest.skip("a mask has no threshold")
    data, picture = folder.file("model.tflite").read_bytes(), tmp_path / "grey.png"
    Image.fromarray(np.full((64, 96, 3), 128, np.uint8)).save(picture)
    about, found = metadata.read(data), {}
    for threshold in (0.0, 1.0):
        told = replace(about, about={**about.about, "threshold": threshold})
        (tmp_path / "told.tflite").write_bytes(metadata.attach(data, told))
        (row,) = predict.predict(tmp_path / "told.tflite", [picture])
        found[threshold] = len(row["classes"])
    assert found[0.0] > 0
    assert found[1.0] == 0


def test_a_large_picture_is_seen_through_windows(run, tmp_path):
    """One of four times the model's size, in four windows, is what the four are by themselves."""
    folder, config = run
    rng, task = np.random.default_rng(0), tasks.get(config["task"])
    Image.fromarray(rng.integers(0, 256, (128, 192, 3), np.uint8)).save(tmp_path / "large.png")
    (row,) = predict.predict(folder.path, [tmp_path / "large.png"], threshold=0.0, windows=0.0)
    lite = LiteModel(folder.file("model.tflite"))
    image = np.asarray(Image.open(tmp_path / "large.png"))
    parts = np.stack([image[y : y + 64, x : x + 96] for y in (0, 64) for x in (0, 96)])
    answers = task.decode(lite.predict(parts), **tasks.accepted(task.decode, size=(64, 96)))
    if config["task"] == "segmentation":
        shares = np.mean([np.bincount(one.ravel(), minlength=2) / one.size for one in answers], axis=0)
        assert sorted(part["share"] for part in row["classes"]) == pytest.approx(sorted(shares[shares > 0]))
    else:
        assert 0 < len(row["classes"]) <= sum(len(one.scores) for one in answers)
        assert {round(part["score"], 5) for part in row["classes"]} <= {
            round(float(score), 5) for one in answers for score in one.scores
        }


@pytest.mark.parametrize("windows", [-0.1, 0.95])
def test_windows_out_of_range(run, windows):
    with pytest.raises(InputError, match=rf"predict: windows must be in 0..0.9, received {windows}"):
        predict.predict(run[0].path, ["x.png"], windows=windows)


def test_a_preview_shows_what_is_there(run):
    _, config = run
    sheet = preview.preview(tfmap.load(**config["datasets"]), config=config, pictures=1, draws=1)
    assert sheet.width > 2 * 224


@pytest.mark.parametrize("task", CONFIGS)
def test_its_model_has_keys_of_its_own(task):
    assert "arch" in keys("model", task)
    assert "dropout" not in keys("model", task)
    text = f"c.yaml: unknown key 'model.dropout'. Keys of model in {task}: arch, backbone"
    with pytest.raises(InputError) as caught:
        configs.check({"task": task, "model": {"dropout": 0.1}}, "c.yaml")
    assert str(caught.value).startswith(text)


def test_other_classes_are_told(run):
    folder, config = run
    source = tfmap.load(config["datasets"]["source"])
    text = rf"evaluate: the model has {len(source.classes)} outputs, the data 5 classes \(a, b, c, d, e\)"
    with pytest.raises(InputError, match=text):
        evaluate.evaluate(folder.file("model.keras"), source.split("val"), classes=tuple("abcde"), task=config["task"])


def test_a_file_of_boxes_answers_as_the_network():
    """Whatever the network says: its codes become the same boxes in the file's last op as in Keras."""
    net = untrained("detection", 2)
    for layer in net.layers:  # as if it had learned to be sure of something
        if layer.name.startswith(("logits_", "codes_")) and layer.name.endswith("_conv"):
            layer.kernel.assign(30.0 * layer.kernel)
            layer.bias.assign(0.0 * layer.bias)
    pictures = np.random.default_rng(0).integers(0, 256, (3, *SIZE), np.uint8)
    file = LiteModel(export.tflite(net, classes=("a", "b"), task="detection", format="float32"))
    decode = tasks.get("detection").decode
    theirs = decode(net.predict(pictures, verbose=0), size=SIZE[:2])
    ours = decode(file.predict(pictures), size=SIZE[:2])
    for one, other in zip(theirs, ours, strict=True):
        assert len(one.scores) > 3
        np.testing.assert_allclose(other.scores, one.scores, atol=1e-5)
        within = np.clip(one.boxes, 0, np.tile(SIZE[:2], 2))  # a file's boxes end at the edges of the picture
        np.testing.assert_allclose(other.boxes, within, atol=1e-2)
        assert other.classes.tolist() == one.classes.tolist()


def test_a_detector_of_two_stages_is_told():
    net = tasks.get("detection").build("faster_rcnn", "mobilenet_v1_025", classes=2, input_shape=SIZE, weights=None)
    with pytest.raises(InputError, match=r"has no layer of the class Boxes, .* export.suppression=false"):
        export.tflite(net, classes=("a", "b"), task="detection", format="float32")


@pytest.mark.parametrize("options", [{"output_type": "uint8"}, {"batch_size": 4}])
def test_what_a_file_of_boxes_cannot_be_is_told(options):
    net = untrained("detection", 2)
    text = "export: a detector's file takes one picture and gives float32, received batch_size=.* Leave them out."
    split = tfmap.load("sample:cells").split("train")
    with pytest.raises(InputError, match=text):
        export.tflite(net, split=split, classes=("a", "b"), task="detection", **options)
