"""Machine room, kernels: the three convolutions as functions of arrays, and which loops each of them runs.

The loop nests of `conv_loops.py` serve every geometry and both dtypes; `fast` takes over where `fast.lanes_for` says it
pays. On a device, the kernels of conv.cu run (`cuda/conv.py`).
"""

from math import prod
from types import ModuleType

import numpy as np

from minigan.kernels import fast
from minigan.kernels.conv_loops import forward_all, forward_rows, input_all, input_rows, weight_all, weight_rows
from minigan.kernels.fast import conv as fast_conv
from minigan.kernels.fast import winograd
from minigan.kernels.geometry import ConvGeometry
from minigan.kernels.layout import cast, contiguous, deliver, nhwc, shares, target
from minigan.kernels.work import NOW, Array, Now, kernels_of

TO_NHWC, TO_NCHW, C_ORDER = (0, 2, 3, 1), (0, 3, 1, 2), (0, 1, 2, 3)

SERIAL = 1 << 15
"""Multiply-adds below which starting threads costs more than it saves."""


def _run(work: Now, serial, parallel, geometry: ConvGeometry, rows: int, *arguments) -> None:
    settings = (geometry.stride, geometry.padding, geometry.dilation)
    if _multiply_adds(geometry) < SERIAL:
        work.call(serial, *arguments, *settings, 0, rows)
    else:
        work.call(parallel, *arguments, *settings, rows)


def _multiply_adds(geometry: ConvGeometry) -> int:
    return prod(geometry.y_shape) * prod(geometry.w_shape[1:])


