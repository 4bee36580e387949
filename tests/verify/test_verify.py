"""Verify: a faithful file passes, a spoilt one fails with the reason, and the numbers are those of an own count."""

from __future__ import annotations

import json
import re

import keras
import numpy as np
import pytest

from tfmap import cli, flatbuffer, verify
from tfmap.errors import InputError, OverBudget
from tfmap.export import convert, metadata
from tfmap.litert import LiteModel
from tfmap.runs import Run
from tfmap.verify import show


@pytest.fixture(scope="module")
def found(classifier, lite_files, trash_split, trash_classes):
    return verify.verify(classifier, lite_files["int8"], trash_split, classes=trash_classes, budget=5, seconds=0.05)


@pytest.fixture(scope="module")
def forgetful(classifier):
    """The classifier with a head that knows nothing."""
    model = keras.models.clone_model(classifier)
    model.set_weights(classifier.get_weights())
    model.layers[-1].set_weights([np.zeros_like(weight) for weight in model.layers[-1].get_weights()])
    return model


@pytest.fixture(scope="module")
def labelled(trash_classes):
    """file -> the file with its labels inside."""
    return lambda file: metadata.attach(file, metadata.Metadata(labels=trash_classes))


def test_a_faithful_file_passes(found):
    assert (found["passed"], found["failures"], found["examples"]) == (True, [], 48)


def test_the_numbers_are_those_of_an_own_count(found, classifier, lite_files, trash_split):
    images, labels = trash_split.images, trash_split.labels
    theirs = classifier.predict(images.astype("float32"), verbose=0)
    ours = LiteModel(lite_files["int8"]).predict(images)
    assert found["agreement"] == (ours.argmax(1) == theirs.argmax(1)).mean()
    assert found["difference"]["max"] == pytest.approx(np.abs(ours - theirs).max(), abs=1e-6)
    assert found["difference"]["mean"] == pytest.approx(np.abs(ours - theirs).mean(), abs=1e-6)
    metric = found["metric"]
    assert metric["name"] == "accuracy"
    assert metric["keras"] == (theirs.argmax(1) == labels).mean()
    assert metric["file"] == (ours.argmax(1) == labels).mean()
    assert metric["drop_points"] == pytest.approx(100 * (metric["keras"] - metric["file"]))
    assert 0 <= metric["drop_error"] < 100 / np.sqrt(found["examples"])
    worst = found["disagreements"][0]
    at = trash_split.ids.tolist().index(worst["id"])
    assert worst["difference"] == pytest.approx(np.abs(ours - theirs).max())
    assert worst["file"]["score"] == pytest.approx(ours[at].max())


def test_the_file_is_described(found, lite_files):
    assert found["file"]["bytes"] == len(lite_files["int8"])
    assert found["file"]["gzip_bytes"] < found["file"]["bytes"]
    assert (found["file"]["format"], found["float32"]["format"]) == ("int8", "float32")
    assert (found["file"]["input"]["dtype"], found["file"]["output"]["dtype"]) == ("uint8", "uint8")
    assert (found["file"]["float_tensors"], found["file"]["float_ops"]) == ([], [])
    assert found["float32"]["float_tensors"]


def test_both_files_are_timed_at_one_two_and_four_threads(found):
    assert list(found["latency_ms"]) == ["1", "2", "4"]
    for times in found["latency_ms"].values():
        assert times["ratio"] == times["file"]["median"] / times["float32"]["median"]


def test_the_result_is_strict_json(found):
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_a_spoilt_file_fails_with_the_reason(classifier, forgetful, trash_split, trash_classes):
    file = convert.float32(forgetful)
    found = verify.verify(classifier, file, trash_split, classes=trash_classes, seconds=0.02)
    assert not found["passed"]
    assert re.fullmatch(
        r"accuracy falls by \d\d\.\d\d ± \d\.\d\d points, from 1\.0000 to 0\.1667; the budget is 1\.",
        found["failures"][0],
    )
    assert found["failures"][1:] == found["findings"]
    assert found["findings"][0] == "the file says the same to all 48 pictures; the model does not."


