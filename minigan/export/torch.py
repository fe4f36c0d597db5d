"""The weights of a network as a .safetensors file, and the lines of PyTorch that rebuild the network around them.

The lines are written from a forward pass: a layer that PyTorch has is that layer, by its own name, so that
`load_state_dict` finds every weight; what runs between the layers is written out, op by op.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import nn
from .._files import atomic_write
from ..backend import host
from ..ops.index import ARRAY
from .forward import Call, Forward, forward, is_whole, per_row, sizes

LAYERS = {
    *("Linear", "Conv2d", "ConvTranspose2d", "BatchNorm1d", "BatchNorm2d", "LayerNorm", "Embedding", "Identity"),
    *("LeakyReLU", "ReLU", "Tanh", "Sigmoid", "Softplus", "Flatten", "Dropout", "Dropout2d", "PixelShuffle", "GELU"),
}
"""Layers that PyTorch has by the same name, with the same weights and the same arguments."""

WRITTEN_OUT = {"GRUCell"}
"""The same, but what they compute is written out, op by op: they take more than one input."""

METHODS = {
    *(
        "apply",
        "bfloat16",
        "buffers",
        "children",
        "compile",
        "cpu",
        "cuda",
        "double",
        "eval",
        "float",
        "forward",
        "half",
    ),
    *("modules", "parameters", "share_memory", "to", "train", "type", "zero_grad"),
}
"""Names of parts that PyTorch's modules have for methods of their own."""

REPARAMETRISED = ("weight_orig", "weight_u", "weight_v", "weight_g")
"""Endings of the names that spectral norm and weight norm give; the file holds the weight that comes of them."""

BINARY = {"add": "+", "sub": "-", "mul": "*", "div": "/", "matmul": "@", "eq": "==", "gt": ">", "lt": "<"}
UNARY = ("tanh", "sigmoid", "exp", "log", "sqrt", "rsqrt", "abs", "neg", "clone", "sin", "cos", "sign")


@dataclass(frozen=True)
class Rebuilt:
    """code: a class of PyTorch. weights: what its `load_state_dict` takes, by name."""

    code: str
    weights: dict[str, np.ndarray]

    def save(self, path: Path) -> None:
        """Write the weights to a .safetensors file."""
        from safetensors.numpy import save

        atomic_write(path, save(self.weights))


def rebuilt(network: nn.Module, inputs: Sequence[np.ndarray], names: Sequence[str], name: str = "Network") -> Rebuilt:
    """A class of PyTorch that computes what the network does in evaluation mode, and its weights.

    inputs: arrays of at least three rows; names: of the arguments. Raises ValueError for an op between the layers that
    has no line here.
    """
    passed = forward(network, inputs)
    writer = _Writer(network, passed, names)
    for call in passed.calls:
        writer.add(call)
    results = ", ".join(writer.place(pair) for pair in passed.outputs)
    children = dict(network.named_children())
    is_sequence = bool(children) and _is_counted(children)
    built = [
        f"self.{child} = {writer.constructor(module, child, 8)}"
        for child, module in children.items()
        if not is_sequence
    ]
    built += [f"self.{name} = nn.Parameter({zeros})" for name, zeros in _own_weights(network).items()]
    start = f"super().__init__({writer.listed(children, '', 8)})" if is_sequence else "super().__init__()"
    lines = [
        "import torch",
        "from torch import nn",
        "",
        "",
        f"class {name}(nn.{'Sequential' if is_sequence else 'Module'}):",
        "    def __init__(self):",
        *(f"        {line}" for line in (start, *built, *writer.buffers)),
        "",
        f"    def forward(self, {', '.join(names)}):",
        *(f"        {line}" for line in writer.lines),
        f"        return {results}",
    ]
    return Rebuilt("\n".join(lines) + "\n", writer.state)


def _is_layer(module: nn.Module, names: set[str]) -> bool:
    """Whether it is minigan's own layer of one of these names, and not a user's of the same name."""
    kind = type(module)
    return kind.__name__ in names and kind is getattr(nn, kind.__name__)


def _parts(module: nn.Module, path: str = "") -> Iterator[tuple[str, nn.Module]]:
    """All modules inside by their paths, one that is there twice by both."""
    for name, child in module.named_children():
        below = f"{path}.{name}".lstrip(".")
        yield below, child
        yield from _parts(child, below)


