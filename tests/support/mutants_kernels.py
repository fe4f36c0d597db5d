"""Broken kernels and forward passes: geometry slips, in-place writes, layouts misread, overflow, rounding."""

from dataclasses import replace
from itertools import count

import numpy as np
import test_dtypes
import test_kinks
from mutants import mutant
from scipy import special

from minigan import functional as F
from minigan import kernels
from minigan.autograd import Tensor, grad
from minigan.kernels.geometry import ConvGeometry
from minigan.ops import act as ops_act
from minigan.ops import basic as ops_basic
from minigan.ops import reduce as ops_reduce

CONV = {name: getattr(kernels.conv, name) for name in ("conv_forward", "conv_input", "conv_weight")}
NORM = {name: getattr(kernels.norm, name) for name in ("batch_norm", "batch_norm_grad", "batch_norm_grad_grad")}
POOL = kernels.pool.max_pool_index
STANDARDISE = {name: getattr(kernels.layernorm, name) for name in ("standardise", "standardise_grad")}
CALLS = count()
TANH, MATMUL, ERF = kernels.act.tanh, kernels.matmul.matmul, kernels.act.erf
ALONG = {name: getattr(kernels.along, name) for name in ("sum_along", "extreme_along", "extreme_share")}
CHOOSE, SOFTMAX = kernels.choose.choose, kernels.softmax.softmax

# Convolution


def slip(geometry: ConvGeometry, **changes) -> ConvGeometry:
    """The geometry with some settings changed and the same output size."""
    slipped = replace(geometry, **changes)
    grown = tuple(
        s * (o - 1) + d * (k - 1) + 1 - 2 * p
        for s, o, d, k, p in zip(
            slipped.stride, geometry.y_shape[2:], slipped.dilation, slipped.w_shape[2:], slipped.padding, strict=True
        )
    )
    return replace(slipped, x_shape=(*geometry.x_shape[:2], *grown))


def fitted(x, shape):
    """`x` cut or filled with zeros to (..., H, W)."""
    y = np.zeros((*x.shape[:2], *shape[2:]), x.dtype)
    h, w = (min(a, b) for a, b in zip(x.shape[2:], shape[2:], strict=True))
    y[:, :, :h, :w] = x[:, :, :h, :w]
    return y


@mutant("conv forward: stride taken for one", kernels.conv, "conv_forward", "values", "conv2d")
def _(x, w, geometry, bias=None, out=None):
    slipped = slip(geometry, stride=(1, 1))
    return CONV["conv_forward"](fitted(x, slipped.x_shape), w, slipped, bias)


@mutant("conv forward: dilation taken for one", kernels.conv, "conv_forward", "values", "conv2d")
def _(x, w, geometry, bias=None, out=None):
    slipped = slip(geometry, dilation=(1, 1))
    return CONV["conv_forward"](fitted(x, slipped.x_shape), w, slipped, bias)


@mutant("conv forward: filter turned round", kernels.conv, "conv_forward", "values", "conv2d")
def _(x, w, geometry, bias=None, out=None):
    return CONV["conv_forward"](x, w[:, :, ::-1, ::-1], geometry, bias)


@mutant("conv forward: bias added twice", kernels.conv, "conv_forward", "values", "conv2d")
def _(x, w, geometry, bias=None, out=None):
    return CONV["conv_forward"](x, w, geometry, None if bias is None else 2 * bias)


@mutant("conv input gradient: one row of padding off", kernels.conv, "conv_input", "gradient", "conv2d")
def _(g, w, geometry, bias=None, out=None):
    return np.roll(CONV["conv_input"](g, w, geometry, bias), 1, axis=2)


@mutant("conv input gradient: groups mixed", kernels.conv, "conv_input", "gradient", "conv2d")
def _(g, w, geometry, bias=None, out=None):
    shift = w.shape[0] // geometry.groups if geometry.groups > 1 else 0
    return CONV["conv_input"](g, np.roll(w, shift, axis=0), geometry, bias)


@mutant("conv input gradient: rows no window reads are filled", kernels.conv, "conv_input", "gradient", "conv2d")
def _(g, w, geometry, bias=None, out=None):
    dx = CONV["conv_input"](g, w, geometry, bias)
    read = (geometry.y_shape[2] - 1) * geometry.stride[0] + (w.shape[2] - 1) * geometry.dilation[0] + 1
    dx[:, :, max(0, read - geometry.padding[0]) :] += 1
    return dx


