"""Stage: the .tflite file against its Keras model, in the runtime that phones use.

A conversion succeeds or fails silently. What can be known is measured here: every validation picture through both, the
task's own metric for both, each layer and each kernel, the graph as it stands in the file, its size, its speed.
"""

from __future__ import annotations

import glob
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from tfmap.checked import checked
from tfmap.errors import OverBudget

if TYPE_CHECKING:
    from pathlib import Path

    import keras
    import numpy as np

    from tfmap.graph import Graph
    from tfmap.litert import LiteModel
    from tfmap.runs import Run
    from tfmap.source import Split

PROBES = 16  # pictures for what is measured inside the file and in every runtime, spread over the classes
FURTHER = 200  # for a channel that says the same to all of those


@checked("verify")
def verify(
    model: keras.Model,
    file: bytes | str | Path,
    split: Split,
    *,
    classes: Sequence[str],
    twin: keras.Model | None = None,
    task: str = "classification",
    against: Literal["model", "compressed"] = "model",
    mode: Literal["strict", "report"] = "strict",
    budget: float = 1.0,
    seconds: float = 1.0,
    batch_size: int = 32,
    keep_float: list[str] | None = None,
    clients: bool = False,
    browser: bool = False,
    format: Literal["float32", "float16", "dynamic", "int8", "int16x8", "int4"] | None = None,
) -> dict[str, Any]:
    """Measure how far a .tflite file is from its Keras model.

    Args:
        model: the Keras model whose metric the file must keep.
        file: path or bytes of the file.
        split: validation examples, all of them.
        classes: the K class names, in the order of the model's outputs.
        twin: the Keras model that the file was converted from, where compression has changed it; default model. Layers
            and kernels are compared with its own.
        task: which task prepares the pictures and scores the answers.
        against: the run folder's Keras model to compare with: model (as trained, so that what compression costs counts
            too) or compressed. For the command; in Python pass the model.
        mode: strict fails the file for every finding (floats in an int8 file, Flex and custom ops, dead channels, other
            weights, answers that depend on the runtime); report lists findings, and only the metric and the metadata
            can fail the file.
        budget: points of the task's metric (1 is 0.01 of accuracy) that the file may be worse than the model.
        seconds: of timing at each number of threads.
        batch_size: pictures at a time through the Keras model.
        keep_float: names of outputs of ops (patterns such as "*block_3*") that an int8 file may compute in floats.
        clients: also run the file in MediaPipe Tasks, the library that apps use; needs the package mediapipe.
        browser: also run the file in the hand-off kit's web page, in headless Chromium; needs that and npm, which
            installs LiteRT.js into tfmap's cache once.
        format: what the file was ordered as, such as int8: one that then computes in floating point is found out. The
            command reads it off what export has left.

    Returns:
        dict: "passed" and "failures" (lines that say why not); "mode" and "findings"; "examples"; "metric" (name,
            keras, file, drop_points, budget; of accuracy also drop_error, the standard error of drop_points: few
            examples cannot tell half a point); "keras" and "file_metrics" (see the task's score); "agreement" (share of
            pictures that both decide alike); "difference" (max and mean of |file - keras| over all scores);
            "disagreements" (the pictures that differ most); "file" and "float32" (bytes, gzip_bytes, sha256, format,
            dtypes, ops, float tensors, sparsity of each); "sizes" (bytes of each op's constants); "layers" (see
            `verify.layers`); "kernels" (see `verify.kernels`); "runtimes", "latency_ms", "memory" (see
            `verify.runtimes`); "clients" and "browser" (see `verify.clients` and `verify.browser`, or None).

    Raises:
        FileNotFoundError: the file does not exist.
        InputError: no TFLite file, other outputs than classes, no examples, a negative budget, clients without
            mediapipe, or browser without one.
    """
    from tfmap import export, flatbuffer, inference, tasks
    from tfmap.verify import answers, asked, inside, integers, labels

    asked.check(split, budget, seconds, against)
    programs = asked.programs(task, clients=clients, browser=browser)  # before minutes of work
    data, graph, lite = flatbuffer.load(file), *_opened(file)
    asked.check_file(lite, model, classes, task, clients=clients)
    ours, theirs = inference.predict_each([lite, model], split, task=task, batch_size=batch_size, progress=True)
    spoilt, ours = answers.broken(ours), answers.mended(ours)
    scored = {
        "examples": len(split),
        **answers.scored(theirs, ours, tasks.truths(split, task), classes=classes, task=task, budget=budget),
        **answers.differences(theirs, ours, split, classes=classes, task=task),
    }
    pictures, further = _probes(lite, split, task), partial(_probes, lite, split, task, FURTHER)
    batch = {"classes": classes, "task": task, "format": "float32", "batch_size": lite.input_shape[0]}
    reference = export.tflite(model, **batch)
    mirror = reference if twin is None else export.tflite(twin, **batch)
    parts = {
        **_outside(data, graph, reference, pictures, seconds),
        **inside.compare(data, mirror, pictures, further, keep_float=keep_float or ()),
    }
    parts |= {name: module and module.check(data, pictures, classes, task) for name, module in programs.items()}
    findings = [
        *answers.findings(theirs, ours),
        *integers.ordered(graph, format),
        *labels.findings(data),
        *_findings(parts),
    ]
    failures = [
        *spoilt,
        *_over_budget(scored["metric"]),
        *labels.failures(data, classes),
        *(findings if mode == "strict" else ()),
    ]
    return {"passed": not failures, "failures": failures, "mode": mode, "findings": findings, **scored, **parts}


