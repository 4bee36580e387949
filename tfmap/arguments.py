"""From a config file and `section.key=value` settings to a stage's keyword arguments, without TensorFlow."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from tfmap import config as configs
from tfmap import signatures
from tfmap.errors import InputError
from tfmap.runs import Run
from tfmap.stages import CONFIG, SOURCE, SOURCE_DST, STAGES, usage

_PREDICT = {"top_k": "int", "threshold": "float", "out": "str", "windows": "float"}  # settings of predict


def budgeted(stage: str, argv: list[str]) -> tuple[str, list[str]]:
    """`compress RUN budget=0.5 optimise=size` asks for whatever keeps the budget, which is what shrink finds.

    Args:
        stage: one of STAGES; shrink itself may be asked in the same words.
        argv: its arguments.

    Returns:
        the stage that answers, and the arguments as it knows them.
    """
    short = [text for text in argv if text.startswith(("budget=", "optimise=", "target=", "rungs="))]
    if stage not in ("compress", "shrink") or not short:
        return stage, argv
    return "shrink", [f"shrink.{text}" if text in short else text for text in argv]


def read(stage: str, argv: list[str]) -> tuple[dict[str, Any], Run]:
    """The checked config and the run folder that the arguments ask for.

    Args:
        stage: one of STAGES.
        argv: its arguments.

    Returns:
        sections -> keyword arguments, with task, seed and out; and the run folder, which need not be there yet.

    Raises:
        InputError: an argument that is missing, unknown, or out of range.
        OSError: a file or folder that is not there.
    """
    _refuse_options(stage, argv)
    if stage == "predict":
        return _read_predict(argv)
    if stage == "inspect":
        return _read_inspect(argv)
    if stage == "demo":
        return _read_demo(argv)
    readers = {CONFIG: _read_config, SOURCE: _read_source, SOURCE_DST: _read_source_dst}
    return readers.get(STAGES[stage].takes, _read_run)(stage, argv)


def _read_demo(argv: list[str]) -> tuple[dict[str, Any], Run]:
    """The config of the task that is asked for, with the other settings."""
    tasks = [text.partition("=")[2] for text in argv if text.startswith("task=")]
    text, out = importlib.import_module("tfmap.demo").config_of(tasks[-1] if tasks else signatures.TASKS[0])
    config = configs.override(configs.check(configs.parse(text, "demo"), "demo"), argv)
    _settle(config, STAGES["train"].reads, "demo")
    return config, Run(config.setdefault("out", out))


def _read_config(stage: str, argv: list[str]) -> tuple[dict[str, Any], Run]:
    path = Path(_first(stage, argv, "CONFIG"))
    config = configs.read(path)
    config = _with_compared(config, argv[1:]) if stage == "compare" else configs.override(config, argv[1:])
    _settle(config, STAGES[stage].reads, _where(path, argv[1:]))
    return config, Run(config.setdefault("out", f"runs/{path.stem}"))


def _with_compared(config: dict[str, Any], settings: list[str]) -> dict[str, Any]:
    """Settings applied, where the key that is given more than once is the one that is compared."""
    names = [setting.partition("=")[0] for setting in settings]
    repeated = {name: [s for s, own in zip(settings, names, strict=True) if own == name] for name in names}
    repeated = {name: given for name, given in repeated.items() if len(given) > 1}
    if len(repeated) > 1:
        raise InputError(f"one key at a time can be compared, received several values of {' and '.join(repeated)}.")
    config = configs.override(config, [s for s, name in zip(settings, names, strict=True) if name not in repeated])
    for name, given in repeated.items():
        section, _, short = name.partition(".")
        found = [configs.override(config, [setting])[section] for setting in given]
        values = [one[short] if short else one for one in found]
        config["compare"] = {**config["compare"], "key": name, "values": values}
    return config


def _read_source(stage: str, argv: list[str]) -> tuple[dict[str, Any], Run]:
    """A stage that starts from the data alone."""
    source, reads = _first(stage, argv, "SOURCE"), STAGES[stage].reads
    config = configs.override(configs.check({"datasets": {"source": source}}, stage), argv[1:], (*reads, "out", "seed"))
    _settle(config, reads, stage)
    return config, Run(config.setdefault("out", f"runs/{Path(source).stem}_{stage}"))


def _read_source_dst(stage: str, argv: list[str]) -> tuple[dict[str, Any], Run]:
    """A stage that makes a folder of another kind than a run's."""
    source, reads = _first(stage, argv, "SOURCE"), STAGES[stage].reads
    out = _first(stage, argv[1:], "DST")
    config = configs.override(configs.check({"datasets": {"source": source}}, stage), argv[2:], (*reads, "seed"))
    _settle(config, reads, stage)
    return {**config, "out": out}, Run(out)


