"""Stage: a .tflite file and pictures -> what is in each, named by the labels inside the file, and drawn.

Pictures go through the same decoding and resizing as in evaluation, so a score here is the score there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from tfmap.errors import InputError
from tfmap.progress import bar, shown

if TYPE_CHECKING:
    from tfmap.litert import LiteModel
    from tfmap.runs import Run
    from tfmap.source import Split

SHOWN = 0.3  # least score of a box of a file that does not say one
LAPPED = 0.9  # the most that windows may have in common: beyond it there are a hundred for each that is needed
# What counts as a picture in a folder; a file that is named itself may have any name.
SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".avif")


def predict(
    model: str | Path,
    pictures: Sequence[str | Path],
    *,
    top_k: int = 3,
    threshold: float | None = None,
    out: str | Path | None = None,
    windows: float | None = None,
    task: str | None = None,
) -> list[dict[str, Any]]:
    """Name what is in pictures.

    Args:
        model: a .tflite file with labels inside, or a run folder that holds model.tflite.
        pictures: paths; a folder stands for all pictures and films below it, sorted by path.
        top_k: how many classes of each picture a classifier names, at least 1.
        threshold: least score of a box, in 0..1; none takes the file's own, with the best F1 on validation pictures,
            and 0.3 where it has none.
        out: folder for the pictures with what was found drawn over them, each under its own name.
        windows: look at larger pictures through windows of the model's size, at their own scale, of which neighbours
            have this share of a side in common, in [0, 0.9], such as 0.25; none shrinks them to the model's size.
        task: which task prepares the pictures and decodes the scores; none takes the one that the file names.

    Returns:
        a dict per picture, in order: "picture" (its path), and "classes" (a list of {"label", "score"}, best first, of
        boxes with "box", [top, left, bottom, right] in pixels, of masks {"label", "share"}), with `out` also "drawn"
        (the path), or "error" (why it could not be read). Of a film also "frames" (how many), and "classes" is what
            `tfmap.watched.summed` says.

    Raises:
        FileNotFoundError: the model does not exist.
        InputError: no TFLite file, one without labels, a folder without pictures, or a number out of range.
    """
    from tfmap import films, inference, tasks
    from tfmap.datasets import scan
    from tfmap.litert import LiteModel

    _check(top_k, threshold, windows)
    file = _file(model)
    lite, (labels, about) = LiteModel(file), _labels(file)
    task, paths = task or about.get("task", "classification"), list(_listed(pictures))
    threshold = about.get("threshold", SHOWN) if threshold is None else threshold
    module = tasks.get(task)
    if windows is not None and not hasattr(module, "whole"):
        raise InputError(f"predict: windows are for boxes and masks; what a whole picture is, {task} sees at once.")
    moving = {i for i, path in enumerate(paths) if films.is_film(path)}
    verdicts = {i: scan.judge_file(path) for i, path in enumerate(paths) if i not in moving}
    rows = [{"picture": path, "error": verdicts[i].reason if i in verdicts else ""} for i, path in enumerate(paths)]
    good = [i for i, verdict in verdicts.items() if not verdict.reason]
    how = {"classes": labels, **tasks.accepted(module.describe, top_k=top_k, threshold=threshold)}
    drawing = partial(module.drawn, classes=labels, **tasks.accepted(module.drawn, threshold=threshold))
    if good:
        large = _through_windows(lite, {i: paths[i] for i in good}, module, windows) if windows is not None else {}
        rest = [i for i in good if i not in large]
        split = _split([paths[i] for i in rest], [verdicts[i].odd for i in rest])
        small = inference.predict(lite, split, task=task, progress=True) if rest else []
        found = large | dict(zip(rest, small, strict=True))
        answers = [found[i] for i in good]
        for i, answer in zip(good, answers, strict=True):
            rows[i] = {"picture": paths[i], "classes": module.describe(answer, **how)}
        if out is not None:
            drawn = _draw([paths[i] for i in good], answers, drawing, labels, Path(out))
            for i, path in zip(good, drawn, strict=True):
                rows[i]["drawn"] = str(path)
    for i in sorted(moving):
        rows[i] = _watched(lite, paths[i], module, partial(module.describe, **how), drawing, out)
    return rows


def _watched(
    lite: LiteModel, path: str, module: ModuleType, describe: Callable, drawing: Callable, out: str | Path | None
) -> dict[str, Any]:
    """What is in a film, or why it cannot be read."""
    from tfmap import watched

    target = None if out is None else Path(out) / f"{Path(path).stem}.mp4"
    try:
        classes = drawing.keywords["classes"]
        return watched.watch(lite, path, module, describe=describe, drawing=drawing, out=target, classes=classes)
    except InputError as error:
        return {"picture": path, "error": str(error)}


def _through_windows(lite: LiteModel, paths: Mapping[int, str], module: ModuleType, overlap: float) -> dict[int, Any]:
    """What the model says of the windows of those pictures that are large enough."""
    from tfmap import pixels, windows

    (height, width, channels), found = lite.input_shape[1:], {}
    for i, path in shown(paths.items(), len(paths), "Windows"):
        image = pixels.read(path, channels)
        if windows.fits(image.shape[:2], (height, width)):
            places = windows.corners(image.shape[:2], (height, width), overlap)
            outputs = lite.predict(windows.cut(image, places, (height, width)))
            found[i] = module.whole(outputs, places, (height, width), image.shape[:2])
    return found


def _check(top_k: int, threshold: float | None, windows: float | None) -> None:
    if windows is not None and not 0 <= windows <= LAPPED:
        raise InputError(f"predict: windows must be in 0..{LAPPED}, received {windows}.")
    if top_k < 1:
        raise InputError(f"predict: top_k must be at least 1, received {top_k}.")
    if threshold is not None and not 0 <= threshold <= 1:
        raise InputError(f"predict: threshold must be in 0..1, received {threshold}.")


def _draw(
    paths: Sequence[str], answers: Sequence[Any], drawing: Callable, labels: Sequence[str], out: Path
) -> list[Path]:
    """The pictures at their own size with what was found in them; names that come twice get a number."""
    from tfmap import pixels, sheets
    from tfmap.runs import replacing

    made: list[Path] = []
    with bar("drawing", len(paths)) as show:
        for path, answer in zip(paths, answers, strict=True):
            image = pixels.read(path)
            same = sum(one.stem.partition("~")[0] == Path(path).stem for one in made)
            made.append(out / f"{Path(path).stem}{f'~{same}' if same else ''}.png")
            with replacing(made[-1]) as temporary:
                sheets.captioned(drawing(image, answer), labels).save(temporary)
            show(len(made))
    return made


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


def _labels(file: Path) -> tuple[tuple[str, ...], Mapping[str, Any]]:
    """Class names, and what the file says about itself."""
    from tfmap.export import metadata

    found = metadata.read(file)
    if not found.labels:
        raise InputError(
            f"{file} holds no labels, so its scores have no names. Export it again: python -m tfmap.export RUN"
        )
    return found.labels, found.about


def _listed(pictures: Sequence[str | Path]) -> Iterator[str]:
    from tfmap import films

    suffixes = (*SUFFIXES, *films.SUFFIXES)
    for path in map(Path, pictures):
        if not path.is_dir():
            yield str(path)
            continue
        inside = sorted(file for file in path.rglob("[!.]*") if file.suffix.lower() in suffixes)
        if not inside:
            raise InputError(f"predict: folder {path} holds no pictures ({', '.join(SUFFIXES)}) and no films.")
        yield from map(str, inside)


def _split(paths: list[str], odd: list[bool]) -> Split:
    import numpy as np

    from tfmap.source import Split

    names = np.array(paths, dtype=object)
    return Split("path", names, np.zeros(len(paths), np.int32), names, np.array(odd, dtype=bool))


def command(config: dict[str, Any], run: Run) -> None:
    """Print the likeliest classes of each picture, the reason of each that cannot be read on stderr.

    Args:
        config: "model" (path), "pictures" (paths), and further keywords of `predict`.
        run: not used; a prediction leaves nothing behind but the drawn pictures.

    Raises:
        FileNotFoundError: the model does not exist.
        InputError: as `predict`; or a picture could not be read, once the others are printed.
    """
    from rich.console import Console

    rows = predict(**config)
    out, err = (
        Console(soft_wrap=True, highlight=False, markup=False),
        Console(stderr=True, soft_wrap=True, markup=False),
    )
    for row in rows:
        if "error" in row:
            err.print(f"{row['picture']}: {row['error']}")
        else:
            out.print(f"{row['picture']}: {'  '.join(map(_named, row['classes'])) or 'nothing found'}")
    failed = sum("error" in row for row in rows)
    if failed:
        raise InputError(f"{failed} of {len(rows)} pictures could not be read; the reasons stand above.")


def _named(item: dict[str, Any]) -> str:
    """One thing found, as a few words."""
    text = f"{item['label']} {item.get('score', item.get('share')):.3f}"
    if "frames" in item:
        return f"{text} in {item['frames']} frames"
    return f"{text} at [{', '.join(f'{edge:.0f}' for edge in item['box'])}]" if "box" in item else text


if __name__ == "__main__":
    from tfmap.cli import main

    main("predict")
