"""Random selection, and the published policies as strings of it.

A published policy applies its ops one after the other; here they run in the order of kinds (see `policy.STAGES`): its
warps become one warp and its colours one product, so that a pair of ops costs what one of them costs. Its black borders
are mirrored ones here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tfmap.augment.ops import op

if TYPE_CHECKING:
    from tfmap.augment.draws import Draw

Tensor = Any

_SHIFT = 150 / 331  # share of a side: 150 pixels of the 331 of the paper's NASNet
_SHEAR = 16.7  # degrees: atan(0.3)


@op("choice", n=(1, 20))
def pick(draw: Draw, count: int, n: int = 1) -> list[dict[int, Tensor]]:
    """For each picture draw n of the policies in the parentheses, with replacement; n a whole number in [1, 20]:
    pick(2, rotate(9), hue, posterise|zoom)."""
    choices = [draw.integer(0, count - 1) for _ in range(n)]
    return [{number: choice == number for number in range(count)} for choice in choices]


@op("choice", p=(0, 1))
def maybe(draw: Draw, count: int, p: float = 0.5) -> list[dict[int, Tensor]]:
    """Each of the policies in the parentheses by its own toss of a coin, with probability p in [0, 1]:
    maybe(.2, grey)."""
    return [{number: draw.chance(p)} for number in range(count)]


@op("nothing")
def keep(draw: Draw) -> None:
    """Change nothing []; one of the policies of pick."""


@op("shorthand", n=(1, 20), m=(0, 30))
def randaugment(n: int = 2, m: int = 9) -> str:
    """RandAugment (Cubuk et al., 2020): n of 14 ops, n in [1, 20], all at magnitude m of 30, m in [0, 30]; with the
    ranges of torchvision."""
    share = m / 30
    signed = [
        f"{name}({most * share}, {most * share})"
        for name, most in {
            "shear_x": _SHEAR,
            "shear_y": _SHEAR,
            "shift_x": _SHIFT,
            "shift_y": _SHIFT,
            "rotate": 30,
            "brightness": 0.9,
            "saturation": 0.9,
            "contrast": 0.9,
            "sharpness": 0.9,
        }.items()
    ]
    bits, threshold = 8 - round(m / 7.5), 255 * (1 - share)
    tones = [f"posterise({bits}, {bits})", f"solarise({threshold}, {threshold})", "autocontrast", "equalise"]
    return f"pick({n}, keep, {', '.join(signed + tones)})"


@op("shorthand")
def trivialaugment() -> str:
    """TrivialAugment, wide space (Mueller and Hutter, 2021): one of 14 ops at a strength of its own []. A shift goes up
    to 1/7 of the side, its 32 pixels of 224; strengths are drawn from the whole range, not from 31 steps."""
    geometry = f"shear_x(44.7), shear_y(44.7), shift_x({1 / 7}), shift_y({1 / 7}), rotate(135)"
    colours = "brightness(.99), saturation(.99), contrast(.99), sharpness(.99)"
    return f"pick(1, keep, {geometry}, {colours}, posterise(2, 8), solarise(0, 255), autocontrast, equalise)"
