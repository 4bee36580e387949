"""A parsed policy at work: draw once per picture, multiply the maps, touch the pixels once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from keras import ops

from tfmap import maps
from tfmap.augment import targets, tiles
from tfmap.augment.compiled import compiled
from tfmap.augment.draws import Draw
from tfmap.augment.grammar import Call
from tfmap.augment.pixels import planes, recolour, warp
from tfmap.augment.warps import Bend, Warp
from tfmap.errors import InputError

Tensor = Any
Batch = Mapping[str, Any]

_GEOMETRY = ("geometry", "projective", "bend")
_ACROSS = ("mosaic", "paste", "mix")  # what makes one picture of several
_TARGETS = ("boxes", "classes", "points", "mask")
_GREY = 128.0  # middle grey: close to zero after every usual normalisation


class Policy:
    """The augmentation of a training batch; made by `tfmap.augment.build`.

    It is no layer and lives outside the model, so nothing of it is saved.

    Args:
        calls: the parsed ops.
        classes: number of classes, to turn class indices into shares where the policy mixes.

    Attributes:
        mixes_labels: whether labels come out as float32 (B, K).
    """

    def __init__(
        self, calls: tuple[Call, ...], *, classes: int | None = None, point_pairs: Sequence[tuple[int, int]] = ()
    ) -> None:
        self.calls = calls
        self.classes = classes
        self.point_pairs = point_pairs
        self.mixes_labels = bool(self._of(*_ACROSS))
        if len(self._of("bend")) > 1:
            raise InputError("augment: elastic may stand once in a policy. Give one a larger alpha instead.")
        self._compiled = compiled(self._apply)

    def __call__(self, batch: Batch, seed: Tensor | tuple[int, int]) -> dict[str, Any]:
        """Augment one batch.

        Args:
            batch: see `tfmap.batch`; "image" uint8 or float32 (B, H, W, C), values 0..255, C = 3 for colour ops.
            seed: integer (2,), a tensor or a pair of ints, such as (seed, step); the same seed gives the same pictures.
                Replicas that share a step must differ in it: (seed, step * replicas + replica).

        Returns:
            dict: a new batch. "image" keeps shape and dtype, clipped to 0..255 and rounded where uint8. Where the
            policy mixes, "label" is float32 (B, K), in the shares of the pixels, and "weight" is mixed in the same
            shares: each picture brings its part of the weight along. "boxes", "classes", "points" and "mask" follow
            their pixels, see `tfmap.augment.targets`; each `mosaic` makes (B, 4N, 4) of boxes (B, N, 4), each
            `mixup`, `cutmix`, `mix` and `copy_paste` (B, 2N, 4). Everything else is passed on.

        Raises:
            InputError: a batch that the policy cannot work on.
        """
        if not self.calls:
            return dict(batch)
        self._check(batch)
        touched = {"image": batch["image"]}
        if self.mixes_labels:
            touched |= {"label": self._shares(batch["label"])} if "label" in batch else {}
            touched |= {"weight": batch["weight"]} if "weight" in batch else {}
        if self._of(*_GEOMETRY, *_ACROSS, "erase"):
            touched |= {key: batch[key] for key in _TARGETS if key in batch}
        return {**batch, **self._compiled(touched, _as_seed(seed))}

    def _apply(self, batch: Batch, seed: Tensor) -> dict[str, Tensor]:
        """All ops on the tensors that they touch; one XLA function under TensorFlow."""
        image = batch["image"]
        draw = Draw(seed, image)
        made = self._touch(batch, draw)
        for call in self._of("erase"):
            wiped = call.function(draw, **call.arguments)
            made |= {"image": ops.where(wiped, _GREY, made["image"]), **targets.hidden(made, wiped)}
        for call in self._of(*_ACROSS):
            made = _ACROSS_STEPS[call.kind](made, call.function(draw, **call.arguments))
        return {**made, "image": _as_dtype(made["image"], image.dtype)}

    def _touch(self, batch: Batch, draw: Draw) -> dict[str, Tensor]:
        """The one warp, of everything that lies in the picture, and the one colour product."""
        moved = dict(batch)
        if self._of(*_GEOMETRY):
            shown = self._warp(draw)
            sources = shown.sources()
            channels = warp(batch["image"], sources, _GREY if {"boxes", "points"} & set(batch) else None)
            moved |= targets.warped(batch, shown, sources)
            if "points" in batch and self.point_pairs:
                moved["points"] = targets.swapped(moved["points"], self.point_pairs, shown.mirrors())
        else:
            channels = planes(batch["image"])
        if colours := self._of("colour"):
            colour = maps.colour_identity(draw.count)
            for call in colours:
                colour = maps.compose_colours(colour, call.function(draw, **call.arguments))
            channels = recolour(channels, colour)
        return {**moved, "image": ops.clip(ops.stack(channels, axis=-1), 0.0, 255.0)}

    def _warp(self, draw: Draw) -> Warp:
        matrix, bend = maps.identity(draw.count), None
        for call in self._of(*_GEOMETRY):
            drawn = call.function(draw, **call.arguments)
            if isinstance(drawn, Bend):
                bend = drawn
            else:
                matrix = maps.compose(matrix, drawn)
        return Warp(matrix, draw.size, projective=bool(self._of("projective")), bend=bend)

    def _of(self, *kinds: str) -> list[Call]:
        return [call for call in self.calls if call.kind in kinds]

    def _shares(self, label: Tensor) -> Tensor:
        """Labels as float32 (B, K)."""
        if len(label.shape) == 2:
            return ops.cast(label, "float32")
        if self.classes is None:
            raise InputError(
                f"augment: {self._names('mix')} mixes labels: class indices (B,) need the number of classes, received "
                "classes=None. Use build(ops, classes=K)."
            )
        return ops.one_hot(label, self.classes, dtype="float32")

    def _check(self, batch: Batch) -> None:
        has_targets = any(key in batch for key in _TARGETS)
        self._check_keys(batch, ("image", "label") if self.mixes_labels and not has_targets else ("image",))
        shape = tuple(batch["image"].shape)
        if len(shape) != 4 or None in shape[1:]:
            raise InputError(f"augment: image must be (B, H, W, C) with known H, W and C, received shape {shape}.")
        if self._of("colour") and shape[3] != 3:
            raise InputError(f"augment: {self._names('colour')} needs 3 channels, received image of shape {shape}.")
        if "boxes" in batch:
            self._check_keys(batch, ("classes",))
        if self._of("paste"):
            self._check_keys(batch, ("mask",))
        if "points" in batch and self._of(*_ACROSS):
            raise InputError(
                f"augment: {self._names(*_ACROSS)} makes one picture of several, and key points cannot say whose they "
                "are. Leave it out for this batch."
            )
        if "mask" in batch and tuple(batch["mask"].shape[1:]) != shape[1:3]:
            raise InputError(
                f"augment: mask must be as large as image, received {tuple(batch['mask'].shape)} and {shape}."
            )

    @staticmethod
    def _check_keys(batch: Batch, keys: tuple[str, ...]) -> None:
        for key in keys:
            if key not in batch:
                present = ", ".join(sorted(batch)) or "none"
                raise InputError(f"augment: the batch has no {key!r}. Keys present: {present}.")

    def _names(self, *kinds: str) -> str:
        return ", ".join(call.name for call in self.calls if call.kind in kinds)


def _mix(batch: dict[str, Tensor], share: Tensor, objects: Tensor | None = None) -> dict[str, Tensor]:
    """Each picture keeps `share` of its pixels and takes the rest from the one before it in the batch, a ring."""
    kept = ops.mean(share, axis=(1, 2, 3))
    shares = {"image": share, "label": kept[:, None], "weight": kept}
    blended = {
        key: part * batch[key] + (1.0 - part) * ops.roll(batch[key], 1, axis=0)
        for key, part in shares.items()
        if key in batch
    }
    everywhere = ops.broadcast_to(share, (*ops.shape(batch["image"])[:3], 1))[..., 0]
    return {**batch, **blended, **targets.mixed(batch, everywhere, objects)}


def _paste(batch: dict[str, Tensor], active: Tensor) -> dict[str, Tensor]:
    share, objects = tiles.pasted(batch["mask"], active)
    return _mix(batch, share[..., None], objects)


def _mosaic(batch: dict[str, Tensor], mosaic: tiles.Mosaic) -> dict[str, Tensor]:
    return mosaic.apply(batch)


_ACROSS_STEPS = {"mix": _mix, "paste": _paste, "mosaic": _mosaic}


def _as_dtype(pixels: Tensor, dtype: Any) -> Tensor:
    return ops.cast(ops.round(pixels) if "uint8" in str(dtype) else pixels, dtype)


def _as_seed(seed: Tensor | tuple[int, int]) -> Tensor:
    """Any integer (2,) as uint32 (2,), by two's complement."""
    if isinstance(seed, list | tuple):
        seed = ops.stack([ops.cast(np.int64(part) if isinstance(part, int) else part, "uint32") for part in seed])
    if tuple(seed.shape) != (2,):
        raise InputError(f"augment: seed must be two integers, (seed, step), received shape {tuple(seed.shape)}.")
    return ops.cast(seed, "uint32")
