"""Which file is asked for, and which engine makes it."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from tfmap.errors import InputError

CONVERTER, QUANTIZER = "converter", "ai-edge-quantizer"
# format -> the engines that make it; the first one unless another is asked for
ENGINES = {
    "float32": (CONVERTER,),
    "float16": (CONVERTER, QUANTIZER),
    "dynamic": (CONVERTER, QUANTIZER),
    "int8": (CONVERTER, QUANTIZER),
    "int16x8": (CONVERTER, QUANTIZER),
    "int4": (QUANTIZER,),
}
PACKAGE = "ai_edge_quantizer"
MODULES = {CONVERTER: "tfmap.export.convert", QUANTIZER: "tfmap.export.quantizer"}
CALIBRATED = ("int8", "int16x8", "int4")  # formats whose activations are integers
INTEGER_ENDS = ("int8", "int4")  # of these, those whose inputs and outputs may be integers


@dataclass(frozen=True)
class Order:
    """What a caller wants; checked as it is made.

    Attributes:
        format: see `tfmap.export.tflite`, as the others.
        engine: "converter", "ai-edge-quantizer", or "auto".
        input_type: "uint8", "int8" or "float32".
        output_type: the same, or "auto".
        batch_size: pictures per call; 0 or "dynamic" leaves it to the caller.
        keep_float: how many layers of an int8 file stay in float, or which.
        exact: an output that is computed in float from the last kernels on, by its name; none if empty.

    Raises:
        InputError: a combination that no engine makes.
    """

    format: str = "int8"
    engine: str = "auto"
    input_type: str = "uint8"
    output_type: str = "auto"
    batch_size: int | str = 1
    keep_float: int | Sequence[str] = 0
    exact: str = ""

    def __post_init__(self) -> None:
        if self.engine not in ("auto", *ENGINES[self.format]):
            raise InputError(
                f"export.engine={self.engine} does not make format {self.format}; "
                f"{' and '.join(ENGINES[self.format])} does. Formats of {self.engine}: "
                f"{', '.join(name for name, engines in ENGINES.items() if self.engine in engines)}."
            )
        if self.made_by == QUANTIZER and find_spec(PACKAGE) is None:
            raise InputError(
                f"export: {QUANTIZER}, which makes this {self.format} file, is not installed: "
                "pip install 'tfmap[quantizer]'"
            )
        if self.batch_size != "dynamic" and self.batch_size < 0:
            raise InputError(
                f"export.batch_size must be at least 1, or 0 or dynamic to leave it open, received {self.batch_size}."
            )
        self._check_ends()
        self._check_floats()

    def _check_ends(self) -> None:
        inputs = ("uint8", "int8", "float32") if self.format in INTEGER_ENDS else ("uint8", "float32")
        outputs = ("auto", "uint8", "int8", "float32") if self.format in INTEGER_ENDS else ("auto", "float32")
        for key, value, known in (("input_type", self.input_type, inputs), ("output_type", self.output_type, outputs)):
            if value not in known:
                raise InputError(
                    f"export.{key}={value}: format {self.format} has {' or '.join(name for name in known)} there. "
                    f"Integers at both ends come with format int8 or int4."
                )

    def _check_floats(self) -> None:
        if isinstance(self.keep_float, int) and self.keep_float < 0:
            raise InputError(f"export.keep_float must be 0 or more layers, or their names, received {self.keep_float}.")
        if self.keep_float and self.format != "int8":
            raise InputError(
                f"export.keep_float keeps layers of an int8 file in float, received format={self.format!r}. "
                "Use format='int8'."
            )

    def in_floats(self, exact: str) -> Order:
        """The same for a model that has an op behind it which takes float32 of one picture.

        Args:
            exact: the output for which 256 levels are too few.

        Raises:
            InputError: another output or an open batch was asked for.
        """
        if self.output_type not in ("auto", "float32") or self.batch_size != 1:
            raise InputError(
                f"export: a detector's file takes one picture and gives float32, received batch_size="
                f"{self.batch_size} and output_type={self.output_type}. Leave them out."
            )
        return replace(self, output_type="float32", exact=exact if self.format in INTEGER_ENDS else "")

    @property
    def made_by(self) -> str:
        """The engine's name."""
        return ENGINES[self.format][0] if self.engine == "auto" else self.engine

    @property
    def module(self) -> ModuleType:
        """The engine: a module with a function for each of its formats."""
        return importlib.import_module(MODULES[self.made_by])

    @property
    def is_calibrated(self) -> bool:
        """Whether the ranges of activations are read off pictures."""
        return self.format in CALIBRATED

    @property
    def ends(self) -> tuple[str, str]:
        """dtype of the file's input, and of its output."""
        own = self.input_type if self.format in INTEGER_ENDS else "float32"
        return self.input_type, own if self.output_type == "auto" else self.output_type

    @property
    def options(self) -> dict[str, Any]:
        """Keywords of the engine's function."""
        open_batch = self.batch_size == "dynamic"
        options: dict[str, Any] = {"batch_size": 0 if open_batch else self.batch_size, "input_type": self.input_type}
        if self.format in INTEGER_ENDS:
            options["output_type"] = self.ends[1]
        return options

    @property
    def described(self) -> dict[str, Any]:
        """Plain values for JSON."""
        found = {"format": self.format, "engine": self.made_by, "batch_size": self.options["batch_size"]}
        return {**found, "input_type": self.ends[0], "output_type": self.ends[1]}
