"""`python -m tfmap.shrink RUN [section.key=value ...]`."""

from __future__ import annotations

from tfmap.cli import main

if __name__ == "__main__":
    main("shrink")
