"""What a setting is worth: every value trained with several seeds.

`python -m tfmap.compare CONFIG augment.ops=A augment.ops=B … [compare.seeds=3] [section.key=value …] [out=RUN]`: the
key that is given more than once is compared.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfmap.checked import checked

if TYPE_CHECKING:
    from tfmap.runs import Run
    from tfmap.source import Source


@checked("compare")
def compare(
    source: Source,
    *,
    config: dict | None = None,
    out: str | Path,
    seed: int = 0,
    key: str,
    values: list,
    seeds: int = 3,
) -> dict[str, Any]:
    """Train every value of one key with several seeds, on the same pictures.

    The trainings of one seed start from the same weights and see the pictures in the same order; all seeds share one
    split. What is judged is the model that `train.fit` leaves: accuracy, mean recall and macro F1 on the validation
    split, the accuracy on the training pictures as they are minus that (the gap), and seconds per epoch. A comparison
    that was stopped goes on when it is started again with the same settings and the same `out`; values and seeds may be
    added then.

    Args:
        source: what `datasets.load` returns; needs the splits "train" and "val".
        config: task, and the sections pipeline, augment, model and train that every training starts from.
        out: run folder; gets compare/, compare.csv, compare.json and compare.png.
        seed: the first of the seeds.
        key: config key that is compared, such as augment.ops; on the command line the one that is given several times.
        values: its values; on the command line each is written key=value.
        seeds: trainings of each value, with the seeds from `seed` on.

    Returns:
        dict: "rows" a dict per training, "summary" a dict per value with means and spreads.

    Raises:
        InputError: a key that cannot be compared, values that are not two or more different ones, no validation split,
            or another comparison in `out`.
    """
    from tfmap.compare import arms, plot, trainings
    from tfmap.compare.results import Results, summary
    from tfmap.errors import InputError
    from tfmap.runs import Run, replacing

    base = {"task": "classification", **(config or {})}
    values = arms.check(key, values, base["task"])
    if seeds < 1:
        raise InputError(f"compare.seeds must be at least 1, received {seeds}.")
    if not len(source.splits.get("val", ())):
        raise InputError(f"compare: {source.id} has no validation pictures. Set datasets.val_fraction above 0.")
    results = Results(Run(out), {"config": base, "source": source.id, "key": key})
    trainings.run_all(source, base, results, values=values, seeds=range(seed, seed + seeds))
    found = summary(results.rows)
    with replacing(results.run.file("compare.png")) as temporary:
        plot.draw(results.rows, found, key, temporary)
    return {"rows": results.rows, "summary": found}


def command(config: dict[str, Any], run: Run) -> None:
    """Compare what a config describes; leaves compare/, compare.csv, compare.json and compare.png in the run."""
    from tfmap import datasets
    from tfmap.compare.results import show

    source = datasets.load(**{"seed": config["seed"], **config["datasets"]})
    kept = {name: config[name] for name in ("task", "datasets", "pipeline", "augment", "model", "train")}
    found = compare(source, config=kept, out=run.path, seed=config["seed"], **config["compare"])
    show(config["compare"]["key"], found["summary"], run)
