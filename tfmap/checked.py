"""Arguments of another type than a public function takes: told at once, in the words that a config file would get."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from tfmap import signatures
from tfmap.errors import InputError

P = ParamSpec("P")
R = TypeVar("R")
# class that a function asks for -> what it is to a reader
_READABLE = {
    "Source": "Source (tfmap.load makes one)",
    "Split": "Split (source.split('val') gives one)",
    "Model": "Keras model",
    "LiteModel": "tfmap.litert.LiteModel",
    "PurePath": "path",
}
_OPEN = {"Any", "Callable", "Sequence", "Mapping", "Iterable", "list", "dict", "tuple"}


def checked(section: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Have a function refuse arguments of another type than its annotations say.

    Args:
        section: of the config; "train" makes the text name "train.epochs".

    Raises:
        InputError: by the function that comes back, when it is called with such an argument.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)
        where = f"{function.__name__}()"

        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            for name, value in signature.bind(*args, **kwargs).arguments.items():
                _check(where, f"{section}.{name}", signature.parameters[name].annotation, value)
            return function(*args, **kwargs)

        return call

    return decorate


def _check(where: str, name: str, annotation: str, value: Any) -> None:
    if signatures.is_simple(annotation):
        plain = value.tolist() if hasattr(value, "tolist") else value  # numbers and arrays of NumPy
        signatures.Key(name, annotation, None, "").check(plain, where)
        return
    wanted = _class_names(annotation)
    if wanted and not wanted & {base.__name__ for base in type(value).__mro__}:
        named = [_READABLE.get(kind, kind) for kind in sorted(wanted - {"NoneType"})]
        short = name.split(".")[-1]
        raise InputError(
            f"{where}: {short} must be a {' or a '.join(named)}, received {_brief(value)} ({type(value).__name__})."
        )


def _class_names(annotation: str) -> set[str]:
    """The classes of a union such as `keras.Model | None`; nothing where any other type stands in it."""
    names, nodes = set(), [ast.parse(annotation, mode="eval").body]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.BinOp):
            nodes += [node.left, node.right]
        elif isinstance(node, (ast.Name, ast.Attribute)):
            names.add(node.id if isinstance(node, ast.Name) else node.attr)
        elif isinstance(node, ast.Constant) and node.value is None:
            names.add("NoneType")
        else:
            return set()
    return set() if names & _OPEN else {"PurePath" if name == "Path" else name for name in names}


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
