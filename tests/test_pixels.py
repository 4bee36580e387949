from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from tfmap import pixels


def encoded(image, format, **options):
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def turned(image, orientation, format="JPEG", **options):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(image, format, exif=exif, **options)


def with_alpha(photo):
    """The photograph, opaque on the left, transparent on the right."""
    alpha = np.full(photo.shape[:2], 255, np.uint8)
    alpha[:, photo.shape[1] // 2 :] = 0
    return Image.fromarray(np.dstack([photo, alpha]))


@pytest.fixture(scope="module")
def picture(photo):
    return Image.fromarray(photo)


def test_plain_rgb_comes_back_as_it_is(photo, picture):
    for data in (encoded(picture, "PNG"), encoded(picture, "BMP"), encoded(picture, "TIFF"), encoded(picture, "PPM")):
        np.testing.assert_array_equal(pixels.read(data), photo)
    np.testing.assert_array_equal(pixels.read(encoded(picture, "WEBP", lossless=True)), photo)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"quality": 50}], ids=str)
def test_jpeg_is_what_pillow_decodes(picture, options):
    data = encoded(picture, "JPEG", **options)
    np.testing.assert_array_equal(pixels.read(data), np.asarray(Image.open(io.BytesIO(data))))


def test_a_path_reads_like_its_bytes(tmp_path, picture):
    (tmp_path / "a.jpg").write_bytes(encoded(picture, "JPEG"))
    np.testing.assert_array_equal(pixels.read(str(tmp_path / "a.jpg")), pixels.read((tmp_path / "a.jpg").read_bytes()))


def test_cmyk_becomes_rgb_as_pillow_converts_it(picture):
    data = encoded(picture.convert("CMYK"), "JPEG")
    np.testing.assert_array_equal(pixels.read(data), np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))
    assert np.abs(pixels.read(data).astype(int) - np.asarray(picture)).mean() < 4  # and not its negative


def test_grey_is_repeated_in_three_channels(picture):
    grey = np.asarray(picture.convert("L"))
    for format in ("PNG", "BMP", "TIFF", "PPM"):
        read = pixels.read(encoded(picture.convert("L"), format))
        np.testing.assert_array_equal(read, np.dstack([grey] * 3))


def test_one_channel_is_asked_for(picture):
    read = pixels.read(encoded(picture, "PNG"), channels=1)
    np.testing.assert_array_equal(read[..., 0], np.asarray(picture.convert("L")))
    assert read.shape == (*picture.size[::-1], 1)


@pytest.mark.parametrize("format", ["PNG", "TIFF", "PPM"])
def test_sixteen_bit_grey_keeps_its_high_byte(picture, format):
    grey = np.asarray(picture.convert("L")).astype(np.uint16)
    read = pixels.read(encoded(Image.fromarray(grey * 256 + 77), format))
    np.testing.assert_array_equal(read[..., 1], grey)


def test_sixteen_bit_colour_keeps_its_high_byte(photo):
    # Pillow cannot write 16-bit RGB; OpenCV is no dependency: so by hand, 16-bit big-endian rows in a PPM.
    height, width = photo.shape[:2]
    data = b"P6 %d %d 65535\n" % (width, height) + (photo.astype(">u2") * 257).tobytes()
    np.testing.assert_array_equal(pixels.read(data), photo)


def test_palette_is_looked_up(picture):
    small = picture.quantize(32)
    expected = np.asarray(small.convert("RGB"))
    for format in ("PNG", "GIF", "BMP", "TIFF"):
        np.testing.assert_array_equal(pixels.read(encoded(small, format)), expected)


def test_black_and_white_of_one_bit(picture):
    bits = picture.convert("1")
    np.testing.assert_array_equal(pixels.read(encoded(bits, "PNG"), 1)[..., 0], np.asarray(bits).astype(np.uint8) * 255)