def test_a_better_file_passes(classifier, forgetful, lite_files, trash_split, trash_classes):
    found = verify.verify(
        forgetful, lite_files["float32"], trash_split, classes=trash_classes, mode="report", budget=0, seconds=0.02
    )
    assert found["passed"]
    assert found["metric"]["drop_points"] < -50


def test_float_inside_an_int8_file_fails(photos, trash_split, trash_classes, labelled):
    # Exp has no integer kernel in TFLite's quantiser, so the converter leaves it in float between two casts.
    inputs = keras.Input((48, 48, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(6, 3)(keras.layers.Rescaling(1 / 255)(inputs)))
    model = keras.Model(inputs, keras.layers.Softmax()(keras.ops.sin(x)))
    with convert._converter(model, 1, "float32") as converter:
        import tensorflow as tf

        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: convert._calibration(photos[0], 1)
        file = labelled(converter.convert())
    graph = flatbuffer.read(file)
    assert (graph.format, "SIN" in {op.name for op in graph.float_ops()}) == ("int8", True)
    known = {"classes": trash_classes, "budget": 100, "seconds": 0.02}
    found = verify.verify(model, file, trash_split, **known)
    assert re.fullmatch(r"\d tensors inside the int8 file are floating point, at .*SIN.*\.", *found["failures"])
    sine = next(op.outputs[0].name for op in graph.ops if op.name == "SIN")
    assert verify.verify(model, file, trash_split, keep_float=[sine], **known)["passed"]


def test_labels_of_another_order_fail(classifier, lite_files, trash_split, trash_classes):
    wrong = metadata.attach(lite_files["float32"], metadata.Metadata(labels=trash_classes[::-1]))
    found = verify.verify(classifier, wrong, trash_split, classes=trash_classes, seconds=0.02)
    assert re.fullmatch(r"the file's labels \(trash, .*, \.\.\.\) are not the data's classes\.", *found["failures"])


@pytest.mark.slow
def test_a_file_without_metadata_is_for_reports_alone(classifier, trash_split, trash_classes):
    file, known = convert.float32(classifier), {"classes": trash_classes, "seconds": 0.02}
    text = "the file holds no metadata: an app that gets it does not know the labels."
    assert verify.verify(classifier, file, trash_split, **known)["failures"] == [text]
    found = verify.verify(classifier, file, trash_split, **known, mode="report")
    assert (found["passed"], found["findings"]) == (True, [text])


def test_a_float_file_in_the_place_of_an_int8_one(waiting, lite_files):
    run, config = waiting
    run.candidate().write_bytes("model.tflite", lite_files["float32"])
    run.candidate().write_json("export.json", {"format": "int8"})
    with pytest.raises(OverBudget, match=r"computes in floating point \(float32 inside\); it was ordered as int8\."):
        verify.command(config, run)


@pytest.mark.parametrize("mode", ["strict", pytest.param("report", marks=pytest.mark.slow)])
def test_answers_that_are_no_numbers_fail_the_file(waiting, classifier, labelled, capsys, mode):
    run, _ = waiting
    model = keras.models.clone_model(classifier)
    model.set_weights(classifier.get_weights())
    model.layers[-1].bias.assign([np.nan] * 6)
    run.candidate().write_bytes("model.tflite", labelled(convert.float32(model)))
    run.write_text("config.yaml", "task: classification\ndatasets:\n  source: sample:trash\nverify:\n  seconds: 0.02\n")
    with pytest.raises(SystemExit) as stopped:
        cli.main("verify", [str(run.path), f"verify.mode={mode}"])
    assert stopped.value.code == 1
    assert "answers hold a score that is no number; such scores are counted as 0." in capsys.readouterr().err
    assert run.read_json("verify.json")["passed"] is False
    assert run.file("model.tflite").read_bytes() == b"published before"


def test_several_labels_a_picture(classifier, lite_files, trash_split, trash_classes):
    from dataclasses import replace

    several = replace(trash_split, labels=np.eye(6, dtype=np.float32)[trash_split.labels])
    found = verify.verify(classifier, lite_files["float32"], several, classes=trash_classes, seconds=0.02)
    assert found["metric"]["name"] == "map"
    assert found["agreement"] == 1.0


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"budget": -1}, "verify.budget must be 0 or more points of the task's metric, received -1."),
        ({"seconds": 0}, "verify.seconds must be above 0, received 0."),
        ({"against": "compressed"}, "verify.against='compressed' chooses a file of a run folder"),
        ({"classes": ("a", "b")}, "verify: the model has 6 outputs, the data 2 classes."),
    ],
)
def test_settings_that_are_refused(classifier, lite_files, trash_split, trash_classes, wrong, text):
    with pytest.raises(InputError, match=text):
        verify.verify(classifier, lite_files["int8"], trash_split, **{"classes": trash_classes, **wrong})


