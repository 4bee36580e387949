"""The run folder: fixed names, written whole or not at all."""

from __future__ import annotations

import csv
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tfmap.errors import InputError

# Every file that a stage may leave in a run folder, and the stage that writes it.
FILES = {
    "config.yaml": "train",
    "versions.json": "train",
    "data.json": "train",
    "skipped.csv": "train",
    "history.csv": "train",
    "checkpoints": "train",
    "tensorboard": "train",
    "model.keras": "train",
    "preview.png": "preview",
    "profile.json": "profile",
    "profile.png": "profile",
    "profile.svg": "profile",
    "trials": "tune",
    "trials.csv": "tune",
    "tune.json": "tune",
    "best.yaml": "tune",
    "compare": "compare",
    "compare.csv": "compare",
    "compare.json": "compare",
    "compare.png": "compare",
    "metrics.json": "evaluate",
    "mistakes.json": "evaluate",
    "predictions.npz": "evaluate",
    "curves.json": "evaluate",
    "worst_val.png": "evaluate",
    "worst_test.png": "evaluate",
    "compressed.keras": "compress",
    "quantized.tflite": "compress",
    "compress.json": "compress",
    "candidate": "export",
    "model.tflite": "export",
    "labels.txt": "export",
    "export.json": "export",
    "golden.npz": "export",
    "handoff": "export",
    "saved_model": "export",
    "model.onnx": "export",
    "inference.keras": "export",
    "inspect.json": "inspect",
    "verify.json": "verify",
    "shrink": "shrink",
    "shrink.json": "shrink",
    "shrink.png": "shrink",
    "report.html": "report",
    "findings.json": "doctor",
    "doctor.html": "doctor",
    "quarantine.txt": "doctor",
}
# What export may write beside model.tflite; it belongs to that very file.
BESIDE = tuple(name for name, stage in FILES.items() if stage == "export" and name not in ("candidate", "model.tflite"))
INSTALLED = "handoff/web/node_modules"  # what npm has put into a kit; the next kit takes it over


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Write a file whole or not at all: yields a temporary path beside `path`, renamed onto it when the block succeeds.

    Whatever stops the block (an error, a full disk), the file that was there before is left as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # A folder of its own keeps the suffix, which Keras and np.savez read.
    folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield folder / path.name
        _sync(folder / path.name)
        os.replace(folder / path.name, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def replacing_folder(path: str | Path) -> Iterator[Path]:
    """As `replacing`, for a folder: yields an empty one beside `path` that takes its place when the block succeeds."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    made = folder / "made"
    made.mkdir()
    try:
        yield made
        if path.exists():
            os.replace(path, folder / "before")
        os.replace(made, path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove(path: Path, *, keep: Path | None = None) -> None:
    """Remove a file or a folder, where there is one.

    Args:
        path: of it.
        keep: a path inside the folder that stays, where there is one.
    """
    if path == keep:
        return
    if keep is not None and path in keep.parents and keep.exists():
        for inside in path.iterdir():
            remove(inside, keep=keep)
    elif path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Have the bytes on disk before the rename, so that a power cut cannot leave an empty file under a good name."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())


class Run:
    """A run folder.

    Args:
        path: the folder; made on the first write.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @classmethod
    def existing(cls, path: str | Path) -> Run:
        """A run folder that `train` has made.

        Raises:
            FileNotFoundError: it is not there.
            InputError: it is there but holds no config.yaml.
        """
        run = cls(path)
        if not run.path.is_dir():
            raise FileNotFoundError(
                f"run folder {run.path} does not exist. Make one: python -m tfmap.train CONFIG out={run.path}"
            )
        if not run.has("config.yaml"):
            raise InputError(
                f"{run.path} is not a run folder: it holds no config.yaml. "
                "Make one: python -m tfmap.train CONFIG out=RUN"
            )
        return run

    def file(self, name: str) -> Path:
        """The path of one of the fixed names."""
        if name not in FILES:
            raise InputError(f"run folder: {name!r} is no file of a run. Known: {', '.join(FILES)}.")
        return self.path / name

    def has(self, name: str) -> bool:
        """Whether a stage has written this file."""
        return self.file(name).exists()

    def need(self, name: str) -> Path:
        """The path of a file that an earlier stage must have written.

        Raises:
            FileNotFoundError: it is not there; the text names the stage that writes it.
        """
        path = self.file(name)
        if not path.exists():
            stage = FILES[name]
            arguments = f"{self.path / 'config.yaml'} out={self.path}" if stage == "train" else self.path
            raise FileNotFoundError(f"{path} is missing. Run this stage first: python -m tfmap.{stage} {arguments}")
        return path

    def candidate(self) -> Run:
        """The folder in which export leaves its files, under their fixed names, until verify has passed them."""
        return Run(self.file("candidate"))

    def publish(self) -> None:
        """Move everything in the candidate folder to the run folder, model.tflite last.

        What an earlier export has left there and this one has not made is removed: it belongs to another file. verify
        writes the kit, handoff/, anew.
        """
        waiting = self.candidate().path
        for name in BESIDE:
            if not (waiting / name).exists():
                remove(self.path / name, keep=self.path / INSTALLED)
        for path in sorted(waiting.iterdir(), key=lambda path: path.name == "model.tflite"):
            place = self.path / path.name
            if place.is_dir():
                shutil.rmtree(place)  # a folder cannot be renamed onto one that holds files
            os.replace(path, place)
        waiting.rmdir()

    def write_text(self, name: str, text: str) -> Path:
        """Write a text file atomically."""
        with replacing(self.file(name)) as temporary:
            temporary.write_text(text, encoding="utf-8")
        return self.file(name)

    def write_bytes(self, name: str, data: bytes) -> Path:
        """Write a binary file atomically."""
        with replacing(self.file(name)) as temporary:
            temporary.write_bytes(data)
        return self.file(name)

    def write_json(self, name: str, value: Mapping[str, Any] | Sequence[Any]) -> Path:
        """Write a JSON file atomically."""
        return self.write_text(name, json.dumps(value, indent=2, allow_nan=False) + "\n")

    def read_json(self, name: str) -> Any:
        """Read a JSON file that an earlier stage must have written."""
        return json.loads(self.need(name).read_text(encoding="utf-8"))

    def write_rows(self, name: str, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Path:
        """Write a CSV file atomically."""
        with replacing(self.file(name)) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            writer.writerows(rows)
        return self.file(name)

    def read_rows(self, name: str) -> list[dict[str, str]]:
        """Read a CSV file that an earlier stage must have written."""
        with open(self.need(name), newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