def _lanes(geometry: ConvGeometry, dtype: np.dtype, channels: int) -> int:
    """The vector width to use for a result of so many channels. Each group is a product of its own."""
    return fast.lanes_for(dtype, _multiply_adds(geometry) // geometry.groups, channels // geometry.groups)


def _room(geometry: ConvGeometry, lanes: int) -> ModuleType:
    """The fast kernels for this geometry: Winograd's, with fewer multiplications, or the direct sums."""
    return winograd if winograd.enabled() and winograd.suits(geometry, lanes) else fast_conv


def _put(target: Array, source: Array, add: bool, work: Now) -> None:
    """target = source, or += it."""
    if add:
        work.call(np.add, target, source, target)
    else:
        work.call(np.copyto, target, source)


def _grouped(block: Array | None, groups: int, ndim: int, dtype: np.dtype) -> Array:
    """(..., channels) -> (..., groups, channels of a group), `ndim` axes in all; for None an empty array."""
    if block is None:
        return np.empty((0,) * ndim, dtype)
    return block.reshape(*block.shape[:-1], groups, block.shape[-1] // groups)


def conv_forward(
    x: Array,
    w: Array,
    geometry: ConvGeometry,
    bias: Array | None = None,
    out: Array | None = None,
    *,
    slope: float = 1.0,
    work: Now = NOW,
) -> Array:
    """The convolution: x (N, C, H, W), w (O, C/groups, KY, KX), bias (O,) -> y (N, O, OY, OX).

    slope: leaky-ReLU of the result (1 for none; 0 is ReLU). Like the other two: the result lies in memory as NHWC,
    `out` must not overlap an operand, and a shape that does not fit the geometry is a ValueError.
    """
    shape, groups = geometry.y_shape, geometry.groups
    batch, outs, out_y, _ = shape
    arrays = (("x", x, geometry.x_shape), ("w", w, geometry.w_shape), ("bias", bias, (outs,)), ("out", out, shape))
    geometry.check("conv_forward", *arrays)
    if not isinstance(x, Array):
        return kernels_of(x).conv.conv_forward(x, w, geometry, bias, out, slope=slope, work=work)
    dtype = np.result_type(x, w)
    x, w = nhwc(cast(x, dtype, work), work), cast(w, dtype, work)
    bias = None if bias is None else contiguous(cast(bias, dtype, work), work)
    y = target(out, TO_NHWC, x, shape, dtype, work)
    if lanes := _lanes(geometry, dtype, outs):
        _room(geometry, lanes).conv_forward(x, contiguous(w, work), geometry, bias, y, lanes, work, slope)
    else:
        taps = w.reshape(groups, outs // groups, *geometry.w_shape[1:]).transpose(3, 4, 0, 2, 1)
        x, y_groups = (_grouped(block, groups, 5, dtype) for block in (x, y))
        start = _grouped(bias, groups, 2, dtype)
        arguments = (x, contiguous(taps, work), start, dtype.type(slope), y_groups)
        _run(work, forward_rows, forward_all, geometry, batch * out_y, *arguments)
    return deliver(y.transpose(TO_NCHW), out, work)


def conv_input(
    g: Array,
    w: Array,
    geometry: ConvGeometry,
    bias: Array | None = None,
    out: Array | None = None,
    *,
    mask: Array | None = None,
    slope: float = 1.0,
    work: Now = NOW,
) -> Array:
    """The input gradient, which is the transposed convolution.

    g (N, O, OY, OX), w (O, C/groups, KY, KX), bias (C,) -> dx (N, C, H, W). With a mask (N, C, H, W), dx where
    mask > 0 and slope * dx elsewhere (for slope 0: 0 where mask <= 0); without, leaky-ReLU of dx, as in `conv_forward`.
    """
    shape, groups = geometry.x_shape, geometry.groups
    batch, channels, height, _ = shape
    arrays = (("g", g, geometry.y_shape), ("w", w, geometry.w_shape), ("bias", bias, (channels,)), ("out", out, shape))
    geometry.check("conv_input", *arrays, ("mask", mask, shape))
    if not isinstance(g, Array):
        return kernels_of(g).conv.conv_input(g, w, geometry, bias, out, mask=mask, slope=slope, work=work)
    dtype = np.result_type(g, w)
    g, w = nhwc(cast(g, dtype, work), work), cast(w, dtype, work)
    bias = None if bias is None else contiguous(cast(bias, dtype, work), work)
    mask = None if mask is None else nhwc(cast(mask, dtype, work), work)
    dx = target(out, TO_NHWC, g, shape, dtype, work)
    if lanes := _lanes(geometry, dtype, channels):
        _room(geometry, lanes).conv_input(g, contiguous(w, work), geometry, bias, dx, lanes, work, mask, slope)
    else:
        taps = w.reshape(groups, w.shape[0] // groups, *geometry.w_shape[1:]).transpose(3, 4, 0, 1, 2)
        g, gate, dx_groups = (_grouped(block, groups, 5, dtype) for block in (g, mask, dx))
        start = _grouped(bias, groups, 2, dtype)
        arguments = (g, contiguous(taps, work), start, gate, dtype.type(slope), dx_groups)
        _run(work, input_rows, input_all, geometry, batch * height, *arguments)
    return deliver(dx.transpose(TO_NCHW), out, work)


def conv_weight(
    x: Array, g: Array, geometry: ConvGeometry, out: Array | None = None, *, add: bool = False, work: Now = NOW
) -> Array:
    """The weight gradient: x (N, C, H, W), g (N, O, OY, OX) -> dw (O, C/groups, KY, KX), C order.

    add: into what `out` holds, which must then be given (ValueError).
    """
    shape, groups = geometry.w_shape, geometry.groups
    geometry.check("conv_weight", ("x", x, geometry.x_shape), ("g", g, geometry.y_shape), ("out", out, shape))
    if add and out is None:
        raise ValueError("conv_weight: add needs an `out` to add to")
    if not isinstance(x, Array):
        return kernels_of(x).conv.conv_weight(x, g, geometry, out, add=add, work=work)
    dtype = np.result_type(x, g)
    x, g = (nhwc(cast(array, dtype, work), work) for array in (x, g))
    dw = target(out, C_ORDER, x, shape, dtype, work)
    inside = out is not None and shares(dw, out)
    if lanes := _lanes(geometry, dtype, shape[0]):
        _room(geometry, lanes).conv_weight(x, g, geometry, dw, lanes, work, add and inside)
    else:
        outs, channels, size_y, size_x = shape
        taps = work.empty((size_y, size_x, groups, channels, outs // groups), dtype)
        blocks = (_grouped(x, groups, 5, dtype), _grouped(g, groups, 5, dtype), taps)
        _run(work, weight_rows, weight_all, geometry, size_y * size_x * groups * channels, *blocks)
        sums = taps.transpose(2, 4, 3, 0, 1)
        _put(dw.reshape(sums.shape), sums, add and inside, work)
    if out is not None and not inside:
        _put(out, dw, add, work)
    return dw if out is None else out
