"""Machine room, ops: images at another resolution, by pooling, interpolation and pixel shuffle.

None but MaxPoolIndex is an op of its own. An average is a convolution with a constant kernel, a maximum reads one
position a window, bilinear interpolation is a product with one matrix an axis, so their derivatives of any order are
those of the ops they are composed of.
"""

from __future__ import annotations

import math

import numpy as np

from minigan import kernels
from minigan.kernels.geometry import ConvGeometry

from ..autograd import Op, Tensor, array_of
from ..backend import on
from .basic import broadcast_to
from .conv import conv2d
from .copy import owned
from .index import Index, cat, gather_within
from .matmul import matmul
from .reduce import mean
from .shape import Pair, check_4d, pair_of, permute, reshape

NUDGE = 1e-9
"""A place below a whole number by less than this counts as that number: in floats, 33 / 1.1 is 29.999..., not 30."""


class MaxPoolIndex(Op):
    """index[n,c,o] = the place in plane (n, c) of the first largest x in window o

    (N, C, H, W) -> (N, C, OY OX); not differentiable.
    """

    name, differentiable = "max_pool_index", False

    def __init__(self, windows: ConvGeometry) -> None:
        self.windows = windows

    def forward(self, x):
        settings = (self.windows.w_shape[2:], self.windows.stride, self.windows.padding, self.windows.dilation)
        index = kernels.pool.max_pool_index(x, *settings, self.windows.y_shape[2:])
        return index.reshape(*x.shape[:2], math.prod(index.shape[2:]))


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
    picked = gather_within(reshape(input, (n, c, height * width)), 2, MaxPoolIndex(windows)(input))
    return reshape(picked, windows.y_shape)


MOST = 65_536
"""Regions along an axis."""


