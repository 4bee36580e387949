"""What the benchmarks of compression share: the demo's network, and pictures of waste that judge what became of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

import tfmap
from tfmap import config, demo
from tfmap.export import representative
from tfmap.source import Source, Split

CONFIG = config.parse(demo.CONFIG, "demo")
SHAPE = tuple(CONFIG["model"]["input_shape"])
Judges = Mapping[str, tuple[np.ndarray, np.ndarray]]


def settings(seed: int) -> dict[str, Any]:
    """Keywords of `compress.compress`, as in the demo."""
    return {"augment": CONFIG["augment"]["ops"], "pipeline": CONFIG["pipeline"], "seed": seed, "verbose": False}


def trained(source: Source, seed: int, folder: str | Path, **network: Any) -> keras.Model:
    """The demo's network, trained as there, or taken from the folder where an earlier call has left it.

    Args:
        source: to learn from.
        seed: of weights and batches.
        folder: where trained ones are kept.
        network: keywords of `build_classifier` that are not the demo's.
    """
    network = {**CONFIG["model"], **network}
    said = hashlib.sha256(repr(sorted(network.items())).encode()).hexdigest()[:8]
    path = Path(folder) / f"{network['backbone']}-{said}-seed{seed}.keras"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        keras.utils.set_random_seed(seed)
        model = tfmap.build_classifier(**network, classes=len(source.classes))
        tfmap.fit(model, source, **settings(seed), **CONFIG["train"]).save(path)
    return keras.saving.load_model(path, compile=False)


def judges(source: Source, folder: str, shape: tuple[int, int, int] = SHAPE) -> Judges:
    """Pictures uint8 (N, H, W, 3) and labels (N,): the validation split, and TrashNet's that are not in the sample."""
    # The sample's files have their class and name, but were compressed once more.
    taken = {_digest(Path(folder, *Path(path).parts[-2:])) for split in source.splits.values() for path in split.images}
    whole = tfmap.load(folder, val_fraction=0.0).split("train")
    outside = whole.take(np.array([i for i, path in enumerate(whole.images) if _digest(path) not in taken]))
    return {name: _read(split, shape) for name, split in (("val", source.split("val")), ("outside", outside))}


def _digest(path: str | Path) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _read(split: Split, shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    images, ids = representative.pictures(split, shape=shape)
    labels = dict(zip(split.ids, split.labels, strict=True))
    return images, np.array([labels[name] for name in ids])


def of_keras(model: keras.Model) -> Callable[[np.ndarray], np.ndarray]:
    """Pictures -> scores."""
    return lambda images: model.predict(images, batch_size=64, verbose=0)


def percent(scores: Mapping[str, np.ndarray], pictures: Judges) -> dict[str, float]:
    """Percent right of each judge, and of "all" pictures together."""
    right = {name: scores[name].argmax(1) == labels for name, (_, labels) in pictures.items()}
    return {
        name: 100 * float(np.mean(hits)) for name, hits in {**right, "all": np.concatenate([*right.values()])}.items()
    }
