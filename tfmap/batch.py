"""The batch contract: which keys a batch has, with which shapes, dtypes and ranges.

A batch is a dict; every stage takes one and returns a new one.

| key    | dtype            | shape            | values                                             |
|--------|------------------|------------------|----------------------------------------------------|
| image  | uint8 or float32 | (B, H, W, C)     | 0..255                                             |
| label  | int32 or float32 | (B,) or (B, K)   | class index, or a share per class once mixed       |
| boxes  | float32          | (B, N, 4)        | yxyx in pixels of `image`; padding rows are zero   |
| classes| int32            | (B, N)           | class of each box, -1 is padding                   |
| points | float32          | (B, N, 3)        | y, x in pixels of `image`, 1; absent ones are zero |
| mask   | int32            | (B, H, W)        | class of each pixel, 255 is ignored                |
| whole  | int32            | (B, 2)           | height and width of the picture behind `image`     |
| weight | float32          | (B,)             | share of the loss and the metrics; 0 is padding    |
| id     | string           | (B,)             | source path                                        |
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfmap.errors import InputError, did_you_mean

Batch = Mapping[str, Any]

# key -> (accepted dtypes, accepted ranks)
CONTRACT: dict[str, tuple[tuple[str, ...], tuple[int, ...]]] = {
    "image": (("uint8", "float32"), (4,)),
    "label": (("int32", "float32"), (1, 2)),
    "boxes": (("float32",), (3,)),
    "classes": (("int32",), (2,)),
    "points": (("float32",), (3,)),
    "mask": (("int32",), (3,)),
    "instances": (("int32",), (3,)),
    "whole": (("int32",), (2,)),
    "weight": (("float32",), (1,)),
    "id": (("string",), (1,)),
}


def check(batch: Batch) -> Batch:
    """Return the batch unchanged if it keeps the contract.

    Raises:
        InputError: an unknown or missing key, a wrong dtype or rank, or batch sizes that differ.
    """
    if "image" not in batch:
        raise InputError(f"batch: key 'image' is missing. Keys present: {', '.join(sorted(batch)) or 'none'}.")
    for key, tensor in batch.items():
        _check_one(key, tensor)
    sizes = {key: tensor.shape[0] for key, tensor in batch.items() if tensor.shape[0] is not None}
    if len(set(sizes.values())) > 1:
        raise InputError(f"batch: every key needs the same first dimension, received {sizes}.")
    return batch


def _check_one(key: str, tensor: Any) -> None:
    if key not in CONTRACT:
        raise InputError(f"batch: unknown key {key!r}. Known keys: {', '.join(CONTRACT)}.{did_you_mean(key, CONTRACT)}")
    dtypes, ranks = CONTRACT[key]
    dtype = getattr(tensor.dtype, "name", tensor.dtype)
    if dtype not in dtypes or len(tensor.shape) not in ranks:
        raise InputError(
            f"batch: {key!r} must be {' or '.join(dtypes)} of rank {' or '.join(map(str, ranks))}, "
            f"received {dtype} of shape {tuple(tensor.shape)}."
        )
