"""Augmentation on an accelerator: what a policy adds to a training step of ResNet-50.

    KERAS_BACKEND=jax python -m benchmarks.augment_gpu [--batch 256] [--side 224] [--rounds 20]

One jitted step (forward, backward, SGD with momentum; bfloat16 as on such machines usual) and each policy by itself,
jitted, on the same uint8 batch; medians. The bar is 2% of the step. Only keras and jax are imported.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import jax
import keras
import numpy as np

from benchmarks import results
from tfmap import augment

POLICIES = {
    "nine ops": "flip|rotate(15)|zoom(.2)|shift(.1)|shear(10)|brightness(.2)|contrast(.2)|saturation(.2)|hue(.05)",
    "rrc|flip|color": "rrc(0.3,1)|flip|color(.4)",
    "randaugment": "rrc(0.3,1)|flip|randaugment",
}
CLASSES = 1000


def main() -> None:
    """Time the step and every policy, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=20)
    arguments = parser.parse_args()
    if keras.backend.backend() != "jax":
        raise SystemExit("Set KERAS_BACKEND=jax.")
    random = np.random.default_rng(0)
    shape = (arguments.batch, arguments.side, arguments.side, 3)
    batch = {
        "image": jax.device_put(random.integers(0, 256, shape, dtype=np.uint8)),
        "label": jax.device_put(random.integers(0, CLASSES, arguments.batch).astype("int32")),
    }
    step = median(training(shape[1:]), batch, arguments.rounds)
    rows = [{"what": "ResNet-50 training step", "ms": step}]
    for name, ops in POLICIES.items():
        policy = jax.jit(augment.build(ops, classes=CLASSES))
        ms = median(lambda batch, number, policy=policy: policy(batch, np.array([0, number])), batch, arguments.rounds)
        rows.append({"what": name, "ms": ms, "% of the step": 100 * ms / step})
    device = jax.devices()[0].device_kind
    results.write("augment_gpu", f"uint8 {shape} on {device}, median of {arguments.rounds}", rows, device=device)


def training(shape: tuple[int, int, int]) -> Callable:
    """(batch, number) -> the loss of a jitted training step, which keeps its own state."""
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    inputs = keras.Input(shape)
    scaled = keras.layers.Rescaling(1 / 127.5, offset=-1)(inputs)
    outputs = keras.applications.ResNet50(weights=None, classes=CLASSES, input_shape=shape)(scaled)
    model = keras.Model(inputs, outputs)
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
    optimizer.build(model.trainable_variables)

    def loss(trainable, rest, image, label):
        scores, rest = model.stateless_call(trainable, rest, image, training=True)
        return keras.ops.mean(keras.losses.sparse_categorical_crossentropy(label, scores)), rest

    @jax.jit
    def step(state, batch):
        trainable, rest, slots = state
        (value, rest), slopes = jax.value_and_grad(loss, has_aux=True)(
            trainable, rest, batch["image"].astype("float32"), batch["label"]
        )
        trainable, slots = optimizer.stateless_apply(slots, slopes, trainable)
        return value, (trainable, rest, slots)

    states = [
        [variable.value for variable in group]
        for group in (model.trainable_variables, model.non_trainable_variables, optimizer.variables)
    ]

    def run(batch, number):
        value, states[:] = step(tuple(states), batch)
        return value

    return run


def median(function: Callable, batch: dict, rounds: int) -> float:
    """Median milliseconds of a call after two to warm up."""
    times = []
    for number in range(rounds + 2):
        start = time.perf_counter()
        jax.block_until_ready(function(batch, number))
        times.append(1000 * (time.perf_counter() - start))
    return float(np.median(times[2:]))


if __name__ == "__main__":
    main()
