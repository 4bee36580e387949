"""`python -m tfmap.doctor SOURCE [section.key=value ...] [out=FOLDER]`."""

from __future__ import annotations

from tfmap.cli import main

if __name__ == "__main__":
    main("doctor")
