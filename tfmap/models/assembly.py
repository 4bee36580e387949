"""A row of the catalogue -> a functional model: input, normalisation, body, feature maps."""

from __future__ import annotations

import importlib
from typing import Any

import keras

from tfmap.models import applications, cost, levels, normalisation
from tfmap.models.catalogue import Backbone


def assemble(row: Backbone, input_shape: tuple[int, int, int]) -> keras.Model:
    """The backbone with random weights.

    Args:
        row: what to build.
        input_shape: height, width, channels, already checked.

    Returns:
        keras.Model: "image" float32 (B, H, W, C), 0..255 -> dict of feature maps "P2".."P5".
    """
    image = keras.Input(input_shape, name="image", dtype="float32")
    normalised = normalisation.layer(row.normalisation, input_shape[-1])(image)
    module, function = row.builder.split(":")
    if module == "keras.applications":
        body = applications.body(image, normalised, function, row.arguments)
    else:
        builder = getattr(importlib.import_module(f"tfmap.models.{module}"), function)
        body = keras.Model(image, builder(normalised, **row.arguments))
    return keras.Model(image, levels.feature_maps(body), name=row.name)


def row_of_table(row: Backbone) -> dict[str, Any]:
    """What the backbone costs at its default input size; see `tfmap.models.table`."""
    model = assemble(row, (row.size, row.size, 3))
    facts = {
        "name": row.name,
        "family": row.family,
        "parameters": model.count_params(),
        "multiply_adds": cost.multiply_adds(model),
        "size": row.size,
        "smallest": row.smallest,
        "levels": " ".join(model.output),
        "weights": "embedded" if row.url == "embedded" else row.file or "none",
        "licence": row.licence or "-",
    }
    del model
    keras.utils.clear_session()
    return facts
