"""The ops: one small function each, registered by a decorator that states the range of every argument.

An op gets `draw` (draws.Draw: dice, picture size, and `maps`, the algebra) and its arguments. Its kind says what it
returns, for a batch of B pictures:

- geometry: float32 (B, 3, 3), a coordinate map      - colour: float32 (B, 3, 4), a colour map
- tone, filter, noise: float32 (B,), the strength of the function of the same name in tones.py, filters.py, noises.py
- erase: bool (B, H, W, 1), the pixels to wipe out   - mix: float32 (B, H, W, 1) or (B, 1, 1, 1), the share kept
- projective: as geometry, with a perspective        - bend: warps.Bend, an elastic displacement
- mosaic: tiles.Mosaic                               - paste: bool (B,), the pictures that get objects
- nothing: has no stage        - choice: who takes which of the policies in its parentheses, see `selection`
- blend: float32 (B, 1 + chains), the shares of the picture and of each of the policies in its parentheses
- shorthand: a policy string that stands for it

U(a, b) is uniform and drawn anew for every picture; +-U(a, b) has either sign, by toss of a coin. What a warp sees
beyond the border is the picture mirrored there; in a batch with boxes or points it is middle grey, because a mirrored
object would be one that nobody has marked. An argument may be float32 (B,), one number per picture: `pick` joins the
calls of one op in its policies into one call.
This file imports no Keras: `--help` and the check of a config read it.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tfmap.errors import InputError

if TYPE_CHECKING:
    from tfmap.augment.draws import Draw
    from tfmap.augment.tiles import Mosaic
    from tfmap.augment.warps import Bend

Tensor = Any
Bound = float | str  # a number, or the name of an earlier argument
Range = tuple[Bound, Bound] | tuple[str, ...]  # of a number; the words that a string argument may be


@dataclass(frozen=True)
class Op:
    """A registered op; `ranges` is argument -> (lowest, highest), both allowed."""

    kind: str
    function: Callable[..., Any]
    ranges: dict[str, Range]

    @property
    def defaults(self) -> dict[str, float | str]:
        """Argument -> default, in the order of positional arguments; an int means whole numbers, a str one of words."""
        parameters = inspect.signature(self.function).parameters
        return {name: parameters[name].default for name in self.ranges}

    @property
    def takes_policies(self) -> bool:
        """Whether policies stand in its parentheses, after its arguments."""
        return self.kind in ("choice", "blend")

    @property
    def usage(self) -> str:
        """How to write it with its defaults, such as `rotate(degrees=15.0)`."""
        shown = {key: repr(value) if isinstance(value, str) else f"{value:g}" for key, value in self.defaults.items()}
        given = [f"{key}={value}" for key, value in shown.items()]
        return f"{self.function.__name__}({', '.join(given + ['policy', '...'] * self.takes_policies)})"


OPS: dict[str, Op] = {}

_RADIANS = math.pi / 180


def known_ops() -> dict[str, str]:
    """Name -> one line: usage with defaults, range, unit and what is drawn."""
    return {name: f"{op.usage}: {' '.join(op.function.__doc__.split())}" for name, op in sorted(OPS.items())}


def op(kind: str, **ranges: Range) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function as an op under its own name."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        OPS[function.__name__] = Op(kind, function, ranges)
        return function

    return register


@op("geometry", p=(0, 1))
def flip(draw: Draw, p: float = 0.5) -> Tensor:
    """Mirror left to right with probability p in [0, 1]."""
    return draw.maps.flip(draw.chance(0), draw.chance(p), draw.size)


@op("geometry", p=(0, 1))
def vflip(draw: Draw, p: float = 0.5) -> Tensor:
    """Mirror top to bottom with probability p in [0, 1]."""
    return draw.maps.flip(draw.chance(p), draw.chance(0), draw.size)


@op("geometry", scale_lo=(0.01, 1), scale_hi=("scale_lo", 1), ratio=(1, 10))
def rrc(draw: Draw, scale_lo: float = 0.08, scale_hi: float = 1.0, ratio: float = 4 / 3) -> Tensor:
    """Stretch a random crop over the picture: its share of the area U(scale_lo, scale_hi), both in [0.01, 1]; its width
    over its height, as a multiple of the picture's, log-uniform in [1 / ratio, ratio], ratio in [1, 10]."""
    share, aspect = draw.uniform(scale_lo, scale_hi), draw.log_uniform(ratio)
    return draw.maps.crop_resize(*draw.rectangle(share, aspect), draw.size)


@op("geometry")
def turn90(draw: Draw) -> Tensor:
    """Turn about the centre by 0, 90, 180 or 270 degrees, one as likely as another; a picture that is no square is
    stretched to its own frame."""
    return draw.maps.quarter_turn(draw.integer(0, 3), draw.size)


