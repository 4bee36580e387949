"""Does `tfmap.inspect` read the .tflite files of others as their makers do?

    python -m benchmarks.inspect_reference FOLDER

FOLDER holds .tflite files, and under metadata_json/ the metadata that some of them must have. Every other file's
metadata is compared with what the bindings that flatc generated read (they lie in mediapipe's wheel, where installed).
"""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from rich.console import Console
from rich.table import Table

from tfmap.errors import InputError
from tfmap.export import metadata, tables
from tfmap.export.metadata_schema import ENUMS, TABLES, UNIONS
from tfmap.inspect import inspect

IGNORED = "min_parser_version"  # the expected files leave it out


def main(folder: str) -> int:
    """Print a row for each file; 1 if one was read otherwise than it should be."""
    expected = {path.stem: json.loads(path.read_text()) for path in Path(folder).glob("metadata_json/*.json")}
    bindings = _bindings()
    rows = [_row(path, expected, bindings) for path in sorted(Path(folder).glob("*.tflite"))]
    back = sum(tables.decode(tables.encode(value)) == value for value in expected.values())
    table = Table("file", "format", "ops", "labels", "expected JSON", "generated bindings")
    for row in rows:
        table.add_row(*map(str, row))
    console = Console(width=140)
    console.print(table)
    console.print(f"{back} of {len(expected)} expected files written as a flatbuffer and read back alike")
    return int(back < len(expected) or any("differs" in row for row in rows))


def _row(path: Path, expected: dict[str, Any], bindings: ModuleType | None) -> tuple[str, ...]:
    try:
        found = inspect(path)
    except InputError as error:
        return path.name, f"refused: {str(error).removeprefix(f'{path} ')}", "", "", "", ""
    ours = found["metadata"]
    plain = {key: value for key, value in (ours or {}).items() if key != IGNORED}
    same = [name for name, value in expected.items() if value == plain]
    theirs = "" if bindings is None or ours is None else "equal" if _theirs(path, bindings) == ours else "differs"
    labels = sum(map(len, found["labels"].values()))
    return path.name, found["format"], sum(found["ops"].values()), labels, ", ".join(same), theirs


def _bindings() -> ModuleType | None:
    """The generated module alone: mediapipe itself is not imported."""
    spec = importlib.util.find_spec("mediapipe")
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0]) / "tasks" / "metadata" / "metadata_schema_py_generated.py"
    spec = importlib.util.spec_from_file_location("metadata_schema_py_generated", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _theirs(path: Path, bindings: ModuleType) -> dict[str, Any]:
    from tfmap import flatbuffer

    data = bytearray(flatbuffer.named_buffer(path, metadata.BUFFER))
    root = bindings.ModelMetadataT.InitFromObj(bindings.ModelMetadata.GetRootAsModelMetadata(data, 0))
    return _plain(root, "ModelMetadata")


def _plain(value: Any, kind: str) -> Any:
    """What the generated objects hold, by our names; they do not tell what is absent from what is a default."""
    if kind in ENUMS:
        return ENUMS[kind][value]
    if kind.startswith("["):
        return [_plain(one, kind[1:-1]) for one in value]
    if kind == "string":
        return value.decode() if isinstance(value, bytes) else value
    if kind == "float":
        return float(str(tables.np.float32(value)))
    return _fields(value, kind) if kind in TABLES else int(value)


def _fields(value: Any, table: str) -> dict[str, Any]:
    found = {}
    for _, name, kind in TABLES[table]:
        head, *tail = name.split("_")
        one = getattr(value, head + "".join(map(str.capitalize, tail)))
        if kind in UNIONS and one is not None:
            kind = found[f"{name}_type"] = type(one).__name__.removesuffix("T")
        if one is not None and not (kind in (*ENUMS, "uint", "int", "float") and one == 0):
            found[name] = _plain(one, kind)
    return found


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
