"""tfmap_seg: a small segmenter for phones."""

from __future__ import annotations

import keras
from keras import layers

from tfmap.tasks.segmenters import parts


def head(body: keras.Model, classes: int, *, width: int = 64) -> keras.Model:
    """What is in the whole picture decides which features of its parts count; edges come from a finer map.

    Args:
        body: "image" -> maps, "P5" or the highest, "P3" and "P2".
        classes: K.
        width: channels.

    Returns:
        keras.Model: see `parts.ended`.

    Source: Howard et al., Searching for MobileNetV3, 2019, section 6.4 (LR-ASPP), with a second, finer shortcut.
    """
    high = list(body.output.values())[-1]
    x = parts.convolved(high, width, "context", kernel=1)
    gate = layers.GlobalAveragePooling2D(keepdims=True, name="whole")(high)
    gate = layers.Conv2D(width, 1, activation="sigmoid", name="gate")(gate)
    x = layers.Multiply(name="gated")([x, gate])
    for name in ("P3", "P2"):
        if name in body.output:
            fine = parts.convolved(body.output[name], width, f"edges_{name}", kernel=1)
            x = layers.Add(name=f"with_{name}")([parts.enlarged(x, fine.shape[1:3], f"up_{name}"), fine])
            x = parts.convolved(x, width, f"mixed_{name}")
    return parts.ended(body.input, x, classes, f"tfmap_seg_{body.name}")
