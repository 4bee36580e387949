"""Pictures of several sizes for one network: an epoch has one of them, for which the network is built again.

Source: Redmon and Farhadi, YOLO9000, 2017, section 2, "multi-scale training"; there a size lasts for ten batches.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from tfmap.errors import InputError
from tfmap.tasks import taught
from tfmap.train import norms

Size = tuple[int, int]
Loss = Callable[[Any, Any], Any]
STRIDE = 32  # of the coarsest map of most backbones


def sizes(own: Size, share: float) -> list[Size]:
    """The sizes of pictures, from small to large, the model's own among them.

    Args:
        own: (height, width) of the model's input in pixels.
        share: by how much of its own a side may be longer or shorter; 0 has no other size.

    Returns:
        (height, width) each, multiples of STRIDE but for the own one; the aspect ratio is kept as far as they allow.

    Raises:
        InputError: no other size is within a share above 0.
    """
    height, width = own
    steps = int(share * height) // STRIDE
    if share and not steps:
        raise InputError(
            f"train.multi_scale={share:g} of {height} pixels is less than a step of {STRIDE}. Expected at least "
            f"{STRIDE / height:.2g}, or 0."
        )
    others = [_multiple(height + STRIDE * k, width * (height + STRIDE * k) / height) for k in range(-steps, steps + 1)]
    return [*others[:steps], own, *others[steps + 1 :]]


def _multiple(*sides: float) -> Size:
    height, width = (max(1, round(side / STRIDE)) * STRIDE for side in sides)
    return height, width


def of_epoch(found: list[Size], seed: int, epoch: int) -> Size:
    """The size of an epoch's pictures: of each n epochs, as many as there are sizes, each has another.

    Args:
        found: what `sizes` returned.
        seed: of the training; one seed, one series.
        epoch: its number, counted over the whole training.
    """
    turn, place = divmod(epoch, len(found))
    return found[int(np.random.default_rng((seed, turn)).permutation(len(found))[place])]


def rebuilt(model: keras.Model, size: Size) -> keras.Model:
    """The same network for pictures of another size, with weights of its own.

    Args:
        model: a functional model of one picture.
        size: (height, width) in pixels.

    Raises:
        InputError: it has a layer that takes one size alone.
    """
    own = tuple(model.input_shape[1:3])

    def clone(layer: keras.Layer) -> keras.Layer:
        return type(layer).from_config(_scaled(layer, own, size))

    image = keras.Input((*size, model.input_shape[3]), name=model.inputs[0].name)
    try:
        twin = keras.models.clone_model(model, input_tensors=image, clone_function=clone)
    except ValueError as error:
        raise _refused(model, size, str(error).strip().split("\n")[0]) from None
    for layer, other in zip(model.layers, twin.layers, strict=True):
        if [weight.shape for weight in layer.weights] != [weight.shape for weight in other.weights]:
            raise _refused(model, size, f"the weights of {layer.name} would have another shape")
    return twin


def _refused(model: keras.Model, size: Size, reason: str) -> InputError:
    return InputError(
        f"train.multi_scale: {model.name} cannot be built for pictures of {size[0]} x {size[1]}: {reason}. Leave it "
        "out, or take an architecture without layers of a fixed size."
    )


def _scaled(layer: keras.Layer, own: Size, size: Size) -> dict[str, Any]:
    """The config of a layer, what it says of sizes brought to another one of the picture."""
    config, L = layer.get_config(), keras.layers
    if isinstance(layer, L.Resizing):
        sides = {"height": 0, "width": 1}
        return config | {side: round(config[side] * size[axis] / own[axis]) for side, axis in sides.items()}
    if type(layer) is L.UpSampling2D and tuple(layer.input.shape[1:3]) == (1, 1):  # what is said of the whole picture
        return config | {"size": [round(config["size"][axis] * size[axis] / own[axis]) for axis in (0, 1)]}
    return config | {"size": size} if tuple(np.atleast_1d(config.get("size", ()))) == own else config


class Twin:
    """A network for pictures of another size that computes with the weights of the one that learns.

    Args:
        net: the network that learns.
        size: (height, width) in pixels.
        losses: makes the loss of a model.
    """

    def __init__(self, net: keras.Model, size: Size, losses: Callable[[keras.Model], Loss]) -> None:
        self._net, self._model = net, rebuilt(net, size)
        self.loss = losses(self._model)
        self._said = taught.said(self._model, self.loss)
        for layer, other in zip(net.layers, self._model.layers, strict=True):
            other.trainable = layer.trainable

    def __call__(self, image: Any, *, training: bool) -> Any:
        """What the loss reads, with gradients to the weights of the network that learns; its statistics follow."""
        pairs = list(zip(self._model.variables, self._net.variables, strict=True))
        given = [(own, keras.ops.convert_to_tensor(theirs)) for own, theirs in pairs]
        with keras.StatelessScope(state_mapping=given) as scope, norms.fused(self._model):
            outputs = self._said(image, training=training)
        for (own, theirs), (_, before) in zip(pairs, given, strict=True):
            after = scope.get_current_value(own)
            if after is not before:
                theirs.assign(after)
        return outputs
