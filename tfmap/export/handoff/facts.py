"""What the kit's pages say, read off the file itself."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from typing import Any

from tfmap import calibrate, flatbuffer, tasks
from tfmap.errors import InputError
from tfmap.export import class_maps, confidence, metadata
from tfmap.graph import Tensor

DTYPES = {"uint8": (0, 255), "int8": (-128, 127), "float32": None}  # those that the snippets know, and their limits
LITERTJS = "2.5.3"
SNIPPETS = {"label": "classify.py", "boxes": "detect.py", "mask": "segment.py"}
SHOWN = 0.3  # least score of a box that the snippets show, where the file does not say


def of(model: bytes, golden: int, verified: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Everything that a template may name.

    Args:
        model: bytes of a .tflite file with metadata.
        golden: number of test vectors.
        verified: what `verify` found.

    Raises:
        InputError: no TFLite file, one without labels, or one with another input or output than uint8, int8 or float32.
    """
    graph, about = flatbuffer.read(model), metadata.read(model)
    if not about.labels:
        raise InputError("export: a hand-off kit needs labels, the file holds none. Export it with classes.")
    target = tasks.target(tasks.get(about.about.get("task", "classification")))
    first, last = _tensor(graph.inputs[0]), _tensor(graph.outputs[0])
    names = [tensor.name for tensor in graph.outputs]
    batch, height, width, channels = first["shape"]
    has_int8 = "int8" in (first["dtype"], last["dtype"])
    class_map = target == "mask" and class_maps.is_one(graph.outputs[0].shape)
    alone = batch == 1 and not graph.inputs[0].is_open
    return {
        "about": about,
        "target": target,
        "snippet": SNIPPETS[target],
        "class_map": class_map,
        "outputs": names,
        "golden_names": ["outputs"] if len(names) == 1 else [f"outputs_{name}" for name in names],
        "most": graph.outputs[0].shape[1] if target == "boxes" else 0,
        "threshold": about.about.get("threshold", SHOWN),
        "label_files": _label_files(about),
        "bytes": len(model),
        "gzip_bytes": len(gzip.compress(model, mtime=0)),
        "sha256": hashlib.sha256(model).hexdigest(),
        "format": graph.format,
        "input": first,
        "output": last,
        "takes": _sizes(graph.inputs[0]),
        "gives": _sizes(graph.outputs[0]),
        "open": graph.inputs[0].shape_signature[:1] == (-1,),
        "batch": batch,
        "height": height,
        "width": width,
        "channels": channels,
        "several": bool(about.about.get("multi_label")),
        "thresholds": about.thresholds or (0.0,) * len(about.labels),
        "least": calibrate.floor(confidence.step(graph)),
        "most_share": 1 - calibrate.EPSILON,
        # MediaPipe Tasks 0.10.30 refuses two pictures, grey ones, int8 at an end and kernels in 4 bits, and takes a
        # class map for scores. It runs an open batch on a CPU; GPU delegates take none. LiteRT.js 2.5.3 refuses two
        # pictures, an open batch and int8.
        "tasks": alone and channels == 3 and not has_int8 and not class_map and graph.format != "int4",
        "web": alone and not has_int8,
        "litertjs": LITERTJS,
        "golden": golden,
        "numbers": numbers(verified) if verified else [],
    }


def _tensor(tensor: Tensor) -> dict[str, Any]:
    if tensor.dtype not in DTYPES:
        raise InputError(
            f"export: the hand-off kit knows inputs and outputs of {', '.join(DTYPES)}, {tensor.name} is "
            f"{tensor.dtype}."
        )
    found = tensor.describe()
    limits = DTYPES[tensor.dtype]
    found |= {"least": limits[0], "most": limits[1]} if limits else {}
    return {**found, "scale": found["scale"] or 1.0, "zero_point": found["zero_point"] or 0}


def _sizes(tensor: Tensor) -> str:
    """Such as "1 x 48 x 48 x 3", with ? where the caller chooses."""
    return " x ".join("?" if size < 0 else str(size) for size in tensor.shape_signature or tensor.shape)


def _label_files(about: metadata.Metadata) -> dict[str, tuple[str, ...]]:
    translated = {f"labels_{locale}.txt": labels for locale, labels in about.translations.items()}
    return {"labels.txt": about.labels, **translated}


def numbers(verified: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The rows of the README's table from verify.json: what is there, in words."""
    rows = []
    if metric := verified.get("metric"):
        drop = metric["drop_points"]
        rows.append((f"{metric['name']} of the Keras model", f"{metric['keras']:.4f}"))
        rows.append((f"{metric['name']} of this file", f"{metric['file']:.4f} ({-drop:+.2f} points)"))
    if "examples" in verified:
        rows.append(("measured on", f"{verified['examples']:,} pictures that were kept from training"))
    if "agreement" in verified:
        rows.append(("decided as the Keras model does", f"{100 * verified['agreement']:.2f}% of them"))
    for threads, times in verified.get("latency_ms", {}).items():
        rows.append(
            (
                f"ms a picture on the verifying machine, {threads} thread{'s' * (threads != '1')}",
                f"{times['file']['median']:.2f}",
            )
        )
    if "passed" in verified:
        rows.append(("verdict", "passed" if verified["passed"] else "FAILED: " + " ".join(verified["failures"])))
    return rows
