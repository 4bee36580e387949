"""The stage: one call for every format, and the command that fills a run folder."""

from __future__ import annotations

import re
import sys

import keras
import numpy as np
import pytest

import tfmap
from tfmap import export, flatbuffer
from tfmap.errors import InputError
from tfmap.export import metadata
from tfmap.litert import LiteModel
from tfmap.runs import Run


@pytest.fixture(scope="module")
def int8(classifier, trash_split, trash_classes):
    about = {"name": "Trash", "version": "3", "author": "We", "license": "MIT"}
    return export.tflite(classifier, split=trash_split, classes=trash_classes, samples=24, **about)


def test_int8_is_the_default_and_comes_with_metadata(int8, trash_classes):
    assert flatbuffer.read(int8).format == "int8"
    found = metadata.read(int8)
    assert (found.labels, found.name, found.version) == (trash_classes, "Trash", "3")
    assert (found.author, found.license) == ("We", "MIT")
    assert found.description == f"Sorts a picture into 6 classes: {', '.join(trash_classes)}."
    origin = {"task": "classification", "tfmap": tfmap.__version__, "format": "int8", "engine": "converter"}
    assert found.about == {**origin, "coverage": found.about["coverage"]}
    assert found.about["coverage"]["pictures"] == 24


def test_equal_seeds_give_equal_files(int8, classifier, trash_split, trash_classes):
    about = {"name": "Trash", "version": "3", "author": "We", "license": "MIT"}
    again = export.tflite(classifier, split=trash_split, classes=trash_classes, samples=24, **about)
    assert again == int8


def test_a_format_without_pictures_needs_no_split(classifier, trash_classes):
    file = export.tflite(classifier, classes=trash_classes, format="dynamic", batch_size=2)
    assert flatbuffer.read(file).format == "dynamic"
    assert LiteModel(file).input_shape[0] == 2
    assert metadata.read(file).name == "tiny"


