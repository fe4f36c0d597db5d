"""Writes minigan/_typing.pyi, what a type checker sees of Tensor's methods, of the ops that are functions of minigan,
and of the layers that are one function each:

python tests/support/tensor_methods.py

The text is made from the functions' own signatures; tests/test_typing.py holds the file to it.
"""

import inspect
import re
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
from typing import Any, TypeVar, overload

import numpy as np
from numpy.typing import ArrayLike as ArrayLike, DTypeLike as DTypeLike

from minigan.kernels.work import Now as Now

from .autograd import Node as Node, Tensor as Tensor
from .backend import Generator as Generator
from .nn.layers import _Function
from .ops.order import Selection
from .ops.shape import Pair
IMPORTS
# In the class below, `float`, `int` and `bool` are methods.
Number = float
Whole = int
Flag = bool
Size = int | Sequence[int]
Operand = Tensor | np.ndarray | Number
Dim = int | Sequence[int] | None
Hook = Callable[[Tensor], Tensor | None]
Slot = tuple[Node, int] | int  # what a cotangent belongs to: see autograd._slot
T = TypeVar("T")


class Methods:
    """What Tensor has beside the methods that its class statement shows."""
'''
TAIL = """
    def where(self, condition: Tensor, other: Operand) -> Tensor: ...
    @overload
    def stride(self) -> tuple[Whole, ...]: ...
    @overload
    def stride(self, dim: Whole) -> Whole: ...
    def repeat(self, *sizes: Size) -> Tensor: ...
    def unfold(self, dimension: Whole, size: Whole, step: Whole) -> Tensor: ...
    def to(
        self, *args: DTypeLike | Tensor, dtype: DTypeLike | None = None, device: str | None = None,
        non_blocking: Flag = False, copy: Flag = False,
    ) -> Tensor: ...
    @overload
    def type(self) -> str: ...
    @overload
    def type(self, dtype: DTypeLike) -> Tensor: ...
    def float(self) -> Tensor: ...
    def double(self) -> Tensor: ...
    def int(self) -> Tensor: ...
    def short(self) -> Tensor: ...
    def long(self) -> Tensor: ...
    def bool(self) -> Tensor: ...
    def cpu(self, non_blocking: Flag = False) -> Tensor: ...
    def cuda(self, device: Whole | str | None = None, non_blocking: Flag = False) -> Tensor: ...
    def contiguous(self) -> Tensor: ...
    def numpy(self) -> np.ndarray: ...
    def assign(self, values: Tensor | np.ndarray) -> Tensor: ...
    def new_zeros(
        self, *size: Size, dtype: DTypeLike | None = None, device: str | None = None, requires_grad: Flag = False
    ) -> Tensor: ...
    def new_ones(
        self, *size: Size, dtype: DTypeLike | None = None, device: str | None = None, requires_grad: Flag = False
    ) -> Tensor: ...
    def new_empty(
        self, *size: Size, dtype: DTypeLike | None = None, device: str | None = None, requires_grad: Flag = False
    ) -> Tensor: ...
    def new_full(
        self, size: Size, fill_value: Number, dtype: DTypeLike | None = None, device: str | None = None,
        requires_grad: Flag = False,
    ) -> Tensor: ...
    def new_tensor(
        self, data: Tensor | ArrayLike, dtype: DTypeLike | None = None, requires_grad: Flag = False
    ) -> Tensor: ...
    @property
    def grad_fn(self) -> Node | None: ...
    @property
    def mT(self) -> Tensor: ...
    def dim(self) -> Whole: ...
    def ndimension(self) -> Whole: ...
    def element_size(self) -> Whole: ...
    def nelement(self) -> Whole: ...
    def is_contiguous(self) -> Flag: ...
    def is_floating_point(self) -> Flag: ...
    def __array__(self, dtype: DTypeLike | None = None, copy: Flag | None = None) -> np.ndarray: ...
    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, out: tuple = (), **settings: Any) -> Any: ...
    def __array_function__(self, function: Callable, types: Any, args: tuple, kwargs: Any) -> Any: ...
    __array_priority__: Whole
    def __contains__(self, value: object) -> Flag: ...
    def __setitem__(self, key: object, value: Operand) -> None: ...
    def __invert__(self) -> Tensor: ...
    def __pos__(self) -> Tensor: ...
    def __deepcopy__(self, memo: dict) -> Tensor: ...
    def __repr__(self) -> str: ...
    def _repr_html_(self) -> str: ...
    def __divmod__(self, other: Operand) -> tuple[Tensor, Tensor]: ...
    def __rdivmod__(self, other: Operand) -> tuple[Tensor, Tensor]: ...
    def allclose(self, other: Tensor, rtol: Number = 1e-5, atol: Number = 1e-8, equal_nan: Flag = False) -> Flag: ...
    def equal(self, other: Tensor) -> Flag: ...
    @overload
    def size(self) -> tuple[Whole, ...]: ...
    @overload
    def size(self, dim: Whole) -> Whole: ...
    def numel(self) -> Whole: ...
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
ARITHMETIC = ("add", "sub", "mul", "truediv", "pow", "matmul", "floordiv", "mod", "and", "or", "xor")
COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")


def parameters(function) -> str:
    """Of a method that is this function, or this op, with the tensor as its first argument."""
    from minigan.autograd import Op

    if isinstance(function, Op):
        ufunc = getattr(function, "ufunc", None)
        arity = ufunc.nin if ufunc else len(inspect.signature(function.forward).parameters)
        return "self" + ", other: Operand" * (arity - 1)
    return ", ".join(["self", *settings(function)[1:]])


def settings(function, plain: bool = False) -> list[str]:
    """The parameters of a function as they stand in its signature, with the second spellings of their names."""
    from minigan.ops.spelling import spelled

    texts, second = [], getattr(spelled(function), "spellings", {})
    for p in inspect.signature(spelled(function)).parameters.values():
        star = "*" if p.kind is p.VAR_POSITIONAL else ""
        kind = "int | Sequence[int]" if star else p.annotation
        if kind == "Tensor | float":
            kind = "Operand"
        if p.kind is p.KEYWORD_ONLY and not any(t.startswith("*") for t in texts):
            texts.append("*")
        default = "" if p.default is p.empty else " = ..." if p.default is ... else f" = {p.default!r}"
        if p.default is p.empty and (p.name in second.values() or any(t.endswith("= ...") for t in texts)):
            default = " = ..."  # it may go by its other name, or come after one that may
        texts.append(f"{star}{p.name}: {kind if plain else _inside(kind)}{default}")
    return texts


def _inside(kind: str) -> str:
    """A type as it is called in the class, where `float`, `int` and `bool` are methods."""
    for word, other in {"float": "Number", "int": "Whole", "bool": "Flag"}.items():
        kind = re.sub(rf"\b{word}\b", other, kind)
    return kind


def spelled_functions() -> list[str]:
    """The functions of minigan whose arguments have second spellings: they are declared, not imported."""
    from minigan.methods import PUBLIC

    return sorted(name for name, function in PUBLIC.items() if hasattr(function, "spellings"))


def in_place() -> list[str]:
    """The methods that change a tensor in place."""
    from minigan import _inplace
    from minigan.autograd import Op, Tensor
    from minigan.methods import PUBLIC

    lines = []
    for name in sorted(n for n in vars(Tensor) if n.endswith("_") and not n.startswith("_") and n != "requires_grad_"):
        function = vars(_inplace).get(name) or PUBLIC[name[:-1]]
        own = parameters(function) if isinstance(function, Op) else ", ".join(["self", *settings(function)[1:]])
        lines.append(f"    def {name}({own}) -> Tensor: ...")
    return lines


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
    declared = set(spelled_functions())
    lines = []
    for module in sorted(names):
        if rest := sorted(set(names[module]) - declared):
            lines.append(f"from {module} import (\n{_wrapped(', '.join(rest) + ',')}\n)")
    public = sorted(f'"{name}"' for row in names.values() for name in row)
    return "\n".join(lines) + f"\n\n__all__ = [\n{_wrapped(', '.join(public) + ',')}\n]\n"


def _wrapped(line: str) -> str:
    return textwrap.fill(line, 120, initial_indent="    ", subsequent_indent="    ")


def text() -> str:
    """The whole file."""
    from minigan._inplace import OPERATORS
    from minigan.autograd import Op
    from minigan.methods import METHODS, PUBLIC
    from minigan.nn import layers

    lines = [HEAD.replace("IMPORTS", imports())]
    for module, names in METHODS.items():
        for name in names.split():
            forms = get_overloads(getattr(module, name)) or [getattr(module, name)]
            for function in forms:
                answer = "Tensor" if isinstance(function, Op) else inspect.signature(function).return_annotation
                lines += ["    @overload"] if len(forms) > 1 else []
                lines.append(f"    def {name}({parameters(function)}) -> {_inside(answer)}: ...")
    lines.append(TAIL.rstrip("\n").removeprefix("\n"))
    for name in ARITHMETIC:
        lines.append(f"    def __{name}__(self, other: Operand) -> Tensor: ...")
        lines.append(f"    def __r{name}__(self, other: Operand) -> Tensor: ...")
    for name in COMPARISONS:
        ignore = "  # type: ignore[override]" if name in ("eq", "ne") else "  # type: ignore[misc]"
        lines.append(f"    def __{name}__(self, other: Operand) -> Tensor: ...{ignore}")
    lines += in_place()
    for name in OPERATORS:
        lines.append(f"    def __i{name}__(self, other: Operand) -> Tensor: ...")
    lines += ["", ""]
    for name in spelled_functions():
        answer = inspect.signature(PUBLIC[name]).return_annotation
        lines.append(f"def {name}({', '.join(settings(PUBLIC[name], plain=True))}) -> {answer}: ...")
    for cls in vars(layers).values():
        if isinstance(cls, type) and cls.__base__ is layers._Function:
            lines.extend(layer(cls))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    PLACE.write_text(text())
