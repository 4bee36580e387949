"""`python -m tfmap.inspect FILE.tflite`."""

from __future__ import annotations

from tfmap.cli import main

if __name__ == "__main__":
    main("inspect")