def _output_size(module: nn.Module, before: Sequence[int], after: Sequence[int]) -> str:
    """The argument with which a transposed convolution was told the size of its result, if it was."""
    if not isinstance(module, nn.ConvTranspose2d):
        return ""
    settings = zip(
        *(module.stride, module.padding, module.dilation, module.kernel_size, module.output_padding), strict=True
    )
    usual = [
        (n - 1) * stride - 2 * padding + dilation * (kernel - 1) + more + 1
        for n, (stride, padding, dilation, kernel, more) in zip(before[2:], settings, strict=True)
    ]
    return "" if usual == list(after[2:]) else f", output_size={list(after[2:])}"


def _is_counted(children: dict[str, nn.Module]) -> bool:
    return list(children) == [str(k) for k in range(len(children))]


class _Writer:
    """Lines of a forward method. `place(pair)` is the expression of a pair of arrays."""

    def __init__(self, network: nn.Module, passed: Forward, names: Sequence[str]) -> None:
        self.network, self.count, self.rows = network, 0, f"{names[0]}.shape[0]"
        self.layer_call = 0  # of a layer whose line was the last one
        self.places = {id(two): name for (two, _), name in zip(passed.inputs, names, strict=True)}
        self.names = passed.names
        self.lines: list[str] = []
        self.buffers: list[str] = []
        self.ranks: dict[str, int] = {}
        self.modules = {f"{type(network).__name__}.{path}": path for path, _ in network.named_modules() if path}
        parts = [("", network), *_parts(network)]
        layers = {path for path, module in parts if path and _is_layer(module, LAYERS | WRITTEN_OUT)}
        weights = {f"{path}.{name}".lstrip(".") for path, module in parts for name in _own_weights(module)}
        self.state = {
            name: np.ascontiguousarray(host(value))
            for name, value in network.state_dict().items()
            if (name in weights or name.rpartition(".")[0] in layers) and not name.endswith(REPARAMETRISED)
        }
        for path in layers:  # a weight that a norm computes
            weight = getattr(network.get_submodule(path), "weight", None)
            if weight is not None and f"{path}.weight" not in weights:
                self.state[f"{path}.weight"] = np.ascontiguousarray(host(weight.data))

    def add(self, call: Call) -> None:
        """The line of a call; a layer of PyTorch's is one line for all its calls."""
        path = self.modules.get(call.layer, "")
        module = self.network.get_submodule(path) if path else None
        if module is not None and _is_layer(module, LAYERS):
            if call.module_call == self.layer_call:  # a further op of the layer: the line before computes it, too
                self._name(call)
                return
            self.layer_call = call.module_call
            x = next(pair for pair in call.inputs if id(pair[0]) in self.places)
            self.ranks[path] = x[0].ndim
            size = _output_size(module, x[0].shape, call.outputs[0][0].shape)
            expression = f"{_attribute(self.network, path)}({self.place(x)}{size})"
        else:
            self.layer_call, expression = 0, self.expression(call)
        self.count += 1
        self.lines.append(f"x{self.count} = {expression}")
        self._name(call)

    def _name(self, call: Call) -> None:
        for two, _ in call.outputs:
            self.places[id(two)] = f"x{self.count}"

    def place(self, pair: tuple[np.ndarray, np.ndarray]) -> str:
        """An expression: a variable, a weight, a number, or a constant that the file holds."""
        two = pair[0]
        if id(two) in self.places:
            return self.places[id(two)]
        if id(two) in self.names:
            path, _, name = self.names[id(two)].rpartition(".")
            return f"{_attribute(self.network, path) if path else 'self'}.{name}"
        factor = per_row(pair) if two.shape == pair[1].shape else None
        if factor is not None:
            return f"({factor!r} * {self.rows})"
        if two.size == 1 and two.ndim < 2:
            return repr(two.item())
        size = sizes(pair)
        row = two[tuple(slice(0, 1) if n < 0 else slice(None) for n in size)]
        if not np.array_equal(np.broadcast_to(row, two.shape), two):
            raise ValueError("export weights: a constant between the layers depends on the number of rows")
        name = f"constant_{len(self.buffers) + 1}"
        kind = "" if row.dtype.kind == "f" else f", dtype=torch.{row.dtype}"
        self.buffers.append(f"self.register_buffer({name!r}, torch.zeros({row.shape}{kind}))")
        self.state[name] = np.ascontiguousarray(row)
        shape = ", ".join(str(n) if n >= 0 else f"{-n} * {self.rows}" for n in size)
        self.places[id(two)] = f"self.{name}" + (f".expand({shape})" if min(size) < 0 else "")
        return self.places[id(two)]

    def _expanded(self, call: Call) -> str:
        """The shape of a broadcast: -1 for an axis that stays, the number of rows for one that becomes theirs."""
        before, after = sizes(call.inputs[0]), sizes(call.outputs[0])
        before = [1] * (len(after) - len(before)) + before
        words = (
            "-1" if m == n < 0 else f"{-n} * {self.rows}" if n < 0 else str(n)
            for m, n in zip(before, after, strict=True)
        )
        return ", ".join(words)

    def expression(self, call: Call) -> str:
        """What a call computes, in PyTorch."""
        name = call.op.name
        places = [self.place(pair) for pair in call.inputs]
        if name == "broadcast_to":
            return f"{places[0]}.expand({self._expanded(call)})"
        if name in BINARY and len(places) == 2:
            return f"{places[0]} {BINARY[name]} {places[1]}"
        if name in UNARY:
            return f"torch.{name}({places[0]})"
        if name in EXPRESSIONS:
            return EXPRESSIONS[name](call, places, call.op)
        where = f" in {call.layer}" if call.layer else ""
        raise ValueError(f"export weights: {name}{where} has no line in PyTorch here")

    def constructor(self, module: nn.Module, path: str, indent: int) -> str:
        """The expression that makes a module of PyTorch with the same names inside. A part without weights that is no
        layer of PyTorch's is left to the lines of `forward`."""
        children = dict(module.named_children())
        if _is_layer(module, LAYERS | WRITTEN_OUT):
            expression = repr(module)
            if self.ranks.get(path) == 2:
                expression = expression.replace("BatchNorm2d", "BatchNorm1d")
            return f"nn.{expression}"
        weights = _own_weights(module)
        if not children and not weights:
            return "nn.Identity()"
        if _is_counted(children) and not weights:
            return f"nn.Sequential({self.listed(children, path, indent)})"
        entries = weights | {
            name: self.constructor(child, f"{path}.{name}", indent + 4) for name, child in children.items()
        }
        rows = [f"{' ' * (indent + 4)}{name!r}: {entry}," for name, entry in entries.items()]
        kind = "ParameterDict" if weights else "ModuleDict"  # the former holds modules, too
        return "\n".join([f"nn.{kind}({{", *rows, f"{' ' * indent}}})"])

    def listed(self, children: dict[str, nn.Module], path: str, indent: int) -> str:
        """The constructors of numbered parts, a line each."""
        lead = f"{path}." if path else ""
        rows = [
            f"{' ' * (indent + 4)}{self.constructor(child, lead + name, indent + 4)},"
            for name, child in children.items()
        ]
        return "\n".join(["", *rows, " " * indent])


