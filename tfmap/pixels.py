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
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

# Formats that are opened: pictures only. (Pillow would also open EPS, by running Ghostscript, and PDF.)
FORMATS = ("JPEG", "MPO", "PNG", "GIF", "BMP", "DIB", "WEBP", "TIFF", "PPM", "JPEG2000", "AVIF")
BACKGROUND = (255, 255, 255)
LARGEST_FILE = 1 << 28  # bytes; a film that lies among the pictures is not read into memory
# A few bytes can claim to be a picture of any size. Decoded, a pixel takes at most 8 bytes (16-bit values), so that no
# picture takes more than 512 MB.
LARGEST_PICTURE = 1 << 26  # pixels

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
    with _open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
        if at_least is not None:
            swapped = _orientation(image) >= 5
            image.draft(None, at_least if swapped else at_least[::-1])
        image = ImageOps.exif_transpose(image)
        image = _eight_bits(image)
        image = _opaque(image).convert("RGB" if channels == 3 else "L")
    return np.array(image, np.uint8).reshape(image.height, image.width, channels)


class Look(NamedTuple):
    """What one look at a picture tells.

    Attributes:
        odd: whether TensorFlow reads it wrongly or not at all.
        height: of the upright picture, in pixels.
        width: of the upright picture, in pixels.
        orientation: EXIF's number, 1 to 8, of how it is stored; from 5 on height and width are swapped in the file.
    """

    odd: bool
    height: int
    width: int
    orientation: int


class TooLargeError(OSError, Image.DecompressionBombError):
    """A picture that claims to have more pixels than are safe to load."""


def examine(data: bytes) -> Look:
    """Read a whole picture, quickly, and tell its size and whether it is odd.

    A JPEG is decoded at an eighth of its size, which still reads every byte of it.

    Raises:
        OSError: truncated, or no picture. Pillow's plugins may raise other errors too.
    """
    with _open(io.BytesIO(data)) as image:
        odd, (width, height), orientation = _is_odd(image, data), image.size, _orientation(image)
        image.draft(None, (1, 1))
        image.load()
        if image.mode == "F":
            raise OSError("its pixels are floating-point numbers, which have no fixed range; save it as 8 or 16 bits")
    return Look(odd, *((width, height) if orientation >= 5 else (height, width)), orientation)


def read_values(source: str | bytes) -> np.ndarray:
    """The numbers that a mask holds: palette indices or grey values, never colours.

    Args:
        source: a path, or the encoded bytes.

    Returns:
        uint8 (h, w); a mask of one bit has 0 and 255.

    Raises:
        OSError: missing, truncated, no picture, or a picture that cannot hold class numbers. Pillow's plugins may raise
            other errors too.
    """
    with _open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
        if image.format in ("JPEG", "MPO"):
            raise OSError("is a JPEG, whose compression changes class numbers; save masks as PNG")
        values = np.asarray(ImageOps.exif_transpose(image))
    if values.dtype == bool:
        return values.astype(np.uint8) * np.uint8(255)
    if values.ndim == 3 and values.shape[2] == 3 and (values == values[..., :1]).all():  # grey, written as RGB
        values = values[..., 0]
    if values.ndim != 2 or values.dtype.kind == "f":
        raise OSError("holds colours, not class numbers; save masks as PNG in greyscale or with a palette")
    if values.min(initial=0) < 0 or values.max(initial=0) > 255:
        raise OSError("holds values above 255; save masks with 8 bits, the number of its class in each pixel")
    return values.astype(np.uint8)


def _open(file: str | io.BytesIO) -> Image.Image:
    try:
        image = Image.open(file, formats=[name for name in FORMATS if name in _known()])
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise TooLargeError(f"is larger than {LARGEST_PICTURE >> 20} million pixels") from error
    if image.width * image.height > LARGEST_PICTURE:
        image.close()
        raise TooLargeError(f"is larger than {LARGEST_PICTURE >> 20} million pixels ({image.width} x {image.height})")
    return image


def _orientation(image: Image.Image) -> int:
    number = image.getexif().get(_ORIENTATION, 1)
    return number if number in range(1, 9) else 1


def _known() -> set[str]:
    Image.init()
    return set(Image.OPEN)


def _is_odd(image: Image.Image, data: bytes) -> bool:
    """Plain are 8-bit grey or RGB JPEG and PNG, upright and opaque; TensorFlow reads those as Pillow does."""
    if image.format not in ("JPEG", "MPO", "PNG") or image.mode not in ("RGB", "L"):
        return True
    if _orientation(image) != 1:
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
