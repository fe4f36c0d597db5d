"""Writes minigan/_typing.pyi, what a type checker sees of Tensor's methods, of the ops that are functions of minigan,
and of the layers that are one function each:

python tests/support/tensor_methods.py

The text is made from the functions' own signatures; tests/test_typing.py holds the file to it.
"""

import inspect
import sys
import textwrap
from pathlib import Path
from typing import get_overloads

ROOT = Path(__file__).parents[2]
PLACE = ROOT / "minigan" / "_typing.pyi"

HEAD = '''"""For type checkers and editors: Tensor's methods and operators, the ops that are functions of minigan, and
the layers that are one function.

A running program attaches them, and never imports this file. tests/support/tensor_methods.py writes it.
"""
# ruff: noqa
# fmt: off

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike as ArrayLike, DTypeLike as DTypeLike

from minigan.kernels.work import Now as Now

from .autograd import Node as Node, Tensor as Tensor
from .nn.layers import _Function
from .ops.order import Selection
from .ops.shape import Pair
IMPORTS
Number = float  # in the class below, `float` is a method
Operand = Tensor | np.ndarray | Number
Dim = int | Sequence[int] | None
Hook = Callable[[Tensor], Tensor | None]
Slot = tuple[Node, int] | int  # what a cotangent belongs to: see autograd._slot
T = TypeVar("T")


class Methods:
    """What Tensor has beside the methods that its class statement shows."""
'''
TAIL = """
    def to(self, *args: DTypeLike, dtype: DTypeLike | None = None, device: str | None = None) -> Tensor: ...
    def expand(self, *sizes: int | Sequence[int]) -> Tensor: ...
    def repeat(self, *sizes: int | Sequence[int]) -> Tensor: ...
    def unfold(self, dimension: int, size: int, step: int) -> Tensor: ...
    def float(self) -> Tensor: ...
    def double(self) -> Tensor: ...
    def long(self) -> Tensor: ...
    @overload
    def size(self) -> tuple[int, ...]: ...
    @overload
    def size(self, dim: int) -> int: ...
    def numel(self) -> int: ...
    def clone(self) -> Tensor: ...
    def _alias(self) -> Tensor: ...
    def _copy(self) -> Tensor: ...
    def _cast(self, dtype: np.dtype) -> Tensor: ...
    @property
    def T(self) -> Tensor: ...
    def __getitem__(self, index: object) -> Tensor: ...
    def __neg__(self) -> Tensor: ...
    def __abs__(self) -> Tensor: ...
"""
ARITHMETIC = ("add", "sub", "mul", "truediv", "pow", "matmul")
COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")


def parameters(function) -> str:
    """Of a method that is this function, or this op, with the tensor as its first argument."""
    from minigan.autograd import Op

    if isinstance(function, Op):
        ufunc = getattr(function, "ufunc", None)
        arity = ufunc.nin if ufunc else len(inspect.signature(function.forward).parameters)
        return "self" + ", other: Operand" * (arity - 1)
    texts = ["self"]
    for p in list(inspect.signature(function).parameters.values())[1:]:
        star = "*" if p.kind is p.VAR_POSITIONAL else ""
        kind = "int | Sequence[int]" if star else p.annotation
        if kind == "Tensor | float":
            kind = "Operand"
        default = "" if p.default is p.empty else f" = {p.default!r}"
        texts.append(f"{star}{p.name}: {kind.replace('float', 'Number')}{default}")
    return ", ".join(texts)


def layer(cls) -> list[str]:
    """The class of a layer that is one function; a setting has the type that it has there, if it has one."""
    types = {"inplace": "bool", "padding": "int | Sequence[int]"}
    for p in inspect.signature(cls.function).parameters.values():
        if p.annotation is not p.empty:
            types[p.name] = p.annotation
    settings = ["self", *(f"{name}: {types[name]} = {default!r}" for name, default in cls.defaults.items())]
    paragraph = (cls.__doc__ or "").split("\n\n")[0]
    doc = [_wrapped(f'"""{" ".join(paragraph.split())}"""')] if paragraph else []
    return ["", "", f"class {cls.__name__}(_Function):", *doc, f"    def __init__({', '.join(settings)}) -> None: ..."]


def imports() -> str:
    """The ops, from where they are, and the list of their names."""
    from minigan.methods import FUNCTIONS, METHODS

    names = {}
    for table in (METHODS, FUNCTIONS):
        for module, line in table.items():
            names.setdefault(module.__name__.removeprefix("minigan"), []).extend(line.split())
    lines = [
        f"from {module} import (\n{_wrapped(', '.join(sorted(names[module])) + ',')}\n)" for module in sorted(names)
    ]
    public = sorted(f'"{name}"' for row in names.values() for name in row)
    return "\n".join(lines) + f"\n\n__all__ = [\n{_wrapped(', '.join(public) + ',')}\n]\n"


def _wrapped(line: str) -> str:
    return textwrap.fill(line, 120, initial_indent="    ", subsequent_indent="    ")


def text() -> str:
    """The whole file."""
    from minigan.autograd import Op
    from minigan.methods import METHODS
    from minigan.nn import layers

    lines = [HEAD.replace("IMPORTS", imports())]
    for module, names in METHODS.items():
        for name in names.split():
            forms = get_overloads(getattr(module, name)) or [getattr(module, name)]
            for function in forms:
                answer = "Tensor" if isinstance(function, Op) else inspect.signature(function).return_annotation
                lines += ["    @overload"] if len(forms) > 1 else []
                lines.append(f"    def {name}({parameters(function)}) -> {answer}: ...")
    lines.append(TAIL.rstrip("\n").removeprefix("\n"))
    for name in ARITHMETIC:
        lines.append(f"    def __{name}__(self, other: Operand) -> Tensor: ...")
        lines.append(f"    def __r{name}__(self, other: Operand) -> Tensor: ...")
    for name in COMPARISONS:
        ignore = "  # type: ignore[override]" if name in ("eq", "ne") else "  # type: ignore[misc]"
        lines.append(f"    def __{name}__(self, other: Operand) -> Tensor: ...{ignore}")
    for cls in vars(layers).values():
        if isinstance(cls, type) and cls.__base__ is layers._Function:
            lines.extend(layer(cls))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    PLACE.write_text(text())
