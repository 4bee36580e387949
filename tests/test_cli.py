from __future__ import annotations

import errno
import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import tfmap
from tfmap import arguments, cli, signatures
from tfmap import config as configs
from tfmap.errors import InputError, OverBudget
from tfmap.stages import STAGES

ROOT = Path(__file__).parents[1]
SAMPLE = "datasets: {source: sample:trash}"


def call(capsys, stage, *argv):
    """Exit code, stdout and stderr of a stage, in this process."""
    with pytest.raises(SystemExit) as exit:
        cli.main(stage, list(argv))
    out, err = capsys.readouterr()
    return exit.value.code, out, err


def python(*argv):
    """A real process."""
    return subprocess.run([sys.executable, *argv], cwd=ROOT, capture_output=True, text=True, timeout=120)


@pytest.fixture
def write(tmp_path):
    def write(text, name="c.yaml"):
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    return write


@pytest.fixture
def stage(monkeypatch):
    """Have the command of `report` raise what is given: the only way to meet a full disk, Ctrl-C or a bug on demand."""

    def stage(error):
        def command(config, run):
            raise error

        monkeypatch.setattr(importlib.import_module("tfmap.report"), "command", command)

    return stage


HEAVY = ("tensorflow", "keras", "numpy", "tf_keras", "matplotlib", "keras_tuner", "sklearn")


@pytest.mark.parametrize(
    "code",
    [
        "import tfmap",
        "import tfmap.cli; tfmap.cli.explain('train')",
        *(
            f"import tfmap.cli, importlib; importlib.import_module('tfmap.{name}'); tfmap.cli.explain('{name}')"
            for name in STAGES
        ),
        "import tfmap.config as c; c.read(__import__('pathlib').Path('configs/classification_trash.yaml'))",
    ],
)
def test_nothing_heavy_is_imported_before_a_stage_runs(code):
    done = python("-c", f"import sys; {code}; print([m for m in {HEAVY} if m in sys.modules])")
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


@pytest.mark.parametrize(("stage", "argv"), [("doctor", "['{}', 'out={}/d']"), ("prepare", "['{}', '{}/shards']")])
def test_looking_at_data_needs_no_tensorflow(stage, argv, tmp_path):
    arguments = argv.format("sample:trash", tmp_path)
    code = f"try:\n    cli.main('{stage}', {arguments})\nfinally:\n    print('tensorflow' in sys.modules)"
    done = python("-c", f"import sys; from tfmap import cli\n{code}")
    assert (done.stdout.splitlines()[-1], done.returncode) == ("False", 0)


@pytest.mark.parametrize(
    ("datasets", "doctor"),
    [({"source": "tfds:beans"}, {}), ({"source": "a", "format": "tfds"}, {}), ({"source": "a"}, {"model": "runs/a"})],
)
def test_a_source_or_model_that_needs_tensorflow_gets_it(datasets, doctor):
    assert cli._needs_tensorflow("doctor", {"datasets": datasets, "doctor": doctor})
    assert cli._needs_tensorflow("train", {"datasets": {"source": "a"}, "doctor": {}})


@pytest.mark.parametrize("argv", [["-m", "tfmap"], ["-m", "tfmap", "--help"]])
def test_the_package_prints_its_stages(argv):
    done = python(*argv)
    assert done.returncode == 0
    for name, stage in STAGES.items():
        assert f"  {name:9} {stage.takes}" in done.stdout


def test_compress_with_a_budget_is_shrink():
    argv = ["runs/a", "budget=0.5", "compress.epochs=2", "optimise=latency"]
    wanted = ["runs/a", "shrink.budget=0.5", "compress.epochs=2", "shrink.optimise=latency"]
    assert arguments.budgeted("compress", argv) == arguments.budgeted("shrink", argv) == ("shrink", wanted)
    assert arguments.budgeted("compress", argv[::2]) == ("compress", argv[::2])
    assert arguments.budgeted("verify", argv) == ("verify", argv)


def test_the_same_stage_in_two_ways():
    one, two = python("-m", "tfmap", "export", "--help"), python("-m", "tfmap.export", "--help")
    assert one.stdout == two.stdout
    assert one.returncode == two.returncode == 0
    assert one.stdout.startswith("Usage: python -m tfmap.export RUN")


@pytest.mark.parametrize("name", STAGES)
def test_every_stage_is_a_module_that_runs(name, capsys):
    spec = importlib.util.find_spec(f"tfmap.{name}")
    path = Path(spec.origin)
    path = path.with_name("__main__.py") if path.name == "__init__.py" else path
    assert f'main("{name}")' in path.read_text()
    assert callable(importlib.import_module(f"tfmap.{name}").command)


