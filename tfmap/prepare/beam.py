"""The shards of a plan on Apache Beam: on the user's Flink, Spark or Dataflow, by the function that a process runs.

Every worker needs tfmap, and sees the pictures and the folder under the same paths (a shared disk).
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tfmap.errors import InputError
from tfmap.prepare import shards as files
from tfmap.prepare.plan import Shard


def run(shards: Iterable[Shard], out: Path, options: Sequence[str]) -> Iterator[dict[str, Any]]:
    """What `make` returns for each shard, once the pipeline has ended.

    Args:
        shards: all are held in memory, and of pictures that are no files the content too.
        out: the folder.
        options: of the pipeline, such as "--runner=FlinkRunner".

    Raises:
        InputError: Apache Beam is not installed, does not take the options, or the pipeline failed.
    """
    try:
        import apache_beam
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as error:
        raise InputError(
            "prepare.beam needs Apache Beam, which is not installed. Install it: pip install 'tfmap[beam]'"
        ) from error
    # Pickled here: Beam would look into a dataclass for a coder of its own.
    wanted = [(shard.name, pickle.dumps(shard)) for shard in shards]
    try:
        with apache_beam.Pipeline(options=PipelineOptions(list(options))) as pipeline:
            plan = pipeline | apache_beam.Create([data for _, data in wanted])
            _ = plan | apache_beam.Reshuffle() | apache_beam.Map(_make, str(out))
    except Exception as error:  # each runner raises its own
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"prepare: Apache Beam with {' '.join(options) or 'no options'} failed: {reason}") from error
    for name, _ in wanted:
        yield files.made(out, name)


def _make(shard: bytes, out: str) -> str:
    return files.make(pickle.loads(shard), Path(out))["shard"]["name"]
