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

# op -> its strength at full magnitude, by torchvision's scale: degrees, shares of a side, changes of a factor
_SIGNED = {
    "shear_x": 16.7,  # atan(0.3)
    "shear_y": 16.7,
    "shift_x": 150 / 331,  # 150 pixels of the 331 of the first paper's NASNet
    "shift_y": 150 / 331,
    "rotate": 30.0,
    "brightness": 0.9,
    "saturation": 0.9,
    "contrast": 0.9,
    "sharpness": 0.9,
}
_OPS = (*_SIGNED, "posterise", "solarise", "autocontrast", "equalise")
# AutoAugment's pairs: op, probability, magnitude of 9 (Cubuk et al., 2019, tables 7 to 9 of the appendix)
_PAIRS = {
    "imagenet": """
        posterise 0.4 8 rotate 0.6 9, solarise 0.6 5 autocontrast 0.6 -,
        equalise 0.8 - equalise 0.6 -, posterise 0.6 7 posterise 0.6 6,
        equalise 0.4 - solarise 0.2 4, equalise 0.4 - rotate 0.8 8,
        solarise 0.6 3 equalise 0.6 -, posterise 0.8 5 equalise 1 -,
        rotate 0.2 3 solarise 0.6 8, equalise 0.6 - posterise 0.4 6,
        rotate 0.8 8 saturation 0.4 0, rotate 0.4 9 equalise 0.6 -,
        equalise 0 - equalise 0.8 -, invert 0.6 - equalise 1 -,
        saturation 0.6 4 contrast 1 8, rotate 0.8 8 saturation 1 2,
        saturation 0.8 8 solarise 0.8 7, sharpness 0.4 7 invert 0.6 -,
        shear_x 0.6 5 equalise 1 -, saturation 0.4 0 equalise 0.6 -,
        equalise 0.4 - solarise 0.2 4, solarise 0.6 5 autocontrast 0.6 -,
        invert 0.6 - equalise 1 -, saturation 0.6 4 contrast 1 8,
        equalise 0.8 - equalise 0.6 -
    """,
    "cifar10": """
        invert 0.1 - contrast 0.2 6, rotate 0.7 2 shift_x 0.3 9,
        sharpness 0.8 1 sharpness 0.9 3, shear_y 0.5 8 shift_y 0.7 9,
        autocontrast 0.5 - equalise 0.9 -, shear_y 0.2 7 posterise 0.3 7,
        saturation 0.4 3 brightness 0.6 7, sharpness 0.3 9 brightness 0.7 9,
        equalise 0.6 - equalise 0.5 -, contrast 0.6 7 sharpness 0.6 5,
        saturation 0.7 7 shift_x 0.5 8, equalise 0.3 - autocontrast 0.4 -,
        shift_y 0.4 3 sharpness 0.2 6, brightness 0.9 6 saturation 0.2 8,
        solarise 0.5 2 invert 0 -, equalise 0.2 - autocontrast 0.6 -,
        equalise 0.2 - equalise 0.6 -, saturation 0.9 9 equalise 0.6 -,
        autocontrast 0.8 - solarise 0.2 8, brightness 0.1 3 saturation 0.7 0,
        solarise 0.4 5 autocontrast 0.9 -, shift_y 0.9 9 shift_y 0.7 9,
        autocontrast 0.9 - solarise 0.8 3, equalise 0.8 - invert 0.1 -,
        shift_y 0.7 9 autocontrast 0.9 -
    """,
    "svhn": """
        shear_x 0.9 4 invert 0.2 -, shear_y 0.9 8 invert 0.7 -,
        equalise 0.6 - solarise 0.6 6, invert 0.9 - equalise 0.6 -,
        equalise 0.6 - rotate 0.9 3, shear_x 0.9 4 autocontrast 0.8 -,
        shear_y 0.9 8 invert 0.4 -, shear_y 0.9 5 solarise 0.2 6,
        invert 0.9 - autocontrast 0.8 -, equalise 0.6 - rotate 0.9 3,
        shear_x 0.9 4 solarise 0.3 3, shear_y 0.8 8 invert 0.7 -,
        equalise 0.9 - shift_y 0.6 6, invert 0.9 - equalise 0.6 -,
        contrast 0.3 3 rotate 0.8 4, invert 0.8 - shift_y 0 2,
        shear_y 0.7 6 solarise 0.4 8, invert 0.6 - rotate 0.8 4,
        shear_y 0.3 7 shift_x 0.9 3, shear_x 0.1 6 invert 0.6 -,
        solarise 0.7 2 shift_y 0.6 7, shear_y 0.8 4 invert 0.8 -,
        shear_x 0.7 9 shift_y 0.8 3, shear_y 0.8 5 autocontrast 0.7 -,
        shear_x 0.7 2 invert 0.1 -
    """,
}


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
    """Change nothing; one of the policies of pick."""


