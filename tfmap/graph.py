"""What stands in a .tflite file: tensors and ops as plain values.

The interpreter shows a graph after delegates have taken parts of it; a float tensor that a delegate swallowed is still
in the file, and a phone without that delegate will meet it. So these are read from the bytes, by `tfmap.flatbuffer`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

FLOATS = ("float16", "bfloat16", "float32", "float64")
BORDER = ("QUANTIZE", "DEQUANTIZE", "CAST")  # ops between the integers of a file and floats
_WEIGHTS = (("int8", "dynamic"), ("float16", "float16"))  # dtype of kernels -> format, where activations are float


@dataclass(frozen=True)
class Tensor:
    """One tensor of a graph.

    Attributes:
        name: as in the file.
        dtype: such as "int8" or "float32".
        shape: as in the file.
        scale: one number, one per channel, or none where the tensor is not quantised.
        zero_point: as `scale`.
        nbytes: size of its constant data; 0 where the tensor is computed.
        zeros: how many of its constant values are zero.
        axis: the dimension that several scales run along.
        index: its number in the interpreter; -1 in a graph that the main one calls.
        data: uint8 array of its constant bytes, None where the tensor is computed; `flatbuffer.array` reads them.
        buffer: which buffer of the file holds its constant data; tensors may share one.
        shape_signature: as `shape`, with -1 where the size is open: the caller chooses it. Empty in a file that
            says nothing of it: every size is fixed.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    scale: tuple[float, ...]
    zero_point: tuple[int, ...]
    nbytes: int
    zeros: int
    axis: int = 0
    index: int = -1
    data: Any = field(default=None, repr=False, compare=False)
    buffer: int = 0
    shape_signature: tuple[int, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether a caller chooses one of its sizes, such as that of an open batch."""
        return any(size < 0 for size in self.shape_signature)

    @property
    def is_weight(self) -> bool:
        """Whether it is a kernel: constant, and of more than one dimension (a bias has one)."""
        return bool(self.nbytes) and len(self.shape) > 1

    @property
    def short(self) -> str:
        """The name without those of the ops that a converter has fused into the one that gives it."""
        return self.name.partition(";")[0]

    def describe(self) -> dict[str, Any]:
        """Plain values for JSON; a scale per channel is left out, being as long as a layer is wide."""
        single = len(self.scale) == 1
        return {
            "name": self.name,
            "dtype": self.dtype,
            "shape": list(self.shape),
            "scale": self.scale[0] if single else None,
            "zero_point": self.zero_point[0] if single else None,
        }


@dataclass(frozen=True)
class Op:
    """One operation.

    Attributes:
        name: such as "CONV_2D".
        inputs: tensors that it reads.
        outputs: tensors that it writes.
        custom: whether no runtime has it built in: somebody has to link it into the app.
    """

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    custom: bool = False


@dataclass(frozen=True)
class Signature:
    """A way to call a file by name: names of arguments and results -> names of tensors."""

    key: str
    inputs: dict[str, str]
    outputs: dict[str, str]


@dataclass(frozen=True)
class Graph:
    """The graph of a file: all its ops in order, and the tensors that it takes and gives."""

    ops: tuple[Op, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    @property
    def tensors(self) -> list[Tensor]:
        """Every tensor that an op reads or writes, once, in order of use."""
        return list({id(tensor): tensor for op in self.ops for tensor in (*op.inputs, *op.outputs)}.values())

    @property
    def stored(self) -> set[str]:
        """The dtypes in which it keeps quantised activations; empty where it computes in floating point."""
        border = {id(tensor) for tensor in (*self.inputs, *self.outputs)}
        inside = [tensor for tensor in self.tensors if not tensor.nbytes and id(tensor) not in border]
        return {tensor.dtype for tensor in inside if tensor.scale}

    @property
    def format(self) -> str:
        """What `export.format` made it, by the dtypes of its kernels and of its activations."""
        kernels = {tensor.dtype for tensor in self.tensors if tensor.is_weight}
        if "int4" in kernels:
            return "int4"
        if self.stored:
            return "int8" if "int8" in self.stored or "uint8" in self.stored else "int16x8"
        return next((name for dtype, name in _WEIGHTS if dtype in kernels), "float32")

    def float_tensors(self) -> list[Tensor]:
        """Tensors inside the graph that hold floating point: in a full-integer file there is none.

        The graph's own inputs and outputs are not inside; they are a choice of the interface.
        """
        border = {id(tensor) for tensor in (*self.inputs, *self.outputs)}
        return [tensor for tensor in self.tensors if tensor.dtype in FLOATS and id(tensor) not in border]

    def float_ops(self) -> list[Op]:
        """Ops that read or write a tensor inside the graph that holds floating point."""
        floats = {id(tensor) for tensor in self.float_tensors()}
        return [op for op in self.ops if any(id(tensor) in floats for tensor in (*op.inputs, *op.outputs))]

    def unmoved(self) -> list[Tensor]:
        """Outputs that no input reaches: they answer the same whatever they are asked."""
        moved = {id(tensor) for tensor in self.inputs}
        for op in self.ops:
            if any(id(tensor) in moved for tensor in op.inputs):
                moved |= {id(tensor) for tensor in op.outputs}
        return [tensor for tensor in self.outputs if id(tensor) not in moved]

    def describe(self) -> dict[str, Any]:
        """The graph as plain values for JSON: format, input, output, ops, float tensors and ops, sparsity."""
        return {
            "format": self.format,
            "input": self.inputs[0].describe(),
            "output": self.outputs[0].describe(),
            "ops": [{"op": op.name, **op.outputs[0].describe()} for op in self.ops if op.outputs],
            "float_tensors": [tensor.name for tensor in self.float_tensors()],
            "float_ops": [op.name for op in self.float_ops()],
            "sparsity": self.sparsity(),
        }

    def sparsity(self) -> float:
        """Share of the kernels' values that are zero, 0..1."""
        weights = [tensor for tensor in self.tensors if tensor.is_weight]
        total = sum(math.prod(tensor.shape) for tensor in weights)
        return sum(tensor.zeros for tensor in weights) / total if total else 0.0


@dataclass(frozen=True)
class Outline:
    """A whole file.

    Attributes:
        description: what its maker wrote, such as "MLIR Converted.".
        schema: version of the schema, 3.
        subgraphs: (name, graph) of each; the first is the main one.
        signatures: ways to call it by name.
        buffers: named buffers of its own metadata list -> bytes.
    """

    description: str
    schema: int
    subgraphs: tuple[tuple[str, Graph], ...]
    signatures: tuple[Signature, ...]
    buffers: dict[str, bytes]

    @property
    def graph(self) -> Graph:
        """The main graph and those that it calls: ops of all, inputs and outputs of the first."""
        main = self.subgraphs[0][1]
        return Graph(tuple(op for _, graph in self.subgraphs for op in graph.ops), main.inputs, main.outputs)
