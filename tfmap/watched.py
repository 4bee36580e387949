"""A film through a file: what is in it, frame by frame, summed up and drawn."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from tfmap import films, sheets, tasks
from tfmap.progress import bar
from tfmap.runs import replacing

if TYPE_CHECKING:
    from tfmap.litert import LiteModel

LEAST = 0.85  # of the model's size, as in `tfmap.pipeline.decode`
TEXT = 40  # pixels below a frame, where a classifier's words stand


def watch(
    lite: LiteModel,
    path: str,
    module: ModuleType,
    *,
    describe: Callable[[Any], list[dict[str, Any]]],
    drawing: Callable[[np.ndarray, Any], sheets.Picture],
    out: Path | None = None,
    classes: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Look at every frame of a film.

    Args:
        lite: the file.
        path: of the film.
        module: the task's.
        describe: an answer -> its parts by name.
        drawing: a frame and an answer -> the frame with the answer.
        out: where the film is written again, with what was found drawn over it; none writes nothing.
        classes: names for what is drawn.

    Returns:
        dict: "picture" (the path), "frames" (how many), "classes" (see `summed`), and with `out` "drawn".

    Raises:
        InputError: OpenCV is not installed, or it cannot read the film.
    """
    film, seen = films.about(path), []
    with bar(Path(path).name, film.frames or None) as show:

        def looked() -> Iterator[tuple[np.ndarray, Any]]:
            for frame, answer in _answered(lite, films.frames(path), module):
                seen.append(describe(answer))
                show(len(seen))
                yield frame, answer

        if out is None:
            for _ in looked():
                pass
        else:
            with replacing(out) as temporary:
                films.write(temporary, (page(drawing(*one), classes) for one in looked()), film.rate)
    found = {"picture": path, "frames": len(seen), "classes": summed(seen)}
    return found if out is None else {**found, "drawn": str(out)}


def _answered(lite: LiteModel, frames: Iterable[np.ndarray], module: ModuleType) -> Iterator[tuple[np.ndarray, Any]]:
    """Each frame, and what the file says of it."""
    height, width, channels = lite.input_shape[1:]
    for frame in frames:
        whole = np.int32(frame.shape[:2])
        small = reduced(frame, (height, width))
        prepared = module.prepare({"image": small, "whole": whole}, (height, width))["image"]
        picture = np.asarray(prepared) if channels == 3 else np.asarray(tf.image.rgb_to_grayscale(prepared))
        outputs = lite.predict(picture[None])
        places = tasks.accepted(module.decode, size=(height, width), whole=whole[None])
        yield frame, module.decode(outputs, **places)[0]


def reduced(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A large frame as a JPEG of it is read: means of 2 x 2, 4 x 4 or 8 x 8 pixels.

    Args:
        frame: uint8 (h, w, 3).
        size: (height, width) in pixels, of which both sides stay at least 0.85.
    """
    sides = frame.shape[:2]
    by = next(k for k in (8, 4, 2, 1) if k == 1 or all(s >= LEAST * k * o for s, o in zip(sides, size, strict=True)))
    height, width = (side // by for side in sides)
    if by == 1:
        return frame
    blocks = frame[: height * by, : width * by].reshape(height, by, width, by, -1)
    return np.round(blocks.mean(axis=(1, 3))).astype(np.uint8)


def summed(frames: Iterable[list[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """What is in a film.

    Args:
        frames: of each its parts, {"label", "score" or "share"}, a label as often as it is there.

    Returns:
        list of {"label", "score" or "share" (mean of the best of each frame that has it), "frames" (in how many)}, what
            is in most frames first.
    """
    best: dict[str, list[float]] = defaultdict(list)
    key = "score"
    for parts in frames:
        tops: dict[str, float] = {}
        for part in parts:
            key = "score" if "score" in part else "share"
            tops[part["label"]] = max(tops.get(part["label"], 0.0), part[key])
        for label, value in tops.items():
            best[label].append(value)
    rows = [{"label": label, key: float(np.mean(values)), "frames": len(values)} for label, values in best.items()]
    return sorted(rows, key=lambda row: (-row["frames"], -row[key]))


def page(picture: sheets.Picture, classes: tuple[str, ...]) -> np.ndarray:
    """A frame with what was found, uint8 (h + TEXT, w, 3): of one size whatever its words."""
    height, width = picture.image.shape[:2]
    drawn = np.asarray(sheets.captioned(picture, classes))[: height + TEXT]
    canvas = np.full((height + TEXT, width, 3), 255, np.uint8)
    canvas[: len(drawn)] = drawn
    return canvas
