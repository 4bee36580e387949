"""How long boxes and suppression take for 1,000 candidates: in Python, and in a file's last ops.

python -m benchmarks.suppression
"""

from __future__ import annotations

import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from benchmarks import results
from tfmap.export import convert, detectors
from tfmap.tasks.detectors import heads
from tfmap.tasks.detectors.found import finished

SIZE, STRIDE, CLASSES = (320, 200), 8, 3  # 40 x 25 places
TIMES = 200


def candidates(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Codes (1, 1000, 4) and scores (1, 1000, 3): every place says something of one class, objects overlap."""
    rng = np.random.default_rng(seed)
    codes = rng.uniform(-0.15, 0.15, (1, 1000, 4)) + [0, 0, 0.35, 0.35]
    scores = np.where(
        rng.integers(0, CLASSES, (1, 1000, 1)) == np.arange(CLASSES), rng.uniform(0.02, 1, (1, 1000, 1)), 0
    )
    return codes.astype(np.float32), scores.astype(np.float32)


def milliseconds(call: Callable[[], object]) -> dict[str, float]:
    """Median and 90th percentile."""
    for _ in range(10):
        call()
    found = []
    for _ in range(TIMES):
        start = time.perf_counter()
        call()
        found.append(1000 * (time.perf_counter() - start))
    return {"median ms": float(np.median(found)), "90% ms": float(np.percentile(found, 90))}


def in_file(layer: heads.Boxes, codes: np.ndarray, scores: np.ndarray) -> tuple[Callable[[], object], int]:
    """Calls of a file that does nothing else, and how many boxes it finds."""
    both = keras.Input((1000, 1, 4 + CLASSES))
    outputs = {"codes": both[:, :, 0, :4], "scores": both[:, :, 0, 4:]}
    file = convert.float32(keras.Model(both, outputs), input_type="float32")
    interpreter = Interpreter(model_content=detectors.finished(file, layer, CLASSES), num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(
        interpreter.get_input_details()[0]["index"], np.concatenate([codes, scores], axis=-1)[:, :, None]
    )
    interpreter.invoke()
    count = next(one for one in interpreter.get_output_details() if one["name"] == "count")
    return interpreter.invoke, int(interpreter.get_tensor(count["index"])[0])


def main() -> None:
    """Measure, write results/suppression.json."""
    layer, (codes, scores) = heads.Boxes(SIZE, (STRIDE,)), candidates()

    decoded = tf.function(layer, jit_compile=True)  # as it is in a model

    def python() -> int:
        boxes = decoded(codes).numpy()[0]
        return len(finished(boxes, scores[0]).scores)

    boxes = np.asarray(layer(codes))[0]
    invoke, many = in_file(layer, codes, scores)
    rows = [
        {"what": "boxes of codes and suppression, Python", "found": python(), **milliseconds(python)},
        {"what": "suppression alone, Python", "found": python(), **milliseconds(lambda: finished(boxes, scores[0]))},
        {"what": "both, in the file, one thread", "found": many, **milliseconds(invoke)},
    ]
    results.write("suppression", "1,000 candidates of 3 classes", rows)


if __name__ == "__main__":
    main()