@op("blend")
def blend(draw: Draw, count: int) -> Tensor:
    """Blend the picture with what each of the policies in the parentheses makes of it, by shares of Dirichlet(1) among
    the policies and U(0, 1) between them and the picture."""
    return draw.blend(count)


@op("shorthand", n=(1, 20), m=(0, 30))
def randaugment(n: int = 2, m: int = 9) -> str:
    """RandAugment (Cubuk et al., 2020): n of 14 ops for each picture, n in [1, 20], at magnitude m of 30, m in
    [0, 30]; torchvision's scale."""
    return f"pick({n}, keep, {', '.join(_at(name, m / 30) for name in _OPS)})"


@op("shorthand")
def trivialaugment() -> str:
    """TrivialAugment, wide space (Mueller and Hutter, 2021): one of 14 ops for each picture, at a strength of its own.
    Strengths come from the whole range instead of 31 steps; a shift goes up to 1/7 of the side, 32 of 224 pixels."""
    geometry = f"shear_x(44.7), shear_y(44.7), shift_x({1 / 7}), shift_y({1 / 7}), rotate(135)"
    colours = "brightness(.99), saturation(.99), contrast(.99), sharpness(.99)"
    return f"pick(1, keep, {geometry}, {colours}, posterise(2, 8), solarise(0, 255), autocontrast, equalise)"


@op("shorthand", dataset=tuple(_PAIRS))
def autoaugment(dataset: str = "imagenet") -> str:
    """AutoAugment (Cubuk et al., 2019): one of the 25 pairs of ops that were found for a data set, each op with its own
    probability and magnitude; dataset one of ['imagenet', 'cifar10', 'svhn']."""
    return f"pick(1, {', '.join(_pair(text.split()) for text in _PAIRS[dataset].split(','))})"


@op("shorthand", severity=(1, 10), width=(1, 10), depth=(-1, 10))
def augmix(severity: int = 3, width: int = 3, depth: int = -1) -> str:
    """AugMix (Hendrycks et al., 2020): the picture blended with `width` chains of `depth` ops each, -1 for 1 to 3 of
    them, strengths up to `severity` of 10; all whole numbers, width and severity in [1, 10]. It warps every picture
    `width` times, so that it costs about that many policies."""
    angle, share = 1.7 * severity, severity / 30
    geometry = f"rotate({3 * severity}, .3), shear_x({angle}, .17), shear_y({angle}, .17)"
    shifts = f"shift_x({share}, {1 / 300}), shift_y({share}, {1 / 300})"
    tones = f"posterise({max(4 - int(0.4 * severity), 1)}, 4), solarise({256 - 25.6 * severity}, 253.4)"
    ops = f"autocontrast, equalise, {tones}, {geometry}, {shifts}"
    depths = ", ".join(f"pick({n}, {ops})" for n in ((1, 2, 3) if depth < 1 else (depth,)))
    return f"blend({', '.join([f'pick(1, {depths})'] * width)})"


def _at(name: str, share: float) -> str:
    """An op at a share of its full magnitude, either sign."""
    if name in _SIGNED:
        strength = f"{_SIGNED[name] * share:.4f}"
        return f"{name}({strength}, {strength})"
    if name == "posterise":
        return f"posterise({8 - round(4 * share)}, {8 - round(4 * share)})"
    return f"solarise({255 * (1 - share):.2f}, {255 * (1 - share):.2f})" if name == "solarise" else name


def _pair(words: list[str]) -> str:
    """`rotate .6 9 equalise .4 -` -> `maybe(.6, rotate(30, 30))|maybe(.4, equalise)`."""
    triples = (words[:3], words[3:])
    return "|".join(f"maybe({p}, {_at(name, 0 if m == '-' else int(m) / 9)})" for name, p, m in triples)
