"""Machine room, ops: what NumPy's functions do with Tensors. `np.exp(t)`, `np.mean(t, axis=0)`, `array @ t`.

Three rules, of which the first that applies is taken:
  1. Where minigan has the function, it is called, and the answer is a Tensor with its graph.
  2. Otherwise NumPy's own is called on the arrays, and the answer is NumPy's: an array, a number, a bool.
  3. But where a tensor requires a gradient and the answer has real numbers in it, that would be lost: TypeError.

NumPy sees the arrays read-only: what changes a tensor in place must count it (`minigan._inplace`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ._array import TensorError
from .autograd import Tensor
from .creation import ones_like, zeros_like
from .methods import PUBLIC

UFUNCS: dict[np.ufunc, Callable] = {}
"""NumPy's universal function -> minigan's."""
for _name, _function in PUBLIC.items():
    for _ufunc in (getattr(_function, "ufunc", None), getattr(np, _name, None)):
        if isinstance(_ufunc, np.ufunc):
            UFUNCS.setdefault(_ufunc, _function)

mg = type("mg", (), {name: staticmethod(function) for name, function in PUBLIC.items()})


def _numpys() -> dict[Callable, Callable]:
    """NumPy's function -> minigan's with NumPy's arguments and defaults."""
    table: dict[Callable, Callable] = {
        np.sum: lambda a, axis=None, *, keepdims=False: mg.sum(a, _axes(axis), keepdims),
        np.mean: lambda a, axis=None, *, keepdims=False: mg.mean(a, _axes(axis), keepdims),
        np.std: lambda a, axis=None, *, ddof=0, keepdims=False: mg.std(a, _axes(axis), ddof, keepdims),
        np.var: lambda a, axis=None, *, ddof=0, keepdims=False: mg.var(a, _axes(axis), ddof, keepdims),
        np.max: lambda a, axis=None, *, keepdims=False: mg.amax(a, _axes(axis), keepdims),
        np.min: lambda a, axis=None, *, keepdims=False: mg.amin(a, _axes(axis), keepdims),
        np.argmax: lambda a, axis=None, *, keepdims=False: mg.argmax(a, axis, keepdims),
        np.linalg.norm: lambda x, *, axis=None, keepdims=False: mg.norm(x, 2, axis, keepdims),
        np.where: lambda condition, x, y: mg.where(condition, x, y),
        np.clip: lambda a, a_min=None, a_max=None, *, min=None, max=None: mg.clip(
            a, min if a_min is None else a_min, max if a_max is None else a_max
        ),
        np.concatenate: lambda arrays, axis=0: mg.cat(_tensors(arrays), axis),
        np.stack: lambda arrays, axis=0: mg.stack(_tensors(arrays), axis),
        **{getattr(np, name): lambda tup, f=PUBLIC[name]: f(_tensors(tup)) for name in ("hstack", "vstack", "dstack")},
        np.repeat: lambda a, repeats, axis=None: mg.repeat_interleave(a, repeats, axis),
        np.quantile: lambda a, q, axis=None, *, keepdims=False: mg.quantile(a, q, axis, keepdims),
        np.split: lambda ary, indices_or_sections, axis=0: list(
            mg.split(ary, _sections(ary, indices_or_sections, axis), axis)
        ),
        np.reshape: lambda a, shape: mg.reshape(a, shape),
        np.ravel: lambda a: mg.reshape(a, -1),
        np.squeeze: lambda a, axis=None: mg.squeeze(a, axis),
        np.expand_dims: lambda a, axis: mg.unsqueeze(a, axis),
        np.transpose: lambda a, axes=None: mg.permute(a, tuple(range(a.ndim))[::-1] if axes is None else tuple(axes)),
        np.swapaxes: lambda a, axis1, axis2: mg.transpose(a, axis1, axis2),
        np.moveaxis: lambda a, source, destination: mg.movedim(a, source, destination),
        np.broadcast_to: lambda array, shape: mg.broadcast_to(array, shape),
        np.flip: lambda m, axis=None: mg.flip(m, tuple(range(m.ndim)) if axis is None else axis),
        np.dot: _dot,
        np.outer: lambda a, b: mg.mul(_tensor(a).reshape(-1, 1), _tensor(b).reshape(1, -1)),
        np.einsum: lambda equation, *operands: mg.einsum(equation, *_tensors(operands)),
        np.atleast_1d: lambda a: a if a.ndim else mg.reshape(a, 1),
        np.zeros_like: lambda a: zeros_like(a),
        np.ones_like: lambda a: ones_like(a),
    }
    same = {
        np.prod: "a, axis=None",
        np.cumsum: "a, axis",
        np.cumprod: "a, axis",
        np.tril: "m, k=0",
        np.triu: "m, k=0",
        np.any: "a, axis=None",
    }
    same |= {np.all: "a, axis=None", np.argmin: "a, axis=None", np.roll: "a, shift, axis=None", np.trace: "a"}
    for function, arguments in same.items():
        if function.__name__ in PUBLIC:
            names = ", ".join(part.partition("=")[0] for part in arguments.split(", "))
            table[function] = eval(f"lambda {arguments}: f({names})", {"f": PUBLIC[function.__name__]})
    return table


class Unlike(TypeError):
    """minigan's function of that name means something else by these arguments."""


def _axes(axis: Any) -> Any:
    """NumPy's axis for minigan's dim; the empty tuple is no axis to NumPy, and all to minigan."""
    if axis == ():
        raise Unlike("axis=() reduces nothing")
    return axis


