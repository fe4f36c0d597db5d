"""Machine room, ops: the ops as rows of a table, read from their docstrings and their code.

The docstring of an op begins with what it computes and a line per input for the derivative, in mathematics:

    y = tanh x
    dL/dx = TanhGrad(y, g)

L is the loss, an input has its name in `forward`, a cotangent (dL/dy and the like) its name in `vjp`. A line that is
indented goes on with the one before it. Words, if there are any, follow after an empty line. An op that is not
differentiable states the first line only.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import FunctionType

from ..autograd import Op

PACKAGE = __name__.partition(".")[0]
ROOT = Path(sys.modules[PACKAGE].__file__).parent.parent
FORWARD, OTHER = {"forward", "prepare", "host", "elsewhere"}, {"reference", "__init__"}
"""Methods that compute values, and methods that say nothing about kernels; all others belong to the derivative."""


@dataclass(frozen=True)
class Row:
    """One op. name: in messages; cls: its class; formula, derivatives, words: its docstring; file, line: of the class.

    kernels: for each order, from 0, the kernels of this package that it runs, as "file.function". What comes after the
    last of them is `rest`: "the same" kernels for every further order, the derivative of the "reference", or a
    "composite" of other ops; "" for an op that is not differentiable.
    """

    name: str
    cls: str
    formula: str
    derivatives: dict[str, str]
    words: str
    file: str
    line: int
    kernels: tuple[tuple[str, ...], ...]
    rest: str


def statement(cls: type[Op]) -> tuple[str, dict[str, str], str]:
    """(what the op computes, its derivative by each input, the words after them), from the docstring of the class."""
    mathematics, _, words = inspect.cleandoc(vars(cls).get("__doc__") or "").partition("\n\n")
    lines: list[str] = []
    for line in mathematics.splitlines():
        if lines and line.startswith(" "):
            lines[-1] += " " + line.strip()
        else:
            lines.append(line)
    derivatives = [line.partition(" = ") for line in lines if line.startswith("dL/d")]
    formula = " ".join(line for line in lines if not line.startswith("dL/d"))
    return formula, {name.removeprefix("dL/d"): right for name, _, right in derivatives}, words


def inputs_of(cls: type[Op]) -> list[str]:
    """The names of the op's inputs, from `forward`."""
    return [name for name in inspect.signature(cls.forward).parameters if name != "self"]


def classes() -> list[type[Op]]:
    """The ops of the package's modules that are loaded, in the order of the files; not the bases of others."""
    ops: dict[type[Op], None] = {}
    stack = [Op]
    while stack:
        subclasses = stack.pop().__subclasses__()
        stack += subclasses
        ops |= dict.fromkeys(c for c in subclasses if c.__module__.partition(".")[0] == PACKAGE)
    bases = {base for c in ops for base in c.__mro__[1:] if base.__module__ == c.__module__}
    return sorted((c for c in ops if c not in bases and c.forward is not Op.forward), key=_place)


def row(cls: type[Op]) -> Row:
    """The row of one op."""
    kernels, rest = _orders(cls)
    return Row(_name(cls), cls.__name__, *statement(cls), *_place(cls), kernels, rest if cls.differentiable else "")


def rows(name: str | None = None) -> list[Row]:
    """The rows of all ops, or of those with this name or class name."""
    return [r for r in map(row, classes()) if name is None or name in (r.name, r.cls)]


def _name(cls: type[Op]) -> str:
    name = cls.name
    if isinstance(name, property):
        try:
            name = name.fget(object.__new__(cls))
        except AttributeError:  # an instance's own
            name = cls.__name__.lower()
    return name


def _place(cls: type[Op]) -> tuple[str, int]:
    path = inspect.getsourcefile(cls)
    return Path(path).relative_to(ROOT).as_posix(), _source(path)[0][cls.__name__]


def _orders(cls: type[Op]) -> tuple[tuple[tuple[str, ...], ...], str]:
    """(the kernels of each order, what comes after the last)."""
    kernels, level, rest = [], frozenset({cls}), "composite"
    before: set[frozenset[type[Op]]] = set()
    while True:
        runs = tuple(sorted({kernel for op in level for kernel in _kernels(op)}))
        if not runs:
            break
        kernels.append(runs)
        level = frozenset(op for op in level if op.differentiable)
        if any(op.vjp is Op.vjp for op in level):
            rest = "reference"
            break
        onward = frozenset(op for c in level for op in _derivative_ops(c))
        before.add(level)
        if onward in before:  # at once, or in turn, as an op and its adjoint
            rest = "the same"
            break
        level = onward
    return tuple(kernels), rest


@cache
def _kernels(cls: type[Op]) -> frozenset[str]:
    """The kernels that the op's forward pass names, itself or through functions of this room."""
    names: set[str] = set()
    stack = [method for name, method in _methods(cls) if name in FORWARD]
    functions = set(stack)
    while stack:
        function = stack.pop()
        for node in ast.walk(_tree(function)):
            match node:
                case ast.Attribute(ast.Attribute(ast.Name("kernels"), file), kernel):
                    names.add(f"{file}.{kernel}")
                case ast.Name(name):
                    helper = function.__globals__.get(name)
                    ours = isinstance(helper, FunctionType) and helper.__module__.startswith(__package__)
                    if ours and helper not in functions:
                        functions.add(helper)
                        stack.append(helper)
    return frozenset(names)


@cache
def _derivative_ops(cls: type[Op]) -> frozenset[type[Op]]:
    """The ops that the op's vjp applies by name."""
    ops = set()
    for name, method in _methods(cls):
        if name in FORWARD | OTHER:
            continue
        for node in ast.walk(_tree(method)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "self":
                ops.add(cls)
            elif isinstance(node, ast.Name):
                value = method.__globals__.get(node.id)
                value = type(value) if isinstance(value, Op) else value
                if isinstance(value, type) and issubclass(value, Op):
                    ops.add(value)
    return frozenset(ops)


def _methods(cls: type[Op]) -> Iterator[tuple[str, FunctionType]]:
    """The methods of the op and of its bases below Op, by name; one that is overridden counts once."""
    methods: dict[str, FunctionType] = {}
    for base in cls.__mro__:
        if base is Op:
            break
        for name, value in vars(base).items():
            if isinstance(value, FunctionType):
                methods.setdefault(name, value)
    yield from methods.items()


def _tree(function: FunctionType) -> ast.FunctionDef:
    code = function.__code__
    return _source(code.co_filename)[1][code.co_firstlineno]


@cache
def _source(path: str) -> tuple[dict[str, int], dict[int, ast.FunctionDef]]:
    """(the line of each class, the function that begins at each line) of a file."""
    nodes = list(ast.walk(ast.parse(Path(path).read_text(encoding="utf-8"))))
    functions = (node for node in nodes if isinstance(node, ast.FunctionDef))
    lines = {min([f.lineno, *(d.lineno for d in f.decorator_list)]): f for f in functions}
    return {node.name: node.lineno for node in nodes if isinstance(node, ast.ClassDef)}, lines
