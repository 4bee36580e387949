"""Stage: any .tflite file, whoever made it -> its tensors, ops, sizes, metadata and labels. Without TensorFlow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfmap.runs import Run


def inspect(model: str | Path | bytes) -> dict[str, Any]:
    """Read all that a .tflite file says about itself; it is not run.

    Args:
        model: path of the file, or its bytes.

    Returns:
        dict of plain values for JSON: "bytes", "gzip_bytes", "sha256"; "format" (as `Graph.format`), "description",
            "schema", "min_runtime" (version of the runtime, "" where it does not say); "inputs", "outputs" (tensors:
            name, dtype, shape, scale, zero_point, bytes; channels where there is a scale for each; shape_signature,
            with -1 for an open size, where there is one); "signatures"; "ops" (name -> how many); "subgraphs" (name,
            tensors, ops with the bytes of the constants that each is the first to use); "sizes" (bytes of constants,
            named buffers, packed files, and the rest); "metadata" (as `flatc` writes it as JSON, or None); "labels"
            (locale, "" for the original -> names); "files" (packed file -> bytes); "tfmap" (what tfmap.json says, or
            None).

    Raises:
        FileNotFoundError: the file does not exist.
        InputError: it is no TFLite file, or a broken one.
    """
    from tfmap.inspect import contents

    return contents.read(model)


def command(config: dict[str, Any], run: Run) -> None:
    """Print what is in a file, and write inspect.json where a folder is given.

    Args:
        config: "model" (path of a .tflite file, or of a run folder that holds model.tflite), "out" (whether to write).
        run: the folder for inspect.json.

    Raises:
        FileNotFoundError: the file does not exist.
        InputError: as `inspect`.
    """
    from tfmap.inspect import table

    path = _file(Path(config["model"]))
    found = inspect(path)
    table.show(found, str(path))
    if config["out"]:
        run.write_json("inspect.json", {"file": str(path), **found})


def _file(path: Path) -> Path:
    """The .tflite file itself, where a run folder was given."""
    if path.is_dir() and not (path / "model.tflite").is_file():
        raise FileNotFoundError(f"{path} holds no model.tflite. Export one: python -m tfmap.export {path}")
    return path / "model.tflite" if path.is_dir() else path