def test_an_empty_split(classifier, lite_files, trash_split, trash_classes):
    with pytest.raises(InputError, match="verify: the split holds no examples. Set datasets.val_fraction above 0."):
        verify.verify(classifier, lite_files["int8"], trash_split.take(np.array([], int)), classes=trash_classes)


def test_a_file_of_another_size(lite_files, trash_split, trash_classes):
    inputs = keras.Input((32, 32, 3))
    other = keras.Model(inputs, keras.layers.Dense(6)(keras.layers.GlobalAveragePooling2D()(inputs)))
    with pytest.raises(InputError, match=r"takes pictures of \(48, 48, 3\), the Keras model of \(32, 32, 3\). Export "):
        verify.verify(other, lite_files["int8"], trash_split, classes=trash_classes)


def test_a_missing_file(classifier, trash_split, trash_classes, tmp_path):
    with pytest.raises(FileNotFoundError, match="no.tflite does not exist"):
        verify.verify(classifier, tmp_path / "no.tflite", trash_split, classes=trash_classes)


@pytest.fixture
def run(classifier, lite_files, tmp_path):
    run = Run(tmp_path)
    classifier.save(run.path / "model.keras")
    run.write_bytes("model.tflite", lite_files["int8"])
    config = {"task": "classification", "seed": 0, "datasets": {"source": "sample:trash"}, "pipeline": {}}
    return run, config


def test_the_command_writes_and_shows(run, capsys):
    run, config = run
    verify.command({**config, "verify": {"budget": 100, "seconds": 0.02}}, run)
    assert run.read_json("verify.json")["passed"] is True
    said = capsys.readouterr().out
    assert "int8 inside, 0 float tensors; in uint8, out uint8;" in said
    assert "ms a picture, 2 threads" in said


def test_layers_are_shown_by_their_own_names():
    fused = "net_1/logits_1/MatMul;net_1/logits_1/BiasAdd"
    rows = [{"op": "FULLY_CONNECTED", "name": name, "sqnr_db": 20.0} for name in (fused, "net_1/stem/sub1", "plain")]
    said = show._layers({"worst": rows, "compared": 3, "median_db": 25.0})[0]
    names = ("logits_1/BiasAdd", "stem/sub1", "plain")
    assert said.endswith(", ".join(f"FULLY_CONNECTED {name} 20.0 dB" for name in names) + ".")


@pytest.mark.slow
def test_without_validation_the_test_part_decides(run):
    run, config = run
    data = {"source": "sample:trash", "val_fraction": 0.0, "test_fraction": 0.1}
    config = {**config, "datasets": data}
    verify.command({**config, "verify": {"budget": 100, "seconds": 0.02}}, run)
    assert run.read_json("verify.json")["split"] == "test"
    data["test_fraction"] = 0.0
    with pytest.raises(InputError, match="sample:trash has no split 'test'. Its splits: train"):
        verify.command({**config, "verify": {"budget": 100, "seconds": 0.02}}, run)


