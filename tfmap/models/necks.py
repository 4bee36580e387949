"""Necks: feature maps of a backbone, each of its own stride -> maps of one width that know of each other."""

from __future__ import annotations

from collections.abc import Mapping

import keras
from keras import layers

from tfmap.errors import InputError

Maps = dict[str, keras.KerasTensor]


def fpn(features: Mapping[str, keras.KerasTensor], levels: tuple[str, ...], width: int) -> Maps:
    """What high levels have understood, handed down: feature pyramid network.

    Args:
        features: level -> (B, h, w, C); "P3" has stride 8. A level above the backbone's highest, such as "P6", is made
            by strided convolutions.
        levels: names, lowest first, without gaps, such as ("P3", "P4", "P5").
        width: channels of every map.

    Returns:
        dict: level -> (B, h, w, width).

    Raises:
        InputError: the backbone lacks a level, or its maps do not halve from one level to the next.

    Source: Lin et al., Feature Pyramid Networks for Object Detection, 2017, section 3; sums of nearest neighbours.
    """
    features = coarser(features, levels, width)
    check_halving(features, levels)
    maps = {level: _mixed(features[level], width, f"lateral_{level}") for level in levels}
    for low, high in reversed(list(zip(levels, levels[1:], strict=False))):
        above = layers.UpSampling2D(2, name=f"up_{high}")(maps[high])
        maps[low] = layers.Add(name=f"down_{low}")([maps[low], above])
        maps[low] = separable(maps[low], width, f"smooth_{low}")
    return maps


def pan(features: Mapping[str, keras.KerasTensor], levels: tuple[str, ...], width: int) -> Maps:
    """FPN, and then what low levels have seen, handed up again: path aggregation network. Arguments as of `fpn`.

    Source: Liu et al., Path Aggregation Network for Instance Segmentation, 2018, section 3.1.
    """
    maps = fpn(features, levels, width)
    for low, high in zip(levels, levels[1:], strict=False):
        below = separable(maps[low], width, f"shrink_{low}", strides=2)
        maps[high] = layers.Add(name=f"up_add_{high}")([maps[high], below])
        maps[high] = separable(maps[high], width, f"mix_{high}")
    return maps


def coarser(features: Mapping[str, keras.KerasTensor], levels: tuple[str, ...], width: int) -> Maps:
    """The levels asked for; those above the backbone's highest are made by strided convolutions.

    Args:
        features: level -> (B, h, w, C).
        levels: names, lowest first, without gaps.
        width: channels of what is made.

    Returns:
        dict: level -> (B, h, w, C), `levels` alone; half of an odd side is rounded up.

    Raises:
        InputError: the backbone lacks a level.

    Source: Liu et al., SSD, 2016, section 2.1, "multi-scale feature maps".
    """
    found = dict(features)
    for low, high in zip(levels, levels[1:], strict=False):
        if high not in found and low in found:
            found[high] = separable(found[low], width, f"coarser_{high}", strides=2)
    missing = [level for level in levels if level not in found]
    if missing:
        raise InputError(
            f"model: this neck reads {', '.join(levels)}; the backbone has {', '.join(features)}. Take a backbone with "
            f"{missing[0]} (see docs/backbones.md)."
        )
    return {level: found[level] for level in levels}


def check_halving(features: Mapping[str, keras.KerasTensor], levels: tuple[str, ...]) -> None:
    """Check that each map has half the places of the one below. Arguments as of `fpn`.

    Raises:
        InputError: one has not.
    """
    for low, high in zip(levels, levels[1:], strict=False):
        sides, halves = features[low].shape[1:3], features[high].shape[1:3]
        if tuple(sides) != tuple(2 * half for half in halves):
            raise InputError(
                f"model: {low} has {sides[0]} x {sides[1]} places and {high} {halves[0]} x {halves[1]}; each level "
                "must have half of the one below. Make height and width of input_shape multiples of 32, such as 320."
            )


def separable(x: keras.KerasTensor, width: int, name: str, *, strides: int = 1, kernel: int = 3) -> keras.KerasTensor:
    """Depthwise and pointwise convolution, a norm and a ReLU behind each.

    Args:
        x: (B, h, w, C).
        width: channels that come out.
        name: of its layers' beginning.
        strides: of the depthwise one.
        kernel: its side.

    Source: Howard et al., MobileNets, 2017, section 3.1.
    """
    return _mixed(depthwise(x, name, strides=strides, kernel=kernel), width, name)


def depthwise(x: keras.KerasTensor, name: str, *, strides: int = 1, kernel: int = 3) -> keras.KerasTensor:
    """The first half of `separable`, arguments as there: every channel by itself."""
    x = layers.DepthwiseConv2D(kernel, strides, padding="same", use_bias=False, name=f"{name}_depthwise")(x)
    return layers.ReLU(6.0, name=f"{name}_depthwise_relu")(layers.BatchNormalization(name=f"{name}_depthwise_bn")(x))


def _mixed(x: keras.KerasTensor, width: int, name: str) -> keras.KerasTensor:
    x = layers.Conv2D(width, 1, use_bias=False, name=f"{name}_pointwise")(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(layers.BatchNormalization(name=f"{name}_bn")(x))
