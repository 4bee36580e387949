"""The stages as the command line shows them: one table, and the text of every `--help`."""

from __future__ import annotations

import shutil
import textwrap
from dataclasses import dataclass

from tfmap import signatures


@dataclass(frozen=True)
class Stage:
    """One command.

    Attributes:
        does: what it does, in a line.
        takes: its arguments, as `--help` shows them.
        own: the sections that are this stage's own; `--help` explains their keys.
        also: further sections that it reads.
    """

    does: str
    takes: str
    own: tuple[str, ...] = ()
    also: tuple[str, ...] = ()

    @property
    def reads(self) -> tuple[str, ...]:
        """Every section that it reads."""
        return (*self.own, *self.also)


CONFIG, RUN = "CONFIG [section.key=value ...] [out=RUN]", "RUN [section.key=value ...]"
SOURCE = "SOURCE [section.key=value ...] [out=FOLDER]"
SOURCE_DST = "SOURCE DST [section.key=value ...]"
_DATA = ("datasets", "pipeline")
_LEARN = (*_DATA, "augment", "model", "train")

STAGES = {
    "doctor": Stage("a data set -> what is wrong with it, and a quarantine list", SOURCE, ("doctor",), ("datasets",)),
    "prepare": Stage("a source -> TFRecord shards with an index", SOURCE_DST, ("prepare",), ("datasets",)),
    "preview": Stage("a contact sheet of what training will see", CONFIG, ("preview",), (*_DATA, "augment", "model")),
    "train": Stage("a config file -> a run folder with a trained model", CONFIG, _LEARN),
    "evaluate": Stage("a run's model + data -> metrics, confusion matrix, worst mistakes", RUN, (), _DATA),
    "profile": Stage("a config file -> where the time of a training step goes", CONFIG, ("profile",), _LEARN),
    "tune": Stage("a search space -> best.yaml and a table of trials", CONFIG, ("tune",), _LEARN),
    "compare": Stage("what a setting is worth: its values, several seeds each", CONFIG, ("compare",), _LEARN),
    "compress": Stage("a run's model -> a smaller model", RUN, ("compress",), (*_DATA, "augment")),
    "export": Stage("a run's model -> model.tflite with labels and metadata", RUN, ("export",), _DATA),
    "verify": Stage("model.tflite against the model, in the real runtime", RUN, ("verify",), _DATA),
    "shrink": Stage(
        "a run's model -> the smallest file that keeps a stated accuracy",
        RUN,
        ("shrink",),
        (*_DATA, "augment", "compress", "export", "verify"),
    ),
    "report": Stage("a run folder -> report.html", "RUN"),
    "inspect": Stage("what is in a .tflite file, whoever made it", "FILE.tflite [out=FOLDER]"),
    "predict": Stage(
        "pictures -> what is in them, named and drawn", "MODEL PICTURE... [top_k=3 threshold=0.3 windows=0.25 out=DIR]"
    ),
    "demo": Stage("the whole flow, offline, on an embedded sample", "[task=TASK] [section.key=value ...] [out=RUN]"),
}


def usage(stage: str) -> str:
    """The usage line of a stage."""
    return f"Usage: python -m tfmap.{stage} {STAGES[stage].takes}"


def table() -> str:
    """What `python -m tfmap` prints."""
    rows = [f"  {name:9} {stage.takes:42} {stage.does}" for name, stage in STAGES.items()]
    lines = ["Usage: tfmap <stage> ...  (the same as python -m tfmap.<stage> ...)", "", *rows, ""]
    return "\n".join([*lines, "tfmap <stage> --help explains every key. Start with: tfmap demo"])


def explain(stage: str) -> str:
    """What `--help` of a stage prints: every key with its type, default and meaning, read from the source."""
    about = STAGES[stage]
    lines = [usage(stage), "", f"{about.does}."]
    if about.takes == CONFIG:
        tasks = f"{' | '.join(signatures.TASKS)}; default {signatures.TASKS[0]}"
        lines += ["", f"At the top of a config: task ({tasks}), seed (int, default 0), out (the run folder)."]
    for section in about.own:
        for task in signatures.by_task(section):
            of = f" (task: {task})" if len(signatures.by_task(section)) > 1 else ""
            lines += ["", f"{section}{of}: {signatures.summary(section, task)}"]
            lines += [line for key in signatures.keys(section, task).values() for line in _key(key)]
    if stage == "demo":
        lines += [
            "",
            "task is one of " + ", ".join(signatures.TASKS) + ".",
            "Every key of the other stages may be set, such as train.epochs=5; out is runs/demo unless given.",
        ]
    if about.also:
        lines += ["", f"It also reads {', '.join(about.also)}: see python -m tfmap.train --help."]
    return "\n".join(lines)


def _key(key: signatures.Key) -> list[str]:
    default = "required" if key.default is signatures.REQUIRED else f"default {signatures.as_yaml(key.default)}"
    width = min(shutil.get_terminal_size().columns, 120)
    head = f"  {key.name}  ({signatures.readable(key.annotation)}; {default})"
    return [head, *textwrap.wrap(key.meaning, width, initial_indent=" " * 6, subsequent_indent=" " * 6)]
