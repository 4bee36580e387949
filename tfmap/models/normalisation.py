"""The first layer of every backbone: pixels 0..255 -> the range that its weights were trained on."""

from __future__ import annotations

import numpy as np
from keras import layers

# ImageNet's mean and deviation, RGB, in pixel values
_MEAN = np.array([0.485, 0.456, 0.406]) * 255
_DEVIATION = np.array([0.229, 0.224, 0.225]) * 255
_CAFFE_MEAN = np.array([123.68, 116.779, 103.939])

# kind -> (scale, offset), each a number or one per RGB channel: y = x * scale + offset
KINDS = {
    "tf": (1 / 127.5, -1.0),
    "torch": (1 / _DEVIATION, -_MEAN / _DEVIATION),
    # The published weights want BGR; `pretrained` turns their first kernel round instead, so that no op is spent on it.
    "caffe": (np.ones(3), -_CAFFE_MEAN),
    "half128": (1 / 128, -1.0),
    "lite": (1 / 128, -127 / 128),
}


def layer(kind: str, channels: int) -> layers.Rescaling:
    """The normalisation layer, named "normalisation".

    Args:
        kind: key of KINDS.
        channels: 3 for RGB; 1 for grey takes the mean of the three numbers.
    """
    scale, offset = (_for_channels(value, channels) for value in KINDS[kind])
    return layers.Rescaling(scale, offset, name="normalisation")


def _for_channels(value: float | np.ndarray, channels: int) -> float | list[float]:
    if np.ndim(value) == 0:
        return float(value)
    return value.tolist() if channels == 3 else float(np.mean(value))
