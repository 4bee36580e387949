"""Where the bytes of a file are."""

from __future__ import annotations

import gzip
from typing import Any

from tfmap.graph import Graph


def described(data: bytes, graph: Graph) -> dict[str, Any]:
    """Everything about a file that running it would not tell: sizes, hash, and `Graph.describe`."""
    import hashlib

    sizes = {"bytes": len(data), "gzip_bytes": len(_zipped(data)), "sha256": hashlib.sha256(data).hexdigest()}
    return {**sizes, **graph.describe()}


def layers(graph: Graph) -> list[dict[str, Any]]:
    """The constants of each op, the largest first.

    A constant that several ops share counts for the first of them.

    Args:
        graph: of the file.

    Returns:
        list of {"op", "name", "bytes", "gzip_bytes"}; ops without constants are left out.
    """
    seen: set[int] = set()
    rows = []
    for op in graph.ops:
        fresh = [tensor for tensor in op.inputs if tensor.nbytes and id(tensor) not in seen]
        seen |= {id(tensor) for tensor in fresh}
        if fresh and op.outputs:
            size = sum(tensor.nbytes for tensor in fresh)
            zipped = len(_zipped(b"".join(bytes(tensor.data) for tensor in fresh)))
            rows.append({"op": op.name, "name": op.outputs[0].name, "bytes": size, "gzip_bytes": zipped})
    return sorted(rows, key=lambda row: -row["bytes"])


def _zipped(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)
