"""A detector's file: the network in whatever format, then boxes and suppression as runtimes have them built in."""

from __future__ import annotations

import keras
import numpy as np

from tfmap import tasks
from tfmap.appended import CustomOp, append, bounded
from tfmap.errors import InputError
from tfmap.tasks.detectors import heads
from tfmap.tasks.detectors.found import LISTED, MOST, OVERLAP, THRESHOLD

# A level of int8 is 0.03 strides, or 3% of a side. On BCCD that costs 2.9 points of mAP, against 1.2 with the last
# kernels in float, which are a thousandth of the work, and stand before an op that computes in float anyway.
EXACT = "codes"


def check(model: keras.Model, layer: heads.Boxes | None, task: str) -> None:
    """Refuse a detector whose boxes the last op of a file cannot make.

    Raises:
        InputError: there is no layer that it could take the place of.
    """
    if layer is None and tasks.target(tasks.get(task)) == "boxes":
        raise InputError(
            f"export: {model.name} has no layer of the class Boxes, which a file's last op takes the place of. "
            "Detectors of one stage have it: model.arch=tfmap_det, yolo, retinanet or ssd."
        )


def finished(file: bytes, layer: heads.Boxes, classes: int) -> bytes:
    """The file with boxes and suppression behind it: four outputs, as task libraries want them.

    They are "boxes" float32 (1, 100, 4), yxyx in shares of the picture, 0..1, "classes" (1, 100), "scores" (1, 100),
    falling, and "count" (1,): how many of them there are.

    Args:
        file: of the model that `cut` made, outputs in float32, one picture a call.
        layer: the one that was cut off.
        classes: K.
    """
    scale = 1 / heads.REACH  # what the op divides codes by
    options = {
        "max_detections": MOST,
        "max_classes_per_detection": 1,
        "detections_per_class": MOST,
        "use_regular_nms": True,  # class by class
        "nms_score_threshold": THRESHOLD,
        "nms_iou_threshold": OVERLAP,
        "num_classes": classes,
        **dict.fromkeys(("y_scale", "x_scale", "h_scale", "w_scale"), scale),
    }
    shapes = ((1, MOST, 4), (1, MOST), (1, MOST), (1,))
    outputs = dict(zip(LISTED, shapes, strict=True))
    anchors = centred(layer.anchors, layer.size)
    op = CustomOp("TFLite_Detection_PostProcess", ["codes", "scores", anchors], outputs, options)
    # MediaPipe moves a box that begins outside of the picture into it, as large as it is.
    return bounded(append(file, op), LISTED[0], 0.0, 1.0)


def centred(anchors: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Anchors float32 (A, 4), yxyx in pixels -> centre y, centre x, height, width, in shares of the picture."""
    low, high = anchors[:, :2] / np.float32(size), anchors[:, 2:] / np.float32(size)
    return np.concatenate([(low + high) / 2, high - low], axis=1).astype(np.float32)
