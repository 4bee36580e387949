"""Data sets with one file spoilt, as many as wanted, and what `load` makes of them.

    python -m tests.datasets.mutations COUNT SEED

Each mutation takes a whole small data set, spoils one file of it and loads it. It must end in one of three ways:
refused with an InputError that names a path, loaded with the loss listed, or loaded whole because the mutation was
harmless. The last line that is printed counts them; a hang, a crash or too much memory ends the process instead.
"""

from __future__ import annotations

import faulthandler
import json
import os
import random
import re
import resource
import shutil
import struct
import sys
import tempfile
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from tests.datasets import formats
from tfmap.datasets import load, samples
from tfmap.errors import InputError
from tfmap.source import Source

SECONDS = 60  # for one load, which takes 20 ms on an idle machine
MEMORY = 6 << 30  # bytes of address space
_NUMBERS = (
    "nan",
    "-1",
    "-99999",
    "1e400",
    "1e30",
    "inf",
    "",
    "0",
    "x",
    "9" * 5000,
    "7",
    "255",
    "2147483648",
    "0.5",
    "null",
)

Normal = dict[str, tuple[int, set[str]]]  # what an unspoilt set gives: number of pictures, what it lists
Spoil = Callable[[Path, random.Random], None]


@dataclass(frozen=True)
class Mutation:
    """One file of one data set, and what happens to it."""

    format: str
    target: str | None
    file: str
    spoil: str


# ---- whole data sets -------------------------------------------------------------------------------------------------


def class_folders(folder: Path) -> Path:
    for name in ("glass", "paper"):
        for index, path in enumerate(sorted((samples.folder("trash") / name).glob("*.jpg"))[:4]):
            (folder / name).mkdir(parents=True, exist_ok=True)
            with Image.open(path) as image:  # one of each kind of file
                image.save(folder / name / f"{index}.{('jpg', 'png', 'gif', 'webp')[index]}")
    return folder


def label_table(folder: Path) -> Path:
    class_folders(folder / "p")
    lines = [f"p/{path.parent.name}/{path.name},{path.parent.name}" for path in sorted((folder / "p").glob("*/*"))]
    (folder / "table.csv").write_text("path,label\n" + "\n".join(lines) + "\n")
    return folder / "table.csv"


def arrays(folder: Path) -> Path:
    folder.mkdir(parents=True)
    x, y = np.random.default_rng(0).integers(0, 256, (8, 6, 6), np.uint8), np.arange(8) % 2
    np.savez(folder / "a.npz", x_train=x, y_train=y, x_test=x[:2] ^ 1, y_test=y[:2])
    return folder / "a.npz"


def idx(folder: Path) -> Path:
    folder.mkdir(parents=True)
    x, y = np.random.default_rng(0).integers(0, 256, (8, 6, 6), np.uint8), (np.arange(8) % 2).astype(np.uint8)
    for name, array in (("images-idx3", x), ("labels-idx1", y)):
        head = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4) for n in array.shape)
        (folder / f"train-{name}-ubyte").write_bytes(head + array.tobytes())
    return folder


def membrane(folder: Path) -> Path:
    shutil.copytree(formats.MEMBRANE, folder, copy_function=shutil.copyfile)
    return folder


def voc_masks(folder: Path) -> Path:
    for kind, name in (("image", "JPEGImages"), ("label", "SegmentationClass")):
        shutil.copytree(formats.MEMBRANE / "train" / kind, folder / name, copy_function=shutil.copyfile)
    (folder / "ImageSets" / "Segmentation").mkdir(parents=True)
    (folder / "ImageSets" / "Segmentation" / "train.txt").write_text("0\n1\n2\n")
    return folder