@mutant("transposed conv: output_padding's bias left out", kernels.conv, "conv_input", "values", "conv_transpose2d")
def _(g, w, geometry, bias=None, out=None):
    y = CONV["conv_input"](g, w, geometry)
    if bias is not None:
        y[:, :, :-1] += bias[:, None, None]
    return y


@mutant("conv weight gradient: dilation slips", kernels.conv, "conv_weight", "gradient", "conv2d")
def _(x, g, geometry, out=None):
    slipped = slip(geometry, dilation=(1, 1))
    return CONV["conv_weight"](fitted(x, slipped.x_shape), g, slipped)


@mutant("conv weight gradient: the last sample forgotten", kernels.conv, "conv_weight", "gradient", "conv2d")
def _(x, g, geometry, out=None):
    fewer = replace(geometry, x_shape=(max(1, len(x) - 1), *geometry.x_shape[1:]))
    return CONV["conv_weight"](x[: fewer.x_shape[0]], g[: fewer.x_shape[0]], fewer)


@mutant("conv weight gradient: reads NHWC memory as NCHW", kernels.conv, "conv_weight", "layouts", "conv2d")
def _(x, g, geometry, out=None):
    pixels = x.transpose(0, 2, 3, 1)
    if pixels.flags.c_contiguous and not x.flags.c_contiguous:
        x = pixels.reshape(x.shape)
    return CONV["conv_weight"](x, g, geometry)


# Batch norm


@mutant("batch norm: unbiased variance", kernels.norm, "batch_norm", "values", "batch_norm.train")
def _(x, weight, bias, eps):
    m = x.size // x.shape[1]
    return NORM["batch_norm"](x, np.asarray(weight) * np.sqrt((m - 1) / m), bias, eps)


@mutant("layer norm: unbiased variance", kernels.layernorm, "standardise", "values", "layer_norm", "instance_norm")
def _(x, axes, eps, out=None):
    n = np.prod([x.shape[axis] for axis in axes])
    return STANDARDISE["standardise"](x, axes, eps) * np.sqrt((n - 1) / n).astype(x.dtype)


@mutant(
    "layer norm gradient: axes of one sample taken for all",
    kernels.layernorm,
    "standardise_grad",
    "gradient",
    "layer_norm",
)
def _(x, g, axes, eps, out=None):
    return STANDARDISE["standardise_grad"](x, g, (0, *axes), eps)


@mutant("layer norm gradient: eps forgotten", kernels.layernorm, "standardise_grad", "gradient", "layer_norm")
def _(x, g, axes, eps, out=None):
    return STANDARDISE["standardise_grad"](x, g, axes, 0.0)


@mutant("batch norm gradient: dw averaged", kernels.norm, "batch_norm_grad", "gradient", "batch_norm.train")
def _(x, weight, g, eps, need=(True, True, True)):
    dx, dw, db = NORM["batch_norm_grad"](x, weight, g, eps, need)
    return dx, dw * (x.shape[1] / x.size), db


@mutant("batch norm gradient: eps forgotten", kernels.norm, "batch_norm_grad", "gradient", "batch_norm.train")
def _(x, weight, g, eps, need=(True, True, True)):
    return NORM["batch_norm_grad"](x, weight, g, 0.0, need)


@mutant(
    "batch norm second order: S of the wrong sign",
    kernels.norm,
    "batch_norm_grad_grad",
    "higher_orders",
    "batch_norm.train",
)
def _(x, weight, g, ggx, ggw, ggb, eps, need=(True, True, True)):
    cx, cw, cg = NORM["batch_norm_grad_grad"](x, weight, g, ggx, ggw, ggb, eps, need)
    return cx, None if cw is None else -cw, cg


@mutant(
    "batch norm second order: cotangent of dw dropped",
    kernels.norm,
    "batch_norm_grad_grad",
    "higher_orders",
    "batch_norm.train",
)
def _(x, weight, g, ggx, ggw, ggb, eps, need=(True, True, True)):
    return NORM["batch_norm_grad_grad"](x, weight, g, ggx, None if ggw is None else 0 * ggw, ggb, eps, need)


