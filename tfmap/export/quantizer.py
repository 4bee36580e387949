"""Keras model -> bytes of a .tflite file by ai-edge-quantizer: one function per format, as in `convert`.

It takes the float32 file that the converter makes and rounds that, in tenths of a second where the converter takes
seconds, and it knows 4 bits. Its vendor means it to replace quantising during conversion. It is an extra of its own
(`tfmap[quantizer]`) because it asks for one exact version of the LiteRT runtime.

Ranges are least and largest values over all typical pictures, as the converter takes them, and come from `ranges`: the
package's own calibration is a moving average that forgets what is rare.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np
from ai_edge_quantizer import qtyping
from ai_edge_quantizer.quantizer import AlgorithmName, Quantizer

from tfmap import flatbuffer
from tfmap.export import convert, correction, floats, ranges, rewriting

if TYPE_CHECKING:
    import keras

    from tfmap.graph import Graph, Op

SCORES = ("SOFTMAX", "LOGISTIC")  # what gives values in 0..1, by kernels that prescribe a step of 1/256
LAST = 255 / 256  # the largest of them
FOUR_BIT = ("CONV_2D", "FULLY_CONNECTED")  # the ops whose kernels the runtime takes with 4 bits
RENAMED = {"TRANSPOSE_CONV": "CONV_2D_TRANSPOSE"}  # ops that the package calls by another name


def float16(model: keras.Model, *, batch_size: int = 1, input_type: str = "uint8") -> bytes:
    """Weights in float16, as `convert.float16`."""
    casting = AlgorithmName.FLOAT_CASTING
    quantizer = Quantizer(convert.float32(model, batch_size=batch_size, input_type=input_type))
    quantizer.add_weight_only_config(".*", _name("*"), 16, algorithm_key=casting)
    return _bytes(quantizer)


def dynamic(model: keras.Model, *, batch_size: int = 1, input_type: str = "uint8") -> bytes:
    """Weights in int8, activations in float32, as `convert.dynamic`."""
    quantizer = Quantizer(convert.float32(model, batch_size=batch_size, input_type=input_type))
    quantizer.add_dynamic_config(".*", _name("*"), 8)
    return _bytes(quantizer)


def int8(
    model: keras.Model,
    pictures: np.ndarray,
    *,
    batch_size: int = 1,
    input_type: str = "uint8",
    output_type: str = "",
    keep: Collection[str] = (),
) -> bytes:
    """Weights and arithmetic in integers; arguments and errors as in `convert.int8`.

    Raises:
        InputError: no pictures, or an op that this engine leaves in float.
    """
    plain = _plain(model, pictures, batch_size, "float32")
    quantizer = _static(plain, activations=8)
    _set_border(quantizer, input_type, output_type or input_type)
    return _integers(quantizer, plain, pictures, keep)


def int4(
    model: keras.Model,
    pictures: np.ndarray,
    *,
    batch_size: int = 1,
    input_type: str = "uint8",
    output_type: str = "",
    keep: Collection[str] = (),
) -> bytes:
    """As `int8`, with kernels of convolutions and dense layers in 4 bits: an eighth of float32.

    Depthwise kernels, and those of up to four input channels, keep 8 bits.
    """
    plain = _plain(model, pictures, batch_size, "float32")
    quantizer = _static(plain, activations=8)
    for kind in FOUR_BIT:
        quantizer.add_static_config(".*", _name(kind), activation_num_bits=8, weight_num_bits=4)
    for op in flatbuffer.read(plain).ops:
        if op.name in FOUR_BIT and op.inputs[1].shape[-1] <= correction.NARROW:
            quantizer.add_static_config(_scope(op), _name(op.name), activation_num_bits=8, weight_num_bits=8)
    _set_border(quantizer, input_type, output_type or input_type)
    return _integers(quantizer, plain, pictures, keep)


def int16x8(model: keras.Model, pictures: np.ndarray, *, batch_size: int = 1, input_type: str = "uint8") -> bytes:
    """Weights in int8, activations in int16; arguments as in `convert.int16x8`."""
    plain = _plain(model, pictures, batch_size, input_type)
    quantizer = _static(plain, activations=16)
    _set_border(quantizer, "float32", "float32")
    return _integers(quantizer, plain, pictures, ())


def _name(op: str) -> qtyping.TFLOperationName:
    return qtyping.TFLOperationName(RENAMED.get(op, op))


def _plain(model: keras.Model, pictures: np.ndarray, batch_size: int, input_type: str) -> bytes:
    """The float32 file that is to be rounded."""
    convert.need_pictures(pictures)
    model = rewriting.for_integers(convert.single_precision(model))
    return convert.float32(model, batch_size=batch_size, input_type=input_type)


def _static(plain: bytes, *, activations: int) -> Quantizer:
    quantizer = Quantizer(plain)
    quantizer.add_static_config(".*", _name("*"), activation_num_bits=activations, weight_num_bits=8)
    return quantizer


def _set_border(quantizer: Quantizer, input_type: str, output_type: str) -> None:
    """Say what stands at both ends of the file; the recipe itself makes them int8."""
    for end, dtype in (("INPUT", input_type), ("OUTPUT", output_type)):
        if dtype == "float32":
            quantizer.update_quantization_recipe(".*", _name(end), algorithm_key=AlgorithmName.NO_QUANTIZE)
        elif dtype == "uint8":
            quantizer.update_quantization_recipe(".*", _name(end), _unsigned())


def _unsigned() -> qtyping.OpQuantizationConfig:
    """Static quantisation of a tensor to uint8."""
    tensor = qtyping.TensorQuantizationConfig(num_bits=8, symmetric=False, dtype=qtyping.TensorDataType.UINT)
    weight = qtyping.TensorQuantizationConfig(num_bits=8, granularity=qtyping.QuantGranularity.CHANNELWISE)
    return qtyping.OpQuantizationConfig(tensor, weight, qtyping.ComputePrecision.INTEGER)


def _integers(quantizer: Quantizer, plain: bytes, pictures: np.ndarray, keep: Collection[str]) -> bytes:
    """Quantise, and see that nothing else than `keep` was left in float."""
    graph = flatbuffer.read(plain)
    for op in graph.ops:
        if op.outputs[0].name in keep:
            quantizer.update_quantization_recipe(_scope(op), _name(op.name), algorithm_key=AlgorithmName.NO_QUANTIZE)
    file = _bytes(quantizer, _statistics(plain, graph, pictures))
    return floats.strict(file, keep, engine="ai-edge-quantizer")


def _scope(op: Op) -> str:
    """The regular expression that only this op's scope, its outputs' names, matches."""
    return f"^{re.escape(''.join(f'{tensor.name};' for tensor in op.outputs))}$"


def _statistics(plain: bytes, graph: Graph, pictures: np.ndarray) -> dict[str, dict[str, np.ndarray]]:
    """Ranges in the package's form; those of pixels and scores are known."""
    found = ranges.measured(plain, convert.pinned(pictures))
    if graph.ops[-1].name in SCORES:
        found[graph.outputs[0].name] = ranges.Range(0, LAST)
    return {name: {"min": np.array([[low]]), "max": np.array([[high]])} for name, (low, high) in found.items()}


def _bytes(quantizer: Quantizer, statistics: dict | None = None) -> bytes:
    with warnings.catch_warnings():
        # It opens an interpreter that keeps all tensors, only to read their names.
        warnings.filterwarnings("ignore", "Warning: Enabling `experimental_preserve_all_tensors`", UserWarning)
        made = quantizer.quantize(statistics, enable_progress_bar=False, enable_progress_report=False)
    return bytes(made.quantized_model)