@pytest.mark.parametrize("name", STAGES)
def test_help_explains_every_key(name, capsys):
    code, out, err = call(capsys, name, "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"Usage: python -m tfmap.{name} ")
    for section in STAGES[name].own:
        for key in signatures.keys(section).values():
            assert f"  {key.name}  ({signatures.readable(key.annotation)}; " in out


def test_help_shows_type_default_choices_and_meaning(capsys):
    _, out, _ = call(capsys, "train", "--help")
    assert "  train.batchnorm  (live | frozen; default live)\n      live (batch statistics, updated) or" in out
    assert "  datasets.source  (str; required)\n" in out
    assert "  train.patience  (int | null; default null)" in out
    assert '  augment.ops  (str; default "")' in out


@pytest.mark.parametrize("argv", [["--version"], ["train", "--version"]])
def test_version(argv, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["tfmap", *argv])
    if len(argv) == 1:
        cli.console()
    else:
        with pytest.raises(SystemExit, match="0"):
            cli.console()
    assert capsys.readouterr().out == f"tfmap {tfmap.__version__}\n"


def test_an_unknown_stage_in_a_real_process():
    done = python("-m", "tfmap", "trian", "c.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    stages = ", ".join(STAGES)
    assert done.stderr == f"tfmap: error: unknown stage 'trian'. Stages: {stages}. Did you mean 'train'?\n"


def test_a_typo_in_a_real_process(write):
    path = write("datasets: {source: sample:trash}\nmodel: {droput: 0.2}\n")
    done = python("-m", "tfmap.train", path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(
        f"tfmap train: error: {path}: unknown key 'model.droput'. Keys of model in classification: "
    )
    assert done.stderr.endswith("Did you mean 'dropout'?\n")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "argv", "text"),
    [
        ("train", [], "CONFIG is missing. Usage: python -m tfmap.train CONFIG [section.key=value ...] [out=RUN]"),
        ("train", ["seed=3"], "CONFIG is missing. Usage: python -m tfmap.train"),
        ("train", ["c.yaml", "--lr", "3"], "unknown option '--lr'; settings are written section.key=value. Usage: "),
        ("train", ["no.yaml"], "config file no.yaml does not exist."),
        ("export", [], "RUN is missing. Usage: python -m tfmap.export RUN [section.key=value ...]"),
        ("export", ["no/run"], "run folder no/run does not exist. Make one: python -m tfmap.train CONFIG out=no/run"),
        ("predict", [], "MODEL is missing. Usage: python -m tfmap.predict MODEL PICTURE... [top_k=3 threshold=0.3"),
        ("predict", ["m.tflite"], "PICTURE is missing. Usage: python -m tfmap.predict MODEL PICTURE"),
        ("predict", ["no.tflite", "a.jpg"], "no.tflite does not exist."),
        ("predict", [__file__, __file__, "top_k=x"], "setting 'top_k=x': top_k must be int, received 'x' (str)."),
        ("predict", [__file__, __file__, "top_k=0"], "setting 'top_k=0': top_k must be at least 1."),
        ("demo", ["train.epocs=1"], "setting 'train.epocs=1': unknown key 'train.epocs'. Keys of train: "),
    ],
)
def test_bad_arguments_are_one_line_and_exit_2(capsys, name, argv, text):
    code, out, err = call(capsys, name, *argv)
    assert (code, out) == (2, "")
    assert err.startswith(f"tfmap {name}: error: {text}")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: {}", "{path}: datasets.source is missing (str): "),
        ("seed: 1\nseed: 2", "{path} line 2: not valid YAML: key 'seed' stands twice."),
        (
            "datasets: {source: no/folder}",
            "{path}: datasets.source: no/folder does not exist. Expected a folder, an archive, a URL",
        ),
        (
            "datasets: {source: sample:trsh}",
            "{path}: datasets: unknown sample 'trsh'. Samples: cells, membrane, nuclei, trash. Did you mean 'trash'?",
        ),
        (f"{SAMPLE}\nmodel: {{backbone: mobilenet_v3_smal}}", "{path}: model: unknown backbone 'mobilenet_v3_smal'."),
        (f"{SAMPLE}\naugment: {{ops: flp}}", "{path}: augment: unknown op 'flp' in \"flp\""),
        (
            f"{SAMPLE}\ntune: {{space: {{train.lr: [1]}}}}",
            "{path}: tune.space: unknown key 'train.lr'. Keys of train: ",
        ),
        (f"{SAMPLE}\ntune: {{space: {{train.warmup: {{mn: 0}}}}}}", "{path}: tune.space: train.warmup has an unknown"),
    ],
)
def test_a_bad_config_is_one_line_and_exit_2(capsys, write, text, message):
    path = write(text)
    code, _, err = call(capsys, "train", path)
    assert code == 2
    assert err.startswith("tfmap train: error: " + message.replace("{path}", path))
    assert err.count("\n") == 1


