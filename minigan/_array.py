"""Machine room, engine: the array inside a Tensor. How numbers become one, how it is changed, what errors it can raise.

`ArrayHolder` is what a Tensor is without its graph. A change in place goes through `in_place`, which counts it, so that
a backward pass over what was recorded before it can refuse (`_errors.stale`).
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from functools import wraps
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from . import _modes
from .backend import FLOATS, default_device, device_modules, device_of, float32, host, on, to_device
from .backend import device as check_device

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike

    from ._typing import T, Tensor

_property: Any = property  # so that the type that stands beside a name counts


class TensorError(ValueError, RuntimeError):
    """What PyTorch answers with a RuntimeError and NumPy with a ValueError: gradients, in-place changes and truth
    values that there are not."""


class Seal(list):
    """The version of a tensor whose memory began as its own. Every door that hands out its array tells `lend`, so that
    `state` can say whether the memory may have been written to without a count.

    lent: how often the array was handed out; None once its memory is also somebody else's.
    """

    __slots__ = ("lent", "loans")

    def __init__(self, count: int = 0) -> None:
        super().__init__((count,))
        self.lent: int | None = 0
        self.loans: list[weakref.ref[Loan]] = []

    def lend(self, array: np.ndarray) -> np.ndarray:
        """The same memory as an array that keeps a Loan alive, as all views of it do."""
        if self.lent is None:
            return array
        loan = Loan(array)
        self.lent += 1
        self.loans = [*(loan for loan in self.loans if loan() is not None), weakref.ref(loan)]
        return np.asarray(loan)

    def state(self) -> tuple[int, int] | None:
        """What stays the same as long as nothing writes to the memory; None while somebody may, unseen."""
        if self.lent is None or any(loan() is not None for loan in self.loans):
            return None
        return self[0], self.lent

    __hash__ = object.__hash__  # type: ignore[assignment]  # one version is no other

    def __reduce__(self) -> Any:
        return Seal, (self[0],)


class Loan:
    """What stands between an array and the views of it that were handed out: the base of all of them, so that it lives
    as long as one of them does."""

    __slots__ = ("__array_struct__", "__weakref__")

    def __init__(self, array: np.ndarray) -> None:
        self.__array_struct__ = array.__array_struct__


class ArrayHolder:
    """An array with a count of its changes. version: a one-element list, shared with views of the same memory."""

    __slots__ = ("__weakref__", "_data", "version")
    _data: np.ndarray
    version: list[int]

    shape: tuple[int, ...] = _property(attrgetter("_data.shape"), doc="The sizes of its axes, a tuple.")
    dtype: np.dtype = _property(attrgetter("_data.dtype"), doc="The NumPy dtype of its elements.")
    ndim: int = _property(attrgetter("_data.ndim"), doc="The number of its axes.")
    device: str = _property(lambda self: device_of(self._data), doc="The device that holds its array.")

    def _read(self) -> np.ndarray:
        """The array. While `capture` records, the recorder answers instead, with what has a shape but no numbers."""
        if _modes.watchers and (recorder := _modes.recorder.get()) is not None:
            return recorder.data_read(self)
        return self._data

    def _lent(self) -> np.ndarray:
        """The array, for hands that may keep it and write to it."""
        return lend(self, self._read())

    @property
    def data(self) -> np.ndarray:
        """The array, as `Values`: `w.data -= lr * g` and `w.data.clamp_(-c, c)` write into it."""
        array = self._lent()
        return array.view(Values) if type(array) is np.ndarray else array

    @data.setter
    def data(self, array: np.ndarray | ArrayHolder) -> None:
        if (recorder := _modes.current_recorder()) is not None:
            recorder.array_enters(array)
        if isinstance(array, ArrayHolder):
            array = array._data
        if type(array) not in device_modules and not isinstance(array, np.ndarray):
            raise TypeError(f"data: the array of a tensor is a NumPy array, or one of its device, not {array!r}")
        dtype_of(array.dtype, "data")
        self._data = array.view(np.ndarray) if isinstance(array, Values) else array
        if type(self.version) is Seal:
            self.version.lent = None
        self.changed()

    def changed(self) -> Self:
        """Say that `data` was changed in place: a backward pass through what was recorded before will refuse."""
        self.version[0] += 1
        return self

    def item(self) -> float | int | bool:
        """The value of a one-element tensor as a Python number."""
        if self._data.size != 1:
            raise TensorError(f"item: only a one-element tensor has an item, this one has shape {self.shape}")
        return self._read().item()

    def tolist(self) -> Any:
        """Its values as nested Python lists."""
        return self._read().tolist()

    def __len__(self) -> int:
        if self.ndim == 0:
            raise TypeError("len() of a 0-d tensor")
        return self.shape[0]

    def __iter__(self) -> Iterator[Self]:
        if self.ndim == 0:
            raise TypeError("a 0-d tensor cannot be iterated over")
        return (self[i] for i in range(len(self)))  # type: ignore[index]  # ops.index attaches it

    def __bool__(self) -> bool:
        if self._data.size != 1:
            raise TensorError(
                f"bool: whether a tensor of shape {self.shape} is true is ambiguous; use .any() or .all()"
            )
        return bool(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __complex__(self) -> complex:
        return complex(self.item())

    def __index__(self) -> int:
        if self.dtype.kind not in "iu" or self._data.size != 1:
            raise TypeError(f"only a tensor of one whole number is an index, not {self.dtype} of shape {self.shape}")
        return int(self.item())

    def __format__(self, specification: str) -> str:
        if specification and self._data.size != 1:
            raise TypeError(f"format: {specification!r} is for one number; this tensor has shape {self.shape}")
        return format(self.item(), specification) if specification or self.ndim == 0 else str(self)

    def _host_data(self) -> np.ndarray:
        """The array on the CPU."""
        array = self._lent()
        return host(array) if type(array) in device_modules else array


class Values(np.ndarray):
    """What `Tensor.data` is: the tensor's own memory as an array, which has a Tensor's methods too.

    So `w.data.normal_(0, 0.02)` and `x.data.cpu().numpy()` do what they do in PyTorch. What NumPy computes of it is a
    plain array.
    """

    tensor: type  # the class of Tensors; the engine sets it

    def __array_wrap__(self, array: np.ndarray, context: Any = None, return_scalar: bool = False) -> Any:
        return array.view(np.ndarray)[()] if return_scalar else array.view(np.ndarray)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or not callable(getattr(self.tensor, name, None)):
            raise AttributeError(f"neither an array nor a Tensor has an attribute {name!r}")
        return getattr(self.tensor(self.view(np.ndarray)), name)

    def __repr__(self) -> str:
        return repr(self.view(np.ndarray))

    def __reduce__(self) -> Any:
        return self.view(np.ndarray).__reduce__()


def sealed(t: Tensor) -> Tensor:
    """A tensor whose array was made for it, and is nobody else's; see `Seal`."""
    t.version = Seal()
    return t


