"""The hand-off kit: a folder that an app's team needs nothing beside, filled in for one very file.

README.md            what it is, its numbers, how to check and use it
model.tflite         the file; labels.txt, labels_de.txt: its labels
golden.npz, golden/  test vectors: pictures of the model's size and the file's own answers
android/ ios/        Kotlin (LiteRT; MediaPipe Tasks), Swift
python/              a program that also checks a machine against the vectors
web/                 a page that runs the file in a browser, with LiteRT.js
SHA256SUMS           of all the others
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfmap.export import golden, metadata
from tfmap.export.handoff import facts, pages, pictures
from tfmap.runs import Run, replacing_folder

SUMS, INSTALLED = "SHA256SUMS", "node_modules"


def write(
    folder: str | Path, model: bytes, vectors: Mapping[str, np.ndarray], *, verified: Mapping[str, Any] | None = None
) -> None:
    """Write the kit of a file; a kit that was there is replaced, what npm installed into its web page stays.

    Args:
        folder: the kit's folder.
        model: bytes of a .tflite file with metadata.
        vectors: what `golden.vectors` gave for it.
        verified: what `verify` found, for the README.

    Raises:
        InputError: no TFLite file, one without labels, or one with another input or output than uint8, int8 or float32.
    """
    told = facts.of(model, len(vectors["images"]), verified)
    vectors = {**vectors, "ids": np.array([_short(name) for name in vectors["ids"]], dtype=str)}
    with replacing_folder(folder) as kit:
        (kit / "model.tflite").write_bytes(model)
        for name, labels in told["label_files"].items():
            (kit / name).write_text("\n".join(labels) + "\n", encoding="utf-8")
        golden.write(kit / "golden.npz", vectors)
        pictures.write(kit / "golden", vectors, told)
        pages.write(kit, told)
        _sign(kit)
        _keep_installed(Path(folder) / "web" / INSTALLED, kit / "web")


def fits(model: bytes) -> bool:
    """Whether there is a kit for a file: its snippets leave the suppression of boxes to the file.

    Args:
        model: bytes of a .tflite file with metadata.
    """
    return metadata.read(model).about.get("suppression", True)


def refresh(run: Run) -> None:
    """Write a run's kit again, with the numbers of its verify.json.

    Raises:
        FileNotFoundError: the run was not exported, or not verified.
    """
    with np.load(run.need("golden.npz")) as found:
        vectors = dict(found)
    data = run.need("model.tflite").read_bytes()
    write(run.file("handoff"), data, vectors, verified=run.read_json("verify.json"))


def _short(name: str) -> str:
    """Class folder and file: where the pictures lie on this machine is nobody's business."""
    return "/".join(Path(str(name)).parts[-2:])


def _sign(kit: Path) -> None:
    files = sorted(path.relative_to(kit).as_posix() for path in kit.rglob("*") if path.is_file())
    lines = [f"{hashlib.sha256((kit / name).read_bytes()).hexdigest()}  {name}\n" for name in files]
    (kit / SUMS).write_text("".join(lines), encoding="utf-8")


def _keep_installed(before: Path, web: Path) -> None:
    if before.is_dir() and web.is_dir():
        shutil.move(before, web / INSTALLED)
