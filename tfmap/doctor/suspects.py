"""Likely label errors, by confident learning.

The model's features (what its last layer reads) go through a logistic regression in five folds, so that no picture has
a say in the judgement on its own label. A model that was trained on these very pictures has still seen their labels and
excuses some; one that was trained on others, or on a part, finds more.

Source: Northcutt, Jiang, Chuang, Confident Learning, 2021, section 3.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tfmap.datasets.survey import Survey
from tfmap.doctor import findings
from tfmap.doctor.findings import Finding
from tfmap.errors import InputError

if TYPE_CHECKING:
    import keras

    from tfmap.source import Split

FOLDS = 5


def check(survey: Survey, model: str) -> Iterator[Finding]:
    """Findings about labels that a model doubts, the most doubtful first.

    Args:
        survey: the pictures.
        model: a run folder, or a .keras file.

    Raises:
        InputError: cleanlab is missing, the data is not for this, or the model is no classifier.
        FileNotFoundError: the model is not there.
    """
    find_label_issues = _cleanlab()
    network = _features_of(_opened(model))
    indices = _members(survey)
    labels = survey.listing.labels[indices]
    probabilities = judge(_features(network, _split(survey, indices)), labels)
    for row in find_label_issues(labels, probabilities, return_indices_ranked_by="self_confidence"):
        index, best = indices[row], int(probabilities[row].argmax())
        given, likely = (survey.listing.classes[label] for label in (labels[row], best))
        text = f"{survey.listing.ids[index]} is labelled {given} ({probabilities[row, labels[row]]:.0%}), "
        yield Finding(
            findings.SUSPECT,
            f"{text}looks like {likely} ({probabilities[row, best]:.0%})",
            (survey.listing.ids[index],),
        )


def judge(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Probabilities float32 (N, K) of each picture by a classifier that has not seen it.

    Args:
        features: float32 (N, F).
        labels: int32 (N,), every class of [0, K) at least five times.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
    return cross_val_predict(classifier, features, labels, cv=folds, method="predict_proba")


def _cleanlab():
    try:
        from cleanlab.filter import find_label_issues
    except ImportError:
        raise InputError('doctor.model needs cleanlab. Install it: pip install "tfmap[labels]"') from None
    return find_label_issues


def _opened(model: str) -> keras.Model:
    from tfmap import tasks

    path = Path(model) / "model.keras" if Path(model).is_dir() else Path(model)
    if not path.is_file():
        raise FileNotFoundError(f"doctor.model: {path} does not exist. Expected a run folder or a .keras file.")
    if path.suffix != ".keras":
        raise InputError(f"doctor.model must be a run folder or a .keras file, received {path}.")
    return tasks.load(path)


def _features_of(model: keras.Model) -> keras.Model:
    """The model up to what its last dense layer reads."""
    import keras

    last = next((layer for layer in reversed(model.layers) if isinstance(layer, keras.layers.Dense)), None)
    if last is None or len(model.inputs) != 1 or None in model.input_shape[1:]:
        raise InputError("doctor.model must be a classifier of pictures of a fixed size that ends in a dense layer.")
    return keras.Model(model.inputs, last.input)


def _members(survey: Survey) -> np.ndarray:
    """The pictures to judge: those that can be read."""
    labels = survey.listing.labels
    if labels.ndim == 2:
        raise InputError(
            "doctor.model judges data with one label a picture; here pictures have several, boxes or masks."
        )
    indices = np.array([index for index, verdict in enumerate(survey.verdicts) if not verdict.reason], np.int64)
    counts = np.bincount(labels[indices], minlength=len(survey.listing.classes))
    if counts.min() < FOLDS:
        name = survey.listing.classes[int(counts.argmin())]
        raise InputError(
            f"doctor.model: class {name!r} has {counts.min()} pictures; {FOLDS} or more of each class are needed."
        )
    return indices


def _split(survey: Survey, indices: np.ndarray) -> Split:
    from tfmap.source import Split

    listing = survey.listing
    odd = np.array([verdict.odd for verdict in survey.verdicts], bool)
    arrays = (array[indices] for array in (listing.images, listing.labels, listing.ids, odd))
    return Split(listing.kind, *arrays, shards=listing.shards)


def _features(network: keras.Model, split: Split) -> np.ndarray:
    from tfmap import pipeline, tasks

    height, width, channels = network.input_shape[1:]
    prepare = tasks.get("classification").prepare
    batches = pipeline.batches(split, size=(height, width), channels=channels, prepare=prepare, cache="none")
    with pipeline.clear_errors():
        rows = [np.asarray(network.predict_on_batch(batch["image"].numpy())) for batch in batches]
    return np.concatenate(rows)[: len(split)]
