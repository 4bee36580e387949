"""Where the time of a training step goes, what limits it, and what to change. `python -m tfmap.profile CONFIG`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tfmap.checked import checked
from tfmap.errors import InputError

if TYPE_CHECKING:
    from tfmap.runs import Run


@checked("profile")
def profile(config: dict, *, steps: int = 20) -> dict[str, Any]:
    """Measure a training step part by part, on this machine.

    Each part of the input is timed as the pipeline runs it, on all its workers, with files that the system has read
    before; each part of the computation by itself. `step` is the whole, with the input beside the computation.

    Args:
        config: the sections of a config; reads task, seed, datasets, pipeline, augment, model and train.
        steps: steps that each part is timed over, after some to warm up.

    Returns:
        dict: "parts" (read, decode, resize and batch of the input; transfer, augment, forward and backward, with the
        update, of the computation -> {"ms": per step, "us": per picture, "share" of its side}); "input_ms",
        "compute_ms" and "step_ms"; "rates" (pictures a second that input, compute and the whole step manage); "limit"
        ("input" or "compute"); "cache" (what the pipeline keeps); "advice" (lines); "memory_mb" (most of the process,
        and of the GPU where there is one); "about" (what was measured).

    Raises:
        InputError: steps below 1, or a training that `train` would refuse too.
    """
    if steps < 1:
        raise InputError(f"profile.steps must be at least 1, received {steps}. 20 is usual.")
    from tfmap.profile import advice
    from tfmap.profile.training import Training
    from tfmap.progress import shown

    training = Training(config, steps)
    measures = (training.input_parts, training.compute_parts, training.input_ms, training.step_ms)
    before, behind, input_ms, step_ms = [measure() for measure in shown(measures, len(measures), "Profiling")]
    size, ms = training.batch_size, {"input": input_ms, "compute": sum(behind.values()), "step": step_ms}
    found = {
        "parts": _parts(before, size) | _parts(behind, size),
        **{f"{name}_ms": value for name, value in ms.items()},
        "rates": {name: size / value * 1e3 for name, value in ms.items()},
        "limit": "input" if ms["input"] > ms["compute"] else "compute",
        "cache": training.cache,
        "memory_mb": training.memory(),
        "about": training.about(),
    }
    return found | {"advice": advice.lines(found, config)}


def _parts(ms: dict[str, float], batch_size: int) -> dict[str, dict[str, float]]:
    whole = max(sum(ms.values()), 1e-9)
    return {part: {"ms": value, "us": value / batch_size * 1e3, "share": value / whole} for part, value in ms.items()}


def command(config: dict[str, Any], run: Run) -> None:
    """Profile what a config describes; leaves profile.json, profile.png and profile.svg in the run folder."""
    from tfmap.profile import advice, plot
    from tfmap.runs import replacing

    found = profile(config, **config.get("profile", {}))
    run.write_json("profile.json", found)
    for name in ("profile.png", "profile.svg"):
        with replacing(run.file(name)) as temporary:
            plot.draw(found, temporary)
    advice.show(found, run.file("profile.json"))
