"""The command line: a stage by its name, and exit codes.

`python -m tfmap.train …`, `python -m tfmap train …` and `tfmap train …` are the same thing. Whatever can be checked
without TensorFlow is checked before it is imported.
"""

from __future__ import annotations

import errno
import importlib
import os
import shlex
import sys
import tempfile
import traceback
import warnings
from collections.abc import Sequence
from typing import Any

import tfmap
from tfmap import arguments
from tfmap.errors import InputError, OverBudget, did_you_mean
from tfmap.stages import STAGES, explain, table


def console() -> None:
    """The console command `tfmap`, and `python -m tfmap`: `tfmap <stage> …` is `python -m tfmap.<stage> …`."""
    argv = sys.argv[1:]
    if not argv or argv[0] in ("-h", "--help"):
        _say(table())
    elif argv[0] == "--version":
        _say(f"tfmap {tfmap.__version__}")
    elif argv[0] in STAGES:
        main(argv[0], argv[1:])
    else:
        hint = did_you_mean(argv[0], STAGES)
        _fail("tfmap", f"unknown stage {argv[0]!r}. Stages: {', '.join(STAGES)}.{hint}")


def main(stage: str, argv: Sequence[str] | None = None) -> None:
    """Run one stage and exit: 0 done, 1 the file is over its budget, 2 bad input, 70 a fault of ours, 130 interrupted.

    Args:
        stage: one of STAGES.
        argv: its arguments; default those of the process.

    Raises:
        SystemExit: always, with the exit code.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    if "--version" in argv:
        _say(f"tfmap {tfmap.__version__}")
    elif "-h" in argv or "--help" in argv:
        _say(explain(stage))
    else:
        _run(stage, argv)
    sys.exit(0)


def _run(stage: str, argv: list[str]) -> None:
    stage, argv = arguments.budgeted(stage, argv)
    name = f"tfmap {stage}"
    try:
        config, run = arguments.read(stage, argv)
        if _needs_tensorflow(stage, config):
            _import_quietly()
        importlib.import_module(f"tfmap.{stage}").command(config, run)
    except KeyboardInterrupt:
        _fail(name, f"interrupted. To go on: python -m tfmap.{stage} {shlex.join(argv)}", "stopped", 130)
    except OverBudget as error:
        _fail(name, _one_line(error), "over budget", 1)
    except (InputError, OSError) as error:
        _fail(name, _one_line(error))
    except Exception:  # 1 would say that a file is over its budget
        traceback.print_exc()
        _fail(name, "this is a fault of tfmap, please report the lines above", "crashed", 70)


def _needs_tensorflow(stage: str, config: dict[str, Any]) -> bool:
    """Three stages do without it, two of them unless their source or a model asks for it."""
    if stage == "inspect":
        return False
    if stage not in ("doctor", "prepare"):
        return True
    data = config["datasets"]
    return data["source"].startswith("tfds:") or data.get("format") == "tfds" or "model" in config["doctor"]


def _import_quietly() -> None:
    """Import TensorFlow without the dozen lines that it logs at its start, whatever its log level says.

    They are shown if the import fails, or if TF_CPP_MIN_LOG_LEVEL asks for them.
    """
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") != "3":
        return
    if not sys.warnoptions:
        warnings.filterwarnings("ignore", category=DeprecationWarning)
    screen = os.dup(2)
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 2)
        try:
            tensorflow = importlib.import_module("tensorflow")
            tensorflow.config.list_physical_devices()
        except BaseException:
            log.seek(0)
            os.write(screen, log.read())
            raise
        finally:
            os.dup2(screen, 2)
            os.close(screen)


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
