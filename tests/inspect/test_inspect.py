"""The stage: a file in, a table and inspect.json out, without TensorFlow and without a traceback."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tfmap import cli
from tfmap.errors import InputError
from tfmap.inspect import command, inspect
from tfmap.runs import Run

ROOT = Path(__file__).parents[2]


def call(capsys, *argv):
    with pytest.raises(SystemExit) as exit:
        cli.main("inspect", list(map(str, argv)))
    return exit.value.code, *capsys.readouterr()


def test_a_real_process_prints_a_file_of_others_without_tensorflow(reference):
    path = reference / "automl_labeler_model.tflite"
    code = f"try:\n    cli.main('inspect', ['{path}'])\nfinally:\n    print('tensorflow' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; from tfmap import cli\n{code}"],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr, lines[-1]) == (0, "", "False")
    assert lines[0].startswith(f"{path}: 452,182 bytes (")
    assert lines[0].endswith("int8 inside")
    assert "  labels: daisy, dandelion, roses, sunflowers, tulips" in lines
    assert "  name: AutoML image classifier" in lines


def test_the_command_writes_what_it_found(reference, tmp_path, capsys):
    path = reference / "dilated_conv.tflite"
    code, _, err = call(capsys, path, f"out={tmp_path}")
    assert (code, err) == (0, "")
    found = json.loads((tmp_path / "inspect.json").read_text())
    assert found == {"file": str(path), **json.loads(json.dumps(inspect(path)))}


def test_without_out_nothing_is_written(reference, tmp_path, capsys):
    file = tmp_path / "model.tflite"
    file.write_bytes((reference / "dilated_conv.tflite").read_bytes())
    command({"model": str(tmp_path), "out": None}, Run(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["model.tflite"]
    assert capsys.readouterr().out.startswith(f"{file}: 9,282 bytes")


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        ([], "FILE.tflite is missing. Usage: python -m tfmap.inspect FILE.tflite [out=FOLDER]"),
        (["no.tflite"], "no.tflite does not exist. Expected a .tflite file."),
        ([__file__], "is not a TFLite file: bytes 4 to 8 must be b'TFL3', received "),
        ([__file__, "top=3"], "unknown argument 'top=3'. Usage: python -m tfmap.inspect FILE.tflite [out=FOLDER]"),
        ([__file__, "out="], "unknown argument 'out='. Usage: "),
        ([str(Path(__file__).parent)], "holds no model.tflite. Export one: python -m tfmap.export "),
    ],
)
def test_bad_input_is_one_line_and_exit_2(capsys, argv, text):
    code, out, err = call(capsys, *argv)
    assert (code, out) == (2, "")
    assert err.startswith("tfmap inspect: error: ")
    assert text in err
    assert err.count("\n") == 1


def test_a_file_that_points_outside_itself(reference, capsys):
    code, out, err = call(capsys, reference / "model_invoking_error.tflite")
    assert (code, out) == (2, "")
    assert re.search(r"model_invoking_error.tflite is a broken TFLite file: list index out of range", err)


def test_the_bytes_of_a_file_will_do(lite_files):
    assert inspect(lite_files["int8"])["format"] == "int8"
    with pytest.raises(InputError, match="^the model is not a TFLite file: bytes 4 to 8 must be "):
        inspect(b"nothing here")
