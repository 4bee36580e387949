"""How long the command line takes before TensorFlow: import, --help, a typo; each in a fresh process.

python -m benchmarks.startup [--repeats 10]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import results
from tfmap.stages import STAGES


def main() -> None:
    """Time every command and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=10)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as folder:
        typo = Path(folder) / "typo.yaml"
        typo.write_text("datasets: {source: sample:trash}\ntrain: {epocs: 3}\n")
        commands = {
            "python alone": ["-c", "pass"],
            "import tfmap": ["-c", "import tfmap"],
            "python -m tfmap": ["-m", "tfmap"],
            **{f"{name} --help": ["-m", f"tfmap.{name}", "--help"] for name in STAGES},
            "a typo in a config": ["-m", "tfmap.train", str(typo)],
        }
        rows = [{"command": name, **_timed(argv, repeats)} for name, argv in commands.items()]
    results.write("startup", "start of the command line, fresh processes", rows)


def _timed(argv: list[str], repeats: int) -> dict[str, float]:
    """Milliseconds of `python *argv`: the first process, and the median of the rest."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        subprocess.run([sys.executable, *argv], capture_output=True)
        times.append(1000 * (time.perf_counter() - start))
    return {"first_ms": times[0], "median_ms": statistics.median(times[1:])}


if __name__ == "__main__":
    main()
