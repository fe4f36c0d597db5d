"""Machine room, ops: changes in place. `x += y`, `x[i] = v`, `x.zero_()`, `x.clamp_(-c, c)` and the like.

Nothing that changes in place is recorded for the gradient: a node remembers its inputs, not what they were. So with
gradients being recorded,

    w -= lr * w.grad      w a leaf that requires a gradient: refused; it belongs under no_grad
    h += x                h computed, or x requires a gradient: h becomes a new tensor, as `h = h + x` says
    h[0] = x, h.mul_(x)   refused; the message has the way to write it

and otherwise the tensor's own memory changes, in all its views, and counts it: a backward pass over what was recorded
before, and reads it, refuses. Captured steps make the same changes at every replay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial, wraps
from types import MappingProxyType

import numpy as np

from . import methods
from ._array import TensorError, in_place, is_operand, overwrite, shared_array
from ._errors import explained
from .autograd import Tensor, array_of, as_tensor, is_grad_enabled, no_grad
from .backend import Generator, device_modules, float32, to_device
from .creation import rand_like, randn_like
from .ops.index import array_keys, filled

# fmt: off
NAMES = (
    "abs acos addcdiv addcmul asin atan atan2 bernoulli bitwise_and bitwise_not bitwise_or bitwise_xor ceil clamp"
    " clamp_max clamp_min clip cos cosh cumprod cumsum div elu erf exp exp2 expm1 fill_diagonal floor floor_divide fmod"
    " frac hardtanh index_add index_copy index_fill index_put leaky_relu lerp log log10 log1p log2 logical_and"
    " logical_not logical_or logical_xor logit masked_fill masked_scatter mul neg nan_to_num pow reciprocal relu"
    " remainder round rsqrt scatter scatter_add sigmoid sign silu sin sinh softplus sqrt square tan tanh threshold tril"
    " triu trunc"
)
"""Functions of one tensor that, where minigan has them, have a method with a `_` at its end that overwrites it."""
OPERATORS = {
    "add": "+", "sub": "-", "mul": "*", "truediv": "/", "pow": "**", "floordiv": "//", "mod": "%", "matmul": "@",
    "and": "&", "or": "|", "xor": "^",
}
# fmt: on


def assign(self: Tensor, values: Tensor | np.ndarray) -> Tensor:
    """Overwrite this leaf's values in place, unrecorded, and count it. Raises ValueError on another shape."""
    values = values if isinstance(values, Tensor) else Tensor(shared_array(values))
    if device_modules and type(array_of(values)) is not type(array_of(self)):
        values = Tensor(to_device(array_of(values), self.device))
    if values.shape != self.shape:
        raise ValueError(f"assign: cannot write an array of shape {values.shape} into a tensor of shape {self.shape}")
    in_place(overwrite, [self], [values])
    return self


def change(
    name: str,
    target: Tensor,
    function: Callable[..., Tensor],
    *others: object,
    way: str = "",
    settings: Mapping[str, object] = MappingProxyType({}),
) -> Tensor:
    """`target` overwritten with function(target, *others, **settings), and itself again.

    Raises TensorError where that would have to be recorded, or does not fit the target's shape and dtype.
    """
    tensors = [v for v in (target, *others, *settings.values()) if isinstance(v, Tensor)]
    if is_grad_enabled() and any(t.requires_grad for t in tensors):
        raise refusal(name, target, way)
    _require_memory(name, target)
    with no_grad():
        values = function(target, *others, **settings)
    if values.shape != target.shape or not _fits(values.dtype, target.dtype):
        raise TensorError(
            f"{name}: the result, {values.dtype} of shape {values.shape}, does not fit in place into {target.dtype} of"
            f" shape {target.shape}"
        )
    in_place(overwrite, [target], [values])
    return target


def refusal(name: str, target: Tensor, way: str) -> TensorError:
    """The error for a change in place that a gradient would have to know of."""
    if target.is_leaf and target.requires_grad:
        return TensorError(
            f"{name}: this leaf requires a gradient, and a change in place is not recorded; do it under `with"
            " minigan.no_grad():`" + (f", or write {way} to go on with a new tensor" if way else "")
        )
    return TensorError(
        f"{name}: a change in place is not recorded, and this one has a gradient"
        + (f"; write {way}" if way else "")
        + "; if the gradient is not wanted, do it under `with minigan.no_grad():` or on x.detach()"
    )


def _require_memory(name: str, target: Tensor) -> None:
    """TensorError for a tensor that may not be written to: one that repeats its numbers, or a read-only array's."""
    if not getattr(array_of(target).flags, "writeable", True):
        raise TensorError(f"{name}: this tensor repeats its numbers, or its array is read-only; clone() it first")


