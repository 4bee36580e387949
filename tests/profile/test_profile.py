from __future__ import annotations

import json
import subprocess
import sys

import pytest
from PIL import Image

import tfmap.datasets.samples as samples
from tfmap.errors import InputError
from tfmap.profile import advice, plot, profile

PARTS = ["read", "decode", "resize", "batch", "transfer", "augment", "forward", "backward"]


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """A training of 24 photographs on a small network."""
    folder = tmp_path_factory.mktemp("photos")
    for name in ("glass", "metal"):
        (folder / name).mkdir()
        for i, path in enumerate(sorted((samples.folder("trash") / name).glob("*.jpg"))[:12]):
            (folder / name / f"{i}.jpg").write_bytes(path.read_bytes())
    return {
        "task": "classification",
        "seed": 0,
        "datasets": {"source": str(folder), "val_fraction": 0.0},
        "pipeline": {"batch_size": 8, "cache": "none"},
        "augment": {"ops": "flip|color(.2)"},
        "model": {"backbone": "resnet8", "input_shape": [32, 32, 3], "weights": None},
        "train": {"epochs": 2},
    }


@pytest.fixture(scope="module")
def found(config):
    """Its profile."""
    return profile(config, steps=2)


def test_every_part_is_measured(found):
    assert list(found["parts"]) == PARTS
    for side in (PARTS[:4], PARTS[4:]):
        assert sum(found["parts"][part]["share"] for part in side) == pytest.approx(1)
    for row in found["parts"].values():
        assert row["us"] == pytest.approx(row["ms"] / 8 * 1e3)
    busy = [part for part in PARTS if found["parts"][part]["ms"] > 0]
    assert {"read", "batch", "augment", "forward"} <= set(busy)
    assert found["step_ms"] > 0
    assert found["memory_mb"]["process"] > 100
    assert found["about"]["pictures"] == 24
    json.dumps(found, allow_nan=False)


def test_the_limit_is_the_slower_side(found):
    slower = "input" if found["input_ms"] > found["compute_ms"] else "compute"
    assert found["limit"] == slower
    assert f"The {slower} limits" in found["advice"][0]


@pytest.mark.parametrize("suffix", [".png", ".svg"])
@pytest.mark.parametrize("cache", ["none", "memory"])
def test_the_picture(found, tmp_path, suffix, cache):
    path = tmp_path / f"profile{suffix}"
    plot.draw({**found, "cache": cache}, path)
    if suffix == ".png":
        with Image.open(path) as image:
            assert image.size == (1200, 450)
    else:
        text = path.read_text()
        assert all(part in text for part in PARTS)
        assert ("then kept" in text) == (cache == "memory")


def changed(found, limit="input", **about):
    return {**found, "limit": limit, "about": {**found["about"], **about}}


@pytest.mark.parametrize(
    ("limit", "sections", "about", "expected"),
    [
        ("input", {}, {}, "pipeline.cache=memory takes"),
        ("input", {"pipeline": {"crop": [0.3, 1.0]}}, {}, "crop on the device instead"),
        ("input", {}, {"odd": 0.5}, "50% of the pictures go through Pillow"),
        ("input", {"pipeline": {"workers": 1}}, {}, "pipeline.workers is set"),
        ("compute", {}, {}, "There is no GPU"),
        ("compute", {}, {"gpus": 1}, "train.precision=mixed_float16"),
        ("compute", {}, {"gpus": 1}, "pipeline.batch_size=128"),
    ],
)
def test_advice(found, limit, sections, about, expected):
    assert expected in "\n".join(advice.lines(changed(found, limit, **about), sections))


def test_costly_augmentation_is_named(found):
    parts = {**found["parts"], "augment": {"ms": 9, "us": 9, "share": 0.9}}
    assert "augment takes 90% of the computation" in "\n".join(
        advice.lines({**changed(found, "compute"), "parts": parts}, {})
    )


def test_steps_out_of_range(config):
    with pytest.raises(InputError, match="profile.steps must be at least 1, received 0. 20 is usual"):
        profile(config, steps=0)


@pytest.mark.slow
def test_the_command(config, tmp_path):
    import yaml

    file, out = tmp_path / "config.yaml", tmp_path / "run"
    file.write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "tfmap.profile", str(file), "profile.steps=2", f"out={out}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "limits: it manages" in done.stdout
    assert sorted(path.name for path in out.iterdir()) == ["profile.json", "profile.png", "profile.svg"]
