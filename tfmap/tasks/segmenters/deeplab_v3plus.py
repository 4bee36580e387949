"""deeplab_v3plus: the picture seen at several distances, and edges from a finer map."""

from __future__ import annotations

import keras
from keras import layers

from tfmap.tasks.segmenters import parts

RATES = (1, 2, 3)  # at stride 32; the paper's 6, 12 and 18 are for maps four times as large


def head(body: keras.Model, classes: int, *, width: int = 128) -> keras.Model:
    """Atrous spatial pyramid pooling and a decoder.

    Args:
        body: "image" -> maps, the highest of stride 32, and "P2".
        classes: K.
        width: channels of every branch.

    Returns:
        keras.Model: see `parts.ended`.

    Source: Chen et al., Encoder-Decoder with Atrous Separable Convolution, 2018, section 3.1.
    """
    high, low = parts.level(body, "P5"), parts.level(body, "P2", "P3")
    branches = [parts.convolved(high, width, "near", kernel=1)]
    branches += [parts.convolved(high, width, f"rate_{rate}", dilation=rate) for rate in RATES]
    whole = layers.GlobalAveragePooling2D(keepdims=True, name="whole")(high)
    whole = layers.Conv2D(width, 1, activation="relu", name="whole_conv")(whole)
    branches.append(layers.UpSampling2D(high.shape[1:3], interpolation="nearest", name="whole_everywhere")(whole))
    x = parts.convolved(layers.Concatenate(name="pyramid")(branches), width, "pyramid_mix", kernel=1)
    edges = parts.convolved(low, max(width // 4, 16), "edges", kernel=1)
    x = layers.Concatenate(name="with_edges")([parts.enlarged(x, low.shape[1:3], "up"), edges])
    x = parts.convolved(parts.convolved(x, width, "decoder_1"), width, "decoder_2")
    return parts.ended(body.input, x, classes, f"deeplab_v3plus_{body.name}")
