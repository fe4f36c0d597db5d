"""The recorder of a step as it runs: a row for every op and every change in place.

    with Tape() as tape:
        step()
    tape.rows

The order of a row is how many derivatives deep it is: 0 for the forward pass, 1 for what the first gradient computes
and what is computed of that, 2 for a gradient of a gradient. An op that runs while the rule of a row of order k is
applied has at least order k + 1; any op has at least the order of what it reads.
"""

from __future__ import annotations

import sys
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import CodeType, FrameType

import numpy as np

from .. import _modes, autograd
from ..autograd import Op, Tensor, array_of
from ..backend import FLOATS, host, namespace
from ..nn.module import Module
from . import cost

PACKAGE = Path(_modes.__file__).parent
ROOMS = (
    "_",
    "autograd",
    "capture",
    "creation",
    "functional",
    "kernels",
    "methods",
    "nn",
    "ops",
    "optim",
)
ENGINE = tuple(f"{PACKAGE / room}" for room in ROOMS)
"""Files whose lines are not the caller's."""

RUNNERS = tuple(f"{PACKAGE / room}" for room in ("cli", "profiler"))
"""What runs a step to look into it."""

VJP, SUM, CALL = autograd._vjp.__code__, autograd._propagate.__code__, Module.__call__.__code__

MEMORY = 50_000
"""Values after which a tape that keeps no rows forgets those that are gone."""


@dataclass
class Row:
    """One op that ran, or one change in place.

    number: its place on the tape. op: its name. equation: what it computes. order: of derivative. layer: the module it
    ran in, "" for none; of a gradient, the module of what is differentiated.

    inputs, outputs: numbers of values, equal for the same array; shapes and results are theirs. of: the row whose rule
    it is a part of. left_out: inputs of that row of which no gradient was wanted. source: file and line of the code,
    outside of the engine, that ran it.

    start, seconds: of the kernel alone. low, high: range of the outputs' values, nan where there are none; finite:
    whether all are numbers. flops, nbytes: what it computes and moves. kernels: the loops that it runs; why: why these.
    in_place: whether it changes its first values. values: some of what it computed, where they were asked for.
    """

    number: int
    op: str
    equation: str
    order: int
    layer: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    shapes: tuple[tuple[int, ...], ...]
    results: tuple[tuple[int, ...], ...]
    dtype: str
    of: int | None = None
    left_out: tuple[int, ...] = ()
    source: str = ""
    start: float = 0.0
    seconds: float = 0.0
    low: float = float("nan")
    high: float = float("nan")
    finite: bool = True
    flops: int = 0
    nbytes: int = 0
    kernels: tuple[str, ...] = ()
    why: str = ""
    in_place: bool = False
    values: str = ""

    def as_dict(self) -> dict:
        """The figures, ready for JSON: what is no number is None."""
        figures = asdict(self)
        return figures | {k: v if np.isfinite(v := figures[k]) else None for k in ("low", "high")}


@dataclass
class Frame:
    """What the stack says of an op: the node being differentiated and what was wanted of it, whether cotangents are
    being added, the modules, the caller."""

    node: object = None
    adds: bool = False
    need: tuple[bool, ...] = ()
    modules: list[Module] = field(default_factory=list)
    source: str = ""


