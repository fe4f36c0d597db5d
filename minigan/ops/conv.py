"""The three ops of the convolution, and conv2d and conv_transpose2d, which apply them.

One trilinear form stands behind all three. With a pixel y of the output reading pixel  s y + d ky - p  of the input,

    <x, w, g> = sum over n, o, y, c, ky of  g[n, o, y] w[o, c, ky] x[n, c, s y + d ky - p]

(one axis written; stride s, dilation d, padding p). Leave one slot open and you have
    Conv        y  = d<x, w, g>/dg    the convolution (cross-correlation, as everywhere in deep learning),
    ConvInput   x' = d<x, w, g>/dx    its input gradient, which is the transposed convolution,
    ConvWeight  w' = d<x, w, g>/dw    its weight gradient.
The form is linear in each slot, so each op's derivatives are the other two ops, and three kernels give every order.
The geometry carries the input's size: the input rows that no output reads are what `output_padding` names. The kernels
are the loop nests of kernels/conv_loops.py and kernels/conv.cu.
"""

from __future__ import annotations

from minigan import kernels
from minigan.kernels.geometry import ConvGeometry

from ..autograd import Op, Tensor
from .einsum import einsum
from .index import Index, IndexAdd, Pad, stack
from .matmul import same_dtype
from .reduce import sum
from .shape import Pair, check_4d, pair_of, reshape, squeeze, unsqueeze


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
    """y[n,o,y] = b[o] + sum over c, ky of w[o,c,ky] x[n, c, s y + d ky - p]
    dL/dx = ConvInput(g, w)
    dL/dw = ConvWeight(x, g)
    dL/db = sum of g over n, y"""

    name = "conv2d"

    def forward(self, x, w, b=None):
        return kernels.conv.conv_forward(x, w, self.geometry, bias=b)

    def prepare(self, work, inputs, outputs, slope=1.0):
        x, w, b = (*inputs, None)[:3]
        kernels.conv.conv_forward(x, w, self.geometry, b, outputs[0], slope=slope, work=work)

    def vjp(self, node, need, g):
        x, w, *b = node.inputs
        # learn: conv begin
        dx = ConvInput(self.geometry)(g, w) if need[0] else None
        dw = ConvWeight(self.geometry)(x, g) if need[1] else None
        return (dx, dw, sum(g, (0, 2, 3)) if need[2] else None) if b else (dx, dw)
        # learn: conv end

    def reference(self, x, w, b=None):
        x, w = Pad(self.padding(), 0)(x), self.grouped(w, 0)
        y = None
        for ky, kx, key in self.taps():
            tap = einsum("nhcyx,hoc->nhoyx", self.grouped(Index(key)(x), 1), w[:, :, :, ky, kx])
            y = tap if y is None else y + tap
        y = reshape(y, self.geometry.y_shape)
        return y if b is None else y + reshape(b, (1, -1, 1, 1))


