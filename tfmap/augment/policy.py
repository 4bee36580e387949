"""A parsed policy at work: draw once per picture, multiply the maps, touch the pixels once.

The kinds of ops run in a fixed order, wherever they stand in the string; order matters among the ops of one kind:

    geometry    3x3 coordinate maps, multiplied, and a bend -> one warp, of boxes, points and masks too
    colour      3x4 colour maps, multiplied -> one colour product
    tone        functions of one value, composed -> one table, one look-up
    filter      pictures with their neighbours: sharpness, blur, jpeg
    blend       several policies on the same picture, blended (AugMix)
    noise       a number for every pixel
    erase       rectangles
    across      one picture of several, labels too: mixes, mosaic, copy_paste
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from keras import ops

from tfmap.augment.across import ACROSS
from tfmap.augment.compiled import compiled
from tfmap.augment.draws import Draw
from tfmap.augment.grammar import Call, leaves
from tfmap.augment.selection import steps
from tfmap.augment.stages import GEOMETRY, touched
from tfmap.augment.targets import BEYOND
from tfmap.errors import InputError

Tensor = Any
Batch = Mapping[str, Any]

_TARGETS = ("boxes", "classes", "points", "mask", "instances")


class Policy:
    """The augmentation of a training batch; made by `tfmap.augment.build`.

    It is no layer and lives outside the model, so nothing of it is saved.

    Args:
        calls: the parsed ops.
        classes: number of classes, to turn class indices into shares where the policy mixes.
        point_pairs: rows of key points that exchange their names in a mirrored picture.

    Attributes:
        mixes_labels: whether labels come out as float32 (B, K).
    """

    def __init__(
        self, calls: tuple[Call, ...], *, classes: int | None = None, point_pairs: Sequence[tuple[int, int]] = ()
    ) -> None:
        self.calls, self.classes, self.point_pairs = calls, classes, point_pairs
        self.mixes_labels = bool(self._names(*ACROSS))
        self._compiled = compiled(self._apply)

    def unmixed(self) -> Policy:
        """The same policy without the ops that make one picture of several, and choices among them."""
        if not self.mixes_labels:
            return self
        kept = tuple(call for call in self.calls if not _mixes(call))
        return Policy(kept, classes=self.classes, point_pairs=self.point_pairs)

    def __call__(self, batch: Batch, seed: Tensor | tuple[int, int]) -> dict[str, Any]:
        """Augment one batch.

        Args:
            batch: see `tfmap.batch`; "image" uint8 or float32 (B, H, W, C), values 0..255, C = 3 for colour ops.
            seed: integer (2,), a tensor or a pair of ints, such as (seed, step); the same seed gives the same pictures.
                Replicas that share a step must differ in it: (seed, step * replicas + replica).

        Returns:
            dict: a new batch. "image" keeps shape and dtype, clipped to 0..255 and rounded where uint8. Where the
            policy mixes, "label" is float32 (B, K), in the shares of the pixels, and "weight" is mixed in the same
            shares: each picture brings its part of the weight along. "boxes" with "classes", "points", "mask" and
            "instances" follow their pixels, see `tfmap.augment.targets`; a `mosaic` makes (B, 4N, 4) of boxes
            (B, N, 4), and each of `mixup`, `cutmix`, `mix` and `copy_paste` (B, 2N, 4). Everything else is passed on.

        Raises:
            InputError: a batch that the policy cannot work on.
        """
        if not self.calls:
            return dict(batch)
        self._check(batch)
        return {**batch, **self._compiled(self._touched(batch), _as_seed(seed))}

    def _touched(self, batch: Batch) -> dict[str, Tensor]:
        """What of a batch the ops change."""
        keys = ["image"]
        if self._names(*GEOMETRY, *ACROSS, "erase"):
            keys += [key for key in _TARGETS if key in batch]
        if self.mixes_labels:
            keys += [key for key in ("label", "weight") if key in batch]
        return {key: self._shares(batch[key]) if key == "label" else batch[key] for key in keys}

    def _apply(self, batch: Batch, seed: Tensor) -> dict[str, Tensor]:
        """All ops on the tensors that they touch; one XLA function under TensorFlow."""
        image = batch["image"]
        draw = Draw(seed, image)
        taken = steps(self.calls, draw)
        made = touched(batch, taken, draw, self.point_pairs)
        made["image"] = ops.stack(made["image"], axis=-1)
        for step in taken:
            if step.call.kind in ACROSS:
                made = ACROSS[step.call.kind](made, step, draw)
        return {**made, "image": _as_dtype(made["image"], image.dtype)}

    def _shares(self, label: Tensor) -> Tensor:
        """Labels as float32 (B, K)."""
        if len(label.shape) == 2:
            return ops.cast(label, "float32")
        if self.classes is None:
            raise InputError(
                f"augment: {self._names(*ACROSS)} mixes labels: class indices (B,) need the number of classes, "
                "received classes=None. Use build(ops, classes=K)."
            )
        return ops.one_hot(label, self.classes, dtype="float32")

    def _check(self, batch: Batch) -> None:
        needed = {"image"} | ({"classes"} if "boxes" in batch else set())
        needed |= {"boxes"} if "instances" in batch else {"mask"} if self._names("paste") else set()
        needed |= {"label"} if self.mixes_labels and not set(batch) & set(_TARGETS) else set()
        for key in sorted(needed):
            if key not in batch:
                present = ", ".join(sorted(batch)) or "none"
                raise InputError(f"augment: the batch has no {key!r}. Keys present: {present}.")
        shape = tuple(batch["image"].shape)
        if len(shape) != 4 or None in shape[1:]:
            raise InputError(f"augment: image must be (B, H, W, C) with known H, W and C, received shape {shape}.")
        if self._names("colour") and shape[3] != 3:
            raise InputError(f"augment: {self._names('colour')} needs 3 channels, received image of shape {shape}.")
        self._check_targets(batch, shape)

    def _check_targets(self, batch: Batch, shape: tuple[int | None, ...]) -> None:
        for key in BEYOND:
            if key in batch and tuple(batch[key].shape[1:]) != shape[1:3]:
                raise InputError(
                    f"augment: {key} must be as large as image, received {tuple(batch[key].shape)} and {shape}."
                )
        if "points" in batch and self._names(*ACROSS):
            raise InputError(
                f"augment: {self._names(*ACROSS)} makes one picture of several, and key points cannot say whose they "
                "are. Leave it out for this batch."
            )
        present = [key for key in _TARGETS if key in batch]
        blends = [call for call in leaves(self.calls) if call.kind == "blend"]
        moving = [call.name for call in leaves(tuple(blends)) if call.kind in (*GEOMETRY, "erase")]
        if present and moving:
            raise InputError(
                f"augment: a blend with {moving[0]} shows several versions of a picture at once, and {present[0]!r} "
                "cannot follow them all. Leave it out for this batch, or blend colours alone."
            )

    def _names(self, *kinds: str) -> str:
        return ", ".join(dict.fromkeys(call.name for call in leaves(self.calls) if call.kind in kinds))


def _mixes(call: Call) -> bool:
    """Whether an op, or one of those it chooses from, works across pictures."""
    return any(leaf.kind in ACROSS for leaf in leaves((call,)))


def _as_dtype(pixels: Tensor, dtype: Any) -> Tensor:
    return ops.cast(ops.round(pixels) if "uint8" in str(dtype) else pixels, dtype)


def _as_seed(seed: Tensor | tuple[int, int]) -> Tensor:
    """Any integer (2,) as uint32 (2,), by two's complement."""
    if isinstance(seed, list | tuple):
        seed = ops.stack([ops.cast(np.int64(part) if isinstance(part, int) else part, "uint32") for part in seed])
    if tuple(seed.shape) != (2,):
        raise InputError(f"augment: seed must be two integers, (seed, step), received shape {tuple(seed.shape)}.")
    return ops.cast(seed, "uint32")
