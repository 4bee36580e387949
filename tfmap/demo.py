"""The whole flow, offline, on an embedded sample. `python -m tfmap.demo [task=…] [section.key=value …] [out=RUN]`."""

from __future__ import annotations

import importlib
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from tfmap.runs import Run

# What classification_trash.yaml, detection_cells.yaml, segmentation_membrane.yaml and instances_nuclei.yaml of configs/
# hold: those files are not there after `pip install`, so they stand here as well, and a test keeps them equal.
CONFIG = """
datasets:
  source: sample:trash

pipeline:
  batch_size: 32

augment:
  # waste lies on the table any way round
  ops: rrc(0.4,1)|flip|vflip|rotate(20)|color(.2)

model:
  backbone: mobilenet_v1_025
  input_shape: [224, 224, 3]
  dropout: 0.3

train:
  head_epochs: 2
  head_learning_rate: 5e-3
  epochs: 42
  learning_rate: 3e-3
  layer_decay: 0.9
  unfreeze: P3
  ema: 0.98
  keep: last                  # the best of 44 epochs on 227 pictures would be a lucky one

compress:
  # half of all weights, most of them from the two widest layers: what is very sparse packs best
  recipe: "prune({'*': 0.35, 'conv_pw_12': 0.65, 'conv_pw_13': 0.85}, epochs=8)"

export:
  format: int8

verify:
  budget: 3                   # 227 validation pictures tell a change to about 1.8 points; else take the default, 1
"""

CELLS = """
task: detection

datasets:
  source: sample:cells

pipeline:
  batch_size: 8

augment:
  # blood under a microscope has no above and no left
  ops: flip|vflip|zoom(.3)|color(.2)

model:
  arch: tfmap_det
  backbone: mobilenet_v1_025
  input_shape: [192, 256, 3]
  width: 48

train:
  epochs: 40
  learning_rate: 8e-3         # at half of it platelets, a rare and small class, begin to be seen as training ends
  ema: 0.98
  keep: last
  clip_norm: 10.0

verify:
  budget: 2
"""

MEMBRANE = """
task: segmentation

datasets:
  source: sample:membrane

pipeline:
  batch_size: 4

augment:
  ops: flip|vflip|zoom(.3)|elastic|brightness(.2)|contrast(.2)

model:
  arch: unet
  backbone: mobilenet_v1_025
  input_shape: [256, 256, 3]
  width: 24

train:
  epochs: 60
  learning_rate: 5e-3
  ema: 0.95
  keep: last

verify:
  budget: 2
"""

NUCLEI = """
task: instances

datasets:
  source: sample:nuclei
  target: instances

pipeline:
  batch_size: 4

augment:
  # a slide has no above and no left
  ops: flip|vflip|turn90|zoom(.3)|brightness(.2)

model:
  arch: mask_rcnn
  backbone: mobilenet_v1_025
  input_shape: [256, 256, 3]
  width: 32

train:
  epochs: 30
  learning_rate: 4e-3
  ema: 0.98
  keep: last
  clip_norm: 10.0

export:
  format: float16             # its second look at boxes has no integer kernels

verify:
  budget: 2
"""

CONFIGS = {"classification": CONFIG, "detection": CELLS, "segmentation": MEMBRANE, "instances": NUCLEI}

# stage -> what it is about to do
STAGES = {
    "doctor": "look at the pictures before a training is spent on them",
    "train": "learn from them",
    "evaluate": "score the model on pictures that it has not seen",
    "compress": "prune the model",
    "export": "turn it into a .tflite file",
    "verify": "run the file in the real runtime beside the model",
    "report": "write it all down",
}


def demo(config: dict[str, Any], run: Run) -> None:
    """Run every stage on one config, each through its own command.

    Args:
        config: a checked config, as `tfmap.config.check` returns it.
        run: the run folder; stages whose files are there already run again, except a finished training.

    Raises:
        OverBudget: the file is too far from the model; raised once the report, which shows how far, is written.
    """
    from rich.console import Console

    from tfmap import datasets
    from tfmap.errors import OverBudget

    console, verdict, stages = Console(highlight=False), None, stages_of(config)
    _show_data(console, datasets.load(**{"seed": config["seed"], **config["datasets"]}))
    for number, name in enumerate(stages, start=1):
        console.rule(f"{number}/{len(stages)}  {name}: {STAGES[name]}", align="left")
        start = time.monotonic()
        try:
            _run(name, config, run, console)
        except OverBudget as error:
            verdict = error
        console.print(f"{time.monotonic() - start:.0f} s", style="dim")
    if verdict:
        raise verdict


def stages_of(config: dict[str, Any]) -> list[str]:
    """Names of the stages; compress where the config says how."""
    return [name for name in STAGES if name != "compress" or config["compress"]]


def config_of(task: str) -> tuple[str, str]:
    """The YAML text of a task's demo, and its run folder; those of classification for a task that there is not."""
    return CONFIGS.get(
        task, CONFIG
    ), f"runs/demo_{task}" if task in CONFIGS and task != "classification" else "runs/demo"


def _run(name: str, config: dict[str, Any], run: Run, console: Console) -> None:
    if name == "train" and run.has("model.keras"):
        console.print(f"{run.file('model.keras')} is there already; another out= trains anew.")
        return
    importlib.import_module(f"tfmap.{name}").command(config, run)


def _show_data(console: Console, source: Any) -> None:
    """The data in a line."""
    parts = ", ".join(f"{name} {len(split)}" for name, split in source.splits.items())
    console.print(f"{source.id}: {len(source)} pictures of {', '.join(source.classes)} ({parts})")


def command(config: dict[str, Any], run: Run) -> None:
    """Run the flow and end with what a mobile team wants to see.

    Raises:
        OverBudget: the file is too far from the model.
    """
    from rich.console import Console

    from tfmap.errors import OverBudget

    start, verdict = time.monotonic(), None
    try:
        demo(config, run)
    except OverBudget as error:
        verdict = error
    console = Console(highlight=False, soft_wrap=True)
    console.print(table(run.read_json("verify.json"), time.monotonic() - start))
    console.print(f"Report: {run.file('report.html')}", markup=False)
    if verdict:
        raise verdict
    console.print(f"For the phone: {run.file('model.tflite')}", markup=False)


def table(found: dict[str, Any], seconds: float) -> Any:
    """The float model beside the int8 file: accuracy, size, size in a package, latency."""
    from rich.table import Table

    file, before, metric, times = found["file"], found["float32"], found["metric"], found["latency_ms"]["1"]
    rows = Table("", "float32", file["format"], title=f"{seconds / 60:.1f} minutes from pictures to a verified file")
    rows.add_row(f"{metric['name']}, {found['examples']} pictures", f"{metric['keras']:.4f}", f"{metric['file']:.4f}")
    rows.add_row("KB", f"{before['bytes'] / 1e3:.0f}", f"{file['bytes'] / 1e3:.0f}")
    rows.add_row("KB, gzip", f"{before['gzip_bytes'] / 1e3:.0f}", f"{file['gzip_bytes'] / 1e3:.0f}")
    rows.add_row("ms, 1 thread", f"{times['float32']['median']:.2f}", f"{times['file']['median']:.2f}")
    return rows


if __name__ == "__main__":
    from tfmap.cli import main

    main("demo")