class ConvInput(ConvOp):
    """x[n,c,i] = b[c] + sum of w[o,c,ky] g[n,o,y] over all o, y, ky with s y + d ky - p = i
    dL/dg = Conv(h, w)
    dL/dw = ConvWeight(h, g)
    dL/db = sum of h over n, i"""

    name = "conv_transpose2d"

    def forward(self, g, w, b=None):
        return kernels.conv.conv_input(g, w, self.geometry, bias=b)

    def prepare(self, work, inputs, outputs, slope=1.0, mask=None):
        g, w, b = (*inputs, None)[:3]
        kernels.conv.conv_input(g, w, self.geometry, b, outputs[0], mask=mask, slope=slope, work=work)

    def vjp(self, node, need, h):
        g, w, *b = node.inputs
        # learn: conv-transpose begin
        dg = Conv(self.geometry)(h, w) if need[0] else None
        dw = ConvWeight(self.geometry)(h, g) if need[1] else None
        return (dg, dw, sum(h, (0, 2, 3)) if need[2] else None) if b else (dg, dw)
        # learn: conv-transpose end

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
    """w[o,c,ky] = sum over n, y of g[n,o,y] x[n, c, s y + d ky - p]
    dL/dx = ConvInput(g, v)
    dL/dg = Conv(x, v)"""

    name = "conv_weight"

    def forward(self, x, g):
        return kernels.conv.conv_weight(x, g, self.geometry)

    def prepare(self, work, inputs, outputs, add=False):
        kernels.conv.conv_weight(*inputs, self.geometry, outputs[0], add=add, work=work)

    def vjp(self, node, need, v):
        x, g = node.inputs
        # learn: conv-weight begin
        return ConvInput(self.geometry)(g, v) if need[0] else None, Conv(self.geometry)(x, v) if need[1] else None
        # learn: conv-weight end

    def reference(self, x, g):
        x, g = Pad(self.padding(), 0)(x), self.grouped(g, 1)
        taps = [einsum("nhcyx,nhoyx->hoc", self.grouped(Index(key)(x), 1), g) for _, _, key in self.taps()]
        return reshape(stack(taps, -1), self.geometry.w_shape)


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
    check_4d("conv2d", input, weight)
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
    check_4d(op, input, weight)
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


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | tuple[int] = 1,
    padding: int | tuple[int] | str = 0,
    dilation: int | tuple[int] = 1,
    groups: int = 1,
) -> Tensor:
    """1-D convolution of input (N, C, L) with weight (O, C / groups, K) and bias (O): `conv2d` of one row.

    Output (N, O, OL). Raises ValueError for shapes or settings that do not fit, TypeError for mixed dtypes.
    """
    op = "conv1d"
    _check_1d(op, input, weight, bias)
    stride, dilation = (1, _single(op, "stride", stride, 1)), (1, _single(op, "dilation", dilation, 1))
    if padding == "same" and stride != (1, 1):
        raise ValueError(f'{op}: padding="same" needs stride 1')
    if padding != "same":
        padding = (0, 0 if padding == "valid" else _single(op, "padding", padding, 0))
    _check_channels(op, input, weight, weight.shape[1] * groups, groups, weight.shape[0])
    _check_bias(op, bias, weight.shape[0], weight)
    if padding != "same" and input.shape[2] + 2 * padding[1] < dilation[1] * (weight.shape[2] - 1) + 1:
        raise ValueError(
            f"{op}: the kernel {weight.shape[2]} (dilation {dilation[1]}) is longer than the padded input"
            f" (input {input.shape}, padding {padding[1]}, weight {weight.shape})"
        )
    y = conv2d(unsqueeze(input, 2), unsqueeze(weight, 2), bias, stride, padding, dilation, groups)
    return squeeze(y, 2)


def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | tuple[int] = 1,
    padding: int | tuple[int] = 0,
    output_padding: int | tuple[int] = 0,
    groups: int = 1,
    dilation: int | tuple[int] = 1,
) -> Tensor:
    """1-D transposed convolution of input (N, C, L) with weight (C, O / groups, K) and bias (O): `conv_transpose2d` of
    one row.

    Raises ValueError for shapes or settings that do not fit, TypeError for mixed dtypes.
    """
    op = "conv_transpose1d"
    _check_1d(op, input, weight, bias)
    stride, dilation = _single(op, "stride", stride, 1), _single(op, "dilation", dilation, 1)
    padding, extra = _single(op, "padding", padding, 0), _single(op, "output_padding", output_padding, 0)
    if extra >= max(stride, dilation):
        raise ValueError(f"{op}: output_padding {extra} must be smaller than stride {stride} or dilation {dilation}")
    _check_channels(op, input, weight, weight.shape[0], groups, weight.shape[0])
    _check_bias(op, bias, weight.shape[1] * groups, weight)
    length = (input.shape[2] - 1) * stride - 2 * padding + dilation * (weight.shape[2] - 1) + extra + 1
    if length < 1:
        raise ValueError(
            f"{op}: the output would have length {length} (input {input.shape}, weight {weight.shape},"
            f" padding {padding})"
        )
    settings = ((1, stride), (0, padding), (0, extra), groups, (1, dilation))
    return squeeze(conv_transpose2d(unsqueeze(input, 2), unsqueeze(weight, 2), bias, *settings), 2)


def _check_1d(op: str, input: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    if input.ndim != 3 or weight.ndim != 3:
        raise ValueError(f"{op}: input {input.shape} must be (N, C, L) and weight {weight.shape} have 3 axes")
    same_dtype(op, input=input, weight=weight, bias=bias)


def _single(op: str, what: str, value: int | tuple[int], least: int) -> int:
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    if len(values) != 1:
        raise ValueError(f"{op}: {what} must be an integer, at least {least}, got {value!r}")
    return pair_of(op, what, values[0], least)[0]


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
