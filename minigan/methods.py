"""Machine room, ops: their public surface. Which functions are `minigan.name` and which are also methods of Tensor.

A method is the function with the tensor as its first argument: x.tanh() is tanh(x).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from . import _html
from .autograd import Op, Tensor, array_of
from .backend import FLOATS, float32, float64, to_device
from .backend import device as check_device
from .ops import (
    act,
    arrange,
    basic,
    counting,
    einsum,
    elementary,
    index,
    logic,
    matmul,
    order,
    products,
    quotient,
    reduce,
    scatter,
    shape,
    table,
    trigonometry,
    views,
)
from .ops.copy import clone
from .ops.naming import named
from .ops.spelling import spelled

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

# fmt: off
METHODS = {
    basic: "add broadcast_to div eq ge gt isfinite isnan le lt mul ne neg sub sum_to",
    elementary: "abs atan2 ceil clamp clamp_max clamp_min clip cos erf exp expm1 floor lerp log log1p maximum minimum"
    " pow reciprocal round rsqrt sign sin sqrt square trunc",
    trigonometry: "acos asin atan cosh sinh tan",
    act: "elu leaky_relu logsigmoid maxout relu sigmoid softplus tanh",
    reduce: "all amax amin any argmax argmin count_nonzero log_softmax logsumexp mean norm safe_norm softmax std sum"
    " var",
    order: "argsort cumprod cumsum max median min prod quantile sort topk",
    shape: "flatten permute reshape squeeze transpose unsqueeze view",
    index: "chunk flip gather index_select split",
    scatter: "index_add scatter scatter_add",
    arrange: "diag diagonal masked_fill repeat_interleave roll tile trace tril triu",
    matmul: "bmm matmul outer",
    quotient: "floor_divide remainder",
    products: "addcdiv addcmul addmm dot mm mv",
    logic: "bitwise_and bitwise_not bitwise_or bitwise_xor isclose isinf logical_and logical_not logical_or"
    " logical_xor",
    counting: "bincount nonzero unique",
    views: (
        "expand expand_as movedim moveaxis narrow ravel reshape_as select swapaxes swapdims t type_as unbind unflatten"
        " view_as"
    ),
}
FUNCTIONS = {
    counting: "where",
    index: "cat concat concatenate stack pad",
    views: "dstack hstack vstack",
    arrange: "meshgrid",
    reduce: "std_mean var_mean",
    einsum: "einsum",
}
# fmt: on

PUBLIC = {
    name: named(spelled(getattr(module, name)), name, __package__)
    for table in (METHODS, FUNCTIONS)
    for module, names in table.items()
    for name in names.split()
}


def as_method(name: str, function: Callable) -> Callable:
    """A function or op as a method: a function is one as it stands, an op is called by one."""
    if not isinstance(function, Op):
        return function
    inputs = table.inputs_of(type(function)) if ufunc_inputs(function) is None else "ab"[: ufunc_inputs(function)]

    def unary(self: Tensor) -> Tensor:
        return function(self)

    def binary(self: Tensor, other: Tensor | float) -> Tensor:
        return function(self, other)

    method = unary if len(inputs) == 1 else binary
    method.__name__ = method.__qualname__ = name
    method.__doc__ = function.__doc__
    return method


def ufunc_inputs(op: Op) -> int | None:
    """How many arrays the NumPy function of an elementwise op takes; None for another op."""
    return getattr(getattr(op, "ufunc", None), "nin", None)


for _names in METHODS.values():
    for _name in _names.split():
        setattr(Tensor, _name, as_method(_name, PUBLIC[_name]))


class ToDevice(Op):
    """y = x on another device
    dL/dx = g on the device of x"""

    name, saves_input = "to", False

    def __init__(self, device: str) -> None:
        self.device = device

    def forward(self, x):
        return to_device(x, self.device)

    def vjp(self, node, need, g):
        return (ToDevice(node.inputs[0].device)(g),)


def to(
    self: Tensor,
    *args: DTypeLike | Tensor,
    dtype: DTypeLike | None = None,
    device: str | None = None,
    non_blocking: bool = False,
    copy: bool = False,
) -> Tensor:
    """In another dtype and / or on another device: x.to("cpu"), x.to(minigan.float64), x.to("cpu", minigan.float32),
    x.to(another tensor). non_blocking changes nothing; with copy the answer never is x itself."""
    for value in args:
        if isinstance(value, bool):
            continue  # PyTorch's non_blocking
        if isinstance(value, Tensor):
            dtype, device = value.dtype, value.device
        elif isinstance(value, str):
            device = value
        else:
            dtype = value
    out = self
    if device is not None and check_device(device) != out.device:
        out = ToDevice(check_device(device))(out)
    out = out if dtype is None else basic.cast(out, np.dtype(dtype))
    return clone(out) if copy and out is self else out


def cpu(self: Tensor, non_blocking: bool = False) -> Tensor:
    """On the CPU: itself if it is there. non_blocking changes nothing."""
    return to(self, "cpu")


def cuda(self: Tensor, device: int | str | None = None, non_blocking: bool = False) -> Tensor:
    """On the GPU: itself if it is there. Raises DeviceError, with the reason, where there is none."""
    return to(self, "cuda")


def type_(self: Tensor, dtype: DTypeLike | None = None) -> Tensor | str:
    """In another dtype; the name of its dtype where none is named."""
    return str(self.dtype) if dtype is None else basic.cast(self, np.dtype(dtype))


def size(self: Tensor, dim: int | None = None) -> tuple[int, ...] | int:
    """Its shape, or the size of one axis."""
    return self.shape if dim is None else self.shape[dim]


def stride(self: Tensor, dim: int | None = None) -> tuple[int, ...] | int:
    """How many elements further in memory the next one along each axis is, or along one axis."""
    strides = tuple(step // self.dtype.itemsize for step in array_of(self).strides)
    return strides if dim is None else strides[dim]


def where(self: Tensor, condition: Tensor, other: Tensor | float) -> Tensor:
    """It where the bool `condition` holds, `other` elsewhere; see `minigan.where`."""
    return basic.where(condition, self, other)


def deepcopy(self: Tensor, memo: dict) -> Tensor:
    """A leaf of the same kind with an array, and a gradient, of its own."""
    copy = type(self)(self._read().copy())
    copy._leaf_grad = self._leaf_grad
    copy._grad = None if self._grad is None else deepcopy(self._grad, memo)
    return copy


def text(self: Tensor) -> str:
    """Its values, its dtype, and the op that made it."""
    values = np.array2string(self._host_data(), separator=", ", prefix="tensor(", precision=4)
    source = f", made by {self.node.op.name}" if self.node else ", requires_grad=True" if self._leaf_grad else ""
    return f"tensor({values}, dtype={self.dtype}{source})"


def html_of(self: Tensor) -> str:
    """Its shape, its dtype, the op that made it, its range, and its values or their corners: for notebooks."""
    array = self._host_data()
    source = f", made by {self.node.op.name}" if self.node else ", requires grad" if self._leaf_grad else ""
    note = f"tensor of shape {self.shape}, {self.dtype}{source}"
    if array.size > 1 and array.dtype.kind == "f":
        finite = array[np.isfinite(array)]
        note += f", from {finite.min():.4g} to {finite.max():.4g}" if finite.size else ""
        note += f", {array.size - finite.size:,} not finite" if finite.size < array.size else ""
    return _html.numbers(array, note)


Tensor._repr_html_ = html_of
Tensor.to, Tensor.type, Tensor.size, Tensor.stride = to, type_, size, stride
Tensor.where = named(where, "where", __package__)
Tensor.__deepcopy__, Tensor.__repr__ = deepcopy, text
for _name, _dtype in {
    "float": float32, "double": float64, "int": np.int32, "long": np.int64, "short": np.int16, "bool": np.bool_,
}.items():  # fmt: skip
    setattr(Tensor, _name, lambda self, dtype=_dtype: basic.cast(self, np.dtype(dtype)))
Tensor.dim = Tensor.ndimension = lambda self: self.ndim
Tensor.element_size = lambda self: self.dtype.itemsize
Tensor.is_contiguous = lambda self: array_of(self).flags.c_contiguous
Tensor.repeat = named(spelled(arrange.repeat), "repeat", __package__)
Tensor.unfold = named(spelled(arrange.unfold), "unfold", __package__)
Tensor.__getitem__ = named(index.getitem, "index", __package__)
Tensor.clone = lambda self: clone(self)
Tensor.cpu, Tensor.cuda = cpu, cuda
Tensor.contiguous = views.contiguous
Tensor.grad_fn = property(lambda self: self.node, doc="The `Node` that it was computed by, None for a leaf.")


def is_floating_point(input: Tensor) -> bool:
    """Whether its elements are floats."""
    return input.dtype in FLOATS


def numel(input: Tensor) -> int:
    """The number of its elements."""
    return array_of(input).size


def is_tensor(value: object) -> bool:
    """Whether it is a Tensor."""
    return isinstance(value, Tensor)


Tensor.numel = Tensor.nelement = numel
Tensor.is_floating_point = is_floating_point