def _read_run(stage: str, argv: list[str]) -> tuple[dict[str, Any], Run]:
    run = Run.existing(_first(stage, argv, "RUN"))
    path = run.file("config.yaml")
    config = configs.override(configs.read(path), argv[1:], STAGES[stage].reads)
    _settle(config, STAGES[stage].reads, _where(path, argv[1:]))
    return {**config, "out": str(run.path)}, run


def _where(path: Path, settings: list[str]) -> str:
    """What an error is in: a config, and what was set beside it."""
    return f"{path} with {' '.join(settings)}" if settings else str(path)


def _settle(config: dict[str, Any], reads: tuple[str, ...], where: str) -> None:
    """The last checks: keys that must be there, and names and grammars that are known without TensorFlow."""
    configs.require(config, reads, where)
    # Every stage must cut the data alike, or evaluation would see pictures that training has seen.
    config["datasets"].setdefault("seed", config["seed"])
    try:
        if "datasets" in reads:
            _check_source(config["datasets"])
        _check_names(config)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None


def _check_source(options: dict[str, Any]) -> None:
    from tfmap.datasets import remote, samples

    source = options["source"]
    if source.startswith("sample:"):
        samples.folder(source.removeprefix("sample:"))
    elif remote.matches(source):
        remote.check(source)
    elif not (source.startswith("tfds:") or options.get("format") == "tfds" or Path(source).expanduser().exists()):
        raise InputError(
            f"datasets.source: {source} does not exist. Expected a folder, an archive, a URL, a .csv, .npz, .json "
            "(COCO) or .yaml (YOLO) file, sample:<name> or tfds:<name>."
        )


def _check_names(config: dict[str, Any]) -> None:
    from tfmap import augment
    from tfmap.compress import recipe
    from tfmap.models import catalogue
    from tfmap.tune import space

    if "backbone" in config["model"]:
        catalogue.find(config["model"]["backbone"])
    augment.parse(config["augment"].get("ops", ""))
    if "recipe" in config["compress"]:
        recipe.parse(config["compress"]["recipe"])
    if "values" in config["compare"] and "key" in config["compare"]:
        _check_compared(config)
    if config["tune"].get("space") is not None:
        space.parse(config["tune"]["space"], config["task"])


def _check_compared(config: dict[str, Any]) -> None:
    from tfmap.compare import arms

    key = config["compare"]["key"]
    for value in arms.check(key, config["compare"]["values"], config["task"]):
        _check_names({**arms.config_of(config, key, value), "compare": {}})


def _read_predict(argv: list[str]) -> tuple[dict[str, Any], Run]:
    model = _first("predict", argv, "MODEL")
    settings = [text for text in argv[1:] if text.startswith(tuple(f"{name}=" for name in _PREDICT))]
    pictures = [text for text in argv[1:] if text not in settings]
    if not pictures:
        raise InputError(f"PICTURE is missing. {usage('predict')}")
    missing = [path for path in (model, *pictures) if not Path(path).exists()]
    if missing:
        raise FileNotFoundError(f"{missing[0]} does not exist.")
    chosen = dict(map(_of_predict, settings))
    return {"model": model, "pictures": pictures, **chosen}, Run(Path(model).parent)


def _read_inspect(argv: list[str]) -> tuple[dict[str, Any], Run]:
    model, settings = _first("inspect", argv, "FILE.tflite"), argv[1:]
    for setting in settings:
        if not setting.startswith("out=") or setting == "out=":
            raise InputError(f"unknown argument {setting!r}. {usage('inspect')}")
    out = settings[-1].partition("=")[2] if settings else None
    return {"model": model, "out": out}, Run(out or Path(model).parent)


def _of_predict(setting: str) -> tuple[str, Any]:
    name, _, text = setting.partition("=")
    where, key = f"setting {setting!r}", signatures.Key(name, _PREDICT[name], None, "")
    value = key.check(text if _PREDICT[name] == "str" else configs.parse(text, where), where)
    if name == "top_k" and value < 1:
        raise InputError(f"{where}: top_k must be at least 1.")
    if name == "threshold" and not 0 <= value <= 1:
        raise InputError(f"{where}: threshold must be in 0..1.")
    return name, value


def _first(stage: str, argv: list[str], what: str) -> str:
    if not argv or ("=" in argv[0] and not Path(argv[0]).exists()):
        raise InputError(f"{what} is missing. {usage(stage)}")
    return argv[0]


def _refuse_options(stage: str, argv: list[str]) -> None:
    options = [a for a in argv if a.startswith("-")]
    if options:
        raise InputError(f"unknown option {options[0]!r}; settings are written section.key=value. {usage(stage)}")
