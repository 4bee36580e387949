"""Backbones by name: a picture 0..255 -> feature maps P2..P5, normalisation inside.

    import tfmap
    backbone = tfmap.models.build("mobilenet_v1_025", input_shape=(96, 96, 3))   # ImageNet weights, no download
    backbone.output["P5"]                                                        # (B, 3, 3, 256)

Every backbone is one flat functional model: its layers stand in it directly, under names that two builds share. Pick by
`names()`; sizes and costs are in docs/backbones.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tfmap.models import catalogue

if TYPE_CHECKING:
    import keras

__all__ = ["LEVELS", "build", "multiply_adds", "names", "stages", "table"]

LEVELS = ("P1", "P2", "P3", "P4", "P5", "head")


def build(
    name: str, *, input_shape: tuple[int, int, int] = (224, 224, 3), weights: str | None = "imagenet"
) -> keras.Model:
    """A backbone without its classification head.

    Args:
        name: one of `names()`, such as "mobilenet_v2_100".
        input_shape: height and width in pixels, channels 3 (RGB) or, without ImageNet weights, 1 (grey).
        weights: "imagenet"; None for random ones; or a path to a file of this very backbone: `.weights.h5` of a model
            that this function built, `.keras` of a tfmap model on this backbone, or `.h5` of keras.applications.

    Returns:
        keras.Model: flat and functional. Input "image" float32 (B, H, W, C), 0..255. The first layer, "normalisation",
        maps it to the range that the ImageNet weights of this backbone were trained on, also where weights is None.
        Output: dict of feature maps, level -> float32 (B, h, w, c), "P2" (stride 4) to "P5" (stride 32), those that
        exist; the last map of the network is always there as the highest level (see `levels.feature_maps`).

    Raises:
        InputError: unknown name, impossible input_shape, weights that do not exist, cannot be had or do not fit.
    """
    row = catalogue.find(name)
    shape = catalogue.check_shape(row, input_shape, weights)
    from tfmap.models import assembly, pretrained

    path = pretrained.locate(row, weights)
    model = assembly.assemble(row, shape)
    if path is not None:
        pretrained.load(model, row, path)
    return model


def names() -> list[str]:
    """The names that `build` knows, sorted."""
    return sorted(catalogue.BACKBONES)


def stages(model: keras.Model) -> dict[str, int]:
    """Layer name -> index into LEVELS, from 0 (stem) to 5 (head), never falling along the graph.

    See `tfmap.models.levels.stages`.
    """
    from tfmap.models import levels

    return levels.stages(model)


def multiply_adds(model: keras.Model) -> int:
    """Multiply-adds of one forward pass on one picture. See `tfmap.models.cost.multiply_adds`."""
    from tfmap.models import cost

    return cost.multiply_adds(model)


def table(only: list[str] | None = None) -> list[dict[str, Any]]:
    """What each backbone costs at its default input size; builds every one of them, which takes minutes.

    Args:
        only: names to restrict the table to; default all.

    Returns:
        list of dict: name, family, parameters (without head), multiply_adds, size (pixels), smallest (pixels), levels
        ("P2 P3 P4 P5"), weights (file name, "embedded" or "none"), licence.
    """
    from tfmap.models import assembly

    return [assembly.row_of_table(catalogue.find(name)) for name in only or catalogue.BACKBONES]
