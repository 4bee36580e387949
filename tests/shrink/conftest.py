from __future__ import annotations

import shutil

import pytest
import yaml

from tests.conftest import TRASH
from tfmap.runs import Run


@pytest.fixture
def trained(classifier, tmp_path):
    """A run folder with a small trained classifier, on ten real photographs of each class."""
    for folder in sorted(path for path in TRASH.iterdir() if path.is_dir()):
        (tmp_path / "photos" / folder.name).mkdir(parents=True)
        for file in sorted(folder.glob("*.jpg"))[:10]:
            shutil.copy(file, tmp_path / "photos" / folder.name)
    run = Run(tmp_path / "run")
    config = {
        "task": "classification",
        "seed": 0,
        "datasets": {"source": str(tmp_path / "photos"), "val_fraction": 0.4},
        "pipeline": {"batch_size": 8},
        "compress": {"epochs": 1},
        "export": {"samples": 24},
        "verify": {"seconds": 0.05},
    }
    run.write_text("config.yaml", yaml.safe_dump(config))
    classifier.save(run.file("model.keras"))
    return run