@mutant(
    "batch norm second order: gradient by x lacks its mean term",
    kernels.norm,
    "batch_norm_grad_grad",
    "reference_orders",
    "batch_norm_grad",
)
def _(x, weight, g, ggx, ggw, ggb, eps, need=(True, True, True)):
    cx, cw, cg = NORM["batch_norm_grad_grad"](x, weight, g, ggx, ggw, ggb, eps, need)
    return None if cx is None else cx + x.mean(), cw, cg


# Activations, pooling, products


@mutant("relu: wrong side at zero", kernels.act, "leaky_relu_grad", "kink", "relu")
def _(x, g, slope, out=None):
    return np.where(x >= 0, g, g.dtype.type(slope) * g)


@mutant("relu: NaN becomes zero", kernels.act, "leaky_relu", test_kinks.test_nan_is_passed_on)
def _(x, slope, out=None):
    return np.where(x > 0, x, x.dtype.type(0))


@mutant("leaky_relu: slope squared in the gradient", kernels.act, "leaky_relu_grad", "gradient", "leaky_relu")
def _(x, g, slope, out=None):
    return np.where(x > 0, g, g.dtype.type(slope * slope) * g)


@mutant("leaky_relu: written into its input", kernels.act, "leaky_relu", "pure", "leaky_relu")
def _(x, slope, out=None):
    x[...] = np.where(x > 0, x, x.dtype.type(slope) * x)
    return x.copy()


@mutant("tanh_grad: written into its cotangent", kernels.act, "tanh_grad", "leaves_cotangents_alone", "tanh")
def _(y, g, out=None):
    g *= 1 - y * y
    return g


@mutant("tanh_grad: no square", kernels.act, "tanh_grad", "gradient", "tanh")
def _(y, g, out=None):
    return g * (1 - y)


@mutant("tanh: result in C order whatever came in", kernels.act, "tanh", "layouts", "tanh")
def _(x, out=None):
    return np.tanh(x.ravel("K")).reshape(x.shape)


@mutant("tanh: a little different every time", kernels.act, "tanh", "pure", "tanh")
def _(x, out=None):
    return np.tanh(x) + x.dtype.type(1e-6 * next(CALLS))


@mutant("tanh: computed in float64", kernels.act, "tanh", "dtypes", "tanh")
def _(x, out=None):
    return np.tanh(x.astype(np.float64))


@mutant("max_pool2d: the last of equals", kernels.pool, "max_pool_index", "kink", "max_pool2d")
def _(x, kernel, stride, padding, dilation, out_hw):
    turned = POOL(np.ascontiguousarray(x[:, :, ::-1, ::-1]), kernel, stride, padding, dilation, out_hw)
    return (x.shape[2] * x.shape[3] - 1 - turned)[:, :, ::-1, ::-1]


@mutant("max_pool2d: dilation ignored", kernels.pool, "max_pool_index", "values", "max_pool2d")
def _(x, kernel, stride, padding, dilation, out_hw):
    return POOL(x, kernel, stride, padding, (1, 1), out_hw)


@mutant("matmul: negative strides read as positive", kernels.matmul, "matmul", "layouts", "matmul")
def _(a, b, out=None):
    return MATMUL(a[::-1] if a.strides[0] < 0 else a, b)


# Forward passes


@mutant("sum_to: leading axes dropped, not summed", ops_basic.SumTo, "forward", "values", "sum_to")
def _(self, x):
    inner = x[(0,) * (x.ndim - len(self.shape))]
    return inner.sum(tuple(i for i, n in enumerate(self.shape) if n == 1)).reshape(self.shape)


@mutant("mean: divided by n - 1", ops_reduce, "_averaged", "values", "mean")
def _(input, dim, op):
    return input.data.size - 1


@mutant("softmax: an empty axis refused", ops_reduce.Softmax, "forward", "edge", "softmax")
def _(self, x):
    e = np.exp(x - x.max(self.axis, keepdims=True))
    return e / e.sum(self.axis, keepdims=True)


@mutant("softmax: no shift by the maximum", ops_reduce.Softmax, "forward", "kink", "softmax")
def _(self, x):
    return np.exp(x) / np.exp(x).sum(self.axis, keepdims=True)


