"""Films, frame by frame: read, and written again. Needs OpenCV, the extra video."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tfmap.errors import InputError

SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v")
CODEC = "mp4v"  # MPEG-4, which OpenCV's own packages write on every system


class Film(NamedTuple):
    """What a file says of itself.

    Attributes:
        frames: how many; 0 if it does not say.
        rate: frames a second.
    """

    frames: int
    rate: float


def is_film(path: str | Path) -> bool:
    """Whether a file is one, by its name."""
    return Path(path).suffix.lower() in SUFFIXES


def about(path: str | Path) -> Film:
    """What a file says of itself.

    Raises:
        InputError: OpenCV is not installed, or it cannot read the file.
    """
    with _reading(path) as (cv2, film):
        rate = float(film.get(cv2.CAP_PROP_FPS))
        return Film(max(int(film.get(cv2.CAP_PROP_FRAME_COUNT)), 0), rate if 0 < rate < 1000 else 25.0)


def frames(path: str | Path) -> Iterator[np.ndarray]:
    """The frames, uint8 (h, w, 3), RGB, upright.

    Raises:
        InputError: OpenCV is not installed, or it cannot read the file.
    """
    with _reading(path) as (cv2, film):
        while True:
            there, frame = film.read()
            if not there:
                return
            yield cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)


def write(path: str | Path, pages: Iterable[np.ndarray], rate: float) -> None:
    """A film of pictures.

    Args:
        path: an .mp4 file.
        pages: uint8 (height, width, 3), RGB, all of one size; an odd side loses a row or column, which codecs want.
        rate: frames a second.

    Raises:
        InputError: OpenCV is not installed, or it cannot write the file.
    """
    cv2, film = _opencv(), None
    try:
        for page in pages:
            height, width = (side - side % 2 for side in page.shape[:2])
            if film is None:
                film = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*CODEC), rate, (width, height))
            if not film.isOpened():
                raise InputError(f"predict: OpenCV cannot write {path}. Choose another folder: out=FOLDER")
            film.write(cv2.cvtColor(page[:height, :width], cv2.COLOR_RGB2BGR))
    finally:
        if film is not None:
            film.release()


@contextmanager
def _reading(path: str | Path) -> Iterator[tuple[Any, Any]]:
    cv2 = _opencv()
    film = cv2.VideoCapture(str(path))
    try:
        if not film.isOpened():
            raise InputError(
                f"predict: {path} is no film that OpenCV can read. Expected one of {', '.join(SUFFIXES)}, whole and "
                "with a codec that it knows, such as H.264 or MPEG-4."
            )
        yield cv2, film
    finally:
        film.release()


def _opencv() -> Any:
    try:
        import cv2
    except ImportError as error:
        raise InputError(
            f"predict reads films with OpenCV, which is not installed here ({error}). Install it: "
            "pip install 'tfmap[video]'"
        ) from error
    return cv2
