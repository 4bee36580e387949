"""`make bench`: every benchmark that needs no data of yours, one after another; the others are listed."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

NEED_NOTHING = ("startup", "augment", "demo")


def main() -> int:
    """Run what can be run; 1 if one of them failed."""
    failed = [name for name in NEED_NOTHING if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"]).returncode]
    print("\nThese take a folder or a file:")
    for path in sorted(Path(__file__).parent.glob("*.py")):
        if path.stem not in (*NEED_NOTHING, "__init__", "__main__", "results", "clock", "torch_loader", "waste"):
            title = (ast.get_docstring(ast.parse(path.read_text())) or "").splitlines()[0]
            print(f"  python -m benchmarks.{path.stem}  {title}")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