SETS: dict[str, tuple[Callable[[Path], Path], str | None]] = {
    "folder": (class_folders, None),
    "label_csv": (label_table, None),
    "npz": (arrays, None),
    "idx": (idx, None),
    "masks": (membrane, None),
    "voc_masks": (voc_masks, None),
    **{name: (write, None) for name, write in formats.FORMATS.items()},
    "coco_masks": (formats.coco, "mask"),
    "yolo_masks": (formats.yolo_outlines, "mask"),
    "voc_labels": (formats.voc, "label"),
}

# ---- what happens to a file ------------------------------------------------------------------------------------------


def truncated(file: Path, draw: random.Random) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: draw.randrange(len(data) + 1)])


def bits_flipped(file: Path, draw: random.Random) -> None:
    data = bytearray(file.read_bytes())
    for _ in range(draw.choice((1, 1, 8, 64))):
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    file.write_bytes(data)


def head_flipped(file: Path, draw: random.Random) -> None:
    data = bytearray(file.read_bytes())
    data[draw.randrange(min(64, len(data)))] ^= 1 << draw.randrange(8)
    file.write_bytes(data)


def emptied(file: Path, _: random.Random) -> None:
    file.write_bytes(b"")


def zeroed(file: Path, draw: random.Random) -> None:
    data = bytearray(file.read_bytes())
    start = draw.randrange(len(data))
    length = draw.randrange(1, len(data) - start + 1)
    data[start : start + length] = bytes(length)
    file.write_bytes(data)


def noise(file: Path, draw: random.Random) -> None:
    file.write_bytes(draw.randbytes(draw.choice((1, 100, 20_000))))


def removed(file: Path, _: random.Random) -> None:
    file.unlink()


def linked_to_itself(file: Path, _: random.Random) -> None:
    file.unlink()
    file.symlink_to(file.name)


def folder_that_holds_itself(file: Path, _: random.Random) -> None:
    (file.parent / "again").symlink_to(file.parent)


def pipe(file: Path, _: random.Random) -> None:
    file.unlink()
    os.mkfifo(file)


def folder_in_its_place(file: Path, _: random.Random) -> None:
    file.unlink()
    file.mkdir()


def name_in_no_encoding(file: Path, _: random.Random) -> None:
    os.rename(file, os.fsencode(file.parent) + b"/\xff\xfe" + os.fsencode(file.name))


def another_suffix(file: Path, draw: random.Random) -> None:
    file.rename(file.with_suffix(draw.choice((".png", ".jpg", ".gif", ".txt", ".xml", ".json", ".webp", ""))))


def another_content(file: Path, draw: random.Random) -> None:
    file.write_bytes(draw.choice(
        [b"path,label\na,b\n", b"<annotation/>", b"{}", b"[1, 2]", b"0 0.5 0.5 2 2\n", b"\xff\xd8\xff\xe0", b"null"]
    ))  # fmt: skip


def picture_of_other_pixels(file: Path, draw: random.Random) -> None:
    mode = draw.choice(("L", "RGB", "1", "P", "I;16", "F", "RGBA", "CMYK"))
    size = draw.choice(((1, 1), (640, 480), (480, 640), (3, 2000)))
    format = {"F": "TIFF", "CMYK": "TIFF"}.get(mode, "PNG")
    Image.new(mode, size).save(file, format)


def hundred_megapixels(file: Path, draw: random.Random) -> None:
    """A few bytes that claim to be 10,000 x 10,000 pixels, or more."""
    side = draw.choice((10_000, 30_000, 2**31 - 1))
    head = struct.pack(">IIBBBBB", side, side, 8, draw.choice((0, 2)), 0, 0, 0)
    parts = [(b"IHDR", head), (b"IDAT", zlib.compress(bytes(100_000))), (b"IEND", b"")]
    chunks = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    ]
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))


def number_replaced(file: Path, draw: random.Random) -> None:
    text = file.read_text()
    places = list(re.finditer(r"-?\d+(\.\d+)?", text))
    for place in sorted(draw.sample(places, min(len(places), draw.choice((1, 1, 5)))), key=lambda m: -m.start()):
        text = text[: place.start()] + draw.choice(_NUMBERS) + text[place.end() :]
    file.write_text(text)


