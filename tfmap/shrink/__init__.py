"""A run's model -> the smallest, or fastest, file that keeps a stated accuracy. `python -m tfmap.shrink RUN`.

Ways to an integer file are tried from cheap to dear; each is the stages compress, export and verify in a folder of its
own, so that every point can be made again by the commands that are printed with it. It stands above verify, because
it believes only what verify has measured.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from tfmap.checked import checked
from tfmap.errors import InputError, OverBudget

if TYPE_CHECKING:
    from pathlib import Path

    from tfmap.runs import Run


@checked("shrink")
def shrink(
    run: str | Path,
    *,
    config: dict | None = None,
    budget: float = 1.0,
    optimise: Literal["size", "latency", "budget"] = "size",
    target: Literal["int8", "int4", "dynamic"] = "int8",
    rungs: list[str] | None = None,
) -> dict[str, Any]:
    """Try ways to an integer file from cheap to dear, and publish the best that keeps the budget.

    A search that was stopped goes on when it is started again; a way that was measured before with the same model, the
    same settings and the same pictures is not measured again.

    Args:
        run: a run folder with a trained model; gets shrink/, shrink.json and shrink.png, and the files of the best way.
        config: sections that every way starts from; default those of the run's config.yaml.
        budget: points of the task's metric (1 is 0.01 of accuracy) that the file may be worse than the model, on the
            validation split.
        optimise: what is best within the budget: size (bytes after gzip, which is what a store ships), latency (at one
            thread), or budget, which stops at the first way that keeps it.
        target: int8, which everything runs; int4, whose kernels take half the bytes and longer to compute with; or
            dynamic, kernels in int8 beside float arithmetic, for detectors of two stages.
        rungs: names of the ways to try, in this order; default all: int8, float4, qat, prune50, prune50_qat,
            prune50_cluster16_qat, channels50, channels50_distill; to int4: int4, low_bits, prune50_low_bits,
            channels50_low_bits; to dynamic: dynamic, prune50, prune50_cluster16, channels50.

    Returns:
        dict: "points" (a dict per way: name, commands, settings, drop_points, metric, bytes, gzip_bytes, latency_ratio,
        passed, front), "best" (name of the chosen one, None where no way keeps the budget), "refused" (name -> why a
        way cannot be done with this model), "optimise" and "budget".

    Raises:
        FileNotFoundError: the run folder or its model is not there.
        InputError: an unknown way, a negative budget, unreadable data, or a model that no way can be done with.
    """
    from tfmap import config as configs
    from tfmap.runs import Run
    from tfmap.shrink import ladder, points, search

    folder = Run.existing(run)
    folder.need("model.keras")
    if budget < 0:
        raise InputError(f"shrink.budget must be 0 or more points of the task's metric, received {budget}.")
    chosen = ladder.chosen(rungs, target)
    base = config if config is not None else configs.read(folder.file("config.yaml"))
    found, refused = search.climb(folder, base, chosen, budget=budget, optimise=optimise)
    if not found:
        why = " ".join(f"{name}: {text}" for name, text in refused.items())
        raise InputError(f"shrink: no way can be done with this model. {why}")
    best = points.best(found, optimise)
    result = {
        "optimise": optimise,
        "budget": budget,
        "best": best and best["name"],
        "points": points.with_front(found),
        "refused": refused,
    }
    search.publish(folder, best, result)
    return result


def command(config: dict[str, Any], run: Run) -> None:
    """Shrink a run's model.

    Args:
        config: sections -> keyword arguments, and task, seed.
        run: the run folder.

    Raises:
        FileNotFoundError, InputError: as `shrink`.
        OverBudget: no way keeps the budget; shrink.json and shrink.png say how far each is.
    """
    from tfmap.shrink import points

    kept = {name: config[name] for name in ("task", "seed", "datasets", "pipeline", "augment", "compress", "export")}
    result = shrink(run.path, config={**kept, "verify": config["verify"]}, **config["shrink"])
    points.show(result, run)
    if result["best"] is None:
        raise OverBudget(
            f"{run.path}: none of {len(result['points'])} ways loses at most {result['budget']:g} points; the nearest "
            f"loses {min(point['drop_points'] for point in result['points']):.2f}. Allow more: shrink.budget=..."
        )