@mutant("softplus: overflows", ops_act.Softplus, "forward", "kink", "softplus")
def _(self, x):
    return (np.log(1 + np.exp(x * self.beta)) / self.beta).astype(x.dtype)


@mutant("dropout: survivors not scaled", F, "dropout", "reference_values", "dropout")
def _(input, p=0.5, training=True, generator=None):
    keep = generator.uniform(input.shape) >= p
    return input * Tensor(keep.astype(input.dtype)) if training else input


@mutant("add: into its first operand", ops_basic.Add, "forward", "pure", "add")
def _(self, a, b):
    if a.shape == np.broadcast_shapes(a.shape, b.shape):
        a += b
        return a
    return a + b


@mutant("sums: accumulated in float32", ops_reduce, "wide_sum", test_dtypes.test_sums_are_accumulated_wide)
def _(x, axes, keepdims=False):
    return np.cumsum(x, dtype=x.dtype)[-1:].reshape(()) if len(axes) == x.ndim else x.sum(axes, keepdims=keepdims)


# Choices, sums and shares along an axis: of arrays for which the ops take a kernel


def large_choices():
    """`where` of arrays, and of a number beside one, is NumPy's."""
    c, x, y = (np.random.default_rng(k).standard_normal((64, 65)) for k in range(3))
    for a, b in ((x, y), (x, np.array(0.5)), (np.array(0.5), y)):
        np.testing.assert_array_equal(F.where(Tensor(c > 0), Tensor(a), Tensor(b)).data, np.where(c > 0, a, b))


def long_lines():
    """The largest of 20 whole numbers, and its gradient: an equal share to each of those that equal it."""
    x = Tensor(np.random.default_rng(3).integers(0, 5, (4, 20, 33)).astype(float)).requires_grad_()
    y = x.amax(1)
    np.testing.assert_array_equal(y.data, x.data.max(1))
    equal = x.data == x.data.max(1, keepdims=True)
    np.testing.assert_allclose(grad(y.sum(), x)[0].data, equal / equal.sum(1, keepdims=True))


def curve_of_erf():
    """The kernel's erf in float32 is SciPy's to eight parts in ten million."""
    x = np.linspace(-6, 6, 5000).astype(np.float32)
    np.testing.assert_allclose(Tensor(x).erf().data, special.erf(x.astype(float)), atol=8e-7)


@mutant("where: the sides swapped", kernels.choose, "choose", large_choices)
def _(c, a, b, out=None):
    return CHOOSE(c, b, a, out)


@mutant("where: a number for all holds for the first element", kernels.choose, "choose", large_choices)
def _(c, a, b, out=None):
    y = CHOOSE(c, a, b, out)
    if a.ndim == 0 or b.ndim == 0:
        y.reshape(-1)[1:] = 0
    return y


@mutant("sum along an axis: the last row forgotten", kernels.along, "sum_along", "values", "sum")
def _(x, out=None):
    return ALONG["sum_along"](np.ascontiguousarray(x[:, : max(1, x.shape[1] - 1)]), out)


@mutant("amax: the smallest of an axis", kernels.along, "extreme_along", long_lines)
def _(x, largest, out=None):
    return ALONG["extreme_along"](x, not largest, out)


@mutant("amax: each of several largest has the whole gradient", kernels.along, "extreme_share", long_lines)
def _(x, y, out=None):
    whole = ALONG["extreme_share"](x, y)
    np.copyto(out, whole > 0)
    return out


@mutant("softmax: the axis behind is divided by its sum", kernels.softmax, "softmax", "dtypes", "softmax")
def _(x, log=False, out=None):
    y = SOFTMAX(x, log)
    return y / y.sum(2, keepdims=True) if x.shape[2] > 1 and not log else y


@mutant("log_softmax: the logarithm of another base", kernels.softmax, "softmax", "dtypes", "log_softmax")
def _(x, log=False, out=None):
    y = SOFTMAX(x, log)
    return y / np.float32(np.log(2)) if log else y


@mutant("erf: rounded beyond 2", kernels.act, "erf", curve_of_erf)
def _(x, out=None, *, work=None):
    return np.where(np.abs(x) > 2, np.sign(x), ERF(x)).astype(x.dtype)
