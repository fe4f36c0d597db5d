"""A network as a graph of ONNX's kinds of nodes (opset 18), its number of rows free, in arrays and names alone.

Each op becomes one node or a few; OPS says which. What does not depend on the inputs is computed here and stored, so
that batch norm in evaluation mode is two nodes. onnx.py writes the graph as a file, page.py as a web page that runs it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, cast

import numpy as np

from .. import nn
from ..ops.index import ARRAY
from .forward import Call, Forward, forward, is_whole, per_row, sizes

ROWS = "rows"
"""What the number of rows is called."""

SAME = {
    **{"add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "neg": "Neg", "exp": "Exp", "log": "Log"},
    **{"sqrt": "Sqrt", "abs": "Abs", "tanh": "Tanh", "sigmoid": "Sigmoid", "erf": "Erf"},
    **{"sin": "Sin", "cos": "Cos", "sign": "Sign", "floor": "Floor", "ceil": "Ceil", "round": "Round"},
    **{"maximum": "Max", "minimum": "Min", "matmul": "MatMul", "where": "Where", "clone": "Identity", "eq": "Equal"},
    **{"lt": "Less", "le": "LessOrEqual", "gt": "Greater", "ge": "GreaterOrEqual"},
}
"""Ops that ONNX has by another name. It wants their inputs of one type."""


@dataclass(frozen=True)
class Node:
    """One step: the values called `inputs` ("" for one left out) give the one called `output`."""

    kind: str
    inputs: tuple[str, ...]
    output: str
    settings: dict[str, Any]


@dataclass(frozen=True)
class Slot:
    """An input or an output of the whole. sizes: its shape, -k in place of k times the number of rows."""

    name: str
    dtype: np.dtype
    sizes: tuple[int, ...]


class Graph:
    """nodes: in the order in which they run. constants: name -> array. inputs, outputs: slots; the outputs are called
    output, or output_0, output_1, ...

    `place(pair)` is the name of a pair of arrays in it. Raises ValueError, naming the op and its layer, for what has no
    rule.
    """

    def __init__(self, network: nn.Module, inputs: Sequence[np.ndarray], names: Sequence[str]) -> None:
        passed: Forward = forward(network, inputs)
        self.passed, self.numbers, self.first, self.layer = passed, count(1), names[0], ""
        self.nodes: list[Node] = []
        self.constants: dict[str, np.ndarray] = {}
        self.places: dict[int, str] = {id(two): name for (two, _), name in zip(passed.inputs, names, strict=True)}
        for call in passed.calls:
            self.layer = call.layer
            try:
                results = _write(self, call)
            except ValueError as error:
                where = f" in {call.layer}" if call.layer else ""
                raise ValueError(f"export: {call.op.name}{where} cannot be expressed: {error}") from error
            for (two, _), name in zip(call.outputs, results, strict=True):
                self.places[id(two)] = name
        several = len(passed.outputs) > 1
        labels = [f"output_{k}" if several else "output" for k in range(len(passed.outputs))]
        for pair, label in zip(passed.outputs, labels, strict=True):
            self.nodes.append(Node("Identity", (self.place(pair),), label, {}))
        self.inputs = [_slot(name, pair) for name, pair in zip(names, passed.inputs, strict=True)]
        self.outputs = [_slot(name, pair) for name, pair in zip(labels, passed.outputs, strict=True)]
        used = {name for node in self.nodes for name in node.inputs}
        self.constants = {name: array for name, array in self.constants.items() if name in used}

    def node(self, kind: str, inputs: Sequence[str], **settings) -> str:
        """Add a node of one output; returns its name."""
        name = f"{self.layer + '/' if self.layer else ''}{kind}_{next(self.numbers)}"
        self.nodes.append(Node(kind, tuple(inputs), name, settings))
        return name

    def constant(self, array: np.ndarray, name: str = "") -> str:
        """Store an array; returns its name."""
        name = name or f"constant_{next(self.numbers)}"
        if name not in self.constants:
            self.constants[name] = np.ascontiguousarray(array)
        return name

    def whole(self, values: Sequence[int]) -> str:
        """Store whole numbers, as axes and shapes are given."""
        return self.constant(np.array(values, np.int64))

    def place(self, pair: tuple[np.ndarray, np.ndarray]) -> str:
        """What a pair of arrays is called: computed, a weight, or a constant."""
        two, three = pair
        if id(two) in self.places:
            return self.places[id(two)]
        if two.shape == three.shape and (factor := per_row(pair)) is not None:
            rows = self.node("Cast", [self.rows()], to=two.dtype)
            count = self.node("Mul", [rows, self.constant(np.array([factor], two.dtype))])
            name = self.node("Reshape", [count, self.whole(two.shape)])
        elif two.shape == three.shape:
            name = self.constant(two, self.passed.names.get(id(two), ""))
        else:
            axes = [k for k, n in enumerate(sizes(pair)) if n < 0]
            row = three[tuple(slice(0, 1) if k in axes else slice(None) for k in range(three.ndim))]
            if not np.array_equal(np.broadcast_to(row, three.shape), three):
                raise ValueError("a constant of it depends on the number of rows")
            name = self.node("Expand", [self.constant(row), self.shape(sizes(pair))])
        self.places[id(two)] = name
        return name

    def rows(self) -> str:
        """The number of rows as a value of the graph, of shape (1,)."""
        if ROWS not in self.places.values():
            self.nodes.append(Node("Shape", (self.first,), ROWS, {"start": 0, "end": 1}))
            self.places[-1] = ROWS
        return ROWS

    def shape(self, values: Sequence[int]) -> str:
        """A shape as a value of the graph, k times the number of rows in place of -k."""
        if all(n >= 0 for n in values):
            return self.whole(values)
        rows = self.rows()
        pieces = [
            self.whole([n]) if n >= 0 else rows if n == -1 else self.node("Mul", [rows, self.whole([-n])])
            for n in values
        ]
        return self.node("Concat", pieces, axis=0) if len(pieces) > 1 else pieces[0]


def _slot(name: str, pair: tuple[np.ndarray, np.ndarray]) -> Slot:
    return Slot(name, pair[0].dtype, tuple(sizes(pair)))


Writer = Callable[[Graph, Call, list[str]], str]


def _write(graph: Graph, call: Call) -> list[str]:
    """Add the nodes of a call; returns the names of its outputs."""
    name = call.op.name
    places = [graph.place(pair) for pair in call.inputs]
    if name in SAME:
        first = 1 if name == "where" else 0
        kind = np.result_type(*(two.dtype for two, _ in call.inputs[first:]), call.outputs[0][0].dtype)
        kind = call.outputs[0][0].dtype if call.outputs[0][0].dtype.kind != "b" else kind
        for k in range(first, len(places)):
            if call.inputs[k][0].dtype != kind:
                places[k] = graph.node("Cast", [places[k]], to=kind)
        return [graph.node(SAME[name], places)]
    if name not in OPS:
        raise ValueError("there is no rule for it")
    return [OPS[name](graph, call, places)]


def _reshape(graph: Graph, call: Call, places: list[str]) -> str:
    target = sizes(call.outputs[0])
    if sum(n < 0 for n in target) <= 1:
        return graph.node("Reshape", [places[0], graph.whole([max(n, -1) for n in target])])
    return graph.node("Reshape", [places[0], graph.shape(target)])


EXACT = 20
"""A threshold from which on softplus needs none: beyond, it is the identity to 2e-9."""


def _softplus(graph: Graph, call: Call, places: list[str]) -> str:
    op, x, kind = cast(Any, call.op), places[0], call.inputs[0][0].dtype

    def number(value: float) -> str:
        return graph.constant(np.array(value, kind))

    z = x if op.beta == 1 else graph.node("Mul", [x, number(op.beta)])
    y = graph.node("Softplus", [z])
    y = y if op.beta == 1 else graph.node("Div", [y, number(op.beta)])
    if op.threshold >= EXACT:
        return y
    return graph.node("Where", [graph.node("Greater", [z, number(op.threshold)]), x, y])


def _sum(graph: Graph, call: Call, places: list[str]) -> str:
    axes: Any = call.op
    return graph.node("ReduceSum", [places[0], graph.whole(axes.axes)], keepdims=0)


def _extreme(kind: str) -> Writer:
    def write(graph: Graph, call: Call, places: list[str]) -> str:
        op: Any = call.op
        return graph.node(kind, [places[0], graph.whole(op.axes)], keepdims=0)

    return write


def _sum_to(graph: Graph, call: Call, places: list[str]) -> str:
    (x, y) = call.inputs[0][0], call.outputs[0][0]
    lead = x.ndim - y.ndim
    axes = [*range(lead), *(lead + k for k, n in enumerate(y.shape) if n == 1 and x.shape[lead + k] != 1)]
    total = graph.node("ReduceSum", [places[0], graph.whole(axes)], keepdims=0)
    return graph.node("Reshape", [total, graph.shape(sizes(call.outputs[0]))])


def _axis(kind: str) -> Writer:
    def write(graph: Graph, call: Call, places: list[str]) -> str:
        op: Any = call.op
        return graph.node(kind, places, axis=op.axis)

    return write


def _pads(widths: Sequence[tuple[int, int]]) -> list[int]:
    return [low for low, _ in widths] + [high for _, high in widths]


def _pad(graph: Graph, call: Call, places: list[str]) -> str:
    op: Any = call.op
    value = graph.constant(np.array(op.value, call.inputs[0][0].dtype))
    return graph.node("Pad", [places[0], graph.whole(_pads(op.widths)), value])


def _mirror(graph: Graph, call: Call, places: list[str]) -> str:
    op: Any = call.op
    return graph.node("Pad", [places[0], graph.whole(_pads(op.widths))], mode="reflect")


def _index(graph: Graph, call: Call, places: list[str]) -> str:
    """Slices, whole numbers, and one array that picks along an axis, or constant arrays along neighbouring axes."""
    op: Any = call.op
    shape = sizes(call.inputs[0])
    key = list(op.key if isinstance(op.key, tuple) else (op.key,))
    if Ellipsis in key:
        place = key.index(Ellipsis)
        key[place : place + 1] = [slice(None)] * (len(shape) - sum(k is not None for k in key) + 1)
    if ARRAY in key:
        axis, count = key.index(ARRAY), key.count(ARRAY)
        if key != [slice(None)] * axis + [ARRAY] * count + [slice(None)] * (len(key) - axis - count):
            raise ValueError("an index array beside other indices")
        if count == 1:
            return graph.node("Gather", places, axis=axis)
        return _gathered(graph, call, places, axis, count)
    if any(k is None for k in key):
        raise ValueError("a new axis in an index")
    value, gone = places[0], []
    for axis, (k, size) in enumerate(zip(key, shape, strict=False)):
        if isinstance(k, slice) and (k == slice(None) or (size < 0 and is_whole(k, size, call))):
            continue
        if size < 0:
            raise ValueError("an index along the rows")
        start, stop, step = k.indices(size) if isinstance(k, slice) else (int(k) % size, int(k) % size + 1, 1)
        if step < 1:
            raise ValueError("a backward slice")
        value = graph.node("Slice", [value, *(graph.whole([n]) for n in (start, stop, axis, step))])
        if not isinstance(k, slice):
            gone.append(axis)
    return graph.node("Squeeze", [value, graph.whole(gone)]) if gone else value


def _gathered(graph: Graph, call: Call, places: list[str], axis: int, count: int) -> str:
    """What `count` constant arrays, broadcast, pick along as many axes from `axis` on: along one, to which these are
    joined."""
    shape = sizes(call.inputs[0])
    picked = shape[axis : axis + count]
    if min(picked) < 0 or any(place not in graph.constants for place in places[1:]):
        raise ValueError("several index arrays that depend on the inputs or the rows")
    arrays = np.broadcast_arrays(*(two for two, _ in call.inputs[1:]))
    flat = np.ravel_multi_index([a % n for a, n in zip(arrays, picked, strict=True)], picked)
    joined = graph.shape([*shape[:axis], int(np.prod(picked)), *shape[axis + count :]])
    return graph.node("Gather", [graph.node("Reshape", [places[0], joined]), graph.constant(flat)], axis=axis)


def _lookup(graph: Graph, call: Call, places: list[str]) -> str:
    return graph.node("Gather", places, axis=0)


def _convolution(graph: Graph, call: Call, places: list[str]) -> str:
    geometry: Any = call.op.geometry  # type: ignore[attr-defined]
    (top, left) = geometry.padding
    settings = {"strides": geometry.stride, "dilations": geometry.dilation, "group": geometry.groups}
    if call.op.name == "conv2d":
        return graph.node("Conv", places, pads=[top, left, top, left], **settings)
    extra = [
        n - (s * (o - 1) + d * (k - 1) + 1 - 2 * p)
        for n, o, k, s, d, p in zip(
            geometry.x_shape[2:], geometry.y_shape[2:], geometry.w_shape[2:],
            geometry.stride, geometry.dilation, geometry.padding, strict=True
        )
    ]  # fmt: skip
    return graph.node("ConvTranspose", places, pads=[top, left, top, left], output_padding=extra, **settings)


def _standardise(graph: Graph, call: Call, places: list[str]) -> str:
    op: Any = call.op
    axes, dtype = graph.whole(op.axes), call.inputs[0][0].dtype
    rest = graph.node("Sub", [places[0], graph.node("ReduceMean", [places[0], axes], keepdims=1)])
    variance = graph.node("ReduceMean", [graph.node("Mul", [rest, rest]), axes], keepdims=1)
    spread = graph.node("Sqrt", [graph.node("Add", [variance, graph.constant(np.array(op.eps, dtype))])])
    return graph.node("Div", [rest, spread])


def _power(graph: Graph, call: Call, places: list[str]) -> str:
    op: Any = call.op
    if len(places) == 2:
        return graph.node("Pow", places)
    if op.exponent == 2:
        return graph.node("Mul", [places[0], places[0]])
    return graph.node("Pow", [places[0], graph.constant(np.array(op.exponent, call.inputs[0][0].dtype))])


def _leaky(graph: Graph, call: Call, places: list[str]) -> str:
    op: Any = call.op
    return graph.node("LeakyRelu", places, alpha=float(op.slope)) if op.slope else graph.node("Relu", places)


def _clip(graph: Graph, call: Call, places: list[str]) -> str:
    op: Any = call.op
    dtype = call.inputs[0][0].dtype
    return graph.node(
        "Clip", [places[0], *("" if v is None else graph.constant(np.array(v, dtype)) for v in (op.low, op.high))]
    )


def _cast(graph: Graph, call: Call, places: list[str]) -> str:
    return graph.node("Cast", places[:1], to=call.outputs[0][0].dtype)


def _logic(kind: str) -> Writer:
    def write(graph: Graph, call: Call, places: list[str]) -> str:
        if any(two.dtype != np.bool_ for two, _ in call.inputs):
            raise ValueError("only truth values have a rule, not whole numbers")
        return graph.node(kind, places)

    return write


def _place_of(kind: str) -> Writer:
    def write(graph: Graph, call: Call, places: list[str]) -> str:
        op: Any = call.op
        return graph.node(kind, places, axis=op.axis, keepdims=int(op.keepdim))

    return write


def _one_hot(graph: Graph, call: Call, places: list[str]) -> str:
    op: Any = call.op
    off_on = graph.constant(np.array([0, 1], call.outputs[0][0].dtype))
    return graph.node("OneHot", [places[0], graph.whole([op.classes]), off_on])


OPS: dict[str, Writer] = {
    "bitwise_and": _logic("And"),
    "bitwise_or": _logic("Or"),
    "bitwise_xor": _logic("Xor"),
    "bitwise_not": _logic("Not"),
    "argmax": _place_of("ArgMax"),
    "argmin": _place_of("ArgMin"),
    "one_hot": _one_hot,
    "reshape": _reshape,
    "permute": lambda graph, call, places: graph.node("Transpose", places, perm=list(call.op.axes)),  # type: ignore[attr-defined]
    "broadcast_to": lambda graph, call, places: graph.node("Expand", [places[0], graph.shape(sizes(call.outputs[0]))]),
    "sum_to": _sum_to,
    "sum": _sum,
    "amax": _extreme("ReduceMax"),
    "amin": _extreme("ReduceMin"),
    "softmax": _axis("Softmax"),
    "log_softmax": _axis("LogSoftmax"),
    "cat": _axis("Concat"),
    "index": _index,
    "embedding": _lookup,
    "pad": _pad,
    "mirror": _mirror,
    "conv2d": _convolution,
    "conv_transpose2d": _convolution,
    "standardise": _standardise,
    "pow": _power,
    "leaky_relu": _leaky,
    "softplus": _softplus,
    "rsqrt": lambda graph, call, places: graph.node("Reciprocal", [graph.node("Sqrt", places)]),
    "clip": _clip,
    "cast": _cast,
}
"""Op -> what writes its nodes."""