@pytest.mark.slow
def test_a_sequential_model_is_corrected_as_a_functional_one_is(trash_split, trash_classes):
    keras.utils.set_random_seed(0)
    steps = [
        keras.layers.Rescaling(1 / 127.5, offset=-1),
        keras.layers.Conv2D(8, 3, strides=2, activation="relu"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(6, activation="softmax"),
    ]
    sequential = keras.Sequential([keras.Input((48, 48, 3)), *steps], name="same")
    functional = keras.Model(sequential.inputs, sequential.outputs, name="same")
    files = [export.tflite(m, split=trash_split, classes=trash_classes, samples=24) for m in (sequential, functional)]
    assert files[0] == files[1]
    assert "MUL" not in {op.name for op in flatbuffer.read(files[0]).ops}


def test_a_quantised_file_only_gets_its_metadata(classifier, photos, trash_classes):
    from tfmap.export import convert

    bare = convert.int8(classifier, photos[0])
    file = export.tflite(bare, classes=trash_classes)
    assert metadata.read(file).labels == trash_classes
    np.testing.assert_array_equal(LiteModel(file).raw(photos[0]), LiteModel(bare).raw(photos[0]))
    with pytest.raises(InputError, match="has made an int8 file, received format='float16', engine='auto', "):
        export.tflite(bare, classes=trash_classes, format="float16")
    with pytest.raises(
        InputError, match="^export: the quantised file takes uint8 and gives uint8, received input_type='floa"
    ):
        export.tflite(bare, classes=trash_classes, input_type="float32")


def test_a_quantised_file_may_have_floats_at_its_ends_but_not_inside(classifier, photos, trash_classes):
    from tfmap.export import convert

    ends = convert.int8(classifier, photos[0][:4], input_type="float32")
    assert metadata.read(export.tflite(ends, classes=trash_classes, input_type="float32")).labels == trash_classes
    inside = convert.int8(classifier, photos[0][:4], keep=[flatbuffer.read(ends).ops[-3].outputs[0].name])
    text = (
        "^export: quantisation-aware training leaves ops of this model in float, at .*. Choose "
        "export.which=compressed, or export.format=float16 or dynamic.$"
    )
    with pytest.raises(InputError, match=text):
        export.tflite(inside, classes=trash_classes)


def test_scores_are_calibrated_on_validation_pictures(classifier, trash_split, trash_classes):
    found = {}
    splits = {"split": trash_split, "val": trash_split}
    file = export.tflite(classifier, **splits, classes=trash_classes, samples=12, coverage=0, watch=found.update)
    about = metadata.read(file)
    fitted = found["calibration"]
    assert about.temperature == fitted["temperature"]
    assert about.thresholds == tuple(row["threshold"] for row in fitted["classes"])
    assert about.about["calibration"]["ece_before"] == fitted["ece_before"]
    assert (found["format"], found["engine"], found["coverage"]) == ("int8", "converter", None)
    plain = export.tflite(classifier, **splits, classes=trash_classes, samples=12, coverage=0, calibrate=False)
    assert (metadata.read(plain).thresholds, metadata.read(plain).temperature) == ((), None)
    # Scores stay as they are.
    images = trash_split.images
    np.testing.assert_array_equal(LiteModel(file).raw(images), LiteModel(plain).raw(images))


def test_thresholds_for_a_precision(classifier, trash_split, trash_classes):
    found = {}
    how = {"format": "float32", "threshold_precision": 0.95, "watch": found.update}
    export.tflite(classifier, val=trash_split, classes=trash_classes, **how)
    assert all(row["precision"] >= 0.95 for row in found["calibration"]["classes"] if row["reached"])


def test_a_file_says_which_layers_are_float(classifier, trash_split, trash_classes):
    file = export.tflite(classifier, split=trash_split, classes=trash_classes, samples=12, keep_float=1)
    kept = metadata.read(file).about["keep_float"]
    assert len(kept) == 1
    assert kept[0] in flatbuffer.read(file).describe()["float_tensors"]


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"format": "int9"}, r"export.format must be float32 \| .*, received 'int9' .str.. Did you mean 'int8'\?"),
        ({"which": "model"}, "export.which='model' chooses a file of a run folder"),
        (
            {"also": ("onnx",)},
            r"export.also=\['onnx'\] writes into a run folder, for python -m tfmap.export RUN. In Py",
        ),
        ({"also": ("onx",)}, r"export.also must be tuple.*, received \('onx',\) .tuple."),
        ({"label_files": {"de": 3}}, "export.label_files must be "),
        ({"input_type": "int4"}, r"export.input_type must be uint8 \| int8 \| float32, received 'int4'"),
        ({"batch_size": -1}, "export.batch_size must be at least 1, or 0 or dynamic to leave it open, received -1."),
        ({"batch_size": "open"}, r"export.batch_size must be int \| dynamic, received 'open'"),
        (
            {"threshold_precision": 0.9},
            "export.threshold_precision=0.9 is for thresholds that are fitted on validation p",
        ),
        ({"format": "int4"}, "export: format int4 reads the ranges .* split is missing. Pass split=source.split"),
    ],
)
def test_settings_that_are_refused(classifier, trash_classes, wrong, text):
    with pytest.raises(InputError, match=text.replace("?", r"\?")):
        export.tflite(classifier, classes=trash_classes, **wrong)


def test_labels_in_other_languages_and_the_digest_are_packed(classifier, trash_classes, tmp_path):
    (tmp_path / "de.txt").write_text("Pappe\nGlas\nMetall\nPapier\nPlastik\nMüll\n", encoding="utf-8")
    file = export.tflite(
        classifier, classes=trash_classes, format="float32", label_files={"de": str(tmp_path / "de.txt")}, digest="00"
    )
    found = metadata.read(file)
    assert found.translations == {"de": ("Pappe", "Glas", "Metall", "Papier", "Plastik", "Müll")}
    assert found.about["data"] == "sha256:00"
    with pytest.raises(InputError, match="the labels in fr have 6 lines, the model has 2 outputs"):
        metadata.read_translations({"fr": str(tmp_path / "de.txt")}, 2)


def test_other_classes_than_outputs(classifier):
    with pytest.raises(InputError, match="the model has 6 outputs but classes has 2 names"):
        export.tflite(classifier, classes=("a", "b"), format="float32")


@pytest.fixture(scope="module")
def run(tmp_path_factory, classifier):
    """A run folder as train leaves it, and the config that it was made with."""
    run = Run(tmp_path_factory.mktemp("run"))
    classifier.save(run.path / "model.keras")
    run.write_text("config.yaml", "task: classification\ndatasets:\n  source: sample:trash\n")
    config = {"task": "classification", "seed": 0, "datasets": {"source": "sample:trash"}, "pipeline": {}}
    return run, config


