"""`python -m tfmap` prints the stages; `python -m tfmap <stage> …` runs one."""

from __future__ import annotations

from tfmap.cli import console

if __name__ == "__main__":
    console()