@pytest.mark.parametrize(("format", "options"), [("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {})])
def test_transparent_pixels_are_laid_on_white(photo, format, options):
    half = photo.shape[1] // 2
    read = pixels.read(encoded(with_alpha(photo), format, **options))
    assert (read[:, half:] == 255).all()
    np.testing.assert_array_equal(read[:, :half], photo[:, :half])


def test_half_transparent_is_mixed_with_white(photo):
    alpha = np.full((*photo.shape[:2], 1), 51, np.uint8)  # a fifth
    read = pixels.read(encoded(Image.fromarray(np.concatenate([photo, alpha], 2)), "PNG"))
    assert np.abs(read - (photo * 0.2 + 255 * 0.8)).max() <= 1


def test_grey_with_alpha_and_transparent_colours(picture):
    grey = picture.convert("L")
    clear = Image.new("L", picture.size, 0)
    assert (pixels.read(encoded(Image.merge("LA", (grey, clear)), "PNG")) == 255).all()
    palette = picture.quantize(8)
    read = pixels.read(encoded(palette, "PNG", transparency=3))
    assert (read[np.asarray(palette) == 3] == 255).all()
    black = Image.new("RGB", (4, 4))
    assert (pixels.read(encoded(black, "PNG", transparency=(0, 0, 0))) == 255).all()


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_frame_counts(picture, format):
    frames = [picture.quantize(64).convert("RGB"), Image.new("RGB", picture.size, "red")]
    options = {"lossless": True} if format == "WEBP" else {}
    data = encoded(frames[0], format, save_all=True, append_images=frames[1:], **options)
    assert Image.open(io.BytesIO(data)).n_frames == 2
    assert np.abs(pixels.read(data).astype(int) - np.asarray(frames[0])).max() <= 2
    assert pixels.examine(data).odd


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_applied(photo, format, orientation):
    undo = {  # what a camera does to a scene before it writes this orientation
        1: lambda x: x,
        2: lambda x: x[:, ::-1],
        3: lambda x: x[::-1, ::-1],
        4: lambda x: x[::-1],
        5: lambda x: x.transpose(1, 0, 2),
        6: lambda x: x[:, ::-1].transpose(1, 0, 2),
        7: lambda x: x[::-1, ::-1].transpose(1, 0, 2),
        8: lambda x: x[::-1].transpose(1, 0, 2),
    }
    stored = Image.fromarray(np.ascontiguousarray(undo[orientation](photo)))
    options = {"JPEG": {"quality": 95, "subsampling": 0}, "WEBP": {"lossless": True}}.get(format, {})
    data = turned(stored, orientation, format, **options)
    read = pixels.read(data)
    assert read.shape == photo.shape
    assert np.abs(read.astype(int) - photo).mean() < 2
    assert pixels.examine(data).odd == (orientation != 1 or format not in ("JPEG", "PNG"))


def test_a_large_jpeg_is_decoded_smaller_but_not_below_the_target(picture):
    data = encoded(picture.resize((800, 600)), "JPEG")
    assert pixels.read(data, at_least=(100, 150)).shape == (150, 200, 3)
    assert pixels.read(data, at_least=(301, 10)).shape == (600, 800, 3)
    sideways = turned(picture.resize((800, 600)), 6)
    assert pixels.read(sideways, at_least=(200, 150)).shape == (200, 150, 3)


@pytest.mark.parametrize(
    ("name", "odd"),
    [
        ("jpeg", False),
        ("progressive", False),
        ("grey jpeg", False),
        ("png", False),
        ("grey png", False),
        ("cmyk", True),
        ("16 bits", True),
        ("1 bit", True),
        ("palette", True),
        ("alpha", True),
        ("transparent colour", True),
        ("gif", True),
        ("bmp", True),
        ("webp", True),
        ("tiff", True),
    ],
)
def test_which_pictures_are_odd(photo, picture, name, odd):
    data = {
        "jpeg": lambda: encoded(picture, "JPEG"),
        "progressive": lambda: encoded(picture, "JPEG", progressive=True),
        "grey jpeg": lambda: encoded(picture.convert("L"), "JPEG"),
        "png": lambda: encoded(picture, "PNG"),
        "grey png": lambda: encoded(picture.convert("L"), "PNG"),
        "cmyk": lambda: encoded(picture.convert("CMYK"), "JPEG"),
        "16 bits": lambda: encoded(Image.fromarray(np.asarray(picture.convert("L")).astype(np.uint16)), "PNG"),
        "1 bit": lambda: encoded(picture.convert("1"), "PNG"),
        "palette": lambda: encoded(picture.quantize(16), "PNG"),
        "alpha": lambda: encoded(with_alpha(photo), "PNG"),
        "transparent colour": lambda: encoded(picture, "PNG", transparency=(1, 2, 3)),
        "gif": lambda: encoded(picture, "GIF"),
        "bmp": lambda: encoded(picture, "BMP"),
        "webp": lambda: encoded(picture, "WEBP"),
        "tiff": lambda: encoded(picture, "TIFF"),
    }[name]()
    assert pixels.examine(data).odd == odd


def test_an_interlaced_png_is_odd(picture):
    data = bytearray(encoded(picture, "PNG"))
    data[28] = 1
    with Image.open(io.BytesIO(bytes(encoded(picture, "PNG")))) as image:
        assert not pixels._is_odd(image, encoded(picture, "PNG"))
        assert pixels._is_odd(image, bytes(data))


@pytest.mark.parametrize("format", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_truncated_picture_is_an_error(picture, format, share):
    data = encoded(picture, format)
    with pytest.raises((OSError, SyntaxError, ValueError)):
        pixels.examine(data[: int(len(data) * share)])


def test_no_picture_is_an_error(tmp_path):
    with pytest.raises(OSError, match="cannot identify"):
        pixels.examine(b"no picture at all")
    with pytest.raises(FileNotFoundError, match="none.jpg"):
        pixels.read(str(tmp_path / "none.jpg"))


def test_floating_point_pixels_are_refused(picture):
    with pytest.raises(OSError, match="floating-point numbers, which have no fixed range"):
        pixels.examine(encoded(picture.convert("F"), "TIFF"))


def test_documents_are_not_opened():
    with pytest.raises(OSError, match="cannot identify"):
        pixels.examine(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_size_and_hash_are_those_of_the_upright_picture(picture, orientation):
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # EXIF orientation -> Pillow's number of what makes it lie so
    lying = picture if orientation == 1 else picture.transpose(Image.Transpose(undo[orientation]))
    look = pixels.examine(turned(lying, orientation, "PNG"))
    assert (look.height, look.width) == picture.size[::-1]
    assert (look.orientation, look.mode, look.format) == (orientation, "RGB", "PNG")
    assert look.hash == pixels.examine(encoded(picture, "PNG")).hash


def test_an_orientation_that_is_none_says_nothing(picture):
    data = turned(picture, 9)
    look = pixels.examine(data)
    assert (look.orientation, look.odd) == (1, False)
    assert pixels.read(data, at_least=(8, 8)).ndim == 3


def test_the_hash_stays_near_when_a_picture_is_encoded_again(picture):
    hashes = [
        int(pixels.examine(data).hash, 16)
        for data in (
            encoded(picture, "PNG"),
            encoded(picture, "JPEG", quality=60),
            encoded(picture.resize((picture.width * 3, picture.height * 3)), "JPEG"),
            encoded(picture.convert("L"), "PNG"),
        )
    ]
    assert max((hashes[0] ^ other).bit_count() for other in hashes) <= 4


def test_pixels_are_looked_at_like_files(photo, picture):
    assert pixels.examine_array(photo, hashed=True) == pixels.examine(encoded(picture, "PNG"))._replace(format="")
    grey = pixels.examine_array(photo[..., :1])
    assert (grey.mode, grey.height, grey.width, grey.hash) == ("L", *photo.shape[:2], "")


def claims(width, height):
    """A few bytes that claim to be a PNG of this size."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", head), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    chunks = [struct.pack(">I", len(d)) + kind + d + struct.pack(">I", zlib.crc32(kind + d)) for kind, d in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


@pytest.mark.parametrize("side", [8193, 10_000, 20_000, 2**31 - 1])
def test_a_header_of_a_hundred_megapixels_is_refused_before_it_is_decoded(side):
    for read in (pixels.examine, pixels.read, pixels.read_values):
        with pytest.raises(OSError, match=r"^is larger than 64 million pixels"):
            read(claims(side, side))


def test_the_largest_picture_is_no_matter_of_one_side():
    with pytest.raises(OSError, match=r"^is larger than 64 million pixels \(1 x 67108865\)$"):
        pixels.examine(claims(1, pixels.LARGEST_PICTURE + 1))


@pytest.mark.parametrize("mode", ["L", "P", "1", "I;16", "RGB"])
def test_the_values_of_a_mask(tmp_path, mode):
    values = np.array([[0, 255], [255, 0]], np.uint8)
    image = Image.fromarray(values.astype(np.uint16)) if mode == "I;16" else Image.fromarray(values).convert(mode)
    if mode == "P":
        image.putdata([0, 255, 255, 0])
    image.save(tmp_path / "mask.png")
    np.testing.assert_array_equal(pixels.read_values(str(tmp_path / "mask.png")), values)


def test_what_is_no_mask(picture):
    with pytest.raises(OSError, match="is a JPEG, whose compression changes class numbers; save masks as PNG"):
        pixels.read_values(encoded(picture, "JPEG"))
    for image in (picture, picture.convert("RGBA"), picture.convert("F")):
        with pytest.raises(OSError, match="holds colours, not class numbers; save masks as PNG in greyscale or with a"):
            pixels.read_values(encoded(image, "TIFF"))
    with pytest.raises(OSError, match="holds values above 255; save masks with 8 bits"):
        pixels.read_values(encoded(Image.fromarray(np.full((4, 4), 256, np.uint16)), "PNG"))