def adaptive_avg_pool2d(input: Tensor, output_size: int | tuple[int | None, int | None] | None) -> Tensor:
    """The means of output_size regions of input (N, C, H, W): row i is the mean of rows floor(i H / OY) to
    ceil((i + 1) H / OY).

    output_size is one number or (OY, OX); None keeps the input's. Raises ValueError for sizes below 1 or above MOST.
    """
    op = "adaptive_avg_pool2d"
    check_4d(op, input)
    sizes = tuple(output_size) if isinstance(output_size, (tuple, list)) else (output_size,) * 2
    if len(sizes) != 2:
        raise ValueError(f"{op}: output_size must be an integer or a pair, got {output_size!r}")
    sizes = pair_of(
        op, "output_size", tuple(n if m is None else m for m, n in zip(sizes, input.shape[2:], strict=True)), 1
    )
    if max(sizes) > MOST:
        raise ValueError(f"{op}: output_size must be at most {MOST:,}, got {output_size!r}")
    for axis, count in zip((2, 3), sizes, strict=True):
        size, lead = input.shape[axis], (slice(None),) * axis
        if size < 1:
            raise ValueError(f"{op}: nothing to average along axis {axis} of input {input.shape}")
        if size % count == 0:
            shape = (*input.shape[:axis], count, size // count, *input.shape[axis + 1 :])
            input = mean(reshape(input, shape), axis + 1)
        else:
            ranges = [(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]
            input = cat([mean(Index((*lead, slice(*r)))(input), axis, True) for r in ranges], axis)
    return input


@owned
def interpolate(
    input: Tensor,
    size: Pair | None = None,
    scale_factor: float | tuple[float, float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """`input` (N, C, H, W) resized to `size` or by `scale_factor`, by mode "nearest", "bilinear" or "bicubic".

    Nearest reads pixel floor(i H / H'), or floor(i / scale_factor) where H' is neither H nor 2 H; the others are
    products with one matrix per axis, so all are linear and exact to any order. Raises ValueError for an unknown mode
    or when not exactly one of size and scale_factor is given.
    """
    op = "interpolate"
    check_4d(op, input)
    if (size is None) == (scale_factor is None):
        raise ValueError(f"{op}: give either size or scale_factor")
    if size is None:
        factors = scale_factor if isinstance(scale_factor, (tuple, list)) else (scale_factor, scale_factor)
        size = tuple(int(n * f) for n, f in zip(input.shape[2:], factors, strict=True))
        scales = tuple(1 / f for f in factors)
        nearest = [_nearest(n, m, f) for n, m, f in zip(input.shape[2:], size, factors, strict=True)]
    else:
        size = pair_of(op, "size", size, 1)
        scales = tuple(n / m for n, m in zip(input.shape[2:], size, strict=True))
        nearest = [np.arange(m) * n // m for n, m in zip(input.shape[2:], size, strict=True)]
    if min(size) < 1:
        raise ValueError(f"{op}: the output would have size {size} (input {input.shape})")
    if mode == "nearest":
        rows, columns = nearest
        whole = _repeats(rows, input.shape[2]), _repeats(columns, input.shape[3])
        return _repeated(input, *whole) if all(whole) else input[:, :, rows[:, None], columns]
    matrix = {"bilinear": _lerp_matrix, "bicubic": _cubic_matrix}.get(mode)
    if matrix is None:
        raise ValueError(f"{op}: unknown mode {mode!r}; known modes: nearest, bilinear, bicubic")
    rows, columns = (
        Tensor(on(array_of(input), matrix(n, m, s, bool(align_corners)).astype(input.dtype)))
        for n, m, s in zip(input.shape[2:], size, scales, strict=True)
    )
    return matmul(matmul(rows, input), permute(columns, 1, 0))


def _nearest(size: int, count: int, factor: float) -> np.ndarray:
    """Of `size` pixels those that `count` ones read; as many, and twice as many, read each once or twice, whatever the
    factor, as in PyTorch."""
    if count in (size, 2 * size):
        return np.arange(count) * size // count
    return np.minimum((np.arange(count) / factor + NUDGE).astype(np.int64), size - 1)


def _repeats(places: np.ndarray, size: int) -> int:
    """How often each of `size` pixels is read, where all are read equally often and in order; else 0."""
    times = len(places) // size
    return times if np.array_equal(places, np.arange(size * times) // max(times, 1)) else 0


def _repeated(input: Tensor, down: int, across: int) -> Tensor:
    """(N, C, H, W) -> (N, C, down H, across W): each pixel as a block, by two views that broadcasting repeats, so that
    the gradient is two sums and no search for places. In memory the channels stay together: (N, H, W, C)."""
    n, c, height, width = input.shape
    pixels = reshape(permute(input, 0, 2, 3, 1), (n, height, width, 1, c))
    rows = reshape(broadcast_to(pixels, (n, height, width, across, c)), (n, height, 1, width * across, c))
    blocks = reshape(broadcast_to(rows, (n, height, down, width * across, c)), (n, height * down, width * across, c))
    return permute(blocks, 0, 3, 1, 2)


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


def _cubic_matrix(n: int, m: int, scale: float, align_corners: bool) -> np.ndarray:
    """(m, n): the weights of Keys' cubic convolution with a = -3/4, over the four pixels around each output pixel; an
    edge pixel stands for those outside (Keys 1981, equation 4)."""
    i = np.arange(m)
    at = i * ((n - 1) / (m - 1) if m > 1 else 0) if align_corners else (i + 0.5) * scale - 0.5
    low, matrix, a = np.floor(at).astype(np.int64), np.zeros((m, n)), -0.75
    for tap in range(-1, 3):
        d = np.abs(at - low - tap)
        near, far = ((a + 2) * d - (a + 3)) * d * d + 1, ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
        np.add.at(matrix, (i, np.clip(low + tap, 0, n - 1)), np.where(d <= 1, near, far))
    return matrix


@owned
def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """(N, C, r H, r W) -> (N, C r^2, H, W), what `pixel_shuffle` undoes: each r x r block of pixels becomes channels.

    Raises ValueError unless r divides both sizes.
    """
    check_4d("pixel_unshuffle", input)
    n, channels, height, width = input.shape
    r = downscale_factor
    if r < 1 or height % r or width % r:
        raise ValueError(f"pixel_unshuffle: {r} does not divide the sizes {(height, width)} (input {input.shape})")
    blocks = reshape(input, (n, channels, height // r, r, width // r, r))
    return reshape(permute(blocks, 0, 1, 3, 5, 2, 4), (n, channels * r * r, height // r, width // r))


@owned
def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """(N, C r^2, H, W) -> (N, C, r H, r W): each group of r^2 channels becomes an r x r block of pixels."""
    check_4d("pixel_shuffle", input)
    n, channels, height, width = input.shape
    r = upscale_factor
    if r < 1 or channels % (r * r):
        raise ValueError(f"pixel_shuffle: {channels} channels are not a multiple of {r}^2 (input {input.shape})")
    blocks = reshape(input, (n, channels // (r * r), r, r, height, width))
    return reshape(permute(blocks, 0, 1, 4, 2, 5, 3), (n, channels // (r * r), height * r, width * r))


def _window(op: str, input: Tensor, kernel_size: Pair, stride: Pair | None, padding: Pair, dilation: Pair = 1):
    """The windows of a pooling, as the geometry of a convolution of every channel by itself."""
    check_4d(op, input)
    kernel = pair_of(op, "kernel_size", kernel_size, 1)
    stride, padding = pair_of(op, "stride", kernel if stride is None else stride, 1), pair_of(op, "padding", padding, 0)
    if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
        raise ValueError(f"{op}: padding {padding} must be at most half of kernel_size {kernel}")
    channels, dilation = input.shape[1], pair_of(op, "dilation", dilation, 1)
    windows = ConvGeometry(input.shape, (channels, 1, *kernel), stride, padding, dilation, channels)
    if min(windows.y_shape[2:]) < 1:
        raise ValueError(f"{op}: window {kernel} (dilation {dilation}) is larger than the padded input {input.shape}")
    return windows