class Tape:
    """A context manager in which this thread's ops and changes in place are noted as they run; what they compute is the
    same as without it. Captured functions run eagerly.

    limit: rows after which `Full` is raised, 0 for none. tell: called with each row. values: how many of each result's
    numbers a row shows. keep: whether `rows` holds them; without, a tape may run for days.
    """

    is_dry = False

    def __init__(
        self, limit: int = 0, tell: Callable[[Row], object] | None = None, values: int = 0, keep: bool = True
    ) -> None:
        self.limit, self.tell, self.values, self.keep = limit, tell, values, keep
        self.rows: list[Row] = []
        self.names: dict[int, str] = {}
        """Number of a value that no row made -> what it is called: a module's weight by its name."""
        self._values: dict[int, tuple[weakref.ref, int]] = {}
        self._nodes: dict[int, Row] = {}
        self._orders: dict[int, int] = {}
        self._homes: dict[int, tuple[str, int | None]] = {}
        self._paths: dict[int, str] = {}
        self._roots: dict[int, str] = {}
        self._kept: list[Module] = []
        self._count = self._done = 0

    def __enter__(self) -> Tape:
        self._context = _modes.watching(_modes.recorder, self)
        self._context.__enter__()
        return self

    def __exit__(self, *exception: object) -> bool | None:
        return self._context.__exit__(*exception)

    # What the engine tells a recorder (`_modes.Recorder`).

    def op_called(self, op: Op, inputs: Sequence[Tensor]):
        """Run the op and note it."""
        arrays = [array_of(x) for x in inputs]
        start = time.perf_counter()
        outputs = op.run(inputs, arrays)
        seconds = time.perf_counter() - start
        results = outputs if type(outputs) is tuple else (outputs,)
        tracked = op.differentiable and autograd.is_grad_enabled() and any(x.requires_grad for x in inputs)
        row = self._row(op.name, cost.equation(op), arrays, results, start, seconds)
        row.flops, row.nbytes = cost.of(op, arrays, results)
        row.kernels, row.why = cost.kernels(op, arrays, results)
        tensors = op.wrap(tuple(inputs), outputs, tracked)
        first = tensors[0] if type(tensors) is tuple else tensors
        if tracked and first.node is not None:
            self._nodes[first.node.number] = row
        self._add(row)
        return tensors

    def changed_in_place(self, kernel: Callable, targets: Sequence[Tensor], sources: Sequence[Tensor]) -> None:
        """Make the change and note it."""
        written, read = ([array_of(t) for t in ts] for ts in (targets, sources))
        start = time.perf_counter()
        kernel(*written, *read)
        seconds = time.perf_counter() - start
        kernels, why = cost.named(kernel)
        name = kernels[0].rsplit(".", 1)[-1]
        row = self._row(name, "a change in place", [*written, *read], written, start, seconds)
        row.in_place, row.nbytes = True, sum(x.nbytes for x in (*written, *read))
        row.kernels, row.why = kernels, why
        self._add(row)

    def module_called(self, module: Module) -> None:
        """Learn the names of its parts, where it is no part of one that is known."""
        if id(module) in self._paths:
            return
        name = type(module).__name__
        number = sum(label == name or label.startswith(f"{name}#") for label in self._roots.values()) + 1
        root = self._roots[id(module)] = name if number == 1 else f"{name}#{number}"
        self._kept.append(module)  # so that its identity stays its own
        for path, part in module.named_modules():
            self._paths[id(part)] = f"{root}.{path}" if path else root
        for path, weight in module.named_parameters():
            self.names.setdefault(self._value(array_of(weight)), f"{root}.{path}")

    def data_read(self, tensor: Tensor) -> np.ndarray:
        """The array, as without a tape."""
        return array_of(tensor)

    def tensor_created(self, tensor: Tensor, array: object) -> None:
        """Nothing is to be done here, nor by the next four."""

    def array_enters(self, array: object) -> None: ...

    def grad_read(self, tensor: Tensor) -> None: ...

    def grad_written(self, tensor: Tensor) -> None: ...

    def requires_grad_written(self, tensor: Tensor) -> None: ...

    # Making a row.

    def _row(self, op: str, equation: str, inputs: Sequence, outputs: Sequence, start: float, seconds: float) -> Row:
        frame = _frame(sys._getframe(2))
        sources = tuple(map(self._value, inputs))
        order = max((self._orders.get(v, 0) for v in sources), default=0)
        of, layer, left_out = None, self._layer(frame.modules), ()
        if frame.node is not None and (differentiated := self._nodes.get(frame.node.number)) is not None:
            of = differentiated.number
            order, layer = max(order, differentiated.order + 1), differentiated.layer
            left_out = tuple(i for i, wanted in enumerate(frame.need) if not wanted)
        elif frame.adds and sources:  # cotangents of one value: where the first of them was computed
            layer, of = self._homes.get(sources[0], ("", None))
        results = tuple(map(self._value, outputs))
        for value in results:
            if value not in sources:  # a weight that is changed stays what it was
                self._homes[value], self._orders[value] = (layer, of), order
        sizes, sizes_after = (tuple(tuple(x.shape) for x in xs) for xs in (inputs, outputs))
        dtype = str(outputs[0].dtype)
        row = Row(self._done, op, equation, order, layer, sources, results, sizes, sizes_after, dtype, of, left_out)
        row.source, row.start, row.seconds = frame.source, start, seconds
        row.low, row.high, row.finite = _range(outputs)
        if self.values:
            row.values = " ".join(f"{v:.5g}" for v in host(outputs[0]).ravel()[: self.values].tolist())
        return row

    def _add(self, row: Row) -> None:
        self._done += 1
        if self.keep:
            self.rows.append(row)
        elif len(self._values) > MEMORY:
            self._forget()
        if self.tell is not None:
            self.tell(row)
        if self.limit and self._done >= self.limit:
            raise Full(f"trace: the step has more than {self.limit} ops; a larger limit shows more")

    def _value(self, array: object) -> int:
        entry = self._values.get(id(array))
        if entry is not None and entry[0]() is array:
            return entry[1]
        self._count += 1
        self._values[id(array)] = weakref.ref(array), self._count
        return self._count

    def _forget(self) -> None:
        """Drop what is known of arrays that are gone, and of ops that are long past."""
        self._values = {key: entry for key, entry in self._values.items() if entry[0]() is not None}
        alive = {number for _, number in self._values.values()}
        for table in (self._orders, self._homes, self.names):
            for value in [v for v in table if v not in alive]:
                del table[value]
        self._nodes = {k: row for k, row in self._nodes.items() if row.number > self._done - MEMORY}

    def _layer(self, modules: Sequence[Module]) -> str:
        """The path of the innermost module that an outer one names."""
        return next((self._paths[id(m)] for m in modules if id(m) in self._paths), "")


