"""Contact sheets: pictures in a grid, with their boxes, masks, key points and a line of text, drawn by Pillow."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

# Okabe and Ito's palette without black: told apart with any colour vision. Class k and mask value k have colour k.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#f0e442", "#8c6d31")
SIDE = 224  # pixels of the longer side of a picture on a sheet
_GAP, _LINE, _TEXT = 8, 15, 12
_IGNORED = 255


@dataclass(frozen=True)
class Picture:
    """One picture and what lies in it.

    Attributes:
        image: uint8 or float32 (H, W, C), values 0..255, C 1 or 3.
        text: a line below it.
        boxes: float32 (N, 4), yxyx in pixels.
        classes: int32 (N,); -1 is padding.
        mask: int (H, W); 0 is shown as it is, 255 (ignored) as stripes.
        points: float32 (N, 3): y, x, and 0 where absent.
    """

    image: np.ndarray
    text: str = ""
    boxes: np.ndarray | None = None
    classes: np.ndarray | None = None
    mask: np.ndarray | None = None
    points: np.ndarray | None = None


def label(value: np.ndarray, classes: Sequence[str]) -> str:
    """A label as text: "glass", or "glass 0.7 + paper 0.3" where it was mixed.

    Args:
        value: int (), or float32 (K,).
        classes: K names.
    """
    if not np.ndim(value):
        return classes[int(value)]
    shares = [(classes[k], float(value[k])) for k in np.argsort(-value, kind="stable") if value[k] > 0.005]
    return " + ".join(name if share > 0.995 else f"{name} {share:.2f}" for name, share in shares) or "none"


def apart(instances: np.ndarray) -> np.ndarray:
    """Objects as the mask of a Picture, in which neighbours differ in colour and none is ignored.

    Args:
        instances: int (H, W), 0 for none, else the number of the object.
    """
    return np.where(instances > 0, 1 + (instances - 1) % len(COLOURS), 0)


def draw(picture: Picture, classes: Sequence[str] = (), side: int = SIDE) -> Image.Image:
    """The picture, its longer side `side` pixels, with what lies in it drawn over.

    Args:
        picture: what to draw.
        classes: names for the boxes; without them, or of one that all boxes are of, only the frames are drawn.
        side: pixels.
    """
    pixels = np.clip(np.round(np.asarray(picture.image, np.float32)), 0, 255).astype(np.uint8)
    pixels = np.repeat(pixels, 3, axis=-1) if pixels.shape[-1] == 1 else pixels
    if picture.mask is not None:
        pixels = _with_mask(pixels, np.asarray(picture.mask))
    scale = side / max(pixels.shape[:2])
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    # small pictures keep their pixels visible
    shown = Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS)
    canvas = ImageDraw.Draw(shown)
    if picture.boxes is not None and picture.classes is not None:
        for box, kind in zip(np.asarray(picture.boxes) * scale, np.asarray(picture.classes), strict=True):
            if kind >= 0:
                _frame(canvas, box, int(kind), classes)
    for y, x, there in np.asarray(picture.points) if picture.points is not None else ():
        if there:
            canvas.ellipse((x * scale - 3, y * scale - 3, x * scale + 3, y * scale + 3), "#ffffff", "#000000")
    return shown


def _with_mask(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    tinted = pixels.astype(np.float32)
    for value in np.unique(mask[(mask > 0) & (mask != _IGNORED)]):
        colour = np.array(Image.new("RGB", (1, 1), COLOURS[value % len(COLOURS)]))[0, 0]
        tinted[mask == value] = 0.5 * tinted[mask == value] + 0.5 * colour
    rows, columns = np.indices(mask.shape)
    tinted[(mask == _IGNORED) & ((rows + columns) % 6 < 2)] = 255
    return tinted.astype(np.uint8)


def _frame(canvas: ImageDraw.ImageDraw, box: np.ndarray, kind: int, classes: Sequence[str]) -> None:
    top, left, bottom, right = (float(edge) for edge in box)
    colour = COLOURS[kind % len(COLOURS)]
    canvas.rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), outline=colour, width=2)
    if kind < len(classes) and len(classes) > 1:
        font = ImageFont.load_default(_TEXT - 2)
        place = canvas.textbbox((left + 2, top + 1), classes[kind], font=font)
        canvas.rectangle((place[0] - 1, place[1] - 1, place[2] + 1, place[3] + 1), fill=colour)
        canvas.text((left + 2, top + 1), classes[kind], fill="#ffffff", font=font)


def captioned(picture: Picture, classes: Sequence[str] = ()) -> Image.Image:
    """A picture at its own size, with what lies in it drawn over and its text below.

    Args:
        picture: what to draw.
        classes: names for the boxes.
    """
    height, width = picture.image.shape[:2]
    drawn = draw(picture, classes, max(height, width))
    lines = textwrap.wrap(picture.text, max(10, width // 7))
    page = Image.new("RGB", (width, drawn.height + _LINE * len(lines) + (_GAP if lines else 0)), "#ffffff")
    page.paste(drawn, (0, 0))
    _write(ImageDraw.Draw(page), (2, drawn.height + 1), lines)
    return page


def sheet(
    rows: Sequence[Sequence[Picture]], *, title: str = "", classes: Sequence[str] = (), side: int = SIDE
) -> Image.Image:
    """Rows of pictures as one RGB picture; a long text is cut into lines.

    Args:
        rows: the pictures, a list per row.
        title: text above them.
        classes: names of the classes of boxes.
        side: longer side of a picture in pixels.
    """
    width = max(len(row) for row in rows) * (side + _GAP) + _GAP
    head = textwrap.wrap(title, max(10, width // 7))
    texts = [[textwrap.wrap(picture.text, max(10, side // 7)) for picture in row] for row in rows]
    below = [_LINE * max((len(lines) for lines in row), default=0) + _GAP for row in texts]
    drawn = [[draw(picture, classes, side) for picture in row] for row in rows]
    tall = [max(image.height for image in row) for row in drawn]
    top = _GAP + _LINE * len(head)
    page = Image.new("RGB", (width, top + sum(tall) + sum(below) + _GAP), "#ffffff")
    canvas = ImageDraw.Draw(page)
    _write(canvas, (_GAP, _GAP // 2), head)
    for images, lines, height, text in zip(drawn, texts, tall, below, strict=True):
        for column, (image, words) in enumerate(zip(images, lines, strict=True)):
            left = _GAP + column * (side + _GAP)
            page.paste(image, (left, top))
            _write(canvas, (left, top + image.height + 1), words)
        top += height + text
    return page


def _write(canvas: ImageDraw.ImageDraw, place: tuple[int, int], lines: Sequence[str]) -> None:
    for number, line in enumerate(lines):
        canvas.text((place[0], place[1] + number * _LINE), line, fill="#1a1a1a", font=ImageFont.load_default(_TEXT))
