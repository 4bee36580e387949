"""The command line: one thin layer from a config file and `section.key=value` settings to a stage's keyword arguments.

`python -m tfmap.train …`, `python -m tfmap train …` and `tfmap train …` are the same thing. Whatever can be checked
without TensorFlow is checked before it is imported.
"""

from __future__ import annotations

import errno
import importlib
import os
import shutil
import sys
import textwrap
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tfmap
from tfmap import config as configs
from tfmap import signatures
from tfmap.errors import InputError, did_you_mean
from tfmap.runs import Run


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


_CONFIG, _RUN = "CONFIG [section.key=value ...] [out=RUN]", "RUN [section.key=value ...]"
_DATA = ("datasets", "pipeline")
_LEARN = (*_DATA, "augment", "model", "train")

STAGES = {
    "train": Stage("a config file -> a run folder with a trained model", _CONFIG, _LEARN),
    "evaluate": Stage("a run's model + data -> metrics, confusion matrix, worst mistakes", _RUN, (), _DATA),
    "tune": Stage("a search space -> best.yaml and a table of trials", _CONFIG, ("tune",), _LEARN),
    "compress": Stage("a run's model -> a smaller model", _RUN, ("compress",), _LEARN),
    "export": Stage("a run's model -> model.tflite with labels and metadata", _RUN, ("export",), _DATA),
    "verify": Stage("model.tflite against the model, in the real runtime", _RUN, ("verify",), _DATA),
    "report": Stage("a run folder -> report.html", "RUN"),
    "predict": Stage("pictures -> their top_k most probable classes", "MODEL PICTURE... [top_k=3]"),
    "demo": Stage("the whole flow, offline, on the embedded sample", "[section.key=value ...] [out=RUN]"),
}


def console() -> None:
    """The console command `tfmap`, and `python -m tfmap`: `tfmap <stage> …` is `python -m tfmap.<stage> …`."""
    argv = sys.argv[1:]
    if not argv or argv[0] in ("-h", "--help"):
        _say(_table())
    elif argv[0] == "--version":
        _say(f"tfmap {tfmap.__version__}")
    elif argv[0] in STAGES:
        main(argv[0], argv[1:])
    else:
        hint = did_you_mean(argv[0], STAGES)
        _fail("tfmap", f"unknown stage {argv[0]!r}. Stages: {', '.join(STAGES)}.{hint}")


