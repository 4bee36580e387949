"""Stage: a contact sheet of what training will see. `python -m tfmap.preview CONFIG [key=value …] [out=RUN]`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tfmap.checked import checked
from tfmap.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

    from tfmap.runs import Run
    from tfmap.sheets import Picture
    from tfmap.source import Source


@checked("preview")
def preview(
    source: Source,
    *,
    config: dict | None = None,
    seed: int = 0,
    pictures: int = 4,
    draws: int = 5,
) -> Image:
    """Draw the first training batch and what the policy makes of it.

    The batch is the first of the training, as large as there, because some ops mix the pictures of one batch; the first
    draw is the one of the first training step.

    Args:
        source: what `datasets.load` returns; needs the split "train".
        config: task, and the sections pipeline, augment and model (for the size of its input).
        seed: seed of the order and of the draws.
        pictures: rows of the sheet.
        draws: columns beside the original.

    Returns:
        the sheet, RGB: a row per picture, the original (as the model's input) first; boxes with their class, masks
        tinted by class, ignored pixels striped.

    Raises:
        InputError: no picture or no draw is asked for, or a policy that does not fit the batch.
    """
    from tfmap import sheets

    if pictures < 1 or draws < 1:
        raise InputError(f"preview.pictures and preview.draws must be at least 1, received {pictures} and {draws}.")
    config = {"task": "classification", **(config or {})}
    ops = config.get("augment", {}).get("ops", "")
    columns = _columns(source, config, ops, seed, draws)
    shown = min(pictures, len(columns[0]["image"]))
    rows = [[picture(batch, row, source.classes) for batch in columns] for row in range(shown)]
    return sheets.sheet(rows, title=f"{source.id}: {ops or 'no augmentation'}", classes=source.classes)


def _columns(source: Source, config: Mapping[str, Any], ops: str, seed: int, draws: int) -> list[dict[str, Any]]:
    """The first batch, and `draws` versions of it, as arrays."""
    import numpy as np

    from tfmap import augment, signatures, tasks
    from tfmap.pipeline import batches, clear_errors
    from tfmap.pipeline.fit import stretch

    split = source.split("train")
    shape = config.get("model", {}).get("input_shape", signatures.keys("model", config["task"])["input_shape"].default)
    options = {"batch_size": 32, **config.get("pipeline", {}), "cache": "none"}
    options["batch_size"] = min(options["batch_size"], len(split))
    prepare = tasks.get(config["task"]).prepare if source.target == "label" else stretch
    with clear_errors():
        data = batches(split, training=True, seed=seed, size=shape[:2], channels=shape[2], prepare=prepare, **options)
        first = next(iter(data))
    policy = augment.build(ops, classes=len(source.classes))
    made = [first, *(policy(first, (seed, step)) for step in range(draws))]
    return [{key: np.asarray(value) for key, value in batch.items()} for batch in made]


def picture(batch: Mapping[str, Any], row: int, classes: Sequence[str]) -> Picture:
    """One picture of a batch with what is known of it.

    Args:
        batch: arrays, as `tfmap.batch` says.
        row: which one.
        classes: K names.
    """
    from tfmap import sheets

    found = {key: batch[key][row] for key in ("boxes", "classes", "mask", "points") if key in batch}
    if "instances" in batch:
        found["mask"] = sheets.apart(batch["instances"][row])
    text = f"{(found['classes'] >= 0).sum()} boxes" if "boxes" in found else ""
    if "label" in batch and not found:
        text = sheets.label(batch["label"][row], classes)
    return sheets.Picture(batch["image"][row], text, **found)


def command(config: dict[str, Any], run: Run) -> None:
    """Leave preview.png in the run."""
    import sys

    from tfmap import datasets
    from tfmap.runs import replacing

    source = datasets.load(**{"seed": config["seed"], **config["datasets"]})
    sheet = preview(source, config=config, seed=config["seed"], **config["preview"])
    with replacing(run.file("preview.png")) as temporary:
        sheet.save(temporary)
    sys.stdout.write(f"{run.file('preview.png')}\n")


if __name__ == "__main__":
    from tfmap.cli import main

    main("preview")