def word_replaced(file: Path, draw: random.Random) -> None:
    text = file.read_text()
    places = list(re.finditer(r"[A-Za-z_]+", text)) or list(re.finditer(r"\w+", text))
    place = draw.choice(places)
    other = draw.choice(("", "NaN", "null", "../../etc", "é", "a\u2028b", "\\u0000", "[]", "WBC", "-"))
    file.write_text(text[: place.start()] + other + text[place.end() :])


def sign_removed(file: Path, draw: random.Random) -> None:
    text = file.read_text()
    places = [index for index, sign in enumerate(text) if sign in '<>/{}[]":,. \n-']
    place = draw.choice(places)
    file.write_text(text[:place] + text[place + 1 :])


def line_removed(file: Path, draw: random.Random) -> None:
    lines = file.read_text().splitlines(keepends=True)
    del lines[draw.randrange(len(lines))]
    file.write_text("".join(lines))


def line_repeated(file: Path, draw: random.Random) -> None:
    lines = file.read_text().splitlines(keepends=True)
    place = draw.randrange(len(lines))
    file.write_text("".join(lines[:place] + lines[place : place + 1] * 3 + lines[place + 1 :]))


def bytes_in_no_encoding(file: Path, draw: random.Random) -> None:
    data = file.read_bytes()
    place = draw.randrange(len(data))
    file.write_bytes(data[:place] + b"\xff\xfe\x80" + data[place:])


def nested_deeply(file: Path, draw: random.Random) -> None:
    pair = {".json": ("[", "]"), ".xml": ("<a>", "</a>"), ".yaml": ("[", "]")}.get(file.suffix, ("(", ")"))
    file.write_text(pair[0] * 100_000 + pair[1] * draw.choice((0, 100_000)))


_ANY = (
    truncated, bits_flipped, head_flipped, emptied, zeroed, noise, removed, linked_to_itself, folder_that_holds_itself,
    pipe, folder_in_its_place, name_in_no_encoding, another_suffix, another_content,
)  # fmt: skip
_PICTURE = (picture_of_other_pixels, hundred_megapixels, hundred_megapixels)
_TEXT = (
    number_replaced, number_replaced, number_replaced, word_replaced, word_replaced, sign_removed, sign_removed,
    line_removed, line_repeated, bytes_in_no_encoding, nested_deeply,
)  # fmt: skip
_BY_FOLDER = ("folder", "yolo", "yolo_outlines", "yolo_masks")  # formats without a list of their pictures
_PICTURES = (".jpg", ".png", ".gif", ".webp")
SPOILERS: dict[str, Spoil] = {spoil.__name__: spoil for spoil in (*_ANY, *_PICTURE, *_TEXT)}

# ---- running them ----------------------------------------------------------------------------------------------------


def mutations(count: int, seed: int, originals: Path) -> Iterator[Mutation]:
    """`count` mutations, the data sets in turn, a file and what happens to it drawn by `seed`."""
    draw = random.Random(seed)
    for index in range(count):
        name = list(SETS)[index % len(SETS)]
        files = sorted(path for path in (originals / name).rglob("*") if path.is_file() and path.name != "LICENSE")
        pictures = [path for path in files if path.suffix in _PICTURES]
        rest = [path for path in files if path not in pictures]
        file = draw.choice(draw.choice([kind for kind in (pictures, rest) if kind]))
        text = file.suffix in (".xml", ".json", ".txt", ".yaml", ".csv")
        known = _ANY + (_PICTURE if file in pictures else ()) + (_TEXT if text else ())
        yield Mutation(name, SETS[name][1], str(file.relative_to(originals / name)), draw.choice(known).__name__)