class Full(ValueError):
    """The tape has reached its limit."""


def _frame(frame: FrameType | None) -> Frame:
    """What stands above a call of the recorder, up to who runs a step for a tape."""
    stack = Frame()
    while frame is not None:
        code = frame.f_code
        if code.co_filename.startswith(RUNNERS):
            break
        if code is VJP and stack.node is None:
            stack.node, stack.need = frame.f_locals["node"], frame.f_locals["need"]
        elif code is SUM:
            stack.adds = stack.adds or stack.node is None
        elif code is CALL:
            stack.modules.append(frame.f_locals["self"])
        elif not stack.source and not code.co_filename.startswith((*ENGINE, "<frozen")):
            stack.source = f"{_short(code)}:{frame.f_lineno}"
        frame = frame.f_back
    return stack


def _short(code: CodeType) -> str:
    path = Path(code.co_filename)
    return str(path.relative_to(PACKAGE.parent)) if path.is_relative_to(PACKAGE.parent) else path.name


def _range(arrays: Sequence) -> tuple[float, float, bool]:
    """(smallest, largest, whether all are finite) of arrays of numbers."""
    low, high, finite = np.inf, -np.inf, True
    for y in arrays:
        if y.size and y.dtype in FLOATS:
            xp = namespace(y)
            bounds = [f(y).item() for f in (xp.min, xp.max)]
            low, high = np.fmin(low, bounds[0]), np.fmax(high, bounds[1])
            finite = finite and bool(np.isfinite(bounds).all())
    return (float(low), float(high), finite) if low <= high else (float("nan"), float("nan"), finite)