@pytest.mark.slow
def test_the_command_fails_over_budget_and_still_writes(run, forgetful):
    run, config = run
    run.write_bytes("model.tflite", convert.float32(forgetful))
    with pytest.raises(OverBudget, match=r"model\.tflite: accuracy falls by \d+\.\d\d ± \d+\.\d\d points, from "):
        verify.command({**config, "verify": {"seconds": 0.02}}, run)
    assert run.read_json("verify.json")["failures"]


def test_the_command_needs_its_files(run):
    run, config = run
    with pytest.raises(
        FileNotFoundError, match=r"compressed.keras is missing. Run this stage first: python -m tfmap.com"
    ):
        verify.command({**config, "verify": {"against": "compressed"}}, run)
    run.file("model.tflite").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"model.tflite is missing. Run this stage first: python -m tfmap.export"
    ):
        verify.command({**config, "verify": {}}, run)


@pytest.fixture
def waiting(run, lite_files):
    """A run whose export has left a candidate beside a published file that passed once."""
    run, config = run
    run.write_bytes("model.tflite", b"published before")
    run.candidate().write_bytes("model.tflite", lite_files["int8"])
    run.candidate().write_text("labels.txt", "cardboard\n")
    return run, {**config, "verify": {"budget": 100, "seconds": 0.02}}


def test_a_candidate_that_passes_is_published(waiting, lite_files):
    run, config = waiting
    verify.command(config, run)
    assert run.file("model.tflite").read_bytes() == lite_files["int8"]
    assert run.file("labels.txt").read_text() == "cardboard\n"
    assert not run.has("candidate")
    found = run.read_json("verify.json")
    assert (found["passed"], found["made_from"]) == (True, "model.keras")
    verify.command(config, run)  # once more, on what is published
    assert run.read_json("verify.json")["file"] == found["file"]


def test_a_candidate_that_fails_stays_where_it_is(waiting, forgetful):
    run, config = waiting
    run.candidate().write_bytes("model.tflite", convert.float32(forgetful))
    with pytest.raises(OverBudget, match=r"candidate/model\.tflite: .* It stays there, unpublished\."):
        verify.command(config, run)
    assert run.file("model.tflite").read_bytes() == b"published before"
    assert run.candidate().has("model.tflite")
    assert run.read_json("verify.json")["passed"] is False


@pytest.mark.slow
def test_a_file_is_compared_with_the_model_that_it_was_made_from(waiting, stranger, photos, labelled):
    """What compression changed is for the metric to judge; it is no damage to the file."""
    run, config = waiting
    stranger.save(run.path / "compressed.keras")
    run.candidate().write_bytes("model.tflite", labelled(convert.int8(stranger, photos[0])))
    verify.command(config, run)
    found = run.read_json("verify.json")
    assert (found["made_from"], found["against"], found["findings"]) == ("compressed.keras", "model.keras", [])


@pytest.mark.parametrize(
    ("settings", "code", "said"),
    [
        (["verify.budget=100"], 0, ""),
        (["verify.budget=0", "verify.mode=strict"], 1, "tfmap verify: over budget: "),
        (["verify.mode=sloppy"], 2, "verify.mode must be strict | report, received 'sloppy' (str)."),
        (["cut"], 2, "model.tflite is a broken TFLite file: "),
    ],
)
def test_exit_codes(waiting, forgetful, capsys, settings, code, said):
    run, _ = waiting
    run.write_text("config.yaml", "task: classification\ndatasets:\n  source: sample:trash\nverify:\n  seconds: 0.02\n")
    path = run.candidate().file("model.tflite")
    if code == 1:
        path.write_bytes(convert.float32(forgetful))
    if settings == ["cut"]:
        path.write_bytes(path.read_bytes()[:5000])
        settings = []
    with pytest.raises(SystemExit) as stopped:
        cli.main("verify", [str(run.path), *settings])
    assert stopped.value.code == code
    assert said in capsys.readouterr().err
    assert (run.file("model.tflite").read_bytes() == b"published before") == (code != 0)