@op("geometry", degrees=(0, 180), least=(0, "degrees"))
def rotate(draw: Draw, degrees: float = 15.0, least: float = 0.0) -> Tensor:
    """Turn about the centre by +-U(least, degrees), both in [0, 180]."""
    return draw.maps.rotation(draw.swing(least, degrees) * _RADIANS, draw.size)


@op("geometry", factor=(0, 0.5))
def zoom(draw: Draw, factor: float = 0.2) -> Tensor:
    """Magnify about the centre by U(1 - factor, 1 + factor), factor in [0, 0.5]."""
    # Not below 0.5: up to there bilinear sampling reads every pixel; beyond, it would alias.
    return draw.maps.zoom(draw.uniform(1 - factor, 1 + factor), draw.size)


@op("geometry", factor=(0, 1))
def shift(draw: Draw, factor: float = 0.1) -> Tensor:
    """Move by U(-factor, factor) of the height and, drawn apart, of the width; factor in [0, 1]."""
    height, width = draw.size
    return draw.maps.shift(draw.uniform(-factor, factor) * height, draw.uniform(-factor, factor) * width)


@op("geometry", degrees=(0, 45))
def shear(draw: Draw, degrees: float = 10.0) -> Tensor:
    """Slant along y and, drawn apart, along x by U(-degrees, degrees), degrees in [0, 45]."""
    angle = math.radians(degrees)
    return draw.maps.shear(draw.uniform(-angle, angle), draw.uniform(-angle, angle), draw.size)


@op("geometry", degrees=(0, 45), least=(0, "degrees"))
def shear_x(draw: Draw, degrees: float = 10.0, least: float = 0.0) -> Tensor:
    """Slant along x alone by +-U(least, degrees), both in [0, 45]."""
    angle = draw.swing(least, degrees) * _RADIANS
    return draw.maps.shear(0.0 * angle, angle, draw.size)


@op("geometry", degrees=(0, 45), least=(0, "degrees"))
def shear_y(draw: Draw, degrees: float = 10.0, least: float = 0.0) -> Tensor:
    """Slant along y alone by +-U(least, degrees), both in [0, 45]."""
    angle = draw.swing(least, degrees) * _RADIANS
    return draw.maps.shear(angle, 0.0 * angle, draw.size)


@op("geometry", factor=(0, 1), least=(0, "factor"))
def shift_x(draw: Draw, factor: float = 0.1, least: float = 0.0) -> Tensor:
    """Move to the side by +-U(least, factor) of the width, both in [0, 1]."""
    right = draw.swing(least, factor) * draw.size[1]
    return draw.maps.shift(0.0 * right, right)


@op("geometry", factor=(0, 1), least=(0, "factor"))
def shift_y(draw: Draw, factor: float = 0.1, least: float = 0.0) -> Tensor:
    """Move up or down by +-U(least, factor) of the height, both in [0, 1]."""
    down = draw.swing(least, factor) * draw.size[0]
    return draw.maps.shift(down, 0.0 * down)


@op("projective", distortion=(0, 0.4))
def perspective(draw: Draw, distortion: float = 0.2) -> Tensor:
    """Look at the picture aslant: its corners move inwards by U(0, distortion / 2) of each side, drawn apart;
    distortion in [0, 0.4]."""
    # Not above 0.4: from 0.47 on the horizon of the steepest draw comes into view, and behind it there is nothing.
    return draw.maps.perspective(draw.several(0.0, distortion / 2, (4, 2)), draw.size)


@op("bend", alpha=(0, 0.4), cells=(1, 16))
def elastic(draw: Draw, alpha: float = 0.2, cells: int = 4) -> Bend:
    """Bend the picture that the other geometric ops give, wherever this stands among them: the points of a grid of
    `cells` cells a side, a whole number in [1, 16], move by U(-alpha, alpha) of a cell, alpha in [0, 0.4], and all
    others smoothly; once in a policy."""
    from tfmap.augment.warps import Bend

    if not isinstance(cells, int):
        raise InputError("augment: elastic: cells must be the same in all policies of a pick.")
    return Bend(draw.several(-alpha, alpha, (2, cells + 3, cells + 3)))


@op("colour", factor=(0, 1), least=(0, "factor"))
def brightness(draw: Draw, factor: float = 0.2, least: float = 0.0) -> Tensor:
    """Multiply values by 1 +-U(least, factor), both in [0, 1]."""
    return draw.maps.brightness(1.0 + draw.swing(least, factor))