def lend(t: ArrayHolder, array: np.ndarray) -> np.ndarray:
    """The array of t as hands get it that may keep it, and may write to it without counting that."""
    version = t.version
    return version.lend(array) if type(version) is Seal and type(array) is np.ndarray else array


array_of: Callable[[ArrayHolder], np.ndarray] = attrgetter("_data")
"""A tensor's array, also while a step is recorded: what the engine itself reads."""


def in_place(kernel: Callable, targets: Sequence[ArrayHolder], sources: Sequence[ArrayHolder] = ()) -> None:
    """kernel(*arrays of targets, *arrays of sources), which overwrites the targets: the one door for changes in place.

    Nothing is recorded for the gradient; each target counts the change. While `capture` records a step the change is
    noted instead, and made by the plan.
    """
    if (changes := _modes.changes.get()) is not None:
        for t in targets:
            changes.setdefault(id(t), (t, t._data.copy()))
    if (recorder := _modes.current_recorder()) is None:
        kernel(*map(array_of, targets), *map(array_of, sources))
    else:
        recorder.changed_in_place(kernel, targets, sources)
    for t in targets:
        t.changed()


def overwrite(target: np.ndarray, source: np.ndarray) -> None:
    """A kernel for `in_place`: the target takes the source's values."""
    target[...] = source


