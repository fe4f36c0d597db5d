"""Machine room, ops: convolution whose filters each sample scales for itself (Karras et al. 2020, section 2.2).

Sample n scales input channel c of the filters by its style s[n,c]; demodulation divides each filter by its length, so
that what comes out has the spread that came in:

    w'[n,o,c,k] = s[n,c] w[o,c,k],    w''[n,o,c,k] = d[n,o] w'[n,o,c,k],    d = (sum over c, k of w'^2 + eps)^(-1/2)

(eqs. 1 and 3). Neither s nor d depends on the pixel, so they may as well scale what goes in and what comes out:

    y[n] = w''[n] * x[n] = d[n] (w * (s[n] x[n]))                                 * : convolution

The right-hand side is one convolution of the whole batch by the fast kernels, where the left-hand side has a filter a
sample. It is no op of its own: with u = w * (s x), y = d u, e[n,o] = d^2 sum over pixels of g y, and the convolution's
derivatives (ops/conv.py), of a cotangent g

    dL/dx = s ConvInput(d g, w)
    dL/dw = ConvWeight(s x, d g) - w[o,c,k] sum over n of e[n,o] s[n,c]^2
    dL/ds = sum over pixels of x ConvInput(d g, w) - s[n,c] sum over o, k of e[n,o] w[o,c,k]^2

and those of any order follow from the ops that it is composed of.
"""

from __future__ import annotations

from minigan.kernels.geometry import ConvGeometry

from ..autograd import Tensor
from .conv import Conv
from .elementary import rsqrt, square
from .matmul import matmul, same_dtype
from .reduce import sum
from .shape import Pair, check_4d, pair_of, reshape, transpose


def modulated_conv2d(
    input: Tensor,
    weight: Tensor,
    style: Tensor,
    bias: Tensor | None = None,
    stride: Pair = 1,
    padding: Pair = 0,
    demodulate: bool = True,
    eps: float = 1e-8,
) -> Tensor:
    """2-D convolution of input (N, C, H, W) with weight (O, C, KY, KX), its channels scaled by style (N, C), and bias
    (O).

    demodulate: divide each sample's filter by its length, sqrt(sum of squares + eps), before the bias. Output, stride
    and padding as in `conv2d`. Raises ValueError for shapes or settings that do not fit, TypeError for mixed dtypes.
    """
    op = "modulated_conv2d"
    check_4d(op, input, weight)
    same_dtype(op, input=input, weight=weight, style=style, bias=bias)
    if weight.shape[1] != input.shape[1]:
        raise ValueError(
            f"{op}: input has {input.shape[1]} channels, weight expects {weight.shape[1]} (input {input.shape}, weight"
            f" {weight.shape})"
        )
    if style.shape != input.shape[:2]:
        raise ValueError(f"{op}: style has shape {style.shape}, expected {input.shape[:2]} for input {input.shape}")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ValueError(f"{op}: bias has shape {bias.shape}, expected {weight.shape[:1]} (weight {weight.shape})")
    if not eps >= 0:
        raise ValueError(f"{op}: eps must not be negative, got {eps}")
    settings = pair_of(op, "stride", stride, 1), pair_of(op, "padding", padding, 0)
    geometry = ConvGeometry(input.shape, weight.shape, *settings, (1, 1), 1)
    if min(geometry.y_shape[2:]) < 1:
        raise ValueError(
            f"{op}: the kernel {weight.shape[2:]} is larger than the padded input (input {input.shape}, padding"
            f" {padding}, weight {weight.shape})"
        )
    y = Conv(geometry)(input * reshape(style, (*style.shape, 1, 1)), weight)
    if demodulate:
        squares = sum(square(weight), (2, 3))
        d = rsqrt(matmul(square(style), transpose(squares, 0, 1)) + eps)
        y = y * reshape(d, (*d.shape, 1, 1))
    return y if bias is None else y + reshape(bias, (1, -1, 1, 1))
