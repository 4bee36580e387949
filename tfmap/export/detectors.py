"""A detector's file: the network in whatever format, then boxes and suppression as runtimes have them built in.

Or, with `export.suppression=false`, what the network itself gives: all boxes and scores.
"""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np

from tfmap import tasks
from tfmap.appended import Appended
from tfmap.errors import InputError
from tfmap.export.order import Order
from tfmap.tasks.detectors import heads, tail
from tfmap.tasks.detectors.found import LISTED, MOST, OVERLAP, THRESHOLD

RAW = "boxes"  # what a file without suppression gives in float
LEAST, THREADS = 2, 16  # see `spread`
LOCATED = ("boxes", "instances")  # targets whose models say boxes; files with masks of them do not suppress
Shape = tuple[int, ...]
_GIVEN = ("given_boxes", "given_classes", "given_scores", "given_count")


def chosen(model: keras.Model, task: str, *, suppression: bool) -> heads.Boxes | None:
    """The layer of a detector that the file's last op takes the place of; None where nothing is to be replaced.

    Raises:
        InputError: there is none.
    """
    wanted = tasks.target(tasks.get(task)) == "boxes"
    layer = tail.boxes_of(model) if wanted and suppression else None
    if layer is None and wanted and suppression:
        raise InputError(
            f"export: {model.name} has no layer of the class Boxes, which a file's last op takes the place of. "
            "Detectors of one stage have it: model.arch=tfmap_det, yolo, retinanet or ssd. With "
            "export.suppression=false this one becomes a file that gives all boxes and scores."
        )
    return layer


def ordered(order: Order, model: keras.Model, layer: heads.Boxes | None, task: str) -> Order:
    """The order with what of a detector is computed in float.

    Args:
        order: what was asked for.
        model: to be exported.
        layer: see `chosen`.
        task: of the model.

    Raises:
        InputError: a detector with another output or an open batch, or one of two stages in integers.
    """
    if tasks.target(tasks.get(task)) not in LOCATED:
        return order
    if order.is_calibrated and tail.looks_twice(model):
        raise InputError(
            f"export: {model.name} looks a second time at boxes that it has worked out, which has no integer kernels; "
            f"received format={order.format}. Use export.format=dynamic, weights in int8, or float16."
        )
    return order.in_floats(RAW if layer is None else tail.EXACT)


def finished(file: bytes, layer: heads.Boxes, classes: int) -> bytes:
    """The file with boxes and suppression behind it: four outputs, as task libraries want them.

    They are "boxes" float32 (1, 100, 4), yxyx in shares of the picture, 0..1, "classes" (1, 100), "scores" (1, 100),
    falling, and "count" (1,): how many of them there are.

    Args:
        file: of the model that `tail.cut` made, outputs in float32, one picture a call.
        layer: the one that was cut off.
        classes: K.
    """
    grown, columns = Appended(file), spread(classes)
    scores = _spread(grown, columns, classes, len(layer.anchors))
    inputs = [grown.output(tail.EXACT), scores, grown.constant(centred(layer.anchors, layer.size), "anchors")]
    shapes = dict(zip(_GIVEN, ((1, MOST, 4), (1, MOST), (1, MOST), (1,)), strict=True))
    boxes, kinds, values, count = grown.custom("TFLite_Detection_PostProcess", inputs, shapes, _options(len(columns)))
    # MediaPipe moves a box that begins outside of the picture into it, as large as it is.
    for name, bound in (("MAXIMUM", 0.0), ("MINIMUM", 1.0)):
        limit = grown.constant(np.float32([bound]), f"{name.lower()}_of")
        output = (f"boxes_{name.lower()}", shapes[_GIVEN[0]], "float32")
        boxes = grown.op(name, [boxes, limit], output)
    kinds = _gathered(grown, kinds, columns, classes)
    return grown.finished(dict(zip(LISTED, (boxes, kinds, values, count), strict=True)))