def is_operand(value: object) -> bool:
    """Whether a value can stand beside a tensor in arithmetic: tensors, numbers, and what holds numbers."""
    return isinstance(value, OPERANDS) or hasattr(value, "__array__")


OPERANDS = (ArrayHolder, bool, int, float, np.ndarray, np.generic, list, tuple)


def is_comparable(value: object) -> bool:
    """Whether `==` with a tensor looks at elements: not for None, text, and lists of anything but numbers."""
    if isinstance(value, (ArrayHolder, bool, int, float)) or type(value) in device_modules:
        return True
    if not is_operand(value):
        return False
    try:
        return np.asarray(value).dtype.kind in "fiub"
    except ValueError:  # lists of unequal lengths
        return False


def no_operand(op: str, error: Exception, value: object) -> TypeError:
    """The error for an operand that could not be made a Tensor."""
    reason = " ".join(str(error).removeprefix("tensor: ").split())[:200]
    return TypeError(f"{op}: expected a Tensor, an array or numbers, got {type(value).__name__}: {reason}")


def fill(outputs: Sequence[np.ndarray], function: Callable, inputs: Sequence[np.ndarray]) -> None:
    """Copies function(*inputs), an array or a tuple of them, into the outputs."""
    values = function(*inputs)
    for out, y in zip(outputs, values if type(values) is tuple else (values,), strict=True):
        np.copyto(out, y)


def dtype_of(dtype: DTypeLike, op: str) -> np.dtype:
    """A dtype that tensors have. Raises TypeError, naming the op, for any other: float16 and complex numbers, which no
    gradient would pass, and names that are none."""
    try:
        known = np.dtype(dtype)
    except TypeError as error:
        raise TypeError(f"{op}: {error}; {DTYPES}") from error
    if known.kind not in "fiub" or known == np.float16 or known.itemsize > 8:
        raise TypeError(f"{op}: dtype {known} is not supported; {DTYPES}")
    return known


DTYPES = "use float32, float64, an integer type or bool"


def new_array(data: ArrayLike | ArrayHolder, dtype: DTypeLike | None = None, device: str | None = None) -> np.ndarray:
    """A copy of `data` on a device, by the rules of `minigan.tensor`."""
    data = _entering(host(data.data) if isinstance(data, ArrayHolder) else data)
    try:
        array = np.array(data, dtype=None if dtype is None else dtype_of(dtype, "tensor"))
        array = array.astype(array.dtype.newbyteorder("="), copy=False)
    except ValueError as error:
        raise ValueError(f"tensor: {error}") from error
    if dtype is None and array.dtype == np.float64 and not isinstance(data, (np.ndarray, np.generic)):
        array = array.astype(float32)
    if array.dtype == object and dtype is None and isinstance(data, int):
        raise TypeError("tensor: a whole number needs more than 64 bits; take a smaller one, or a float")
    dtype_of(array.dtype, "tensor")
    where = default_device() if device is None else check_device(device)
    return array if where == "cpu" else to_device(array, where)


def plain(data: Any) -> np.ndarray:
    """An array of NumPy's or of a device as a tensor holds it. Raises TypeError for what is none."""
    if isinstance(data, Values):
        return data.view(np.ndarray)
    if not isinstance(data, np.ndarray) and type(data) not in device_modules:
        raise TypeError(f"Tensor: it holds an array, not a {type(data).__name__}; minigan.tensor(...) makes one")
    return data


