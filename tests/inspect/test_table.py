"""The printed table."""

from __future__ import annotations

from tfmap.export import metadata
from tfmap.inspect import contents, table


def printed(capsys, file, name="model.tflite"):
    table.show(contents.read(file), name)
    return capsys.readouterr().out


def test_every_layer_has_a_line(capsys, lite_files):
    found, out = contents.read(lite_files["int8"]), printed(capsys, lite_files["int8"])
    lines = out.splitlines()
    for index, op in enumerate(found["subgraphs"][0]["ops"]):
        (line,) = [line for line in lines if line.split()[:2] == [str(index), op["op"]]]
        assert line.endswith("%") == bool(op["bytes"])
    assert any(line.startswith("input ") and "uint8" in line and "1x48x48x3" in line for line in lines)
    assert all(len(line) <= 110 for line in lines[4 : 8 + len(found["ops"])] if "sha256" not in line)


def test_an_open_size_is_a_question_mark(capsys, reference):
    lines = printed(capsys, reference / "dilated_conv.tflite").splitlines()
    assert any(line.startswith("input ") and "?x?x?x3" in line for line in lines)
    assert any("CONV_2D" in line and "?x?x?x" in line for line in lines)


def test_metadata_labels_and_what_tfmap_adds(capsys, lite_files):
    about = metadata.Metadata(
        tuple("abcdef"), name="[b]Trash[/b]", license="MIT", translations={"de": tuple("uvwxyz")},
        thresholds=(0.25,) * 6, about={"task": "classification"},
    )  # fmt: skip
    out = printed(capsys, metadata.attach(lite_files["int8"], about))
    assert "  name: [b]Trash[/b]\n  license: MIT\n" in out
    assert "  input image: ImageProperties; NormalizationOptions mean [0.0], std [1.0]\n" in out
    assert "  output probability: FeatureProperties; ScoreThresholdingOptions global_score_threshold 0.25\n" in out
    assert "  labels: a, b, c, d, e, f\n  labels (de): u, v, w, x, y, z\n" in out
    assert "  task: classification\n" in out


def test_a_file_without_metadata(capsys, classifier):
    from tfmap.export import convert

    assert printed(capsys, convert.float32(classifier)).endswith("metadata: none\n")


def test_many_labels_are_counted():
    assert table._some([str(i) for i in range(40)]) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, ... (40 in all)"


def test_markup_in_names_is_shown_as_it_is(capsys, lite_files):
    found = contents.read(lite_files["int8"])
    found["inputs"][0]["name"] = "[red]in[/red]"
    table.show(found, "m")
    assert "[red]in[/red]" in capsys.readouterr().out
