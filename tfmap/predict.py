"""Stage: a .tflite file and pictures -> the likeliest classes of each, named by the labels inside the file.

Pictures go through the same decoding and resizing as in evaluation, so a score here is the score there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfmap.errors import InputError

if TYPE_CHECKING:
    from tfmap.runs import Run
    from tfmap.source import Split

# What counts as a picture in a folder; a file that is named itself may have any name.
SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".avif")


def predict(
    model: str | Path, pictures: Sequence[str | Path], *, top_k: int = 3, task: str = "classification"
) -> list[dict[str, Any]]:
    """Name what is in pictures.

    Args:
        model: a .tflite file with labels inside, or a run folder that holds model.tflite.
        pictures: paths; a folder stands for all pictures below it, sorted by path.
        top_k: how many classes of each picture, at least 1.
        task: which task prepares the pictures and decodes the scores.

    Returns:
        a dict per picture, in order: "picture" (its path), and "classes" (a list of {"label", "score"}, best first) or
        "error" (why it could not be read).

    Raises:
        FileNotFoundError: the model does not exist.
        InputError: no TFLite file, one without labels, a folder without pictures, or top_k below 1.
    """
    from tfmap import evaluate, tasks
    from tfmap.datasets import scan
    from tfmap.litert import LiteModel

    if top_k < 1:
        raise InputError(f"predict: top_k must be at least 1, received {top_k}.")
    file = _file(model)
    lite, labels = LiteModel(file), _labels(file)
    paths = list(_listed(pictures))
    verdicts = [scan.judge_file(path) for path in paths]
    rows = [{"picture": path, "error": verdict.reason} for path, verdict in zip(paths, verdicts, strict=True)]
    good = [i for i, verdict in enumerate(verdicts) if not verdict.reason]
    if good:
        split = _split([paths[i] for i in good], [verdicts[i].odd for i in good])
        scores = evaluate.predict(lite, split, task=task)
        for i, classes in zip(good, tasks.get(task).decode(scores, classes=labels, top_k=top_k), strict=True):
            rows[i] = {"picture": paths[i], "classes": classes}
    return rows


def _file(model: str | Path) -> Path:
    """The .tflite file itself, where a run folder was given."""
    path = Path(model)
    if path.is_dir():
        waiting = path / "candidate" / "model.tflite"
        if not (path / "model.tflite").is_file() and waiting.is_file():
            raise FileNotFoundError(
                f"{path} holds no model.tflite that has passed. Verify the one that waits: "
                f"python -m tfmap.verify {path}; or name it: {waiting}"
            )
        if not (path / "model.tflite").is_file():
            raise FileNotFoundError(f"{path} holds no model.tflite. Export one: python -m tfmap.export {path}")
        return path / "model.tflite"
    if path.suffix == ".keras":
        raise InputError(f"predict takes a .tflite file, which holds its labels, received {path}. Export it first.")
    return path


def _labels(file: Path) -> tuple[str, ...]:
    from tfmap.export import metadata

    labels = metadata.read(file).labels
    if not labels:
        raise InputError(
            f"{file} holds no labels, so its scores have no names. Export it again: python -m tfmap.export RUN"
        )
    return labels


def _listed(pictures: Sequence[str | Path]) -> Iterator[str]:
    for path in map(Path, pictures):
        if not path.is_dir():
            yield str(path)
            continue
        inside = sorted(file for file in path.rglob("[!.]*") if file.suffix.lower() in SUFFIXES)
        if not inside:
            raise InputError(f"predict: folder {path} holds no pictures ({', '.join(SUFFIXES)}).")
        yield from map(str, inside)


def _split(paths: list[str], odd: list[bool]) -> Split:
    import numpy as np

    from tfmap.source import Split

    names = np.array(paths, dtype=object)
    return Split("path", names, np.zeros(len(paths), np.int32), names, np.array(odd, dtype=bool))


def command(config: dict[str, Any], run: Run) -> None:
    """Print the likeliest classes of each picture, the reason of each that cannot be read on stderr.

    Args:
        config: "model" (path), "pictures" (paths) and "top_k".
        run: not used; a prediction leaves nothing behind.

    Raises:
        FileNotFoundError: the model does not exist.
        InputError: as `predict`; or a picture could not be read, once the others are printed.
    """
    from rich.console import Console

    rows = predict(config["model"], config["pictures"], top_k=config["top_k"])
    out, err = (
        Console(soft_wrap=True, highlight=False, markup=False),
        Console(stderr=True, soft_wrap=True, markup=False),
    )
    for row in rows:
        if "error" in row:
            err.print(f"{row['picture']}: {row['error']}")
        else:
            named = "  ".join(f"{item['label']} {item['score']:.3f}" for item in row["classes"])
            out.print(f"{row['picture']}: {named}")
    failed = sum("error" in row for row in rows)
    if failed:
        raise InputError(f"{failed} of {len(rows)} pictures could not be read; the reasons stand above.")


if __name__ == "__main__":
    from tfmap.cli import main

    main("predict")