def run(mutation: Mutation, originals: Path, sources: dict[str, Path], normal: Normal, seed: int) -> str:
    """How a mutation ends: "refused", "listed", "harmless", or what is wrong with the way it ends."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "set"
        shutil.copytree(originals / mutation.format, folder, copy_function=shutil.copyfile)
        SPOILERS[mutation.spoil](folder / mutation.file, random.Random(seed))
        source = folder / sources[mutation.format].relative_to(originals / mutation.format)
        faulthandler.dump_traceback_later(SECONDS, exit=True)
        try:
            return judged(mutation, folder, load(str(source), target=mutation.target, seed=1), normal)
        except (InputError, FileNotFoundError) as error:
            text = str(error)
            return (
                "refused" if scratch in text and "\n" not in text else f"refused without a path or a reason: {text!r}"
            )
        except Exception as error:
            return f"raised {type(error).__name__}: {error}"
        finally:
            faulthandler.cancel_dump_traceback_later()


def lines(folder: Path, source: Source) -> set[str]:
    """Everything that a Source lists, without the place it lies at."""
    said = [f"{item.path}: {item.reason}" for item in source.skipped]
    said += [f"{kind}: {line}" for kind, found in source.findings.items() for line in found]
    return {line.replace(str(folder), "") for line in said}


def judged(mutation: Mutation, folder: Path, source: Source, normal: Normal) -> str:
    """Whether a Source keeps its promises, and whether it lists what it lacks."""
    for split in source.splits.values():
        fault = next(filter(None, (_broken(split, index) for index in range(len(split)))), None)
        if fault:
            return fault
    count, known = normal[mutation.format]
    said = lines(folder, source) - known
    "".join(said).encode()  # it can be written to a report
    if any(not item.path or not item.reason for item in source.skipped) or any("\n" in line for line in said):
        return "lists something without path or reason"
    file = folder / mutation.file
    if mutation.spoil == "removed" and mutation.format in _BY_FOLDER:  # what was there is known to nobody
        return "harmless"
    owned = file.suffix in (*_PICTURES, ".xml") or (file.suffix == ".txt" and file.parent.parent.name == "labels")
    if owned and len(source) < count and not any(file.stem in line for line in said):
        return f"lost {mutation.file} without a word"
    return "listed" if said else "harmless"


def _broken(split, index: int) -> str | None:
    from tfmap import pixels

    if split.kind == "pixels":
        return None
    height, width = pixels.read(split.images[index]).shape[:2]
    if split.masks is not None and split.masks.read(index).shape != (height, width):
        return f"a mask of another size than {split.ids[index]}"
    if split.boxes is not None:
        boxes = split.boxes.boxes[split.boxes.rows(index)]
        inside = (boxes >= 0).all() and (boxes <= [height, width, height, width]).all()
        if not inside or (boxes[:, :2] >= boxes[:, 2:]).any():
            return f"a box that is none in {split.ids[index]}: {boxes.tolist()}"
    return None


def main(count: int, seed: int) -> None:
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)  # pycocotools under NumPy 2
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with tempfile.TemporaryDirectory() as scratch:
        os.environ["TFMAP_CACHE"] = str(Path(scratch) / "cache")
        originals = Path(scratch) / "originals"
        sources = {name: write(originals / name) for name, (write, _) in SETS.items()}
        normal: Normal = {}
        for name, path in sources.items():
            source = load(str(path), target=SETS[name][1], seed=1)
            normal[name] = len(source), lines(originals / name, source)
        whole = partial(run, originals=originals, sources=sources, normal=normal)
        ends, wrong = Counter(), []
        for index, mutation in enumerate(mutations(count, seed, originals)):
            print(index, mutation, flush=True)
            end = whole(mutation, seed=seed * 1_000_003 + index)
            ends[end if end in ("refused", "listed", "harmless") else "wrong"] += 1
            if end not in ("refused", "listed", "harmless"):
                wrong.append(f"{index} {mutation}: {end}")
    print(json.dumps({"ends": ends, "wrong": wrong}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