def test_a_run_stage_reads_the_config_of_its_run(capsys, write, tmp_path):
    write("datasets: {sorce: x}", "config.yaml")
    code, _, err = call(capsys, "evaluate", str(tmp_path))
    assert code == 2
    assert f"{tmp_path / 'config.yaml'}: unknown key 'datasets.sorce'" in err
    write(SAMPLE, "config.yaml")
    code, _, err = call(capsys, "export", str(tmp_path), "train.epochs=3")
    assert "setting 'train.epochs=3': this stage does not read 'train'. It reads: export, datasets, pipeline." in err


def test_what_was_set_beside_a_config_is_named_with_it(capsys, write, tmp_path):
    write(SAMPLE, "config.yaml")
    code, _, err = call(capsys, "compress", str(tmp_path), "compress.recipe=foo")
    assert code == 2
    assert f"{tmp_path / 'config.yaml'} with compress.recipe=foo: compress: unknown step 'foo'" in err


def test_a_stage_gets_the_config_and_the_run(capsys, write, tmp_path, monkeypatch):
    got = []
    monkeypatch.setattr(
        importlib.import_module("tfmap.train"), "command", lambda config, run: got.append((config, run))
    )
    path = write("datasets: {source: sample:trash}\ntrain: {learning_rate: 1e-3}\n", "my.yaml")
    assert call(capsys, "train", path, "train.epochs=2", "seed=4")[0] == 0
    config, run = got[0]
    assert config["train"] == {"learning_rate": 0.001, "epochs": 2}
    assert config["seed"] == 4
    assert config["out"] == str(run.path) == "runs/my"
    call(capsys, "train", path, f"out={tmp_path}")
    assert got[1][1].path == tmp_path


@pytest.fixture
def run(write, tmp_path):
    write("datasets: {source: moved/away}", "config.yaml")
    return str(tmp_path)


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (InputError("wrong\n  over two lines"), 2, "tfmap report: error: wrong over two lines"),
        (FileNotFoundError("x is missing"), 2, "tfmap report: error: x is missing"),
        (
            PermissionError(errno.EACCES, "Permission denied", "/root/x"),
            2,
            "tfmap report: error: Permission denied: /root/x",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device", "a/b"),
            2,
            "tfmap report: error: the disk is full at a/b. Free some",
        ),
        (
            OSError("write failed: No space left on device"),
            2,
            "tfmap report: error: the disk is full. Free some space, or",
        ),
        (
            OverBudget("int8 loses 3.1 points, budget 1.0"),
            1,
            "tfmap report: over budget: int8 loses 3.1 points, budget 1.0",
        ),
        (KeyboardInterrupt(), 130, "tfmap report: stopped: interrupted. To go on: python -m tfmap.report "),
    ],
)
def test_what_a_stage_raises_becomes_one_line_and_a_code(capsys, stage, run, error, code, text):
    stage(error)
    got, _, err = call(capsys, "report", run)
    assert got == code
    assert err.startswith(text)
    assert err.count("\n") == 1


def test_a_full_disk_as_the_system_reports_it():
    with open("/dev/full", "wb", buffering=0) as full, pytest.raises(OSError, match="No space left") as error:
        full.write(b"x")
    assert cli._one_line(error.value).startswith("the disk is full. Free some space, or write elsewhere with out=RUN;")


def test_tensorflow_starts_without_a_word(monkeypatch, capfd):
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL")
    cli._import_quietly()
    assert capfd.readouterr().err == ""
    assert "tensorflow" in sys.modules


def test_what_is_logged_before_a_failed_import_is_shown(monkeypatch, capfd):
    class Broken:
        def find_spec(self, name, path=None, target=None):
            if name == "tensorflow":
                os.write(2, b"no cuda here\n")
                raise ImportError("broken installation")

    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL")
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    with pytest.raises(ImportError, match="broken installation"):
        cli._import_quietly()
    assert capfd.readouterr().err == "no cuda here\n"


def test_a_bug_of_ours_shows_its_traceback_and_is_no_verdict(stage, run, capsys):
    stage(ZeroDivisionError("bug"))
    with pytest.raises(SystemExit) as stopped:
        cli.main("report", [run])
    assert stopped.value.code == 70  # 1 would say that a file is over its budget
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert "ZeroDivisionError: bug" in said
    assert said.endswith("tfmap report: crashed: this is a fault of tfmap, please report the lines above\n")


CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_configs_that_come_with_the_project_are_valid(path):
    config, run = arguments.read("train", [str(path), "datasets.source=sample:trash"])
    assert configs.read(path)["datasets"]["source"]
    assert config["train"]
    stage = "compare" if config["compare"] else "train"
    assert path.read_text().startswith(f"# python -m tfmap.{stage} configs/{path.name}")
    assert str(run.path) == f"runs/{path.stem}"


def test_there_are_configs():
    assert len(CONFIGS) >= 4
