"""What to change so that a training runs faster: lines of text from the figures of a profile."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

# A part of a side (input or compute) is worth a line from this share on.
_LARGE = 0.3
_NEAR = 0.8  # the slower side is to the faster one as 1 to this: both would have to be faster


def lines(found: Mapping[str, Any], config: Mapping[str, Any]) -> list[str]:
    """Advice, what helps most first.

    Args:
        found: what `profile` measured.
        config: the sections of the config.
    """
    rates = found["rates"]
    slow, fast = (rates[name] for name in (found["limit"], "compute" if found["limit"] == "input" else "input"))
    head = f"The {found['limit']} limits: it manages {slow:.0f} pictures a second, the other side {fast:.0f}."
    if slow > _NEAR * fast:
        head += " They are close, so a faster step needs both."
    return [head, *(_input(found, config) if found["limit"] == "input" else _compute(found, config))]


def _input(found: Mapping[str, Any], config: Mapping[str, Any]) -> list[str]:
    about, parts, options = found["about"], found["parts"], config.get("pipeline", {})
    height, width, channels = about["input_shape"]
    megabytes = about["pictures"] * height * width * channels / 2**20
    said = []
    if options.get("crop") is not None:
        said.append(
            "pipeline.crop keeps the pictures out of a cache: crop on the device instead, with augment rrc(...)."
        )
    if found["cache"] == "none":
        said.append(f"Keep the resized pictures: pipeline.cache=memory takes {megabytes:.0f} MB, disk the same there.")
        if parts["read"]["share"] + parts["decode"]["share"] > _LARGE:
            said.append(
                f"Smaller files are read and decoded faster: python -m tfmap.prepare {about['source']} with "
                f"prepare.max_side={2 * max(height, width)}."
            )
        if about["odd"] > 0.05:
            said.append(
                f"{about['odd']:.0%} of the pictures go through Pillow; python -m tfmap.prepare makes them plain."
            )
        said.append("More cores, or the cores of other machines: pipeline.service=grpc://HOST:PORT.")
    if options.get("workers") is not None:
        said.append("pipeline.workers is set; leave it to the number of cores.")
    return said


def _compute(found: Mapping[str, Any], config: Mapping[str, Any]) -> list[str]:
    parts, about = found["parts"], found["about"]
    said = []
    if parts["augment"]["share"] > _LARGE:
        share = parts["augment"]["share"]
        said.append(f"augment takes {share:.0%} of the computation: drop ops that cost much, such as blur or equalize.")
    if parts["transfer"]["share"] > _LARGE:
        said.append("Sending batches takes long: keep them uint8 and the pictures no larger than they need to be.")
    if about["gpus"] and about["precision"] == "float32":
        said.append("The GPU is faster in half precision: train.precision=mixed_float16 (or mixed_bfloat16).")
    if about["gpus"] and about["batch_size"] < 64:
        said.append(f"A batch of {about['batch_size']} leaves a GPU idle: pipeline.batch_size=128, if memory allows.")
    if not about["gpus"]:
        said.append(
            "There is no GPU: a smaller model.input_shape, a lighter model.backbone, or a later train.unfreeze."
        )
    return said


def show(found: Mapping[str, Any], path: Path) -> None:
    """Print the table, the advice and where the rest is."""
    about = found["about"]
    table = Table("part", "ms a step", "us a picture", "share", title=f"A step of {about['batch_size']} pictures")
    for part, row in found["parts"].items():
        table.add_row(part, f"{row['ms']:.1f}", f"{row['us']:.0f}", f"{row['share']:.0%}")
    for name in ("input", "compute", "step"):
        table.add_row(name, f"{found[f'{name}_ms']:.1f}", "", f"{found['rates'][name]:.0f} pictures/s")
    out = Console(soft_wrap=True, highlight=False)
    out.print(table)
    if found["cache"] != "none":
        out.print(f"read, decode and resize are done once: the pipeline keeps the pictures ({found['cache']}).")
    for line in found["advice"]:
        out.print(line)
    memory = ", ".join(f"{name} {value:.0f} MB" for name, value in found["memory_mb"].items())
    out.print(f"Most memory: {memory}. {path} holds every figure, profile.png beside it the picture.")
