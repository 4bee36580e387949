"""What MediaPipe Tasks, the library that apps use, makes of a file: its classifier, its detector, its segmenter."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from tfmap.average_precision import Found

# Its detector gives whole pixels of the picture. Pixels that are repeated so often are the same picture to the model,
# and its boxes are told to a sixteenth of a pixel.
FINE = 16


def load() -> Any:
    """The package mediapipe.

    Raises:
        ImportError: it is not installed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations among its own parts
        import mediapipe
        import mediapipe.tasks.python.vision

    return mediapipe


def classified(data: bytes, pictures: np.ndarray) -> list[dict[str, float]]:
    """For each picture, label -> score, as an app gets them.

    Args:
        data: bytes of a classifier's file.
        pictures: uint8 (N, H, W, 3), of the model's own size.

    Raises:
        ImportError: mediapipe is not installed.
        RuntimeError, ValueError or OSError: MediaPipe refuses the file.
    """
    package = load()
    # A threshold of 0 overrides those in the metadata: every score is wanted.
    options = package.tasks.vision.ImageClassifierOptions(base_options=_file(package, data), score_threshold=0.0)
    with package.tasks.vision.ImageClassifier.create_from_options(options) as client:
        found = [client.classify(_image(package, one)).classifications[0].categories for one in pictures]
    return [{category.category_name or "": float(category.score) for category in row} for row in found]


def detected(data: bytes, pictures: np.ndarray) -> list[list[tuple[str, float, list[float]]]]:
    """For each picture label, score and box (yxyx in pixels, to a 16th) of what is found; else as `classified`."""
    package = load()
    options = package.tasks.vision.ObjectDetectorOptions(base_options=_file(package, data), score_threshold=0.0)
    with package.tasks.vision.ObjectDetector.create_from_options(options) as client:
        answers = [client.detect(_image(package, one.repeat(FINE, 0).repeat(FINE, 1))).detections for one in pictures]
    return [[found for one in row for found in _boxes(one)] for row in answers]


def _boxes(detection: Any) -> list[tuple[str, float, list[float]]]:
    """MediaPipe has boxes at the same place as one, of several classes."""
    box = detection.bounding_box
    edges = (box.origin_y, box.origin_x, box.origin_y + box.height, box.origin_x + box.width)
    place = [edge / FINE for edge in edges]
    return [(one.category_name or "", float(one.score), place) for one in detection.categories]


def segmented(data: bytes, pictures: np.ndarray) -> np.ndarray:
    """For each picture the class of every pixel, uint8 (N, H, W); else as `classified`."""
    package = load()
    wanted = {"output_category_mask": True, "output_confidence_masks": False}
    options = package.tasks.vision.ImageSegmenterOptions(base_options=_file(package, data), **wanted)
    with package.tasks.vision.ImageSegmenter.create_from_options(options) as client:
        masks = [client.segment(_image(package, one)).category_mask.numpy_view().copy() for one in pictures]
    return np.stack(masks).reshape(pictures.shape[:3])


def as_found(row: list[tuple[str, float, list[float]]], classes: list[str]) -> Found:
    """What is found in a picture, classes by number."""
    labels, scores, boxes = zip(*row, strict=True) if row else ((), (), ())
    numbers = np.array([classes.index(label) for label in labels], np.int32)
    return Found(np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32), numbers)


def _file(package: Any, data: bytes) -> Any:
    return package.tasks.BaseOptions(model_asset_buffer=data)


def _image(package: Any, picture: np.ndarray) -> Any:
    return package.Image(image_format=package.ImageFormat.SRGB, data=np.ascontiguousarray(picture))
