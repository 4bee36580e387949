"""A search space -> best.yaml and a table of trials. `python -m tfmap.tune CONFIG [section.key=value …] [out=RUN]`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tfmap.checked import checked

if TYPE_CHECKING:
    from tfmap.runs import Run
    from tfmap.source import Source


@checked("tune")
def search(
    source: Source,
    *,
    config: dict | None = None,
    out: str | Path,
    seed: int = 0,
    algorithm: Literal["random", "bayesian", "hyperband", "grid"] = "random",
    max_trials: int = 20,
    epochs: int | None = None,
    objective: str | None = None,
    space: dict | None = None,
) -> dict[str, Any]:
    """Search settings: many trainings of a config, each with other values for some of its keys.

    Every trial has a folder of its own. One that fails (settings that do not go together, no memory left, a diverging
    loss) is recorded with its reason and the search goes on. A search that was stopped goes on when it is started again
    with the same settings and the same `out`; `max_trials` may be raised then.

    Args:
        source: what `datasets.load` returns; needs the splits "train" and "val".
        config: sections pipeline, augment, model and train that every trial starts from.
        out: run folder; gets trials/, trials.csv, tune.json and best.yaml.
        seed: seed of the search and of every training.
        algorithm: random; bayesian (a Gaussian process picks the next trial); hyperband (many short trainings, the best
            go on longer); grid (every combination, a range without step in ten).
        max_trials: most trials to run.
        epochs: train.epochs of a trial, the longest of hyperband; null keeps what the config says.
        objective: column of history.csv, of which the best epoch counts; null takes the task's first validation metric.
            A name with "loss" in it is made small, any other large.
        space: config key -> a list of choices or {min:, max:, log: true | step:}; null searches learning rate, weight
            decay, augmentation, dropout, freezing, and the backbone if the config names none.

    Returns:
        dict: "config" the best trial's config, "trials" a dict per trial, best first.

    Raises:
        InputError: a space that cannot be searched, another search in `out`, no validation split, or no trial that ran.
    """
    from tfmap import tasks
    from tfmap.errors import InputError
    from tfmap.runs import Run
    from tfmap.tune import space as spaces
    from tfmap.tune.results import Results
    from tfmap.tune.trials import run_all

    base = {"task": "classification", **(config or {})}
    dimensions = spaces.parse(spaces.default(base) if space is None else space, base["task"])
    spaces.check_epochs(dimensions, algorithm, epochs)
    if not len(source.splits.get("val", ())):
        raise InputError(f"tune: {source.id} has no validation pictures. Set datasets.val_fraction above 0.")
    if max_trials < 1 or (epochs is not None and epochs < 1):
        raise InputError(f"tune.max_trials and tune.epochs must be at least 1, received {max_trials} and {epochs}.")
    if objective is None:
        objective = "val_" + tasks.metrics(base["task"], source)[0].name
    if epochs is not None:
        base = {**base, "train": {**base.get("train", {}), "epochs": epochs}}
    recipe = {"config": base, "source": source.id, "algorithm": algorithm, "seed": seed, "objective": objective}
    results = Results(Run(out), {**recipe, "space": {d.key.name: d.described() for d in dimensions}})
    run_all(source, base, dimensions, results, max_trials=max_trials)
    best = results.best()
    return {"config": spaces.apply(config or {}, dimensions, best["drawn"]), "trials": results.sorted()}


def command(config: dict[str, Any], run: Run) -> None:
    """Search what a config describes; leaves trials/, trials.csv, tune.json and best.yaml in the run."""
    from tfmap import config as configs
    from tfmap import datasets
    from tfmap.tune.results import show

    seed = config.get("seed", 0)
    source = datasets.load(**{"seed": seed, **config["datasets"]})
    kept = {name: value for name, value in config.items() if name not in ("tune", "out")}
    found = search(source, config=kept, out=run.path, seed=seed, **config.get("tune", {}))
    trials, path = found["trials"], run.file("best.yaml")
    head = f"# python -m tfmap.train {path}\n# The best of {len(trials)} trials: {trials[0]['score']}\n"
    run.write_text("best.yaml", head + configs.dump(found["config"]))
    show(trials, run)
