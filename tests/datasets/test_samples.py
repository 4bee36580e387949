from __future__ import annotations

from PIL import Image

from tfmap.datasets import samples


def test_names():
    assert samples.names() == ["trash"]


def test_trash_is_small_licensed_and_plain():
    folder = samples.folder("trash")
    files = sorted(folder.glob("*/*.jpg"))
    assert len(files) == 1137
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) <= 6_000_000
    assert "MIT License" in (folder / "LICENSE").read_text()
    assert "Copyright (c) 2017 Gary Thung" in (folder / "SOURCE.md").read_text()
    for path in files[::100]:
        with Image.open(path) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (144, 192))
            assert "progressive" not in image.info
