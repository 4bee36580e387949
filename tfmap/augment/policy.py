"""A parsed policy at work: draw once per picture, multiply the maps, touch the pixels once.

The kinds of ops run in a fixed order, wherever they stand in the string; order matters among the ops of one kind:

    geometry    3x3 coordinate maps, multiplied -> one warp
    colour      3x4 colour maps, multiplied -> one colour product
    tone        functions of one value, composed -> one table, one look-up
    filter      pictures with their neighbours: sharpness, blur, jpeg
    blend       several policies on the same picture, blended (AugMix)
    noise       a number for every pixel
    erase       rectangles
    mix         across pictures, labels too
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from keras import ops

from tfmap.augment.compiled import compiled
from tfmap.augment.draws import Draw
from tfmap.augment.grammar import Call, leaves
from tfmap.augment.selection import steps
from tfmap.augment.stages import of, touched
from tfmap.errors import InputError

Tensor = Any
Batch = Mapping[str, Any]


class Policy:
    """The augmentation of a training batch; made by `tfmap.augment.build`.

    It is no layer and lives outside the model, so nothing of it is saved.

    Args:
        calls: the parsed ops.
        classes: number of classes, to turn class indices into shares where the policy mixes.

    Attributes:
        mixes_labels: whether labels come out as float32 (B, K).
    """

    def __init__(self, calls: tuple[Call, ...], *, classes: int | None = None) -> None:
        self.calls = calls
        self.classes = classes
        self.mixes_labels = bool(self._names("mix"))
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
            shares: each picture brings its part of the weight along. Everything else is passed on.

        Raises:
            InputError: a batch that the policy cannot work on.
        """
        if not self.calls:
            return dict(batch)
        self._check(batch)
        touched = {"image": batch["image"]}
        if self.mixes_labels:
            touched["label"] = self._shares(batch["label"])
            touched |= {"weight": batch["weight"]} if "weight" in batch else {}
        return {**batch, **self._compiled(touched, _as_seed(seed))}

    def _apply(self, batch: Batch, seed: Tensor) -> dict[str, Tensor]:
        """All ops on the tensors that they touch; one XLA function under TensorFlow."""
        image = batch["image"]
        draw = Draw(seed, image)
        taken = steps(self.calls, draw)
        mixed = {**batch, "image": ops.stack(touched(image, taken, draw), axis=-1)}
        for step in of("mix", taken):
            share = step.drawn(draw)
            mixed = _mix(mixed, step.where_active(share, ops.ones_like(share)))
        return {**mixed, "image": _as_dtype(mixed["image"], image.dtype)}

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
        present = ", ".join(sorted(batch)) or "none"
        for key in ("image", "label") if self.mixes_labels else ("image",):
            if key not in batch:
                raise InputError(f"augment: the batch has no {key!r}. Keys present: {present}.")
        shape = tuple(batch["image"].shape)
        if len(shape) != 4 or None in shape[1:]:
            raise InputError(f"augment: image must be (B, H, W, C) with known H, W and C, received shape {shape}.")
        if self._names("colour") and shape[3] != 3:
            raise InputError(f"augment: {self._names('colour')} needs 3 channels, received image of shape {shape}.")
        unmoved = [key for key in ("boxes", "mask") if key in batch]
        if unmoved and self._names("geometry", "erase", "mix"):
            raise InputError(
                f"augment: {self._names('geometry', 'erase', 'mix')} would leave {unmoved[0]!r} where it was: ops that "
                "move pixels take image, label and weight only. Use colour ops alone for this batch."
            )

    def _names(self, *kinds: str) -> str:
        return ", ".join(dict.fromkeys(call.name for call in leaves(self.calls) if call.kind in kinds))


def _mix(batch: dict[str, Tensor], share: Tensor) -> dict[str, Tensor]:
    """Each picture keeps `share` of its pixels and takes the rest from the one before it in the batch, a ring."""
    kept = ops.mean(share, axis=(1, 2, 3))
    shares = {"image": share, "label": kept[:, None], "weight": kept}
    return {key: shares[key] * value + (1.0 - shares[key]) * ops.roll(value, 1, axis=0) for key, value in batch.items()}


def _as_dtype(pixels: Tensor, dtype: Any) -> Tensor:
    return ops.cast(ops.round(pixels) if "uint8" in str(dtype) else pixels, dtype)


def _as_seed(seed: Tensor | tuple[int, int]) -> Tensor:
    """Any integer (2,) as uint32 (2,), by two's complement."""
    if isinstance(seed, list | tuple):
        seed = ops.stack([ops.cast(np.int64(part) if isinstance(part, int) else part, "uint32") for part in seed])
    if tuple(seed.shape) != (2,):
        raise InputError(f"augment: seed must be two integers, (seed, step), received shape {tuple(seed.shape)}.")
    return ops.cast(seed, "uint32")
