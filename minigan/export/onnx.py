"""A network as an ONNX graph (opset 18), its number of rows free.

Each op becomes one node or a few; OPS says which. What does not depend on the inputs is computed here and stored, so
that batch norm in evaluation mode is two nodes. Needs the package onnx: pip install "minigan[onnx]".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import numpy as np

from .. import nn
from ..ops.index import ARRAY
from .forward import Call, Forward, forward, per_row, sizes

OPSET = 18
ROWS = "rows"

SAME = {
    **{"add": "Add", "sub": "Sub", "mul": "Mul", "div": "Div", "neg": "Neg", "exp": "Exp", "log": "Log"},
    **{"sqrt": "Sqrt", "abs": "Abs", "tanh": "Tanh", "sigmoid": "Sigmoid", "softplus": "Softplus", "erf": "Erf"},
    **{"sin": "Sin", "cos": "Cos", "sign": "Sign", "floor": "Floor", "ceil": "Ceil", "round": "Round"},
    **{"maximum": "Max", "minimum": "Min", "matmul": "MatMul", "where": "Where", "clone": "Identity", "eq": "Equal"},
    **{"lt": "Less", "le": "LessOrEqual", "gt": "Greater", "ge": "GreaterOrEqual"},
}
"""Ops that ONNX has by another name."""


def exported(network: nn.Module, inputs: Sequence[np.ndarray], names: Sequence[str], title: str = "network"):
    """The network as an `onnx.ModelProto`, checked.

    inputs: arrays of at least three rows, one for each argument; names: what the arguments are called. Raises
    ValueError, naming the op and its layer, for what ONNX cannot express, and ImportError without the package onnx.
    """
    import onnx

    model = _Graph(forward(network, inputs), names).model(title)
    onnx.checker.check_model(model, full_check=True)
    return model


def difference(model: Any, network: nn.Module, inputs: Sequence[np.ndarray]) -> float:
    """The largest difference of onnxruntime's outputs from the network's own, relative to each output's largest value.
    Raises ImportError without the package onnxruntime."""
    import onnxruntime

    from ..autograd import Tensor, array_of, no_grad

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    fed = {slot.name: x for slot, x in zip(session.get_inputs(), inputs, strict=True)}
    with no_grad():
        result = network(*map(Tensor, inputs))
    own = [array_of(y) for y in (result if isinstance(result, (tuple, list)) else (result,))]
    return max(
        float(np.abs(a - b).max() / max(np.abs(a).max(), 1e-30))
        for a, b in zip(own, session.run(None, fed), strict=True)
    )


class _Graph:
    """A graph being written. `place(pair)` is the name of a pair of arrays in it."""

    def __init__(self, passed: Forward, names: Sequence[str]) -> None:
        import onnx

        self.onnx, self.helper, self.passed, self.numbers = onnx, onnx.helper, passed, count(1)
        self.nodes: list = []
        self.constants: dict[str, Any] = {}
        self.places: dict[int, str] = {id(two): name for (two, _), name in zip(passed.inputs, names, strict=True)}
        self.first, self.names, self.layer = names[0], list(names), ""
        for call in passed.calls:
            self.layer = call.layer
            try:
                results = _write(self, call)
            except ValueError as error:
                where = f" in {call.layer}" if call.layer else ""
                raise ValueError(f"export onnx: {call.op.name}{where} cannot be expressed: {error}") from error
            for (two, _), name in zip(call.outputs, results, strict=True):
                self.places[id(two)] = name

    def model(self, title: str):
        """The finished model; its outputs are called output, or output_0, output_1, ..."""
        labels = (
            ["output"] if len(self.passed.outputs) == 1 else [f"output_{k}" for k in range(len(self.passed.outputs))]
        )
        for pair, label in zip(self.passed.outputs, labels, strict=True):
            self.nodes.append(self.helper.make_node("Identity", [self.place(pair)], [label], label))
        graph = self.helper.make_graph(
            self.nodes,
            title,
            [self._slot(name, pair) for name, pair in zip(self.names, self.passed.inputs, strict=True)],
            [self._slot(name, pair) for name, pair in zip(labels, self.passed.outputs, strict=True)],
            list(self.constants.values()),
        )
        opsets = [self.helper.make_opsetid("", OPSET)]
        return self.helper.make_model(graph, opset_imports=opsets, ir_version=9, producer_name="minigan")

    def _slot(self, name: str, pair: tuple[np.ndarray, np.ndarray]):
        kind = self.helper.np_dtype_to_tensor_dtype(pair[0].dtype)
        return self.helper.make_tensor_value_info(
            name, kind, [n if n >= 0 else ROWS if n == -1 else f"{-n} {ROWS}" for n in sizes(pair)]
        )

    def node(self, kind: str, inputs: Sequence[str], **settings) -> str:
        """Add a node of one output; returns its name."""
        name = f"{self.layer + '/' if self.layer else ''}{kind}_{next(self.numbers)}"
        self.nodes.append(self.helper.make_node(kind, list(inputs), [name], name, **settings))
        return name

    def constant(self, array: np.ndarray, name: str = "") -> str:
        """Store an array; returns its name."""
        name = name or f"constant_{next(self.numbers)}"
        if name not in self.constants:
            array = np.ascontiguousarray(array)
            self.constants[name] = self.onnx.numpy_helper.from_array(array, name)
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
            rows = self.node("Cast", [self.rows()], to=self.helper.np_dtype_to_tensor_dtype(two.dtype))
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
            self.nodes.append(self.helper.make_node("Shape", [self.first], [ROWS], ROWS, start=0, end=1))
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


Writer = Callable[[_Graph, Call, list[str]], str]


def _write(graph: _Graph, call: Call) -> list[str]:
    """Add the nodes of a call; returns the names of its outputs."""
    name = call.op.name
    places = [graph.place(pair) for pair in call.inputs]
    if name in SAME:
        return [graph.node(SAME[name], places)]
    if name not in OPS:
        raise ValueError("there is no rule for it")
    return [OPS[name](graph, call, places)]


def _reshape(graph: _Graph, call: Call, places: list[str]) -> str:
    target = sizes(call.outputs[0])
    if sum(n < 0 for n in target) <= 1:
        return graph.node("Reshape", [places[0], graph.whole([max(n, -1) for n in target])])
    return graph.node("Reshape", [places[0], graph.shape(target)])


def _sum(graph: _Graph, call: Call, places: list[str]) -> str:
    axes: Any = call.op
    return graph.node("ReduceSum", [places[0], graph.whole(axes.axes)], keepdims=0)


def _extreme(kind: str) -> Writer:
    def write(graph: _Graph, call: Call, places: list[str]) -> str:
        op: Any = call.op
        return graph.node(kind, [places[0], graph.whole(op.axes)], keepdims=0)

    return write


def _sum_to(graph: _Graph, call: Call, places: list[str]) -> str:
    (x, y) = call.inputs[0][0], call.outputs[0][0]
    lead = x.ndim - y.ndim
    axes = [*range(lead), *(lead + k for k, n in enumerate(y.shape) if n == 1 and x.shape[lead + k] != 1)]
    total = graph.node("ReduceSum", [places[0], graph.whole(axes)], keepdims=0)
    return graph.node("Reshape", [total, graph.shape(sizes(call.outputs[0]))])


def _axis(kind: str) -> Writer:
    def write(graph: _Graph, call: Call, places: list[str]) -> str:
        op: Any = call.op
        return graph.node(kind, places, axis=op.axis)

    return write


def _pads(widths: Sequence[tuple[int, int]]) -> list[int]:
    return [low for low, _ in widths] + [high for _, high in widths]


def _pad(graph: _Graph, call: Call, places: list[str]) -> str:
    op: Any = call.op
    value = graph.constant(np.array(op.value, call.inputs[0][0].dtype))
    return graph.node("Pad", [places[0], graph.whole(_pads(op.widths)), value])


def _mirror(graph: _Graph, call: Call, places: list[str]) -> str:
    op: Any = call.op
    return graph.node("Pad", [places[0], graph.whole(_pads(op.widths))], mode="reflect")


def _index(graph: _Graph, call: Call, places: list[str]) -> str:
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
        if isinstance(k, slice) and k == slice(None):
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


def _gathered(graph: _Graph, call: Call, places: list[str], axis: int, count: int) -> str:
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


def _lookup(graph: _Graph, call: Call, places: list[str]) -> str:
    return graph.node("Gather", places, axis=0)


def _convolution(graph: _Graph, call: Call, places: list[str]) -> str:
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


def _standardise(graph: _Graph, call: Call, places: list[str]) -> str:
    op: Any = call.op
    axes, dtype = graph.whole(op.axes), call.inputs[0][0].dtype
    rest = graph.node("Sub", [places[0], graph.node("ReduceMean", [places[0], axes], keepdims=1)])
    variance = graph.node("ReduceMean", [graph.node("Mul", [rest, rest]), axes], keepdims=1)
    spread = graph.node("Sqrt", [graph.node("Add", [variance, graph.constant(np.array(op.eps, dtype))])])
    return graph.node("Div", [rest, spread])


def _power(graph: _Graph, call: Call, places: list[str]) -> str:
    op: Any = call.op
    if len(places) == 2:
        return graph.node("Pow", places)
    if op.exponent == 2:
        return graph.node("Mul", [places[0], places[0]])
    return graph.node("Pow", [places[0], graph.constant(np.array(op.exponent, call.inputs[0][0].dtype))])


def _leaky(graph: _Graph, call: Call, places: list[str]) -> str:
    op: Any = call.op
    return graph.node("LeakyRelu", places, alpha=float(op.slope)) if op.slope else graph.node("Relu", places)


def _clip(graph: _Graph, call: Call, places: list[str]) -> str:
    op: Any = call.op
    dtype = call.inputs[0][0].dtype
    return graph.node(
        "Clip", [places[0], *("" if v is None else graph.constant(np.array(v, dtype)) for v in (op.low, op.high))]
    )


def _cast(graph: _Graph, call: Call, places: list[str]) -> str:
    return graph.node("Cast", places[:1], to=graph.helper.np_dtype_to_tensor_dtype(call.outputs[0][0].dtype))


def _argmax(graph: _Graph, call: Call, places: list[str]) -> str:
    op: Any = call.op
    return graph.node("ArgMax", places, axis=op.axis, keepdims=int(op.keepdim))


def _one_hot(graph: _Graph, call: Call, places: list[str]) -> str:
    op: Any = call.op
    off_on = graph.constant(np.array([0, 1], call.outputs[0][0].dtype))
    return graph.node("OneHot", [places[0], graph.whole([op.classes]), off_on])


OPS: dict[str, Writer] = {
    "argmax": _argmax,
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
    "rsqrt": lambda graph, call, places: graph.node("Reciprocal", [graph.node("Sqrt", places)]),
    "clip": _clip,
    "cast": _cast,
}
"""Op -> what writes its nodes."""
