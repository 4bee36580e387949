"""What the doctor may find: the kinds, a finding, and all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Kind(NamedTuple):
    """A kind of finding.

    Attributes:
        severity: "error" (load refuses or leaves it out, or it makes training or a score wrong), "warning" (it probably
            harms) or "note" (good to know).
        name: what it is called on the screen, on the page and in findings.json.
        advice: what to do.
        rule: which of its pictures go to the quarantine list; "" for none.
    """

    severity: str
    name: str
    advice: str
    rule: str = ""


REFUSED = Kind("error", "refused by load", "Training cannot start before this is settled.")
UNREADABLE = Kind("error", "unreadable", "Bring the file again from where it came, or delete it.", "all")
TRUNCATED = Kind("error", "truncated", "The file ends too early: copy it again from where it came.", "all")
BOMB = Kind("error", "decompression bomb", "It was not loaded. If it is a true picture, make it smaller.", "all")
CONFLICT = Kind(
    "error", "same picture under two labels", "One label is wrong: delete the copy under it.",
    "all, but not those of a given val or test part",
)  # fmt: skip
LEAK = Kind(
    "error",
    "same picture in two parts",
    "A score on it says nothing: keep it in one part.",
    "the copy in train; of val and test, the one in val",
)
NO_AREA = Kind("error", "box without area", "Draw the box again, or delete its row.")
OUTSIDE = Kind("error", "box outside its picture", "Is the file the one that was labelled, or has it been resized?")
NO_CLASS = Kind("error", "box of an unknown class", "Name the class, or correct its number.")
ANNOTATION = Kind("error", "bad annotation", "Correct it where it was written; load leaves it out.")
NO_MASK = Kind("error", "mask that cannot be read", "Bring the mask again from where it came.", "all")
OTHER_SIZE = Kind(
    "error", "mask of another size", "The mask belongs to another picture, or one of both was resized.", "all"
)
UNKNOWN_VALUE = Kind("error", "mask with unknown values", "Name the class of each value, or set the pixels to 255.")

COPY = Kind("warning", "exact duplicates", "Delete the copies.", "all but the first, none of a given val or test part")
NEAR_LEAK = Kind(
    "warning", "near duplicates in two parts", "A score on them flatters: keep them in one part.", "those in train"
)
NOT_SEARCHED = Kind("warning", "near duplicates not searched", "Set doctor.distance lower.")
NEAR_CONFLICT = Kind("warning", "near duplicates under two labels", "Look whether one of the labels is wrong.")
SUSPECT = Kind("warning", "likely label error", "Look at it: move it to its class, or leave it.")
EXTENSION = Kind("warning", "wrong extension", "Rename it; some programs go by the name.")
TINY = Kind("warning", "tiny picture", "It holds little to learn from; leave it out if it is a thumbnail.")
HUGE = Kind("warning", "huge picture", "It slows reading down: make it smaller.")
ASPECT = Kind("warning", "absurd aspect ratio", "Resizing will distort it beyond recognition: cut it.")
IMBALANCE = Kind(
    "warning",
    "imbalance",
    "Add pictures of the rare classes, or set train.class_weights, train.loss or pipeline.sampling.",
)
NO_PICTURES = Kind("warning", "class without pictures", "Add pictures, or take the class out.")
MISSING = Kind("warning", "class missing in a part", "Its score will be empty: add pictures to that part.")
TYPO = Kind("warning", "class names that look alike", "If they mean the same, give them one name.")
PARTLY_OUTSIDE = Kind(
    "warning", "box partly outside its picture", "It is cut at the edge; check the tool that drew it."
)
ANNOTATED_SIZE = Kind(
    "warning", "annotation of another size than its picture", "Was the picture resized after it was labelled?"
)
TWICE = Kind("warning", "box drawn twice", "Delete one of them.")
TWO_CLASSES = Kind("warning", "box with two classes", "One class is wrong.")
EMPTY_MASK = Kind("warning", "mask without a class", "Check that the mask was finished.")

NEAR = Kind("note", "near duplicates", "They teach little more than one of them.")
SLIM_BOX = Kind("note", "box of absurd aspect ratio", "Check it; anchors and grids hardly meet such boxes.")
TINY_BOX = Kind("note", "tiny box", "Hardly any detector finds it at usual input sizes.")
NO_BOXES = Kind("note", "pictures without boxes", "Fine, if nothing is on them.")
MODE = Kind("note", "odd colour mode", "It is converted when it is read; save it as RGB or grey if reading is slow.")
ROTATED = Kind("note", "EXIF rotation", "It is turned upright when it is read; older programs show it lying.")
SKIPPED = Kind("note", "left out by the reader", "Move it into a class folder if it belongs to the data.")

KINDS = tuple(value for value in list(vars().values()) if isinstance(value, Kind))


@dataclass(frozen=True)
class Finding:
    """One case of a kind.

    Attributes:
        kind: what it is.
        text: the case in a line.
        pictures: ids of the pictures concerned.
        quarantine: those of them that go to the quarantine list.
        boxes: (ymin, xmin, ymax, xmax) in pixels of the first picture, for those that are about boxes.
    """

    kind: Kind
    text: str
    pictures: tuple[str, ...] = ()
    quarantine: tuple[str, ...] = ()
    boxes: tuple[tuple[float, float, float, float], ...] = ()


@dataclass(frozen=True)
class Findings:
    """All that the doctor found.

    Attributes:
        source: name of the data.
        classes: class names.
        counts: part -> pictures per class, of every picture that can be read.
        sizes: (height, width) -> pictures.
        pictures: how many the source names.
        cases: the findings, errors first.
    """

    source: str
    classes: tuple[str, ...]
    counts: Mapping[str, Sequence[int]]
    sizes: Mapping[tuple[int, int], int]
    pictures: int
    cases: tuple[Finding, ...] = field(repr=False)

    def by_kind(self) -> dict[Kind, list[Finding]]:
        """The cases of each kind that occurs, errors first."""
        grouped: dict[Kind, list[Finding]] = {}
        for case in self.cases:
            grouped.setdefault(case.kind, []).append(case)
        return {kind: grouped[kind] for kind in KINDS if kind in grouped}

    def quarantine(self) -> dict[str, str]:
        """Picture -> why it is on the quarantine list."""
        return {name: case.kind.name for case in reversed(self.cases) for name in case.quarantine}

    def as_json(self) -> dict[str, Any]:
        """What findings.json holds."""
        return {
            "source": self.source,
            "pictures": self.pictures,
            "classes": list(self.classes),
            "counts": {part: list(map(int, counts)) for part, counts in self.counts.items()},
            "severities": dict(Counter(case.kind.severity for case in self.cases)),
            "findings": [_case(case) for case in self.cases],
            "quarantine": list(self.quarantine()),
        }


def _case(case: Finding) -> dict[str, Any]:
    row = {"kind": case.kind.name, "severity": case.kind.severity, "text": case.text, "advice": case.kind.advice}
    row |= {"pictures": list(case.pictures), "quarantine": list(case.quarantine)}
    return row | ({"boxes": [list(map(float, box)) for box in case.boxes]} if case.boxes else {})


def common_folder(names: Sequence[str]) -> str:
    """The folder that all ids lie in, with its closing slash; "" where there is none."""
    first, last = (min(names), max(names)) if len(names) > 1 else ("", "")
    same = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return first[: first.rfind("/", 0, same) + 1]