def main(stage: str, argv: Sequence[str] | None = None) -> None:
    """Run one stage and exit: 0 done, 1 the file is over its budget, 2 bad input, 130 interrupted.

    Args:
        stage: one of STAGES.
        argv: its arguments; default those of the process.

    Raises:
        SystemExit: always, with the exit code; an error of ours keeps its traceback.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    if "--version" in argv:
        _say(f"tfmap {tfmap.__version__}")
    elif "-h" in argv or "--help" in argv:
        _say(_help(stage))
    else:
        _run(stage, argv)
    sys.exit(0)


def _run(stage: str, argv: list[str]) -> None:
    name = f"tfmap {stage}"
    try:
        config, run = _read(stage, argv)
        _quiet()
        importlib.import_module(f"tfmap.{stage}").command(config, run)
    except KeyboardInterrupt:
        _fail(name, f"interrupted. To go on: python -m tfmap.{stage} {' '.join(argv)}", "stopped", 130)
    except (InputError, OSError) as error:
        _fail(name, _one_line(error))
    except Exception as error:
        if type(error).__name__ != "OverBudget":
            raise
        _fail(name, _one_line(error), "over budget", 1)


def _read(stage: str, argv: list[str]) -> tuple[dict[str, Any], Run]:
    """The checked config and the run folder that the arguments ask for."""
    _refuse_options(stage, argv)
    if stage == "predict":
        return _read_predict(argv)
    if stage == "demo":
        demo = importlib.import_module("tfmap.demo")
        config = configs.override(configs.check(configs.parse(demo.CONFIG, "demo"), "demo"), argv)
        return config, Run(config.setdefault("out", "runs/demo"))
    return _read_config(stage, argv) if STAGES[stage].takes == _CONFIG else _read_run(stage, argv)


def _read_config(stage: str, argv: list[str]) -> tuple[dict[str, Any], Run]:
    path = Path(_first(stage, argv, "CONFIG"))
    config = configs.override(configs.read(path), argv[1:])
    configs.require(config, STAGES[stage].reads, str(path))
    _check_early(config, str(path))
    return config, Run(config.setdefault("out", f"runs/{path.stem}"))


def _read_run(stage: str, argv: list[str]) -> tuple[dict[str, Any], Run]:
    run = Run.existing(_first(stage, argv, "RUN"))
    path = run.file("config.yaml")
    config = configs.override(configs.read(path), argv[1:], STAGES[stage].reads)
    configs.require(config, STAGES[stage].reads, str(path))
    _check_early(config, str(path))
    return {**config, "out": str(run.path)}, run


def _check_early(config: dict[str, Any], where: str) -> None:
    """Names and grammars that a type cannot check, as far as they are known without TensorFlow."""
    from tfmap.models import catalogue
    from tfmap.tune import space

    try:
        if "backbone" in config["model"]:
            catalogue.find(config["model"]["backbone"])
        if config["tune"].get("space") is not None:
            space.parse(config["tune"]["space"])
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def _read_predict(argv: list[str]) -> tuple[dict[str, Any], Run]:
    model = _first("predict", argv, "MODEL")
    settings = [a for a in argv[1:] if a.startswith("top_k=")]
    pictures = [a for a in argv[1:] if a not in settings]
    if not pictures:
        raise InputError(f"PICTURE is missing. {_usage('predict')}")
    top_k = signatures.Key("top_k", "int", 3, "")
    values = [top_k.check(configs.parse(s.partition("=")[2], s), f"setting {s!r}") for s in settings]
    missing = [p for p in (model, *pictures) if not Path(p).exists()]
    if missing:
        raise FileNotFoundError(f"{missing[0]} does not exist.")
    return {"model": model, "pictures": pictures, "top_k": values[-1] if values else 3}, Run(Path(model).parent)


def _first(stage: str, argv: list[str], what: str) -> str:
    if not argv or ("=" in argv[0] and not Path(argv[0]).exists()):
        raise InputError(f"{what} is missing. {_usage(stage)}")
    return argv[0]


def _refuse_options(stage: str, argv: list[str]) -> None:
    options = [a for a in argv if a.startswith("-")]
    if options:
        raise InputError(f"unknown option {options[0]!r}; settings are written section.key=value. {_usage(stage)}")


def _quiet() -> None:
    """Keep TensorFlow's start-up log, and warnings that are for developers, off the user's screen."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    if not sys.warnoptions:
        warnings.filterwarnings("ignore", category=DeprecationWarning)


def _one_line(error: Exception) -> str:
    text = str(error)
    if isinstance(error, OSError) and (error.errno == errno.ENOSPC or "No space left" in text):
        where = f" at {error.filename}" if error.filename else ""
        return f"the disk is full{where}. Free some space, or write elsewhere with out=RUN; what is there stays whole."
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return " ".join(text.split())


def _fail(name: str, text: str, kind: str = "error", code: int = 2) -> None:
    sys.stderr.write(f"{name}: {kind}: {text}\n")
    sys.exit(code)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


def _usage(stage: str) -> str:
    return f"Usage: python -m tfmap.{stage} {STAGES[stage].takes}"


def _table() -> str:
    rows = [f"  {name:9} {stage.takes:42} {stage.does}" for name, stage in STAGES.items()]
    lines = ["Usage: tfmap <stage> ...  (the same as python -m tfmap.<stage> ...)", "", *rows, ""]
    return "\n".join([*lines, "tfmap <stage> --help explains every key. Start with: tfmap demo"])


def _help(stage: str) -> str:
    about = STAGES[stage]
    lines = [_usage(stage), "", f"{about.does}."]
    if about.takes == _CONFIG:
        lines += ["", "At the top of a config: task (classification), seed (int, default 0), out (the run folder)."]
    for section in about.own:
        lines += ["", f"{section}: {signatures.summary(section)}"]
        lines += [line for key in signatures.keys(section).values() for line in _explain(key)]
    if about.also:
        lines += ["", f"It also reads {', '.join(about.also)}: see python -m tfmap.train --help."]
    return "\n".join(lines)


def _explain(key: signatures.Key) -> list[str]:
    default = "required" if key.default is signatures.REQUIRED else f"default {signatures.as_yaml(key.default)}"
    width = min(shutil.get_terminal_size().columns, 120)
    head = f"  {key.name}  ({signatures.readable(key.annotation)}; {default})"
    return [head, *textwrap.wrap(key.meaning, width, initial_indent=" " * 6, subsequent_indent=" " * 6)]