def shared_array(data: ArrayLike) -> np.ndarray:
    """What np.asarray makes of `data`: itself, not a copy, if it is an array of any device. Raises ValueError for
    another machine's byte order, TypeError for a dtype that tensors have not."""
    array = _entering(data)
    array = array if type(array) in device_modules else np.asarray(array)
    dtype_of(array.dtype, "tensor")
    if not array.dtype.isnative:
        raise ValueError(
            f"an array of dtype {array.dtype.str} has the byte order of other machines, so its memory cannot be shared;"
            " minigan.tensor(array) copies it"
        )
    return array


def _entering(data: Any) -> Any:
    """`data`, once a recorder has been told that a caller's array enters (single numbers are part of the program)."""
    if _modes.watchers and (isinstance(data, np.ndarray) or type(data) in device_modules) and data.size > 1:
        recorder = _modes.recorder.get()
        if recorder is not None:
            recorder.array_enters(data)
    return data


CONSTANTS = 1024
_constants: dict[tuple, Tensor] = {}
"""Numbers that have been operands, as Tensors: most programs use the same few again and again."""


def operand(kind: type[Tensor], value: ArrayLike, like: np.ndarray | None, op: str = "tensor") -> Tensor:
    """`value` as a `kind` (the class of Tensors). A number takes the device and the dtype of the array `like`, so that
    it does not promote float32; beside integers a float is float32. Raises TypeError, naming the op, for what is not
    made of numbers, ValueError for a number that the dtype has not."""
    if isinstance(value, np.generic) and like is not None:
        value = value.item()  # NumPy's numbers are numbers
    if like is None or not isinstance(value, (bool, int, float)):
        try:
            return kind(new_array(value))
        except (TypeError, ValueError, OverflowError) as error:
            raise no_operand(op, error, value) from error
    key = value, type(value), like.dtype, type(like)
    if value and key in _constants:  # 0.0 and -0.0 are one key, but not one number
        return _constants[key]
    if like.dtype in FLOATS:
        dtype = like.dtype
    else:
        dtype = float32 if isinstance(value, float) else np.result_type(like.dtype, value)
    try:
        constant = kind(on(like, np.asarray(value, dtype)))
    except OverflowError as error:
        size = int(value).bit_length()
        what = f"a whole number of {size} bits is too large for" if size > 63 else f"{value} does not fit"
        raise ValueError(f"{op}: {what} {dtype}; take another, or x.to(another dtype) first") from error
    if value and len(_constants) < CONSTANTS:
        _constants[key] = sealed(constant)
    return constant


def constants() -> list[ArrayHolder]:
    """The numbers that are remembered as Tensors."""
    return list(_constants.values())


def owner(array: np.ndarray) -> np.ndarray:
    """The array that a view is a view of, or the array itself."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def claim(array: np.ndarray, owners: set[int]) -> bool:
    """Whether `array` can be a tensor's own: its memory is nobody's yet, and the array is most of it.

    owners: the ids of the arrays whose memory is somebody's; this array's owner joins them.
    """
    base = owner(array)
    free = base.nbytes <= 2 * array.nbytes and 0 not in array.strides and id(base) not in owners
    owners.add(id(base))
    return free


def apart(forward: Callable) -> Callable:
    """A user's `forward`, its outputs copies where they are an input or a view of one, unless the op says `alias`: who
    changes an output must not change what it was made of."""

    @wraps(forward)
    def copying(self: Any, *arrays: np.ndarray) -> Any:
        outputs = forward(self, *arrays)
        if self.alias:
            return outputs
        owners = {id(owner(x)) for x in arrays}
        if type(outputs) is tuple:
            return tuple(_unless(owners, y) for y in outputs)
        return _unless(owners, outputs)

    return copying


def _unless(owners: set[int], y: Any) -> Any:
    return y.copy() if hasattr(y, "base") and id(owner(y)) in owners else y


def of_any_arguments(method: Callable[..., T]) -> Callable[..., T]:
    """`method` itself. To type checkers: an op's own one takes as many arguments as the op has, under their names."""
    return method
