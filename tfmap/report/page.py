"""A run folder -> what the page shows -> HTML."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tfmap import datasets, signatures
from tfmap.errors import InputError
from tfmap.report import artefacts, facts, pictures, plots, splits
from tfmap.report.card import model_card
from tfmap.runs import Run
from tfmap.source import Source
from tfmap.verify import show

MOST_LINES = 30  # of one kind of finding, and of skipped files


def render(context: Mapping[str, Any]) -> str:
    """The page as HTML; every value from the run is escaped."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["size"] = artefacts.readable_size
    environment.filters["difference"] = show.difference
    return environment.get_template("page.html").render(MOST=MOST_LINES, **context)


def collect(run: Run, config: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that the page shows, as plain values.

    Raises:
        FileNotFoundError: the run has no model.keras.
        InputError: one of its files is broken.
    """
    model, data = facts.model(run, config["task"]), facts.read(run, "data.json")
    metrics = (facts.read(run, "metrics.json") or {}).get("splits", {})
    history, rows = facts.history(run), artefacts.collect(run, metrics)
    verify, (source, note) = facts.read(run, "verify.json"), _source(config)
    shown = {
        "run": str(run.path),
        "title": run.path.resolve().name,
        "subtitle": _subtitle(config, model, data),
        "artefacts": rows,
        "metric": artefacts.metric(metrics),
        "cards": artefacts.cards(rows, metrics, verify),
        "card": model_card(
            {"data": data, "metrics": metrics, "model": _described(config, model), "epochs": len(history)}
        ),
        "verify": artefacts.verdict(verify),
        "compress": _compression(facts.read(run, "compress.json")),
        "curves": plots.learning_curves(history),
        "epochs": len(history),
        "splits": splits.collect(run, metrics, source),
        **_samples(source, config, model, note),
        "data": data,
        "balance": facts.balance(data) if data else [],
        "config": facts.text(run, "config.yaml"),
        "versions": facts.read(run, "versions.json"),
        "files": facts.files(run),
    }
    return {**shown, "sections": _sections(shown)}


def _source(config: Mapping[str, Any]) -> tuple[Source | None, str]:
    """The data, for its pictures; or the reason why the report shows none."""
    try:
        return datasets.load(**{"seed": config["seed"], **config["datasets"]}), ""
    except (OSError, InputError, ImportError) as error:
        return None, f"The data cannot be read here any more, so the report shows no pictures: {error}"


def _described(config: Mapping[str, Any], model: Mapping[str, Any]) -> dict[str, Any]:
    """The model with the settings that made it; where the config is silent, the default that held."""
    keys = signatures.keys("model", config["task"])
    settings = {name: config["model"].get(name, keys[name].default) for name in ("backbone", "weights")}
    return {**model, **settings, "seed": config["seed"], "keep": config["train"].get("keep", "best")}


def _subtitle(config: Mapping[str, Any], model: Mapping[str, Any], data: Mapping[str, Any] | None) -> list[str]:
    backbone = _described(config, model)["backbone"]
    size = " × ".join(map(str, model["input"]))
    return [
        f"image {config['task']}",
        backbone,
        f"{model['outputs']} classes",
        size,
        *([data["source"]] if data else []),
    ]


def _compression(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """compress.json as the page shows it: its settings, its learning curves and the zeros of each layer."""
    if not found:
        return None
    settings = {key: value for key, value in found.items() if key not in ("sparsity", "history", "scores")}
    history = [{**row, "phase": row.get("step", "")} for row in found.get("history", [])]
    rows = [{key: value for key, value in row.items() if key != "step"} for row in history]
    return {"settings": settings, "layers": found.get("sparsity", {}), "curves": plots.learning_curves(rows)}


def _samples(source: Source | None, config: Mapping[str, Any], model: Mapping[str, Any], note: str) -> dict[str, Any]:
    rows = []
    if source and "train" in source.splits:
        try:
            rows = pictures.samples(source.splits["train"], classes=source.classes, shape=model["input"], config=config)
        except InputError as error:
            note = str(error)
    return {"samples": rows, "pictures_note": note, "policy": config["augment"].get("ops", "")}


def _sections(shown: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Anchor and name of each section that is there, in the order of the page."""
    wanted = [
        ("artefacts", "What there is to ship", True),
        ("card", "Model card", shown["card"]),
        ("verify", "File against model", shown["verify"]),
        ("compress", "Compression", shown["compress"]),
        ("training", "Learning curves", shown["curves"]),
        *((split["id"], split["name"].capitalize(), True) for split in shown["splits"]),
        ("samples", "What the network sees", shown["samples"] or shown["pictures_note"]),
        ("data", "Data", shown["data"]),
        ("config", "Config", True),
        ("versions", "Versions", shown["versions"]),
        ("files", "Files", True),
    ]
    return [(anchor, name) for anchor, name, there in wanted if there]