@op("colour", factor=(0, 1), least=(0, "factor"))
def contrast(draw: Draw, factor: float = 0.2, least: float = 0.0) -> Tensor:
    """Stretch values away from the mean grey of the incoming picture by 1 +-U(least, factor), both in [0, 1]."""
    return draw.maps.contrast(1.0 + draw.swing(least, factor), draw.grey)


@op("colour", factor=(0, 1), least=(0, "factor"))
def saturation(draw: Draw, factor: float = 0.2, least: float = 0.0) -> Tensor:
    """Stretch colours away from their grey by 1 +-U(least, factor), both in [0, 1]."""
    return draw.maps.saturation(1.0 + draw.swing(least, factor))


@op("colour", factor=(0, 0.5))
def hue(draw: Draw, factor: float = 0.05) -> Tensor:
    """Turn colours about the grey axis by U(-factor, factor) of a full turn, factor in [0, 0.5]."""
    return draw.maps.hue(draw.uniform(-factor, factor) * (2 * math.pi))


@op("colour")
def grey(draw: Draw) -> Tensor:
    """Take the colours away; maybe(p, grey) for some of the pictures."""
    return draw.maps.saturation(0.0 * draw.ones)


@op("shorthand", factor=(0, 1))
def color(factor: float = 0.4) -> str:
    """Short for brightness(factor)|contrast(factor)|saturation(factor)|hue(factor / 4), factor in [0, 1]."""
    return f"brightness({factor})|contrast({factor})|saturation({factor})|hue({factor / 4})"


@op("erase", p=(0, 1), area=(0.02, 1))
def erase(draw: Draw, p: float = 0.25, area: float = 0.33) -> Tensor:
    """Fill a rectangle with middle grey (128), with probability p in [0, 1]: its share of the area U(0.02, area), area
    in [0.02, 1]; its width over its height, as a multiple of the picture's, log-uniform in [0.3, 3.3]."""
    rectangle = draw.inside(*draw.rectangle(draw.uniform(0.02, area), draw.log_uniform(1 / 0.3)))
    return rectangle & draw.chance(p)[:, None, None, None]


@op("erase", side=(0, 1))
def cutout(draw: Draw, side: float = 0.5) -> Tensor:
    """Fill a rectangle with middle grey (128): `side` of the height by `side` of the width, side in [0, 1], its centre
    anywhere in the picture, so that a part of it may lie outside (DeVries and Taylor, 2017)."""
    height, width = (side * length * draw.ones for length in draw.size)
    top, left = (draw.uniform(0.0, 1.0) * length for length in draw.size)
    return draw.inside(top - height / 2, left - width / 2, height, width)


@op("mix", alpha=(0.01, 100))
def mixup(draw: Draw, alpha: float = 0.2) -> Tensor:
    """Blend each picture and its label with the one before it in the batch, shares from Beta(alpha, alpha), alpha in
    [0.01, 100]."""
    return draw.beta(alpha)[:, None, None, None]


@op("mix", alpha=(0.01, 100))
def cutmix(draw: Draw, alpha: float = 1.0) -> Tensor:
    """Paste a rectangle of the one before it in the batch into each picture, shares of the area from
    Beta(alpha, alpha), alpha in [0.01, 100]; labels follow the pixels."""
    share = draw.beta(alpha)
    return 1.0 - draw.floats(draw.inside(*draw.rectangle(1.0 - share, 1.0)))


@op("mix", mixup_alpha=(0.01, 100), cutmix_alpha=(0.01, 100))
def mix(draw: Draw, mixup_alpha: float = 0.2, cutmix_alpha: float = 1.0) -> Tensor:
    """For each picture either mixup(mixup_alpha) or cutmix(cutmix_alpha), by toss of a coin; both in [0.01, 100]."""
    coin = draw.floats(draw.chance(0.5))[:, None, None, None]
    return coin * mixup(draw, mixup_alpha) + (1.0 - coin) * cutmix(draw, cutmix_alpha)


@op("mosaic", p=(0, 1))
def mosaic(draw: Draw, p: float = 0.5) -> Mosaic:
    """Put each picture and the three before it in the batch around a point, drawn in the middle half of both sides,
    with probability p in [0, 1]; labels follow the pixels."""
    from tfmap.augment.tiles import Mosaic

    return Mosaic(draw.several(0.25, 0.75, (2,)) * draw.floats(draw.size), draw.chance(p), draw.size)


@op("paste", p=(0, 1))
def copy_paste(draw: Draw, p: float = 0.5) -> Tensor:
    """Paste the objects of the one before it in the batch (mask above 0 and not 255) into each picture, with
    probability p in [0, 1]; needs masks; labels follow the pixels."""
    return draw.chance(p)
