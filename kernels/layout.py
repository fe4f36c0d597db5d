"""Machine room, kernels: memory layout, how an array of any strides becomes the block that a kernel's loop runs over.

An activation has shape (N, C, H, W) and lies in memory as (N, H, W, C), channels innermost: the
shape PyTorch shows for its channels_last. A kernel sees it as NHWC, as rows (M, C) with M = N*H*W,
or, where position does not matter, as one flat line. Each helper returns a view when the memory
already lies so, and otherwise a buffer of `work` (`work.py`) into which `work` copies; no helper
writes to its argument.
"""

from math import prod

import numpy as np
from numpy.typing import DTypeLike

from minigan.kernels.work import NOW, Array, Now


def contiguous(x: Array, work: Now = NOW) -> Array:
    """x in C order."""
    if x.flags.c_contiguous:
        return x
    block = work.empty(x.shape, x.dtype)
    work.call(np.copyto, block, x)
    return block


def nhwc(x: Array, work: Now = NOW) -> Array:
    """(N, C, H, W) in any memory order -> C-contiguous (N, H, W, C)."""
    return contiguous(x.transpose(0, 2, 3, 1), work)


def empty_nhwc(shape: tuple[int, int, int, int], dtype: DTypeLike) -> Array:
    """An uninitialised (N, C, H, W) array that lies in memory as (N, H, W, C)."""
    n, c, h, w = shape
    return np.empty((n, h, w, c), dtype).transpose(0, 3, 1, 2)


def rows(x: Array, work: Now = NOW) -> Array:
    """(N, C, ...) -> C-contiguous (M, C): one row of channels for each sample and position."""
    last = contiguous(np.moveaxis(x, 1, -1), work)
    return last.reshape(prod(last.shape[:-1]), x.shape[1])


def from_rows(r: Array, shape: tuple[int, ...]) -> Array:
    """The inverse of `rows`: (M, C) seen as `shape` = (N, C, ...), channels innermost in memory."""
    return np.moveaxis(r.reshape(shape[0], *shape[2:], shape[1]), -1, 1)


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
        out = np.empty_like(x)
    for other in (out, *others):
        if other.shape != x.shape or other.dtype != x.dtype:
            raise ValueError(f"kernels: operands differ: {x.dtype} {x.shape} and {other.dtype} {other.shape}")
    order = memory_order(out)
    return out, writable(out, order), *(dense(array, order, work) for array in (x, *others))