def _dot(a: Tensor, b: Tensor) -> Tensor:
    a, b = _tensor(a), _tensor(b)
    if b.ndim > 2 and a.ndim:
        raise Unlike("a product over more than two axes is minigan.einsum's")
    return mg.matmul(a, b) if a.ndim and b.ndim else mg.mul(a, b)


def _tensor(value: Any) -> Tensor:
    return value if isinstance(value, Tensor) else Tensor(np.asarray(value))


def _tensors(values: Iterable) -> list[Tensor]:
    return [_tensor(value) for value in values]


def _sections(a: Tensor, indices: int | Sequence[int], axis: int) -> list[int]:
    """Sizes of the parts that np.split makes."""
    size = a.shape[axis]
    if isinstance(indices, int):
        if size % indices:
            raise ValueError(f"np.split: {size} slices along axis {axis} are no {indices} equal parts")
        return [size // indices] * indices
    ends = [min(end, size) for end in (*indices, size)]
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]


FUNCTIONS = _numpys()
SIGNATURES = {function: inspect.signature(ours) for function, ours in FUNCTIONS.items()}


def _array_ufunc(self: Tensor, ufunc: np.ufunc, method: str, *inputs: Any, out: tuple = (), **settings: Any) -> Any:
    if any(isinstance(target, Tensor) for target in out) or (method == "at" and isinstance(inputs[0], Tensor)):
        raise TypeError(
            f"np.{ufunc.__name__}: NumPy would change a tensor without its knowing; use its own methods,"
            " such as t.add_(x), t.copy_(x) or t.assign(array)"
        )
    function = ufunc if method == "__call__" else getattr(ufunc, method)
    ours = UFUNCS.get(ufunc) if method == "__call__" and not settings and not out else None
    return _answer(ufunc.__name__, function, ours, inputs, {**settings, **({"out": out} if out else {})})


def _array_function(self: Tensor, function: Callable, types: Iterable[type], args: tuple, kwargs: Mapping) -> Any:
    ours = FUNCTIONS.get(function)
    if ours is not None:
        try:
            SIGNATURES[function].bind(*args, **kwargs)
        except TypeError:  # an argument that minigan's has not
            ours = None
    return _answer(function.__name__, function, ours, args, kwargs)


def _answer(name: str, function: Callable, ours: Callable | None, args: tuple, kwargs: Mapping) -> Any:
    """minigan's answer where it has one; NumPy's where it has none, or refuses and there is no gradient to lose."""
    if ours is None:
        return _numpys_own(name, function, args, kwargs)
    try:
        return ours(*args, **kwargs)
    except (TypeError, ValueError, IndexError) as error:
        tracked: list[Tensor] = []
        _arrays((args, kwargs), tracked)
        if tracked:
            raise type(error)(f"np.{name}: {error}; where NumPy's own function is meant, pass x.detach()") from error
        return _numpys_own(name, function, args, kwargs)


def _numpys_own(name: str, function: Callable, args: tuple, kwargs: Mapping) -> Any:
    """NumPy's answer on the arrays; TypeError if it would lose a gradient."""
    tracked: list[Tensor] = []
    answer = function(*_arrays(args, tracked), **_arrays(kwargs, tracked))
    if tracked and (answer is None or _is_real(answer)):
        ours = f"minigan.{name}" if name in PUBLIC else "functions of minigan"
        raise TypeError(
            f"np.{name}: a tensor of shape {tracked[0].shape} requires a gradient, which NumPy's function loses;"
            f" compose it of {ours}, or pass x.detach()"
        )
    return answer


def _arrays(value: Any, tracked: list[Tensor]) -> Any:
    """`value` with its Tensors replaced by their arrays, read-only; those that require a gradient join `tracked`."""
    if isinstance(value, Tensor):
        if value.requires_grad:
            tracked.append(value)
        view = value._host_data().view()
        view.flags.writeable = False
        return view
    if isinstance(value, Mapping):
        return {key: _arrays(v, tracked) for key, v in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_arrays(v, tracked) for v in value)
    return value


def _is_real(answer: Any) -> bool:
    """Whether an answer of NumPy's has real or complex numbers in it."""
    if isinstance(answer, (tuple, list)):
        return any(_is_real(part) for part in answer)
    return isinstance(answer, (float, complex)) or getattr(getattr(answer, "dtype", None), "kind", "") in ("f", "c")


def _array(self: Tensor, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
    """Its array for NumPy: not copied, unless asked to or on a device. Raises TensorError where it requires a
    gradient."""
    if self.requires_grad:
        raise TensorError(
            f"np.asarray: this tensor of shape {self.shape} requires a gradient, which an array cannot carry; use"
            " x.detach().numpy()"
        )
    return np.array(self._host_data(), dtype=dtype, copy=copy)


def numpy(self: Tensor) -> np.ndarray:
    """Its array, on the CPU not copied. Raises TensorError on one that requires a gradient: detach() first."""
    if self.requires_grad:
        raise TensorError("numpy: this tensor requires a gradient; use .detach().numpy()")
    return self._host_data()


def _contains(self: Tensor, value: Any) -> bool:
    """Whether some element equals `value`."""
    equal = self == value
    return bool(np.any(equal)) if isinstance(equal, Tensor) else equal


Tensor.__array__, Tensor.__array_ufunc__, Tensor.__array_function__ = _array, _array_ufunc, _array_function
Tensor.__contains__, Tensor.numpy = _contains, numpy
Tensor.__array_priority__ = 100
