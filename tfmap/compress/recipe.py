"""A recipe string -> the steps of a compression. Read without TensorFlow; nothing of the string is ever evaluated."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Any

from tfmap.errors import InputError, did_you_mean

_TRAINING = ("epochs", "learning_rate")
# step -> its arguments, in the order in which they may stand without a name. Steps stand in the order in which they may
# follow each other: what comes later keeps what came before (zeros, shared weights), not the other way round.
STEPS: dict[str, tuple[str, ...]] = {
    "channels": ("macs", "score", "multiple", "keep", *_TRAINING, "batchnorm"),
    "low_rank": ("energy", "size", *_TRAINING, "batchnorm"),
    "distill": ("temperature", "label_weight", "features", "feature_weight", *_TRAINING),
    "prune": ("sparsity", "schedule", "keep", *_TRAINING, "scope", "block", "batchnorm"),
    "cluster": ("clusters", "keep", *_TRAINING, "batchnorm"),
    "low_bits": ("bits", *_TRAINING, "batchnorm"),
    "qat": _TRAINING,
}
# steps of which one would undo the other
EXCLUDE = {
    ("low_bits", "qat"): "One is for files of format int4, the other for int8.",
    ("cluster", "low_bits"): "low_bits leaves each channel 15 values by itself.",
}
# type of an argument, where it has one
TYPES: dict[str, tuple[type, ...]] = {
    "energy": (int, float),
    "size": (int, float),
    "temperature": (int, float),
    "label_weight": (int, float),
    "features": (dict,),
    "feature_weight": (int, float),
    "sparsity": (int, float, str, dict),
    "schedule": (str,),
    "scope": (str,),
    "block": (list, tuple),
    "macs": (int, float),
    "score": (str,),
    "multiple": (int,),
    "keep": (list, tuple),
    "clusters": (int,),
    "bits": (int,),
    "epochs": (int,),
    "learning_rate": (int, float),
    "batchnorm": (str,),
}


@dataclass(frozen=True)
class Step:
    """One step of a recipe, such as prune(0.5) -> Step("prune", {"sparsity": 0.5})."""

    name: str
    arguments: dict[str, Any]


def parse(recipe: str) -> tuple[Step, ...]:
    """Read a recipe.

    Args:
        recipe: steps separated by "|", such as "prune(0.5)|qat", "prune({'*': 0.5, 'conv_pw_1*': 0.8})",
            "prune(0.5, block=(1, 4))" or "channels(0.5, score='l1')|prune('2:4')".

    Raises:
        InputError: no step, an unknown one, one that stands twice or behind one that it would undo, or arguments it
            does not have.
    """
    steps = tuple(_step(part.strip(), recipe) for part in recipe.split("|")) if recipe.strip() else ()
    names = [step.name for step in steps]
    if not steps:
        raise _error("it is empty", recipe, f"Expected steps such as prune(0.5)|qat. Known steps: {', '.join(STEPS)}.")
    if len(set(names)) < len(names):
        raise _error("a step stands twice", recipe, "Expected each step once.")
    if "qat" in names[:-1]:
        raise _error("qat must be the last step", recipe, "What comes behind it would undo its rounding.")
    for pair, why in EXCLUDE.items():
        if set(pair) <= set(names):
            raise _error(f"{' and '.join(pair)} exclude each other", recipe, why)
    right = [name for name in STEPS if name in names]
    if names != right:
        raise _error("a step would undo one before it", recipe, f"Expected the order {'|'.join(right)}.")
    return steps


def _step(part: str, recipe: str) -> Step:
    name, positional, named = _literals(part, recipe)
    if name not in STEPS:
        known = f"Known steps: {', '.join(STEPS)}.{did_you_mean(name, STEPS)}"
        raise _error(f"unknown step {name!r}", recipe, known)
    known = STEPS[name]
    if len(positional) > len(known) or not set(named) <= set(known):
        raise _error(f"{part} has arguments that it does not know", recipe, f"{name} takes: {', '.join(known)}.")
    arguments = dict(zip(known, positional, strict=False))
    if set(arguments) & set(named):
        raise _error(f"{part} sets an argument twice", recipe, f"{name} takes: {', '.join(known)}.")
    arguments |= named
    for key, value in arguments.items():
        if isinstance(value, bool) or not isinstance(value, TYPES.get(key, object)):
            kinds = " or ".join(kind.__name__ for kind in TYPES[key])
            raise _error(f"{name} has {key}={value!r}", recipe, f"Expected {kinds}.")
    return Step(name, arguments)


def _literals(part: str, recipe: str) -> tuple[str, list[Any], dict[str, Any]]:
    """`prune(0.5, epochs=4)` -> ("prune", [0.5], {"epochs": 4})."""
    try:
        node = ast.parse(part, mode="eval").body
        if isinstance(node, ast.Name):
            return node.id, [], {}
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            named = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in node.keywords}
            return node.func.id, [ast.literal_eval(argument) for argument in node.args], named
    except (SyntaxError, ValueError):
        pass
    raise _error(f"cannot read {part!r}", recipe, "Expected a name, or a name with literals: qat, prune(0.5).")


def _error(what: str, recipe: str, advice: str) -> InputError:
    return InputError(f'compress: {what} in "{recipe}" (compress.recipe). {advice}')
