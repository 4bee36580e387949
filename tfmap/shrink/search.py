"""Climbing the ladder: each way in a folder of its own, measured once, and the best one published."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

import tfmap
from tfmap.errors import InputError, OverBudget
from tfmap.runs import BESIDE, INSTALLED, Run, remove, replacing, replacing_folder
from tfmap.shrink.ladder import Rung
from tfmap.shrink.points import line

# what a way leaves; the best one's go up into the run folder
_PUBLISHED = ("compressed.keras", "compress.json", "quantized.tflite", *BESIDE, "verify.json", "model.tflite")


def climb(
    run: Run, config: Mapping[str, Any], rungs: Sequence[Rung], *, budget: float, optimise: str
) -> tuple[list[dict], dict[str, str]]:
    """Measure the ways that may still be better.

    Args:
        run: the run folder.
        config: the sections that every way starts from.
        rungs: the ways, from cheap to dear.
        budget: in points of the task's metric.
        optimise: size, latency or budget.

    Returns:
        a point per way that was measured; and name -> why, of those that this model or this data does not allow.
    """
    from rich.console import Console

    console, found, refused, data = Console(soft_wrap=True, highlight=False), [], {}, _digest(config)
    for number, rung in enumerate(_worth(rungs, found, optimise), start=1):
        console.rule(f"{rung.name}, {number} of at most {len(rungs)}")
        try:
            found.append(_measured(run, config, rung, budget, data))
            console.print(line(found[-1]))
        except InputError as error:  # one way less; what the others gave is not lost for it
            refused[rung.name] = str(error)
            console.print(f"{rung.name}: cannot be done here. {error}", markup=False)
    return found, refused


def _worth(rungs: Sequence[Rung], found: list[dict], optimise: str) -> Iterator[Rung]:
    """The ways to try, given what was found when each one's turn comes."""
    for rung in rungs:
        kept = any(point["passed"] for point in found)
        if kept and optimise == "budget":
            return
        if not kept or optimise in rung.helps:
            yield rung


def _digest(config: Mapping[str, Any]) -> str:
    """Of the pictures and what is said about them."""
    from tfmap import datasets

    return datasets.load(**{"seed": config.get("seed", 0), **config["datasets"]}).digest


def _measured(run: Run, config: Mapping[str, Any], rung: Rung, budget: float, data: str) -> dict[str, Any]:
    """One way, as measured now or before with the same model, settings and data."""
    folder = Run(run.file("shrink") / rung.name)
    wanted = _sections(config, rung, budget)
    key = _key(run, [tfmap.__version__, wanted, data])
    path = folder.path / "point.json"
    if path.exists():
        point = json.loads(path.read_text(encoding="utf-8"))
        if point["key"] == key:
            return point
    shutil.rmtree(folder.path, ignore_errors=True)
    _start(run, folder, wanted)
    point = {"key": key, "name": rung.name, **_run_stages(folder, wanted, rung)}
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(point, indent=2) + "\n", encoding="utf-8")
    return point


def _sections(config: Mapping[str, Any], rung: Rung, budget: float) -> dict[str, Any]:
    """The config of one way."""
    sections = {name: dict(config.get(name, {})) for name in ("datasets", "pipeline", "augment")}
    compress = {**config.get("compress", {}), "recipe": rung.recipe} if rung.recipe else {}
    export = {**config.get("export", {}), "format": "int8", **rung.export}
    verify = {**config.get("verify", {}), "budget": budget}
    about = {"task": config["task"], "seed": config.get("seed", 0)}
    return {**about, **sections, "compress": compress, "export": export, "verify": verify}


def _key(run: Run, told: list[Any]) -> str:
    mixed = hashlib.blake2b(run.need("model.keras").read_bytes(), digest_size=16)
    mixed.update(json.dumps(told, sort_keys=True, default=str).encode())
    return mixed.hexdigest()


def _start(run: Run, folder: Run, wanted: Mapping[str, Any]) -> None:
    """A run folder of its own: the model, and a config that the stages read when somebody repeats a command."""
    folder.write_text("config.yaml", yaml.safe_dump({k: v for k, v in wanted.items() if v != {}}, sort_keys=False))
    try:
        os.link(run.file("model.keras"), folder.file("model.keras"))
    except OSError:  # a file system without links
        shutil.copyfile(run.file("model.keras"), folder.file("model.keras"))


def _run_stages(folder: Run, wanted: Mapping[str, Any], rung: Rung) -> dict[str, Any]:
    from tfmap import compress, export, verify

    stages = {"compress": compress, "export": export, "verify": verify}
    names = list(stages)[0 if rung.recipe else 1 :]
    for name in names:
        with suppress(OverBudget):  # which is an answer here
            stages[name].command(dict(wanted), folder)
    measured = folder.read_json("verify.json")
    commands = [f"python -m tfmap.{name} {shlex.quote(str(folder.path))}" for name in names]
    return {"commands": commands, "settings": rung.settings, **_numbers(measured)}


def _numbers(measured: Mapping[str, Any]) -> dict[str, Any]:
    metric, file = measured["metric"], measured["file"]
    return {
        "metric": {"name": metric["name"], "keras": metric["keras"], "file": metric["file"]},
        "drop_points": metric["drop_points"],
        "drop_error": metric.get("drop_error"),
        "bytes": file["bytes"],
        "gzip_bytes": file["gzip_bytes"],
        "latency_ratio": measured["latency_ms"]["1"]["ratio"],
        "passed": measured["passed"],
        "failures": measured["failures"],
    }


def publish(run: Run, best: Mapping[str, Any] | None, result: Mapping[str, Any]) -> None:
    """Write shrink.json and shrink.png, and copy the files of the best way into the run folder."""
    from tfmap.shrink import plot

    run.write_json("shrink.json", result)
    with replacing(run.file("shrink.png")) as temporary:
        plot.draw(result, temporary)
    if best is None:
        return
    folder = Run(run.file("shrink") / best["name"])
    shutil.rmtree(run.candidate().path, ignore_errors=True)
    for name in _PUBLISHED:
        _copied(folder.file(name), run.file(name), run.path / INSTALLED)


def _copied(source: Path, target: Path, keep: Path) -> None:
    if source.is_dir():
        with replacing_folder(target) as temporary:
            shutil.copytree(source, temporary, dirs_exist_ok=True)
            if target in keep.parents and keep.is_dir() and not (temporary / keep.relative_to(target)).exists():
                shutil.move(keep, temporary / keep.relative_to(target))
    elif source.exists():
        with replacing(target) as temporary:
            shutil.copyfile(source, temporary)
    else:
        remove(target, keep=keep)
