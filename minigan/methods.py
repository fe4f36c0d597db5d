"""Machine room, ops: their public surface. Which functions are `minigan.name` and which are also methods of Tensor.

A method is the function with the tensor as its first argument: x.tanh() is tanh(x).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .autograd import Op, Tensor
from .backend import device as check_device
from .backend import float32, float64, to_device
from .ops import act, arrange, basic, einsum, elementary, index, matmul, order, reduce, scatter, shape
from .ops.copy import clone
from .ops.naming import named

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

# fmt: off
METHODS = {
    basic: "add broadcast_to div eq ge gt isfinite isnan le lt mul ne neg sub sum_to",
    elementary: "abs atan2 ceil clamp clip cos erf exp expm1 floor lerp log log1p maximum minimum pow round rsqrt"
    " sign sin sqrt square trunc",
    act: "elu leaky_relu logsigmoid maxout relu sigmoid softplus tanh",
    reduce: "all amax amin any argmax argmin log_softmax logsumexp mean norm safe_norm softmax std sum var",
    order: "argsort cumsum max min prod sort topk",
    shape: "flatten permute reshape squeeze transpose unsqueeze view",
    index: "chunk flip gather index_select split",
    scatter: "index_add scatter scatter_add",
    arrange: "diag diagonal masked_fill roll tile tril triu",
    matmul: "bmm matmul outer",
}
FUNCTIONS = {basic: "where", index: "cat concat stack pad", einsum: "einsum"}
# fmt: on

PUBLIC = {
    name: named(getattr(module, name), name, __package__)
    for table in (METHODS, FUNCTIONS)
    for module, names in table.items()
    for name in names.split()
}


def _method(function):
    def method(self, *args, **kwargs):
        return function(self, *args, **kwargs)

    method.__name__ = method.__qualname__ = getattr(function, "name", None) or function.__name__
    method.__doc__ = function.__doc__
    return method


for _names in METHODS.values():
    for _name in _names.split():
        setattr(Tensor, _name, _method(PUBLIC[_name]))


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


def to(self: Tensor, *args: DTypeLike, dtype: DTypeLike | None = None, device: str | None = None) -> Tensor:
    """In another dtype and / or on another device: x.to("cpu"), x.to(minigan.float64), x.to("cpu", minigan.float32)."""
    for value in args:
        if isinstance(value, str):
            device = value
        else:
            dtype = value
    if device is not None and check_device(device) != self.device:
        self = ToDevice(check_device(device))(self)
    return self if dtype is None else basic.cast(self, np.dtype(dtype))


def expand(self: Tensor, *sizes: int | Sequence[int]) -> Tensor:
    """A view repeated to `sizes`; -1 keeps an axis."""
    sizes = shape.sizes_of(sizes)
    lead = len(sizes) - self.ndim
    return basic.broadcast_to(self, tuple(self.shape[i - lead] if s == -1 else s for i, s in enumerate(sizes)))


Tensor.to = to
Tensor.expand = expand
Tensor.repeat = named(arrange.repeat, "repeat", __package__)
Tensor.unfold = named(arrange.unfold, "unfold", __package__)
Tensor.__getitem__ = named(index.getitem, "index", __package__)
Tensor.float = lambda self: basic.cast(self, float32)
Tensor.double = lambda self: basic.cast(self, float64)
Tensor.long = lambda self: basic.cast(self, np.int64)
Tensor.size = lambda self, dim=None: self.shape if dim is None else self.shape[dim]
Tensor.numel = lambda self: self.data.size
Tensor.clone = lambda self: clone(self)