def _fits(dtype: np.dtype, into: np.dtype) -> bool:
    """Whether values of one dtype may be written into another: never floats into integers, nor numbers into bools."""
    kinds = {"b": 0, "u": 1, "i": 1, "f": 2}
    return kinds[dtype.kind] <= kinds[into.kind]


def _overwriting(name: str, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The method `name_` of a function or op `name`."""

    @wraps(methods.as_method(name, function))
    def method(self, *args, **kwargs):
        return change(f"{name}_", self, function, *args, way=f"x = x.{name}(...)", settings=kwargs)

    method.__name__ = method.__qualname__ = f"{name}_"
    summary = (function.__doc__ or "").strip().splitlines()[0]
    method.__doc__ = f"`{name}` in place: {summary}"
    return method


for _name in NAMES.split():
    if _name in methods.PUBLIC:
        setattr(Tensor, f"{_name}_", _overwriting(_name, methods.PUBLIC[_name]))


def add_(self: Tensor, other: Tensor | float, *, alpha: float = 1) -> Tensor:
    """self + alpha other, in place."""
    return change("add_", self, lambda x, y: x + (y if alpha == 1 else y * alpha), other, way="x = x + y")


def sub_(self: Tensor, other: Tensor | float, *, alpha: float = 1) -> Tensor:
    """self - alpha other, in place."""
    return change("sub_", self, lambda x, y: x - (y if alpha == 1 else y * alpha), other, way="x = x - y")


def copy_(self: Tensor, src: Tensor, non_blocking: bool = False) -> Tensor:
    """The values of `src`, broadcast and converted, in place. non_blocking changes nothing."""
    return _put("copy_", self, ..., src)


def fill_(self: Tensor, value: float | Tensor) -> Tensor:
    """One value everywhere, in place."""
    return _put("fill_", self, ..., value)


def zero_(self: Tensor) -> Tensor:
    """Zeros, in place."""
    return _put("zero_", self, ..., 0)


def normal_(self: Tensor, mean: float = 0, std: float = 1, *, generator: Generator | None = None) -> Tensor:
    """Normal numbers, in place."""
    return _put("normal_", self, ..., randn_like(self, generator, float32) * std + mean)


def uniform_(self: Tensor, from_: float = 0, to: float = 1, *, generator: Generator | None = None) -> Tensor:
    """Numbers uniform on [from_, to), in place."""
    return _put("uniform_", self, ..., rand_like(self, generator, float32) * (to - from_) + from_)


def detach_(self: Tensor) -> Tensor:
    """This leaf without its gradient. Raises TensorError on a computed tensor, which others were computed from."""
    if self.node is not None:
        raise TensorError(
            "detach_: the graph of a computed tensor is kept by what was computed from it; use x.detach()"
        )
    return self.requires_grad_(False)


def _put(name: str, target: Tensor, key: object, value: object) -> Tensor:
    """target[key] = value, in place."""
    value = as_tensor(value, like=array_of(target)) if is_operand(value) else value
    if not isinstance(value, Tensor):
        raise TypeError(f"{name}: expected a tensor, an array or a number, not {type(value).__name__}")
    if is_grad_enabled() and (target.requires_grad or value.requires_grad):
        way = "where(mask, value, x), or build the parts and join them with stack or cat" if key is not ... else ""
        raise refusal(name, target, way)
    _require_memory(name, target)
    plain, arrays = array_keys(target, key)
    in_place(partial(_written, name, plain), [target], [value, *arrays])
    return target


def _written(name: str, key: object, target: np.ndarray, value: np.ndarray, *arrays: np.ndarray) -> None:
    """A kernel for `in_place`."""
    try:
        target[filled(key, arrays)] = value
    except (ValueError, IndexError, TypeError) as error:
        raise explained(name, error, [x.shape for x in (target, value, *arrays)]) from None


def _setitem(self: Tensor, key: object, value: object) -> None:
    _put("x[key] = value", self, key, value)


def _augmented(symbol: str, operator: Callable) -> Callable:
    def method(self, other):
        if not is_operand(other):
            return NotImplemented
        if is_grad_enabled() and (self.requires_grad or (isinstance(other, Tensor) and other.requires_grad)):
            if self.is_leaf and self.requires_grad:
                raise refusal(f"x {symbol}= y", self, f"x = x {symbol} y")
            return operator(self, other)
        return change(f"x {symbol}= y", self, operator, other)

    return method


for _name, _symbol in OPERATORS.items():
    setattr(Tensor, f"__i{_name}__", _augmented(_symbol, getattr(Tensor, f"__{_name}__")))
for _function in (assign, add_, sub_, copy_, fill_, zero_, normal_, uniform_, detach_):
    setattr(Tensor, _function.__name__, _function)
Tensor.__setitem__ = _setitem
