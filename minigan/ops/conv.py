"""Convolution, transposed convolution, pooling and resampling.

One trilinear form stands behind three ops. With a pixel y of the output reading pixel  s y + d ky - p  of the input,

    <x, w, g> = sum over n, o, y, c, ky of  g[n, o, y] w[o, c, ky] x[n, c, s y + d ky - p]

(one axis written; stride s, dilation d, padding p). Leave one slot open and you have
    Conv        y  = d<x, w, g>/dg    the convolution (cross-correlation, as everywhere in deep learning),
    ConvInput   x' = d<x, w, g>/dx    its input gradient, which is the transposed convolution,
    ConvWeight  w' = d<x, w, g>/dw    its weight gradient.
The form is linear in each slot, so each op's derivatives are the other two ops, and three kernels give every order.
The geometry carries the input's size: the input rows that no output reads are what `output_padding` names.
"""

from __future__ import annotations

import math

import numpy as np

from minigan.kernels.geometry import ConvGeometry

from ..autograd import Op, Tensor, array_of
from ..backend import on
from .matmul import einsum, matmul, same_dtype
from .reduce import sum
from .shape import Index, IndexAdd, Pad, gather, permute, reshape, stack

Pair = int | tuple[int, int]


class ConvOp(Op):
    """What the three share: the geometry, and the taps (ky, kx) that the references sum over."""

    def __init__(self, geometry: ConvGeometry) -> None:
        self.geometry = geometry

    def taps(self):
        """(ky, kx, key) per tap: x_padded[key] is the (N, C, OY, OX) block of input pixels that the tap reads."""
        geo = self.geometry
        (sy, sx), (dy, dx), (oy, ox) = geo.stride, geo.dilation, geo.y_shape[2:]
        for ky in range(geo.w_shape[2]):
            for kx in range(geo.w_shape[3]):
                rows = slice(ky * dy, ky * dy + sy * (oy - 1) + 1, sy)
                columns = slice(kx * dx, kx * dx + sx * (ox - 1) + 1, sx)
                yield ky, kx, (slice(None), slice(None), rows, columns)

    def padding(self) -> tuple[tuple[int, int], ...]:
        """Border widths of x: the padding, and on the far side at least what the last tap reads."""
        geo = self.geometry
        far = [
            max(p, s * (o - 1) + d * (k - 1) + 1 - n - p)
            for n, k, s, p, d, o in zip(
                geo.x_shape[2:], geo.w_shape[2:], geo.stride, geo.padding, geo.dilation, geo.y_shape[2:], strict=True
            )
        ]
        return ((0, 0), (0, 0), (geo.padding[0], far[0]), (geo.padding[1], far[1]))

    def grouped(self, t: Tensor, axis: int) -> Tensor:
        """`t` with its channel axis split into (groups, channels per group)."""
        groups = self.geometry.groups
        return reshape(t, (*t.shape[:axis], groups, t.shape[axis] // groups, *t.shape[axis + 1 :]))


class Conv(ConvOp):
    """y[n,o,y] = b[o] + sum_(c,ky) w[o,c,ky] x[n, c, s y + d ky - p];  dx = ConvInput(g, w), dw = ConvWeight(x, g), db
    = sum g."""

    name = "conv2d"

    def forward(self, x, w, b=None):
        from minigan import kernels

        return kernels.conv.conv_forward(x, w, self.geometry, bias=b)

    def prepare(self, work, inputs, outputs, slope=1.0):
        from minigan import kernels

        x, w, b = (*inputs, None)[:3]
        kernels.conv.conv_forward(x, w, self.geometry, b, outputs[0], slope=slope, work=work)

    def vjp(self, node, need, g):
        x, w, *b = node.inputs
        dx = ConvInput(self.geometry)(g, w) if need[0] else None
        dw = ConvWeight(self.geometry)(x, g) if need[1] else None
        return (dx, dw, sum(g, (0, 2, 3)) if need[2] else None) if b else (dx, dw)

    def reference(self, x, w, b=None):
        x, w = Pad(self.padding(), 0)(x), self.grouped(w, 0)
        y = None
        for ky, kx, key in self.taps():
            tap = einsum("nhcyx,hoc->nhoyx", self.grouped(Index(key)(x), 1), w[:, :, :, ky, kx])
            y = tap if y is None else y + tap
        y = reshape(y, self.geometry.y_shape)
        return y if b is None else y + reshape(b, (1, -1, 1, 1))


class ConvInput(ConvOp):
    """x[n,c,i] = b[c] + sum of w[o,c,ky] g[n,o,y] over all (o, y, ky) with s y + d ky - p = i;  dg = Conv(h, w), dw =
    ConvWeight(h, g)."""

    name = "conv_transpose2d"

    def forward(self, g, w, b=None):
        from minigan import kernels

        return kernels.conv.conv_input(g, w, self.geometry, bias=b)

    def prepare(self, work, inputs, outputs, slope=1.0, mask=None):
        from minigan import kernels

        g, w, b = (*inputs, None)[:3]
        kernels.conv.conv_input(g, w, self.geometry, b, outputs[0], mask=mask, slope=slope, work=work)

    def vjp(self, node, need, h):
        g, w, *b = node.inputs
        dg = Conv(self.geometry)(h, w) if need[0] else None
        dw = ConvWeight(self.geometry)(h, g) if need[1] else None
        return (dg, dw, sum(h, (0, 2, 3)) if need[2] else None) if b else (dg, dw)

    def reference(self, g, w, b=None):
        geo, pads = self.geometry, self.padding()
        padded = tuple(low + n + high for (low, high), n in zip(pads, geo.x_shape, strict=True))
        g, w = self.grouped(g, 1), self.grouped(w, 0)
        x = None
        for ky, kx, key in self.taps():
            tap = einsum("nhoyx,hoc->nhcyx", g, w[:, :, :, ky, kx])
            tap = IndexAdd(key, padded)(reshape(tap, (*geo.x_shape[:2], *geo.y_shape[2:])))
            x = tap if x is None else x + tap
        x = x[:, :, pads[2][0] : pads[2][0] + geo.x_shape[2], pads[3][0] : pads[3][0] + geo.x_shape[3]]
        return x if b is None else x + reshape(b, (1, -1, 1, 1))


class ConvWeight(ConvOp):
    """w[o,c,ky] = sum over (n, y) of g[n,o,y] x[n, c, s y + d ky - p];  dx = ConvInput(g, v), dg = Conv(x, v)."""

    name = "conv_weight"

    def forward(self, x, g):
        from minigan import kernels

        return kernels.conv.conv_weight(x, g, self.geometry)

    def prepare(self, work, inputs, outputs, add=False):
        from minigan import kernels

        kernels.conv.conv_weight(*inputs, self.geometry, outputs[0], add=add, work=work)

    def vjp(self, node, need, v):
        x, g = node.inputs
        return ConvInput(self.geometry)(g, v) if need[0] else None, Conv(self.geometry)(x, v) if need[1] else None

    def reference(self, x, g):
        x, g = Pad(self.padding(), 0)(x), self.grouped(g, 1)
        taps = [einsum("nhcyx,nhoyx->hoc", self.grouped(Index(key)(x), 1), g) for _, _, key in self.taps()]
        return reshape(stack(taps, -1), self.geometry.w_shape)


class MaxPoolIndex(Op):
    """(N, C, H, W) -> (N, C, OY OX): where in its plane each window has its first largest element; not
    differentiable."""

    name, differentiable = "max_pool_index", False

    def __init__(self, windows: ConvGeometry) -> None:
        self.windows = windows

    def forward(self, x):
        from minigan import kernels

        settings = (self.windows.w_shape[2:], self.windows.stride, self.windows.padding, self.windows.dilation)
        index = kernels.pool.max_pool_index(x, *settings, self.windows.y_shape[2:])
        return index.reshape(*x.shape[:2], math.prod(index.shape[2:]))


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Pair = 1,
    padding: Pair | str = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> Tensor:
    """2-D convolution of input (N, C, H, W) with weight (O, C / groups, KY, KX) and bias (O).

    Output (N, O, OY, OX) with OY = (H + 2 padding - dilation (KY - 1) - 1) // stride + 1. padding may be "valid" or, at
    stride 1, "same". Raises ValueError for shapes or settings that do not fit, TypeError for mixed dtypes.
    """
    _check_4d("conv2d", input, weight)
    same_dtype("conv2d", input=input, weight=weight, bias=bias)
    stride, dilation = pair_of("conv2d", "stride", stride, 1), pair_of("conv2d", "dilation", dilation, 1)
    if padding == "same":
        if stride != (1, 1):
            raise ValueError('conv2d: padding="same" needs stride 1')
        spans = [d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=True)]
        if any(span % 2 for span in spans):  # the odd pixel goes to the far side, as in PyTorch
            input = Pad(((0, 0), (0, 0), (0, spans[0] % 2), (0, spans[1] % 2)), 0)(input)
        padding = (spans[0] // 2, spans[1] // 2)
    padding = (0, 0) if padding == "valid" else pair_of("conv2d", "padding", padding, 0)
    _check_channels("conv2d", input, weight, weight.shape[1] * groups, groups, weight.shape[0])
    _check_bias("conv2d", bias, weight.shape[0], weight)
    geometry = ConvGeometry(input.shape, weight.shape, stride, padding, dilation, groups)
    if min(geometry.y_shape[2:]) < 1:
        raise ValueError(
            f"conv2d: the kernel {weight.shape[2:]} (dilation {dilation}) is larger than the padded input"
            f" (input {input.shape}, padding {padding}, weight {weight.shape})"
        )
    return Conv(geometry)(input, weight, *(() if bias is None else (bias,)))


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Pair = 1,
    padding: Pair = 0,
    output_padding: Pair = 0,
    groups: int = 1,
    dilation: Pair = 1,
) -> Tensor:
    """2-D transposed convolution ("deconvolution") of input (N, C, H, W) with weight (C, O / groups, KY, KX) and bias
    (O).

    Output (N, O, OY, OX) with OY = (H - 1) stride - 2 padding + dilation (KY - 1) + output_padding + 1: the gradient of
    `conv2d` with respect to its input. Raises ValueError for shapes or settings that do not fit, TypeError for mixed
    dtypes.
    """
    op = "conv_transpose2d"
    _check_4d(op, input, weight)
    same_dtype(op, input=input, weight=weight, bias=bias)
    stride, dilation = pair_of(op, "stride", stride, 1), pair_of(op, "dilation", dilation, 1)
    padding, extra = pair_of(op, "padding", padding, 0), pair_of(op, "output_padding", output_padding, 0)
    if any(e >= max(s, d) for e, s, d in zip(extra, stride, dilation, strict=True)):
        raise ValueError(f"{op}: output_padding {extra} must be smaller than stride {stride} or dilation {dilation}")
    _check_channels(op, input, weight, weight.shape[0], groups, weight.shape[0])
    _check_bias(op, bias, weight.shape[1] * groups, weight)
    sizes = tuple(
        (n - 1) * s - 2 * p + d * (k - 1) + e + 1
        for n, s, p, d, k, e in zip(input.shape[2:], stride, padding, dilation, weight.shape[2:], extra, strict=True)
    )
    if min(sizes) < 1:
        raise ValueError(
            f"{op}: the output would have size {sizes} (input {input.shape}, weight {weight.shape}, padding {padding})"
        )
    # A stride or more of output_padding, which a large dilation allows, is as if the input had further rows, of zeros.
    further = tuple(e // s for e, s in zip(extra, stride, strict=True))
    if any(further):
        input = Pad(((0, 0), (0, 0), (0, further[0]), (0, further[1])), 0)(input)
    x_shape = (input.shape[0], weight.shape[1] * groups, *sizes)
    geometry = ConvGeometry(x_shape, weight.shape, stride, padding, dilation, groups)
    return ConvInput(geometry)(input, weight, *(() if bias is None else (bias,)))


def avg_pool2d(
    input: Tensor,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of each kernel_size window of input (N, C, H, W); stride defaults to kernel_size.

    It is the convolution of every channel with a constant kernel. ceil_mode is not supported (ValueError).
    """
    op = "avg_pool2d"
    if ceil_mode:
        raise ValueError(f"{op}: ceil_mode=True is not supported; pad the input instead")
    windows = _window(op, input, kernel_size, stride, padding)
    n, c, height, width = input.shape
    ones = Tensor(on(array_of(input), np.ones((1, 1, *windows.w_shape[2:]), input.dtype)))
    planes = conv2d(reshape(input, (n * c, 1, height, width)), ones, None, windows.stride, windows.padding)
    if count_include_pad:
        counts = Tensor(on(array_of(input), np.asarray(ones.data.size, input.dtype)))
    else:
        full = Tensor(on(array_of(input), np.ones((1, 1, height, width), input.dtype)))
        counts = conv2d(full, ones, None, windows.stride, windows.padding)
    return reshape(planes / counts, windows.y_shape)


def max_pool2d(
    input: Tensor,
    kernel_size: Pair,
    stride: Pair | None = None,
    padding: Pair = 0,
    dilation: Pair = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """The largest element of each window of input (N, C, H, W), the first of equal ones; stride defaults to
    kernel_size.

    It reads one position a window, so its derivatives are those of reading. ceil_mode is not supported (ValueError).
    """
    op = "max_pool2d"
    if ceil_mode:
        raise ValueError(f"{op}: ceil_mode=True is not supported; pad the input instead")
    windows = _window(op, input, kernel_size, stride, padding, dilation)
    n, c, height, width = input.shape
    picked = gather(reshape(input, (n, c, height * width)), 2, MaxPoolIndex(windows)(input))
    return reshape(picked, windows.y_shape)


def interpolate(
    input: Tensor,
    size: Pair | None = None,
    scale_factor: float | tuple[float, float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """`input` (N, C, H, W) resized to `size` or by `scale_factor`, by mode "nearest" or "bilinear".

    Nearest reads pixel floor(i H / H'); bilinear is a product with one matrix per axis, so both are linear and exact to
    any order. Raises ValueError for an unknown mode or when not exactly one of size and scale_factor is given.
    """
    op = "interpolate"
    _check_4d(op, input)
    if (size is None) == (scale_factor is None):
        raise ValueError(f"{op}: give either size or scale_factor")
    if size is None:
        factors = scale_factor if isinstance(scale_factor, (tuple, list)) else (scale_factor, scale_factor)
        size = tuple(int(n * f) for n, f in zip(input.shape[2:], factors, strict=True))
        scales = tuple(1 / f for f in factors)
    else:
        size = pair_of(op, "size", size, 1)
        scales = tuple(n / m for n, m in zip(input.shape[2:], size, strict=True))
    if min(size) < 1:
        raise ValueError(f"{op}: the output would have size {size} (input {input.shape})")
    if mode == "nearest":
        rows, columns = (
            np.minimum((np.arange(m) * np.float32(s)).astype(np.int64), n - 1)
            for m, s, n in zip(size, scales, input.shape[2:], strict=True)
        )
        return input[:, :, rows[:, None], columns]
    if mode != "bilinear":
        raise ValueError(f"{op}: unknown mode {mode!r}; known modes: nearest, bilinear")
    rows, columns = (
        Tensor(on(array_of(input), _lerp_matrix(n, m, s, bool(align_corners)).astype(input.dtype)))
        for n, m, s in zip(input.shape[2:], size, scales, strict=True)
    )
    return matmul(matmul(rows, input), permute(columns, 1, 0))


def _lerp_matrix(n: int, m: int, scale: float, align_corners: bool) -> np.ndarray:
    """(m, n): row i holds the weights with which output pixel i reads the n input pixels."""
    if align_corners:
        at = np.arange(m) * ((n - 1) / (m - 1) if m > 1 else 0)
    else:
        at = np.maximum((np.arange(m) + 0.5) * scale - 0.5, 0)
    low = np.minimum(at.astype(np.int64), n - 1)
    high, part = np.minimum(low + 1, n - 1), at - low
    matrix = np.zeros((m, n))
    np.add.at(matrix, (np.arange(m), low), 1 - part)
    np.add.at(matrix, (np.arange(m), high), part)
    return matrix


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """(N, C r^2, H, W) -> (N, C, r H, r W): each group of r^2 channels becomes an r x r block of pixels."""
    _check_4d("pixel_shuffle", input)
    n, channels, height, width = input.shape
    r = upscale_factor
    if r < 1 or channels % (r * r):
        raise ValueError(f"pixel_shuffle: {channels} channels are not a multiple of {r}^2 (input {input.shape})")
    blocks = reshape(input, (n, channels // (r * r), r, r, height, width))
    return reshape(permute(blocks, 0, 1, 4, 2, 5, 3), (n, channels // (r * r), height * r, width * r))


def pair_of(op: str, what: str, value: Pair, least: int) -> tuple[int, int]:
    """`value` for height and width, given once or for each. Raises ValueError that names op and argument."""
    pair = tuple(value) if isinstance(value, (tuple, list)) else (value, value)
    if len(pair) != 2 or any(isinstance(v, bool) or not isinstance(v, (int, np.integer)) or v < least for v in pair):
        raise ValueError(f"{op}: {what} must be an integer or a pair of integers, at least {least}, got {value!r}")
    return int(pair[0]), int(pair[1])


def _window(op: str, input: Tensor, kernel_size: Pair, stride: Pair | None, padding: Pair, dilation: Pair = 1):
    """The windows of a pooling, as the geometry of a convolution of every channel by itself."""
    _check_4d(op, input)
    kernel = pair_of(op, "kernel_size", kernel_size, 1)
    stride, padding = pair_of(op, "stride", kernel if stride is None else stride, 1), pair_of(op, "padding", padding, 0)
    if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
        raise ValueError(f"{op}: padding {padding} must be at most half of kernel_size {kernel}")
    channels, dilation = input.shape[1], pair_of(op, "dilation", dilation, 1)
    windows = ConvGeometry(input.shape, (channels, 1, *kernel), stride, padding, dilation, channels)
    if min(windows.y_shape[2:]) < 1:
        raise ValueError(f"{op}: window {kernel} (dilation {dilation}) is larger than the padded input {input.shape}")
    return windows


def _check_4d(op: str, input: Tensor, weight: Tensor | None = None) -> None:
    if input.ndim != 4:
        raise ValueError(f"{op}: input must be (N, C, H, W), got shape {input.shape}")
    if weight is not None and weight.ndim != 4:
        raise ValueError(f"{op}: weight must have 4 axes, got shape {weight.shape}")


def _check_channels(op: str, input: Tensor, weight: Tensor, expected: int, groups: int, outer: int) -> None:
    if groups < 1 or outer % groups:
        raise ValueError(f"{op}: groups {groups} does not divide the weight's first axis (weight {weight.shape})")
    if input.shape[1] != expected:
        raise ValueError(
            f"{op}: input has {input.shape[1]} channels, weight expects {expected}"
            f" (input {input.shape}, weight {weight.shape}, groups {groups})"
        )


def _check_bias(op: str, bias: Tensor | None, channels: int, weight: Tensor) -> None:
    if bias is not None and bias.shape != (channels,):
        raise ValueError(f"{op}: bias has shape {bias.shape}, expected {(channels,)} (weight {weight.shape})")