def _opened(file: bytes | str | Path) -> tuple[Graph, LiteModel]:
    """Read before it is run: what is wrong in a broken file is told better, and the runtime may crash on it."""
    from tfmap import flatbuffer
    from tfmap.litert import LiteModel

    return flatbuffer.read(file), LiteModel(file)


def _probes(lite: LiteModel, split: Split, task: str, count: int = PROBES) -> np.ndarray:
    """uint8 (N, H, W, C): pictures of each class, as the model sees them."""
    from tfmap.export import representative

    chosen = split.take(representative.stratified(split.labels, count))
    return representative.pictures(chosen, shape=lite.input_shape[1:], task=task)[0]


def _outside(data: bytes, graph: Graph, reference: bytes, pictures: np.ndarray, seconds: float) -> dict[str, Any]:
    """What the file is to those who ship it: sizes, speed, memory, equal answers everywhere."""
    from tfmap import flatbuffer
    from tfmap.verify import runtimes, sizes

    return {
        "file": sizes.described(data, graph),
        "float32": sizes.described(reference, flatbuffer.read(reference)),
        "sizes": sizes.layers(graph),
        "runtimes": runtimes.compare(data, pictures, format=graph.format),
        "latency_ms": runtimes.latencies(data, reference, seconds),
        "memory": runtimes.memory(data, reference),
    }


def _findings(parts: dict[str, Any]) -> list[str]:
    """The findings of all parts, taken out of them."""
    return [
        *parts.pop("findings"),
        *parts["runtimes"].pop("findings"),
        *(line for name in ("clients", "browser") if parts[name] for line in parts[name].pop("findings")),
    ]


def _over_budget(metric: dict[str, Any]) -> list[str]:
    from tfmap.verify import show

    if metric["drop_points"] <= metric["budget"] + 1e-9:  # 100 * (0.9 - 0.89) is a hair more than 1
        return []
    return [
        f"{metric['name']} falls by {metric['drop_points']:.2f}{show.error(metric)} points, "
        f"from {metric['keras']:.4f} to {metric['file']:.4f}; the budget is {metric['budget']:g}."
    ]


def command(config: dict[str, Any], run: Run) -> None:
    """Verify what export left in a run's candidate folder, write verify.json, and publish the files if they passed.

    Without a candidate the published model.tflite is verified again.

    Args:
        config: sections -> keyword arguments, and task.
        run: the run folder.

    Raises:
        FileNotFoundError: there is no .tflite file, or no Keras model.
        InputError: as `verify`, or the data has neither a validation nor a test split.
        OverBudget: the file failed; verify.json says why too, and nothing was published.
    """
    from tfmap import datasets, inference
    from tfmap.export import handoff
    from tfmap.verify import labels, show, twins

    options = dict(config["verify"])
    against = {"model": "model.keras", "compressed": "compressed.keras"}[options.pop("against", "model")]
    waiting = run.candidate().has("model.tflite")
    file = run.candidate().file("model.tflite") if waiting else run.need("model.tflite")
    run.need(against)
    models = {name: inference.opened(run.file(name)) for name in twins.NAMES if run.has(name)}
    source = datasets.load(**{"seed": config["seed"], **config["datasets"]})
    # Where everything was trained on, what was kept for the test is all that can be verified with.
    name = "val" if len(source.splits.get("val", ())) else "test"
    split, lite = source.split(name), _opened(file)[1]
    made = _made(run.candidate() if waiting else run)
    options.setdefault("keep_float", [glob.escape(name) for name in made.get("kept_float", ())])
    options.setdefault("format", made.get("format"))
    made_from = twins.find(models, lite, partial(_probes, lite, split, config["task"]), config["task"])
    twin = None if made_from == against else models[made_from]
    found = verify(models[against], file, split, classes=source.classes, task=config["task"], twin=twin, **options)
    run.write_json("verify.json", {"against": against, "made_from": made_from, "split": name, **found})
    show.show(found)
    if not found["passed"]:
        kept = "It stays there, unpublished." if waiting else ""
        raise OverBudget(f"{file}: {' '.join(found['failures'])} {kept}".strip())
    if waiting:
        run.publish()
    data = run.need("model.tflite").read_bytes() if run.has("golden.npz") else b""
    if data and not labels.findings(data) and handoff.fits(data):
        handoff.refresh(run)


def _made(folder: Run) -> dict[str, Any]:
    """What export has told of the file that it left in a folder."""
    return folder.read_json("export.json") if folder.has("export.json") else {}
