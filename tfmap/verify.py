"""Stage: the .tflite file against its Keras model, in the runtime that phones use.

A conversion succeeds or fails silently. What can be known is measured here: every validation picture through both, the
task's own metric for both, the graph as it stands in the file, its size, its speed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from tfmap.checked import checked
from tfmap.errors import InputError, OverBudget

if TYPE_CHECKING:
    from pathlib import Path

    import keras
    import numpy as np

    from tfmap.graph import Graph
    from tfmap.runs import Run
    from tfmap.source import Split

THREADS = (1, 2)
WORST = 20  # pictures listed: what a person looks through


@checked("verify")
def verify(
    model: keras.Model,
    file: bytes | str | Path,
    split: Split,
    *,
    classes: Sequence[str],
    task: str = "classification",
    against: Literal["model", "compressed"] = "model",
    budget: float = 1.0,
    seconds: float = 1.0,
    batch_size: int = 32,
) -> dict[str, Any]:
    """Measure how far a .tflite file is from its Keras model.

    Args:
        model: the Keras model that the file came from.
        file: path or bytes of the file.
        split: validation examples, all of them.
        classes: the K class names, in the order of the model's outputs.
        task: which task prepares the pictures and scores the answers.
        against: the run folder's Keras model to compare with: model (as trained, so that what compression costs counts
            too) or compressed. For the command; in Python pass the model.
        budget: points of the task's metric (1 is 0.01 of accuracy) that the file may be worse than the model.
        seconds: of timing at each number of threads.
        batch_size: pictures at a time through the Keras model.

    Returns:
        dict: "passed" and "failures" (lines that say why not); "examples"; "metric" (name, keras, file, drop_points,
            budget; of accuracy also drop_error, the standard error of drop_points: few examples cannot tell half a
            point); "keras" and "file_metrics" (see the task's score); "agreement" (share of pictures that both decide
            alike); "difference" (max and mean of |file - keras| over all scores); "file" and "float32" (bytes,
            gzip_bytes, format, dtypes, ops, float tensors, sparsity of each); "latency_ms" (per threads: of the file,
            of the float32 file, and their ratio, timed in turns); "disagreements" (the pictures that differ most).

    Raises:
        FileNotFoundError: the file does not exist.
        InputError: no TFLite file, other outputs than classes, no examples, or a negative budget.
    """
    from tfmap import evaluate, export, flatbuffer
    from tfmap.litert import LiteModel

    _check(split, budget, seconds, against)
    data = flatbuffer.load(file)
    lite = LiteModel(file)
    _check_outputs(lite, model, classes)
    graph = flatbuffer.read(file)
    reference = export.tflite(model, classes=classes, format="float32")
    ours = evaluate.predict(lite, split, task=task, progress=True)
    theirs = evaluate.predict(model, split, task=task, batch_size=batch_size, progress=True)
    found = {
        "examples": len(split),
        **_scored(theirs, ours, split.labels, classes=classes, task=task, budget=budget),
        **_differences(theirs, ours, split, classes),
        "file": _described(data, graph),
        "float32": _described(reference, flatbuffer.read(reference)),
        "latency_ms": _latencies(data, reference, seconds),
    }
    failures = _failures(found, graph, _labels(data), classes)
    return {"passed": not failures, "failures": failures, **found}


def _check(split: Split, budget: float, seconds: float, against: str) -> None:
    if not len(split):
        raise InputError("verify: the split holds no examples. Set datasets.val_fraction above 0.")
    if budget < 0:
        raise InputError(f"verify.budget must be 0 or more points of the task's metric, received {budget}.")
    if seconds <= 0:
        raise InputError(f"verify.seconds must be above 0, received {seconds}.")
    if against != "model":
        raise InputError(
            f"verify.against={against!r} chooses a file of a run folder, for python -m tfmap.verify RUN. "
            "In Python pass that model itself."
        )


def _check_outputs(lite: Any, model: keras.Model, classes: Sequence[str]) -> None:
    found = {lite.name: int(lite.outputs[0]["shape"][-1]), "the Keras model": int(model.output_shape[-1])}
    for name, outputs in found.items():
        if outputs != len(classes):
            raise InputError(f"verify: {name} has {outputs} outputs, the data {len(classes)} classes.")
    if lite.input_shape[1:] != tuple(model.input_shape[1:]):
        raise InputError(
            f"verify: {lite.name} takes pictures of {lite.input_shape[1:]}, the Keras model of "
            f"{tuple(model.input_shape[1:])}. Export the file again from this model."
        )


def _scored(
    theirs: np.ndarray, ours: np.ndarray, truths: np.ndarray, *, classes: Sequence[str], task: str, budget: float
) -> dict[str, Any]:
    from tfmap import scores, tasks

    score = tasks.get(task).score
    keras_metrics, file_metrics = score(theirs, truths, classes=classes), score(ours, truths, classes=classes)
    # With several labels a picture, accuracy is high for a model that always says no.
    name = "map" if keras_metrics.get("map") is not None else "accuracy"
    before, after = keras_metrics[name], file_metrics[name]
    metric = {"name": name, "keras": before, "file": after, "drop_points": 100 * (before - after), "budget": budget}
    if name == "accuracy":
        right = [answers.argmax(axis=1) == truths for answers in (theirs, ours)]
        metric["drop_error"] = 100 * scores.paired_error(*right)
    return {"metric": metric, "keras": keras_metrics, "file_metrics": file_metrics}


def _differences(theirs: np.ndarray, ours: np.ndarray, split: Split, classes: Sequence[str]) -> dict[str, Any]:
    import numpy as np

    several = split.labels.ndim == 2
    alike = ((theirs >= 0.5) == (ours >= 0.5)).all(axis=1) if several else theirs.argmax(axis=1) == ours.argmax(axis=1)
    gaps = np.abs(ours - theirs)
    worst = np.argsort(-gaps.max(axis=1), kind="stable")[:WORST]
    return {
        "agreement": float(alike.mean()),
        "difference": {"max": float(gaps.max()), "mean": float(gaps.mean())},
        "disagreements": [
            {
                "id": str(split.ids[i]),
                "difference": float(gaps[i].max()),
                "keras": _top(theirs[i], classes),
                "file": _top(ours[i], classes),
            }
            for i in worst
        ],
    }


def _top(scores: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    return {"label": classes[int(scores.argmax())], "score": float(scores.max())}


def _described(data: bytes, graph: Graph) -> dict[str, Any]:
    """Everything about a file that running it would not tell."""
    import gzip

    return {"bytes": len(data), "gzip_bytes": len(gzip.compress(data, mtime=0)), **graph.describe()}


def _latencies(data: bytes, reference: bytes, seconds: float) -> dict[str, Any]:
    from tfmap.litert import LiteModel, latency_ms

    found = {}
    for threads in THREADS:
        models = {"file": LiteModel(data, threads=threads), "float32": LiteModel(reference, threads=threads)}
        times = latency_ms(models, seconds=seconds)
        found[str(threads)] = {**times, "ratio": times["file"]["median"] / times["float32"]["median"]}
    return found


def _labels(data: bytes) -> tuple[str, ...] | None:
    """The labels inside the file, None where it holds no metadata."""
    from tfmap import flatbuffer
    from tfmap.export import metadata

    return metadata.read(data).labels if flatbuffer.named_buffer(data, metadata.BUFFER) is not None else None


def _failures(found: dict[str, Any], graph: Graph, labels: tuple[str, ...] | None, classes: Sequence[str]) -> list[str]:
    metric, floats = found["metric"], found["file"]["float_tensors"]
    failures = []
    if metric["drop_points"] > metric["budget"] + 1e-9:  # 100 * (0.9 - 0.89) is a hair more than 1
        failures.append(
            f"{metric['name']} falls by {metric['drop_points']:.2f}{_error(metric)} points, "
            f"from {metric['keras']:.4f} to {metric['file']:.4f}; the budget is {metric['budget']:g}."
        )
    if graph.format == "int8" and floats:
        ops = ", ".join(sorted(set(found["file"]["float_ops"])))
        failures.append(f"{len(floats)} tensors inside the int8 file are floating point, at {ops}.")
    if labels is not None and labels != tuple(classes):
        failures.append(f"the file's labels ({', '.join(labels[:5])}, ...) are not the data's classes.")
    return failures


def command(config: dict[str, Any], run: Run) -> None:
    """Verify a run's model.tflite and write verify.json.

    Args:
        config: sections -> keyword arguments, and task.
        run: the run folder.

    Raises:
        FileNotFoundError: model.tflite or the Keras model is not there.
        InputError: as `verify`, or the data has neither a validation nor a test split.
        OverBudget: the file failed; verify.json says why too.
    """
    from tfmap import datasets, evaluate
    from tfmap.export import handoff

    options = dict(config["verify"])
    against = {"model": "model.keras", "compressed": "compressed.keras"}[options.pop("against", "model")]
    file, model = run.need("model.tflite"), evaluate.opened(run.need(against))
    source = datasets.load(**{"seed": config["seed"], **config["datasets"]})
    # Where everything was trained on, what was kept for the test is all that can be verified with.
    name = "val" if len(source.splits.get("val", ())) else "test"
    found = verify(model, file, source.split(name), classes=source.classes, task=config["task"], **options)
    run.write_json("verify.json", {"against": against, "split": name, **found})
    if run.has("handoff"):
        handoff.refresh(run)
    _show(found)
    if not found["passed"]:
        raise OverBudget(f"{file}: {' '.join(found['failures'])}")


def _show(found: dict[str, Any]) -> None:
    """Print what a mobile team wants to see."""
    from rich.console import Console
    from rich.table import Table

    metric, file, reference = found["metric"], found["file"], found["float32"]
    table = Table("", "Keras, float32 file", "this file", "change")
    change = f"{-metric['drop_points']:+.2f} points"
    table.add_row(metric["name"], f"{metric['keras']:.4f}", f"{metric['file']:.4f}", change)
    table.add_row("log loss", *_pair(found["keras"]["log_loss"], found["file_metrics"]["log_loss"], "{:.4f}"))
    table.add_row("bytes", *_pair(reference["bytes"], file["bytes"], "{:,}"))
    table.add_row("bytes, gzip", *_pair(reference["gzip_bytes"], file["gzip_bytes"], "{:,}"))
    for threads, times in found["latency_ms"].items():
        title = f"ms a picture, {threads} thread{'s' * (threads != '1')}"
        table.add_row(title, *_pair(times["float32"]["median"], times["file"]["median"], "{:.2f}"))
    tells = f" (they tell the change to{_error(metric)} points)" if _error(metric) else ""
    console = Console()
    console.print(table)
    console.print(
        f"{found['examples']} pictures{tells}; {100 * found['agreement']:.2f}% decided alike; scores differ by at most "
        f"{found['difference']['max']:.4f}, {found['difference']['mean']:.5f} on average.\n"
        f"{file['format']} inside, {len(file['float_tensors'])} float tensors; in {file['input']['dtype']}, out "
        f"{file['output']['dtype']}; {100 * file['sparsity']:.1f}% of the weights are zero.",
        highlight=False,
    )


def _error(metric: dict[str, Any]) -> str:
    """The standard error of a drop; there is none for mAP."""
    return f" ± {metric['drop_error']:.2f}" if metric.get("drop_error") else ""


def _pair(before: float, after: float, form: str) -> tuple[str, str, str]:
    return form.format(before), form.format(after), f"x {after / before:.2f}" if before else ""


if __name__ == "__main__":
    from tfmap.cli import main

    main("verify")
