"""Machine room, kernels: memory layout, how an array of any strides becomes the block that a kernel's loop runs over.

An activation has shape (N, C, H, W) and lies in memory as (N, H, W, C), channels innermost: the
shape PyTorch shows for its channels_last. A kernel sees it as NHWC, as rows (M, C) with M = N*H*W,
or, where position does not matter, as one flat line. Each helper takes arrays of NumPy and of any
device. It returns a view when the memory already lies so, and otherwise a buffer of `work`
(`work.py`) into which `work` copies; no helper writes to its argument but `deliver`.
"""

from collections.abc import Sequence
from math import prod
from types import ModuleType

import numpy as np
from numpy.typing import DTypeLike

from minigan.kernels.cuda import load as device
from minigan.kernels.work import NOW, Array, Now, poisoned


def _module(x: Array) -> ModuleType:
    return np if isinstance(x, Array) else device.module_of(x)


def beside(x: Array, shape: int | Sequence[int], dtype: DTypeLike, work: Now = NOW) -> Array:
    """A buffer on the device of x, not initialised, that lasts until the kernel which asked for it has run."""
    return work.empty(shape, dtype) if isinstance(x, Array) else device.empty(_module(x), shape, dtype, work)


def contiguous(x: Array, work: Now = NOW) -> Array:
    """x in C order."""
    if x.flags.c_contiguous:
        return x
    block = beside(x, x.shape, x.dtype, work)
    work.call(_module(x).copyto, block, x)
    return block


def cast(x: Array, dtype: DTypeLike, work: Now = NOW) -> Array:
    """x in this dtype and its own order of memory."""
    if x.dtype == dtype:
        return x
    order = memory_order(x)
    block = untransposed(beside(x, tuple(x.shape[axis] for axis in order), dtype, work), order)
    work.call(_module(x).copyto, block, x)
    return block


def untransposed(block: Array, order: Sequence[int]) -> Array:
    """The array whose `transpose(order)` is this block."""
    return block.transpose(np.argsort(order).tolist())


def channels_last(ndim: int) -> tuple[int, ...]:
    """The axes of (N, C, ...) with the channels innermost."""
    return (0, *range(2, ndim), 1)


def target(
    out: Array | None, order: Sequence[int], like: Array, shape: Sequence[int], dtype: DTypeLike, work: Now = NOW
) -> Array:
    """The C-contiguous block that a kernel writes for a result of this shape, axes in `order`: the memory of `out`
    where it lies so, else new on the device of `like`."""
    if out is not None and out.dtype == dtype:
        block = out.transpose(order)
        if block.flags.c_contiguous and getattr(block.flags, "writeable", True):
            return block
    return beside(like, tuple(shape[axis] for axis in order), dtype, work)


def shares(a: Array, b: Array) -> bool:
    """Whether two arrays of one device may lie in the same memory."""
    return np.may_share_memory(a, b) if isinstance(a, Array) else a.data.ptr == b.data.ptr


def deliver(result: Array, out: Array | None, work: Now = NOW) -> Array:
    """`out` with the values of the result, which is often `out` itself; the result where there is no `out`."""
    if out is None:
        return result
    if not shares(result, out):
        work.call(_module(out).copyto, out, result)
    return out


def nhwc(x: Array, work: Now = NOW) -> Array:
    """(N, C, H, W) in any memory order -> C-contiguous (N, H, W, C)."""
    return contiguous(x.transpose(0, 2, 3, 1), work)


def empty_nhwc(shape: tuple[int, int, int, int], dtype: DTypeLike) -> Array:
    """An uninitialised (N, C, H, W) array that lies in memory as (N, H, W, C)."""
    n, c, h, w = shape
    return poisoned(np.empty((n, h, w, c), dtype)).transpose(0, 3, 1, 2)


def rows(x: Array, work: Now = NOW) -> Array:
    """(N, C, ...) -> C-contiguous (M, C): one row of channels for each sample and position."""
    last = contiguous(x.transpose(channels_last(x.ndim)), work)
    return last.reshape(prod(last.shape[:-1]), x.shape[1])


def memory_order(x: Array) -> tuple[int, ...]:
    """The axes of x from the slowest to the fastest in memory.

    Where x is not a permuted contiguous block (broadcast, sliced, reversed) there is no such order,
    and the house's own is returned: NHWC for four axes, else C.
    """
    axes = tuple(range(x.ndim))
    if x.flags.c_contiguous:
        return axes
    order = tuple(sorted(axes, key=lambda axis: -x.strides[axis]))
    if x.transpose(order).flags.c_contiguous:
        return order
    return (0, 2, 3, 1) if x.ndim == 4 else axes


def block(x: Array, axes: Sequence[int]) -> Array | None:
    """x as a view (A, K, B): what lies before `axes` in memory, along them, and behind. None where x is no permuted
    contiguous block or has no elements, where `axes` are not neighbours in memory, or the others not in order."""
    order = memory_order(x)
    places = sorted(order.index(axis) for axis in axes)
    others = [axis for axis in order if axis not in axes]
    lying = x.transpose(order)
    if not (x.size and places and lying.flags.c_contiguous and others == sorted(others)):
        return None
    if places[-1] - places[0] >= len(places):
        return None
    shape = lying.shape
    return lying.reshape(prod(shape[: places[0]]), -1, prod(shape[places[-1] + 1 :]))


def unblock(block: Array, like: Array) -> Array:
    """A new block (A, K, B) of an array that lies as `like`, in its shape."""
    order = memory_order(like)
    return untransposed(block.reshape([like.shape[axis] for axis in order]), order)


def dense(x: Array, order: tuple[int, ...] | None = None, work: Now = NOW) -> Array:
    """x as one flat contiguous line, axes taken in `order` (default: its own memory order)."""
    return contiguous(x.transpose(memory_order(x) if order is None else order), work).reshape(-1)


def writable(x: Array, order: tuple[int, ...]) -> Array:
    """`dense` for an array that is written to: a view, or ValueError where it cannot be one."""
    block = x.transpose(order)
    if not block.flags.c_contiguous:
        raise ValueError(
            f"kernels: cannot write into an array of shape {x.shape} with strides {x.strides}; "
            "pass a contiguous array, or a permuted view of one"
        )
    return block.reshape(-1)


def elementwise(x: Array, *others: Array, out: Array | None = None, work: Now = NOW) -> tuple[Array, ...]:
    """For an elementwise kernel: (out, then out, x, others as flat lines in one memory order).

    The order is out's where one is given, else x's; a new `out` has that order too, so that a chain
    of elementwise kernels never copies. ValueError for operands of unlike shape or dtype.
    """
    if out is None:
        out = poisoned(np.empty_like(x))
    for other in (out, *others):
        if other.shape != x.shape or other.dtype != x.dtype:
            raise ValueError(f"kernels: operands differ: {x.dtype} {x.shape} and {other.dtype} {other.shape}")
    order = memory_order(out)
    return out, writable(out, order), *(dense(array, order, work) for array in (x, *others))
