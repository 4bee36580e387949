"""Our detector beside an established peer's smallest, both from random weights on the same pictures and epochs.

    python -m benchmarks.peer_boxes FOLDER --peer PYTHON [--epochs 100] [--runs RUNS]

FOLDER is BCCD, with its parts as given; PYTHON the interpreter of an environment with ultralytics, which is for this
benchmark alone and is built from its own YAML. One after the other on the same cores, both with batches of 8 at 320
pixels. RUNS keeps both trainings and the times of their steps, which are taken in turns with mosaics and without
validation: what is there is not run again. Boxes of both are scored by the same code, COCO's, in the pixels of the
pictures themselves.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from benchmarks import results
from benchmarks.boxes_and_masks import run_all

SIZE, BATCH = 320, 8
OURS: dict[str, Any] = {
    "task": "detection",
    "pipeline": {"batch_size": BATCH},
    "augment": {"ops": "flip|vflip|zoom(.3)|color(.2)|mosaic(.5)"},
    "model": {"backbone": "mobilenet_v2_050", "input_shape": [SIZE, SIZE, 3], "weights": None, "width": 64},
    "train": {
        "learning_rate": 4e-3,
        "ema": 0.995,
        "weight_decay": 0.05,
        "clip_norm": 10.0,
        "keep": "last",
    },
    "verify": {"budget": 1.5, "mode": "report"},
}
# What runs in the peer's environment: arguments are the folder of YOLO's pictures, size, batch, the target, and epochs.
BEGIN = """
import json, sys, time
import torch
from ultralytics import YOLO, __version__

folder, size, batch, target, epochs = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], int(sys.argv[5])
model, seconds, begun = YOLO("yolo11n.yaml"), [], []
model.add_callback("on_train_epoch_start", lambda trainer: begun.append(time.perf_counter()))
model.add_callback("on_train_epoch_end", lambda trainer: seconds.append(time.perf_counter() - begun[-1]))
settings = dict(data=f"{folder}/data.yaml", epochs=epochs, imgsz=size, batch=batch, device="cpu", seed=0,
                pretrained=False, plots=False, project=target, exist_ok=True, verbose=False)
"""
LEARN = """
model.train(name="peer", **settings)
best = YOLO(f"{target}/peer/weights/best.pt")
found = {}
for part in ("val", "test"):
    for one in best.predict(f"{folder}/images/{part}", imgsz=(size, size), conf=0.001, iou=0.6, max_det=100,
                            device="cpu", verbose=False, stream=True):
        boxes = one.boxes
        found[one.path] = [boxes.xyxy.tolist(), boxes.conf.tolist(), boxes.cls.tolist()]
weights = sum(p.numel() for p in best.model.parameters())
about = {"version": __version__, "torch": torch.__version__, "epoch_seconds": seconds, "weights": weights}
json.dump({"found": found, **about}, open(f"{target}/peer.json", "w"))
"""
TIME = """
model.train(name="steps", val=False, close_mosaic=0, **settings)
json.dump(seconds[1:], open(f"{target}/peer_steps.json", "w"))
"""
TURNS = 3


def written(source: Any, folder: Path) -> None:
    """The data set as YOLO has it: pictures linked, a text file for each."""
    for part, split in source.splits.items():
        for row, path in enumerate(map(Path, split.images)):
            place = folder / "images" / part / path.name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(path.resolve())
            with Image.open(path) as picture:
                sides = np.tile(picture.size, 2)
            here = split.boxes.rows(row)
            lines = [
                f"{kind} " + " ".join(f"{value:.6f}" for value in _centred(box[[1, 0, 3, 2]] / sides))
                for box, kind in zip(split.boxes.boxes[here], split.boxes.classes[here], strict=True)
            ]
            label = folder / "labels" / part / f"{path.stem}.txt"
            label.parent.mkdir(parents=True, exist_ok=True)
            label.write_text("\n".join(lines) + "\n")
    parts = {part: f"images/{part}" for part in source.splits}
    names = dict(enumerate(source.classes))
    (folder / "data.yaml").write_text(yaml.safe_dump({"path": str(folder.resolve()), **parts, "names": names}))


def _centred(corners: np.ndarray) -> list[float]:
    left, top, right, bottom = corners.tolist()
    return [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]


def asked(source: Any, python: str, script: str, target: Path, epochs: int) -> None:
    """Run a script in the peer's environment on the pictures as it wants them."""
    with tempfile.TemporaryDirectory() as folder:
        written(source, Path(folder))
        numbers = str(SIZE), str(BATCH), str(target.resolve()), str(epochs)
        subprocess.run([python, "-c", BEGIN + script, folder, *numbers], check=True)


