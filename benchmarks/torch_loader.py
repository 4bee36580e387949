"""The usual loader of PyTorch, for benchmarks/pipeline.py: Pillow in two worker processes.

It runs in a process of its own, because PyTorch and TensorFlow abort each other in one ("LLVM ERROR: inconsistency in
registered CommandLine options"). Its input: a line of JSON (paths, size, batch, crop), then a line with a number of
steps for each answer, which is a line of two numbers: microseconds a picture on the clock and of all cores.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence

import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from benchmarks.clock import timed


class Pictures(Dataset):
    """Files as uint8 tensors of one size, without an end."""

    def __init__(self, paths: Sequence[str], size: Sequence[int], crop: Sequence[float] | None) -> None:
        self._paths = list(paths)
        resize = v2.Resize(size) if crop is None else v2.RandomResizedCrop(size, crop)
        self._steps = v2.Compose([resize, v2.PILToTensor()])

    def __len__(self) -> int:
        return 10**6

    def __getitem__(self, index: int) -> torch.Tensor:
        return self._steps(Image.open(self._paths[index % len(self._paths)]).convert("RGB"))


def batches(
    paths: Sequence[str], size: Sequence[int], batch: int, crop: Sequence[float] | None
) -> Iterator[torch.Tensor]:
    """Batches uint8 (B, C, H, W)."""
    pictures = Pictures(paths, size, crop)
    return iter(DataLoader(pictures, batch, shuffle=True, num_workers=2, multiprocessing_context="spawn"))


def main() -> None:
    """Answer until the input ends."""
    about = json.loads(sys.stdin.readline())
    stream = batches(**about)
    for line in sys.stdin:
        print(*timed(stream, int(line), about["batch"]), flush=True)


if __name__ == "__main__":
    main()
