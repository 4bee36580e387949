from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tfmap import cli, demo
from tfmap import config as configs
from tfmap.runs import Run

# keras 3.15 saves weights that way
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)

ROOT = Path(__file__).parents[1]
TRASH = ROOT / "tfmap" / "datasets" / "samples" / "trash"
LEFT = [
    "doctor.html",
    "model.keras",
    "metrics.json",
    "compressed.keras",
    "model.tflite",
    "golden.npz",
    "handoff",
    "verify.json",
    "report.html",
]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A folder of six class folders with eight photographs each."""
    root = tmp_path_factory.mktemp("pictures")
    for folder in TRASH.iterdir():
        for file in sorted(folder.glob("*.jpg"))[:8]:
            (root / folder.name).mkdir(exist_ok=True)
            shutil.copy(file, root / folder.name / file.name)
    return root


@pytest.mark.parametrize(
    ("task", "name"),
    [
        ("detection", "detection_cells"),
        ("segmentation", "segmentation_membrane"),
        ("instances", "instances_nuclei"),
    ],
)
def test_the_demos_of_other_tasks_are_configs_of_the_repository(task, name):
    text, out = demo.config_of(task)
    config = configs.check(configs.parse(text, "demo"), "demo")
    assert config == configs.read(Path(__file__).parents[1] / "configs" / f"{name}.yaml")
    assert (config["task"], out) == (task, f"runs/demo_{task}")
    assert "compress" not in demo.stages_of(config)


def test_an_unknown_task_is_told(capsys):
    with pytest.raises(SystemExit) as caught:
        cli.main("demo", ["task=detecton"])
    assert caught.value.code == 2
    assert (
        "task must be classification | detection | segmentation | instances, received 'detecton'"
        in capsys.readouterr().err
    )


def test_the_demo_is_the_config_of_the_repository():
    assert configs.parse(demo.CONFIG, "demo") == configs.parse(
        (ROOT / "configs" / "classification_trash.yaml").read_text(), "c"
    )


def test_the_whole_flow_in_one_command(pictures, tmp_path, capsys):
    small = ["model.backbone=lenet", "model.input_shape=[32, 32, 3]", "model.weights=null", "pipeline.batch_size=8"]
    quick = ["train.epochs=1", "train.head_epochs=0", "train.unfreeze=true", "compress.recipe=prune(0.5)"]
    quick += ["compress.epochs=1", "verify.budget=100", "verify.seconds=0.05"]
    with pytest.raises(SystemExit) as exit:
        cli.main("demo", [f"datasets.source={pictures}", f"out={tmp_path}", *small, *quick])
    out = capsys.readouterr().out
    assert exit.value.code == 0
    assert [name for name in LEFT if not Run(tmp_path).has(name)] == []
    for number, (name, does) in enumerate(demo.STAGES.items(), start=1):
        assert f"{number}/{len(demo.STAGES)}  {name}: {does}" in out
    for line in (
        "minutes from pictures to a verified file",
        "KB, gzip",
        "ms, 1 thread",
        str(tmp_path / "report.html"),
    ):
        assert line in out


def test_a_file_over_its_budget_is_reported_and_refused(monkeypatch, tmp_path, capsys):
    """The stages themselves are tested above; here verify says no."""
    import importlib

    from tfmap.errors import OverBudget

    ran = []

    def stand_in(name):
        def command(config, run):
            ran.append(name)
            if name == "verify":
                run.write_json("verify.json", VERIFIED)
                raise OverBudget("too far")

        return command

    for name in demo.STAGES:
        monkeypatch.setattr(importlib.import_module(f"tfmap.{name}"), "command", stand_in(name))
    with pytest.raises(SystemExit) as exit:
        cli.main("demo", [f"out={tmp_path}"])
    out, err = capsys.readouterr()
    assert exit.value.code == 1
    assert ran == list(demo.STAGES)
    assert "0.9000" in out
    assert "0.8000" in out
    assert err == "tfmap demo: over budget: too far\n"


def test_a_finished_training_is_not_repeated(monkeypatch, tmp_path, capsys):
    from rich.console import Console

    (tmp_path / "model.keras").write_text("")
    demo._run("train", {}, Run(tmp_path), Console())
    assert "is there already; another out= trains anew." in " ".join(capsys.readouterr().out.split())


VERIFIED = {
    "examples": 10,
    "metric": {"name": "accuracy", "keras": 0.9, "file": 0.8},
    "file": {"format": "int8", "bytes": 1000, "gzip_bytes": 900},
    "float32": {"bytes": 4000, "gzip_bytes": 3900},
    "latency_ms": {"1": {"file": {"median": 1.0}, "float32": {"median": 2.0}}},
}


@pytest.mark.slow
def test_the_demo_itself_with_few_epochs(tmp_path, capsys):
    """The embedded sample and backbone learn something in three epochs."""
    with pytest.raises(SystemExit):
        cli.main("demo", [f"out={tmp_path}", "train.epochs=3", "compress.epochs=1", "verify.budget=100"])
    assert Run(tmp_path).read_json("verify.json")["metric"]["keras"] > 0.5
