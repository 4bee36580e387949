"""Pictures as Pillow reads them: any common format -> uint8 pixels, and which pictures TensorFlow would read wrongly.

What a file becomes, whatever its format:

- EXIF orientation is applied, so that a phone's portrait stands upright.
- CMYK and YCCK become RGB as Pillow converts them (no colour profile).
- 16-bit values keep their high byte; they are scaled, not clipped.
- Transparent pixels are laid on white, which is what a browser and a printed page show. (TensorFlow drops the alpha
  channel and uncovers whatever colour the editor left below it.)
- Palettes are looked up; grey is repeated in three channels; of an animation the first frame counts.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image, ImageOps

# Formats that are opened: pictures only. (Pillow would also open EPS, by running Ghostscript, and PDF.)
FORMATS = ("JPEG", "MPO", "PNG", "GIF", "BMP", "DIB", "WEBP", "TIFF", "PPM", "JPEG2000", "AVIF")
BACKGROUND = (255, 255, 255)
LARGEST_FILE = 1 << 28  # bytes; a film that lies among the pictures is not read into memory

_ORIENTATION = 0x0112
_SIXTEEN_BITS = ("I;16", "I;16L", "I;16B", "I;16N", "I")


def read(source: str | bytes, channels: int = 3, at_least: tuple[int, int] | None = None) -> np.ndarray:
    """The pixels of a picture.

    Args:
        source: a path, or the encoded bytes.
        channels: 3 for RGB, 1 for grey.
        at_least: (height, width); a larger JPEG may be decoded at 1/2, 1/4 or 1/8 of its size, as long as both sides
            stay at least this long.

    Returns:
        uint8 (h, w, channels), 0..255.

    Raises:
        OSError: the file is missing, truncated or no picture. Pillow's plugins may raise other errors too.
    """
    return read_reduced(source, channels, at_least)[0]


def read_reduced(
    source: str | bytes, channels: int = 3, at_least: tuple[int, int] | None = None
) -> tuple[np.ndarray, int, tuple[int, int]]:
    """As `read`; also what a JPEG was shrunk by while it was decoded.

    Returns:
        uint8 (h, w, channels); 1, 2, 4 or 8; and the (height, width) of the picture, upright, before that.
    """
    with _open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
        swapped = image.getexif().get(_ORIENTATION, 1) >= 5
        whole = image.size if swapped else image.size[::-1]
        drafted = None if at_least is None else image.draft(None, at_least if swapped else at_least[::-1])
        ratio = 1 if drafted is None else round((whole[0] if swapped else whole[1]) / drafted[1][2])
        image = ImageOps.exif_transpose(image)
        image = _eight_bits(image)
        image = _opaque(image).convert("RGB" if channels == 3 else "L")
    return np.array(image, np.uint8).reshape(image.height, image.width, channels), ratio, whole


def examine(data: bytes) -> bool:
    """Read a whole picture, quickly, and tell whether it is odd: one that TensorFlow reads wrongly or not at all.

    A JPEG is decoded at an eighth of its size, which still reads every byte of it.

    Raises:
        OSError: truncated, or no picture. Pillow's plugins may raise other errors too.
    """
    with _open(io.BytesIO(data)) as image:
        odd = _is_odd(image, data)
        image.draft(None, (1, 1))
        image.load()
        if image.mode == "F":
            raise OSError("its pixels are floating-point numbers, which have no fixed range; save it as 8 or 16 bits")
    return odd


def _open(file: str | io.BytesIO) -> Image.Image:
    return Image.open(file, formats=[name for name in FORMATS if name in _known()])


def _known() -> set[str]:
    Image.init()
    return set(Image.OPEN)


def _is_odd(image: Image.Image, data: bytes) -> bool:
    """Plain are 8-bit grey or RGB JPEG and PNG, upright and opaque; TensorFlow reads those as Pillow does."""
    if image.format not in ("JPEG", "MPO", "PNG") or image.mode not in ("RGB", "L"):
        return True
    if image.getexif().get(_ORIENTATION, 1) not in (0, 1):
        return True
    if image.format == "PNG":  # byte 24 of a PNG is its bit depth, byte 28 its interlacing
        return data[24] != 8 or data[28] != 0 or "transparency" in image.info or getattr(image, "is_animated", False)
    return False


def _eight_bits(image: Image.Image) -> Image.Image:
    if image.mode not in _SIXTEEN_BITS:
        return image
    values = np.clip(np.asarray(image, np.int64), 0, 65535)
    return Image.fromarray((values >> 8).astype(np.uint8))


def _opaque(image: Image.Image) -> Image.Image:
    if not image.has_transparency_data:
        return image
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, (*BACKGROUND, 255)), image)