def _shape(call: Call) -> str:
    return ", ".join(str(max(n, -1)) for n in sizes(call.outputs[0]))


def _tensor(word: str) -> str:
    """A stored number as a tensor; any other word as it is."""
    try:
        float(word)
    except ValueError:
        return word
    return f"torch.tensor({word})"


def _slice(call: Call, key: slice, size: int) -> str:
    """A slice of an axis of `size`, which is below 0 for an axis of rows."""
    if (key.step or 1) < 0:
        raise ValueError("export weights: a backward slice has no line in PyTorch here")
    if size < 0:
        if not is_whole(key, size, call):
            raise ValueError("export weights: a slice of the rows depends on how many there are")
        return ":"
    return ":".join("" if v is None else str(v) for v in (key.start, key.stop, *([key.step] if key.step else [])))


def _index(call: Call, x: list[str], op: Any) -> str:
    """Slices, whole numbers, and index arrays; an array of one number stays one, as it keeps the axis."""
    keys = op.key if isinstance(op.key, tuple) else (op.key,)
    shape = sizes(call.inputs[0])
    at = keys.index(Ellipsis) if Ellipsis in keys else len(keys)
    along = [k if k < at else k - len(keys) for k in range(len(keys))]  # axes, from the end behind an ellipsis
    arrays = (
        f"[{place}]" if two.ndim and place.removeprefix("-").isdigit() else place
        for place, (two, _) in zip(x[1:], call.inputs[1:], strict=True)
    )
    words = []
    for axis, k in zip(along, keys, strict=True):
        if k is ARRAY:
            words.append(next(arrays))
        elif isinstance(k, slice):
            words.append(_slice(call, k, shape[axis]))
        elif k is Ellipsis or isinstance(k, int):
            words.append("..." if k is Ellipsis else str(k))
        else:
            raise ValueError("export weights: a new axis in an index has no line in PyTorch here")
    if ARRAY in keys and any(isinstance(k, int) for k in keys):
        raise ValueError("export weights: an index array beside whole numbers means another thing in PyTorch")
    return f"{x[0]}[{', '.join(words)}]"


