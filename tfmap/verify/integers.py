"""What stands in the file: whether one that computes in integers does so throughout, and anywhere.

Read from the bytes, not asked of the interpreter, which shows the graph after delegates have taken parts of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fnmatch import fnmatch

from tfmap.export.order import CALIBRATED
from tfmap.graph import BORDER, FLOATS, Graph, Op, Tensor

# Built into every runtime under a custom name.
KNOWN = ("TFLite_Detection_PostProcess",)
MOVING = ("PAD", "GATHER")  # ops that compute nothing
FLEX = "Flex"  # how the names of TensorFlow's own kernels begin
# Kernels whose output channels need a scale each: those of one tensor differ by more than 256 steps can tell.
PER_CHANNEL = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "TRANSPOSE_CONV": 0}


def findings(graph: Graph, *, keep_float: Sequence[str] = ()) -> list[str]:
    """What keeps a file from running in integers, on any phone, with an answer to its picture.

    The checks of integers are made where activations are quantised; the others for every file.

    Args:
        graph: of the file.
        keep_float: names (patterns such as "*block_3*") of outputs of ops that are meant to stay floating point.

    Returns:
        a line per finding.
    """
    found = [*_foreign(graph), *_unmoved(graph)]
    return [*_floats(graph, keep_float), *_scales(graph), *found] if graph.stored else found


def ordered(graph: Graph, format: str | None) -> list[str]:
    """A line where a file that was to compute in integers does not.

    Args:
        graph: of the file.
        format: what export was asked for; None: anything.
    """
    if graph.stored or format not in CALIBRATED:
        return []
    return [f"the file computes in floating point ({graph.format} inside); it was ordered as {format}."]


def _floats(graph: Graph, keep_float: Sequence[str]) -> list[str]:
    kept = {id(tensor) for op in graph.ops if _is_kept(op, keep_float) for tensor in (*op.inputs, *op.outputs)}
    kept |= _converting(graph)
    behind = _behind(graph)
    kept |= {id(tensor) for op in graph.ops if id(op) in behind for tensor in (*op.inputs, *op.outputs)}
    tensors = [tensor for tensor in graph.float_tensors() if id(tensor) not in kept]
    ids = {id(tensor) for tensor in tensors}
    ops = {op.name for op in graph.ops if any(id(tensor) in ids for tensor in (*op.inputs, *op.outputs))}
    found = [f"{len(tensors)} tensors inside the {graph.format} file are floating point, at {_names(ops)}."] * bool(ids)
    border = {id(tensor) for tensor in (*graph.inputs, *graph.outputs) if tensor.dtype in FLOATS}
    ours = [op for op in graph.ops if id(op) not in behind and not _is_kept(op, keep_float)]
    touching = {op.name for op in ours if any(id(tensor) in border for tensor in (*op.inputs, *op.outputs))}
    busy = touching - set(BORDER) - set(KNOWN)
    if busy:
        found.append(f"the {graph.format} file computes in floating point at its border, in {_names(busy)}.")
    return found


def _converting(graph: Graph) -> set[int]:
    """Tensors on the way from a graph's input to its first integers, or from its last ones to its output.

    What makes boxes of a detector's numbers, in float on every phone, counts as the output, and so does what only puts
    its scores in other places.

    A file of format int16x8 that takes bytes makes floats of them, because nothing makes int16 of uint8 at once.
    """
    inputs, outputs = ({id(tensor) for tensor in ends} for ends in (graph.inputs, graph.outputs))
    outputs |= {id(tensor) for op in graph.ops if op.name in KNOWN for tensor in op.inputs}
    for op in reversed([op for op in graph.ops if op.name in MOVING]):
        outputs |= {id(op.inputs[0])} if id(op.outputs[0]) in outputs else set()
    ops = [op for op in graph.ops if op.name in BORDER]
    for op in ops:
        inputs |= {id(tensor) for tensor in op.outputs if id(op.inputs[0]) in inputs}
    for op in reversed(ops):
        outputs |= {id(op.inputs[0])} if id(op.outputs[0]) in outputs else set()
    return inputs | outputs


def _behind(graph: Graph) -> set[int]:
    """The ops that read what makes boxes of a detector's numbers: they only bring its answers into form."""
    given, found = {id(tensor) for op in graph.ops if op.name in KNOWN for tensor in op.outputs}, set()
    for op in graph.ops:
        if any(id(tensor) in given for tensor in op.inputs):
            found.add(id(op))
            given |= {id(tensor) for tensor in op.outputs}
    return found


def _is_kept(op: Op, patterns: Sequence[str]) -> bool:
    return op.name not in BORDER and any(fnmatch(tensor.name, p) for tensor in op.outputs for p in patterns)


def _scales(graph: Graph) -> list[str]:
    """Quantised tensors whose scales cannot be right."""
    broken = [tensor.short for tensor in graph.tensors if not all(0 < scale < math.inf for scale in tensor.scale)]
    coarse = [_label(op) for op in graph.ops if _is_coarse(op)]
    found = [f"{_some(broken)}: a scale is not a number above 0."] * bool(broken)
    if coarse:
        found.append(f"{_some(coarse)}: one scale for all channels of the kernel; each needs its own.")
    return found


def _is_coarse(op: Op) -> bool:
    if op.name not in PER_CHANNEL or len(op.inputs) < 2 or not op.inputs[1].scale:
        return False
    return len(op.inputs[1].scale) == 1 < op.inputs[1].shape[PER_CHANNEL[op.name]]


def _foreign(graph: Graph) -> list[str]:
    """Ops that a plain LiteRT runtime does not have."""
    flex = {op.name for op in graph.ops if op.custom and op.name.startswith(FLEX)}
    custom = {op.name for op in graph.ops if op.custom} - flex - set(KNOWN)
    found = [f"Flex ops, which need TensorFlow's kernels in the app: {_names(flex)}."] * bool(flex)
    return found + [f"custom ops, which no runtime has built in: {_names(custom)}."] * bool(custom)


def _unmoved(graph: Graph) -> list[str]:
    unmoved: list[Tensor] = graph.unmoved()
    return [f"{_some([tensor.short for tensor in unmoved])}: an output that does not depend on the input."] * bool(
        unmoved
    )


def _label(op: Op) -> str:
    return f"{op.name} {op.outputs[0].short}"


def _names(names: Iterable[str]) -> str:
    return ", ".join(sorted(set(names)))


def _some(names: Sequence[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