def located(file: bytes, layer: heads.Boxes) -> bytes:
    """The file with boxes in the place of codes: float32 (1, A, 4), yxyx in pixels, and "scores" as they are.

    Args:
        file: as for `finished`.
        layer: the one that was cut off.
    """
    grown, anchors = Appended(file), layer.anchors[None]
    place, shape = (1, len(layer.anchors), 2), (1, *layer.anchors.shape)

    def op(name: str, inputs: Sequence[int | np.ndarray], given: str, shape: Shape = place, **options: int) -> int:
        numbers = [
            grown.constant(one, f"{given}_{at}") if isinstance(one, np.ndarray) else one
            for at, one in enumerate(inputs)
        ]
        return grown.op(name, numbers, (given, shape, "float32"), **options)

    sides, codes = anchors[..., 2:] - anchors[..., :2], grown.output(tail.EXACT)
    moved, grew = (op("GATHER", [codes, np.int32(where)], f"codes_{where}", axis=2) for where in ([0, 1], [2, 3]))
    centre = op("ADD", [op("MUL", [moved, heads.REACH * sides], "shift"), anchors[..., :2] + sides / 2], "centre")
    half = op("MUL", [op("EXP", [op("MUL", [grew, np.float32([heads.REACH])], "growth")], "factor"), sides / 2], "half")
    corners = [op(name, [centre, half], f"corner_{name}") for name in ("SUB", "ADD")]
    boxes = op("CONCATENATION", corners, "boxes_of_codes", shape, axis=2)
    return grown.finished({RAW: boxes, "scores": grown.output("scores")})


def spread(classes: int) -> np.ndarray:
    """Which class each column of scores is of that the last op gets, int32 (K',); K where it is of none.

    With T threads that op never looks at column T, in every runtime so far (TensorFlow's issue 56058): of three classes
    on two threads the last is never found. So columns 2 to 16 are of no class, for phones and desktops.

    Args:
        classes: K.
    """
    if classes <= LEAST:
        return np.arange(classes, dtype=np.int32)
    empty = np.full(THREADS - LEAST + 1, classes, np.int32)
    return np.concatenate([np.arange(LEAST), empty, np.arange(LEAST, classes)]).astype(np.int32)


def _spread(grown: Appended, columns: np.ndarray, classes: int, places: int) -> int:
    """Scores of so many columns."""
    scores = grown.output("scores")
    if len(columns) == classes:
        return scores
    around = grown.constant(np.int32([[0, 0], [0, 0], [0, 1]]), "one_column_more")
    padded = grown.op("PAD", [scores, around], ("padded_scores", (1, places, classes + 1), "float32"))
    output = ("spread_scores", (1, places, len(columns)), "float32")
    return grown.op("GATHER", [padded, grown.constant(columns, "columns")], output, axis=2)


def _gathered(grown: Appended, kinds: int, columns: np.ndarray, classes: int) -> int:
    """Columns -> classes."""
    if len(columns) == classes:
        return kinds
    types = {"inDataType": "float32", "outDataType": "int32"}
    numbers = grown.op("CAST", [kinds], ("found_columns", (1, MOST), "int32"), **types)
    table = grown.constant(columns.astype(np.float32), "classes_of_columns")
    output = ("classes_of_boxes", (1, MOST), "float32")
    return grown.op("GATHER", [table, numbers], output, axis=0)


def _options(columns: int) -> dict[str, int | float | bool]:
    """What the last op is told."""
    return {
        "max_detections": MOST,
        "max_classes_per_detection": 1,
        "detections_per_class": MOST,
        "use_regular_nms": True,  # class by class
        "nms_score_threshold": THRESHOLD,
        "nms_iou_threshold": OVERLAP,
        "num_classes": columns,
        **dict.fromkeys(("y_scale", "x_scale", "h_scale", "w_scale"), 1 / heads.REACH),  # what it divides codes by
    }


def centred(anchors: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Anchors float32 (A, 4), yxyx in pixels -> centre y, centre x, height, width, in shares of the picture."""
    low, high = anchors[:, :2] / np.float32(size), anchors[:, 2:] / np.float32(size)
    return np.concatenate([(low + high) / 2, high - low], axis=1).astype(np.float32)