def _own_weights(module: nn.Module) -> dict[str, str]:
    """A module's weights that are of none of its parts: name -> zeros of the shape."""
    return {name: f"torch.zeros({p.shape})" for name, p in module.named_parameters() if "." not in name}


def _convolution(call: Call, x: list[str], op: Any) -> str:
    geo = op.geometry
    bias = x[2] if len(x) > 2 else None
    settings = f"{tuple(geo.stride)}, {tuple(geo.padding)}, {tuple(geo.dilation)}, {geo.groups}"
    return f"nn.functional.conv2d({x[0]}, {x[1]}, {bias}, {settings})"


EXPRESSIONS: dict[str, Callable[[Call, list[str], Any], str]] = {
    "argmax": lambda call, x, op: f"{x[0]}.argmax({op.axis}, {op.keepdim})",
    "argmin": lambda call, x, op: f"{x[0]}.argmin({op.axis}, {op.keepdim})",
    "conv2d": _convolution,
    "one_hot": lambda call, x, op: f"nn.functional.one_hot({x[0]}, {op.classes})",
    "cast": lambda call, x, op: f"{x[0]}.to(torch.{op.dtype})",
    "reshape": lambda call, x, op: f"{x[0]}.reshape({_shape(call)})",
    "permute": lambda call, x, op: f"{x[0]}.permute({', '.join(map(str, op.axes))})",
    "sum": lambda call, x, op: f"{x[0]}.sum({tuple(op.axes)})",
    "amax": lambda call, x, op: f"{x[0]}.amax({tuple(op.axes)})",
    "clip": lambda call, x, op: f"{x[0]}.clip({op.low}, {op.high})",
    "cat": lambda call, x, op: f"torch.cat([{', '.join(x)}], {op.axis})",
    "softmax": lambda call, x, op: f"{x[0]}.softmax({op.axis})",
    "log_softmax": lambda call, x, op: f"{x[0]}.log_softmax({op.axis})",
    "index": _index,
    "leaky_relu": lambda call, x, op: f"nn.functional.leaky_relu({x[0]}, {op.slope})",
    "softplus": lambda call, x, op: (
        f"nn.functional.softplus({x[0]})"
        if (op.beta, op.threshold) == (1, 20)
        else f"nn.functional.softplus({x[0]}, {op.beta}, float('{op.threshold}'))"
    ),
    "maximum": lambda call, x, op: f"torch.maximum({_tensor(x[0])}, {_tensor(x[1])})",
    "where": lambda call, x, op: f"torch.where({', '.join(x)})",
    "pow": lambda call, x, op: f"{x[0]} ** {getattr(op, 'exponent', '') or x[1]}",
    "mirror": lambda call, x, op: f"nn.functional.pad({x[0]}, {_widths(op.widths)}, 'reflect')",
    "pad": lambda call, x, op: f"nn.functional.pad({x[0]}, {_widths(op.widths)}, 'constant', {op.value})",
    "standardise": lambda call, x, op: (
        f"({x[0]} - {x[0]}.mean({tuple(op.axes)}, keepdim=True))"
        f" / ({x[0]}.var({tuple(op.axes)}, correction=0, keepdim=True) + {op.eps}).sqrt()"
    ),
}
"""Op -> its expression."""


def _widths(widths: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    """Borders as PyTorch wants them: the last axis first, only as far as one is wider than 0."""
    used = list(widths)
    while used and used[0] == (0, 0):
        used.pop(0)
    return tuple(n for pair in reversed(used) for n in pair)


def _attribute(network: nn.Module, path: str) -> str:
    """How PyTorch reaches a module: self.main[0], self.blocks['a']."""
    text, module = "self", network
    for depth, word in enumerate(path.split(".")):
        children = dict(module.named_children())
        if _is_counted(children):
            text += f"[{word}]"
        else:
            name = f"._modules[{word!r}]" if word in METHODS else f".{word}"
            text += name if depth == 0 else f"[{word!r}]"
        module = module.get_submodule(word)
    return text