def test_the_command_fills_the_run_folder(run, capsys):
    run, config = run
    export.command({**config, "export": {"samples": 12}}, run)
    assert not run.has("model.tflite")  # it has not passed yet
    run = run.candidate()
    assert metadata.read(run.file("model.tflite")).labels == tuple(run.file("labels.txt").read_text().splitlines())
    with np.load(run.file("golden.npz")) as golden:
        found = LiteModel(run.file("model.tflite")).raw(golden["images"])
        np.testing.assert_array_equal(found, golden["outputs"])
    assert re.fullmatch("sha256:[0-9a-f]{64}", metadata.read(run.file("model.tflite")).about["data"])
    said = capsys.readouterr().out
    assert re.match(r"model\.keras -> .*candidate/model\.tflite: [\d,]+ bytes, int8\n", said)
    expected = r"calibration error 0\.\d+, 0\.\d+ at temperature \d+\.\d+, on 227 validation pictures\nTo publish it: "
    assert re.search(expected, said)
    found = run.read_json("export.json")
    assert (found["model"], found["format"], found["calibrated_on"]) == ("model.keras", "int8", 12)
    assert found["coverage"]["pictures"] == 64
    assert metadata.read(run.file("model.tflite")).temperature == found["calibration"]["temperature"]


def test_the_command_takes_what_compress_left(run, classifier, photos, capsys):
    from tfmap.export import convert

    run, config = run
    smaller = keras.models.clone_model(classifier)
    smaller.save(run.path / "compressed.keras")
    export.command({**config, "export": {"format": "dynamic"}}, run)
    assert capsys.readouterr().out.startswith("compressed.keras -> ")
    export.command({**config, "export": {"format": "dynamic", "which": "model"}}, run)
    assert capsys.readouterr().out.startswith("model.keras -> ")
    run.write_bytes("quantized.tflite", convert.int8(classifier, photos[0]))
    export.command({**config, "export": {}}, run)
    assert capsys.readouterr().out.startswith("quantized.tflite -> ")


def test_the_command_writes_further_formats(run, capsys):
    run, config = run
    export.command({**config, "export": {"format": "dynamic", "also": ("keras", "savedmodel")}}, run)
    run = run.candidate()
    lines = [line for line in capsys.readouterr().out.splitlines() if " -> " in line]
    written = [line.split(" -> ")[1] for line in lines[1:]]
    assert written == [str(run.file("inference.keras")), str(run.file("saved_model"))]
    assert run.has("inference.keras")
    assert (run.file("saved_model") / "saved_model.pb").is_file()


def test_a_run_without_a_model(tmp_path):
    config = {"task": "classification", "seed": 0, "datasets": {"source": "sample:trash"}, "export": {}}
    with pytest.raises(FileNotFoundError, match=r"model.keras is missing. Run this stage first: python -m tfmap.train"):
        export.command(config, Run(tmp_path))
    config["export"] = {"which": "compressed"}
    with pytest.raises(
        FileNotFoundError, match=r"compressed.keras is missing. Run this stage first: python -m tfmap.com"
    ):
        export.command(config, Run(tmp_path))


def test_several_labels_a_picture_are_told(classifier, trash_split, trash_classes):
    from dataclasses import replace

    several = replace(trash_split, labels=np.eye(6, dtype=np.float32)[trash_split.labels])
    file = export.tflite(classifier, split=several, classes=trash_classes, format="float32")
    assert metadata.read(file).about["multi_label"] is True
    file = export.tflite(classifier, val=several, classes=trash_classes, format="float32")
    assert metadata.read(file).about["multi_label"] is True


def test_the_command_refuses_before_it_loads_anything(tmp_path, monkeypatch):
    config = {"task": "classification", "seed": 0, "datasets": {"source": "nowhere"}}
    with pytest.raises(InputError, match="^export.engine=converter does not make format int4; ai-edge-quantizer does."):
        export.command({**config, "export": {"format": "int4", "engine": "converter"}}, Run(tmp_path))
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(
        InputError, match=r"^export.also: onnx needs its extra \(.*\). Install it: pip install 'tfmap\["
    ):
        export.command({**config, "export": {"also": ["onnx"]}}, Run(tmp_path))


@pytest.mark.slow
def test_a_further_format_that_differs_leaves_no_candidate(run, monkeypatch):
    from tfmap.export import formats

    run, config = run

    def spoilt(path, model):
        write(path, keras.models.clone_model(model))

    write = formats.write_keras
    monkeypatch.setattr(formats, "write_keras", spoilt)
    with pytest.raises(
        InputError, match=r"^export.also: .*inference.keras \(scores\) differs from tiny by 0\.\d+ in a"
    ):
        export.command({**config, "export": {"format": "float32", "also": ["keras"]}}, run)
    assert not run.candidate().has("model.tflite")  # which is what verify looks for