def peer(source: Any, python: str, epochs: int, target: Path) -> dict[str, Any]:
    """Train the peer, unless it was; what it found, by picture, and how long its epochs took."""
    if not (target / "peer.json").is_file():
        asked(source, python, LEARN, target, epochs)
    return json.loads((target / "peer.json").read_text())


def steps(source: Any, python: str, config: dict[str, Any], target: Path) -> dict[str, list[float]]:
    """Seconds of a training step of both, in turns, each with its input and its mosaics; no validation."""
    from tfmap import profile

    kept, count = target / "steps.json", -(-len(source.split("train")) // BATCH)
    if not kept.is_file():
        found: dict[str, list[float]] = {"ours": [], "peer": []}
        for _ in range(TURNS):
            found["ours"].append(profile.profile(config, steps=2 * count)["step_ms"] / 1000)
            asked(source, python, TIME, target, epochs=3)
            found["peer"].append(float(np.mean(json.loads((target / "peer_steps.json").read_text()))) / count)
        kept.write_text(json.dumps(found))
    return json.loads(kept.read_text())


def scored(found: dict[str, list], split: Any, classes: tuple[str, ...]) -> dict[str, Any]:
    """COCO's numbers of the peer's boxes."""
    from tfmap.average_precision import Found
    from tfmap.tasks import detection

    named = {Path(path).name: parts for path, parts in found.items()}
    answers = []
    for path in split.images:
        boxes, scores, kinds = named[Path(path).name]
        xyxy = np.array(boxes, np.float32).reshape(-1, 4)
        answers.append(Found(xyxy[:, [1, 0, 3, 2]], np.float32(scores), np.array(kinds, np.int32)))
    return detection.score(answers, split.boxes, classes=classes)


def main() -> None:
    """Train both, write results/peer_boxes.json."""
    import tfmap
    from tfmap import evaluate

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder")
    parser.add_argument("--peer", required=True)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--runs", default="runs/peer_boxes")
    given = parser.parse_args()
    target = Path(given.runs)
    target.mkdir(parents=True, exist_ok=True)
    source = tfmap.load(given.folder, seed=0)
    train = {**OURS["train"], "epochs": given.epochs, "unmixed_epochs": max(1, given.epochs // 5)}
    config = {**OURS, "train": train, "datasets": {"source": given.folder}}
    times = steps(source, given.peer, config, target)
    run, seconds = run_all(config, target / "ours")
    theirs = peer(source, given.peer, given.epochs, target)
    file = run.file("model.tflite") if run.has("model.tflite") else run.candidate().file("model.tflite")
    rows = []
    for name in ("val", "test"):
        split = source.split(name)
        ours = run.read_json("metrics.json")["splits"][name]
        int8 = evaluate.evaluate(file, split, classes=source.classes, task="detection")["metrics"]
        other = scored(theirs["found"], split, source.classes)
        for model, one in (("ours, Keras", ours), ("ours, int8", int8), ("peer", other)):
            rows.append({"split": name, "model": model, "mAP": one["mAP"], "mAP50": one["mAP50"]})
    more = {
        "step_seconds": times,
        "our_step_to_peer": float(np.median(times["ours"]) / np.median(times["peer"])),
        "our_training_seconds": seconds,
        "peer_training_seconds": float(np.sum(theirs["epoch_seconds"])),
        "our_int8_bytes": file.stat().st_size,
        "peer_weights": theirs["weights"],  # its int8 file has a byte for each of them at least
        "peer": f"ultralytics {theirs['version']}, yolo11n.yaml, torch {theirs['torch']}",
        "epochs": given.epochs,
        "recipe": {key: value for key, value in config.items() if key != "datasets"},
    }
    results.write("peer_boxes", "Boxes from random weights", rows, **more)


if __name__ == "__main__":
    main()
