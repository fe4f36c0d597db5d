"""Broken derivatives: wrong signs, factors, axes, kink sides, things held constant, needs and Nones mistaken."""

import numpy as np
from mutants import mutant, rule

from minigan.autograd import Tensor
from minigan.ops import act as ops_act
from minigan.ops import basic as ops_basic
from minigan.ops import conv as ops_conv
from minigan.ops import elementary as ops_elementary
from minigan.ops import extreme as ops_extreme
from minigan.ops import index as ops_index
from minigan.ops import matmul as ops_matmul
from minigan.ops import norm as ops_norm
from minigan.ops import reduce as ops_reduce
from minigan.ops import shape as ops_shape
from minigan.ops.basic import broadcast_to, neg, where
from minigan.ops.elementary import sin
from minigan.ops.index import Index, IndexAdd, filled
from minigan.ops.reduce import mean, sum
from minigan.ops.shape import Permute, reshape, transpose

# Elementwise


@mutant("add: broadcast gradient not summed back", ops_basic.Add, "vjp", "gradient", "add")
def _(self, node, need, g):
    return g, g


@mutant("add: broadcast gradient averaged", ops_basic.Add, "vjp", "gradient", "add")
def _(self, node, need, g):
    return tuple(ops_basic.sum_to(g, x.shape) * (x.data.size / g.data.size) for x in node.inputs)


@rule("sub: sign of db", ops_basic.Sub, "gradient", "sub")
def _(node, g):
    return g, g


@rule("mul: the factors swapped", ops_basic.Mul, "gradient", "mul")
def _(node, g):
    a, b = node.inputs
    return g * a, g * b


@rule("mul: the other factor held constant", ops_basic.Mul, "higher_orders", "mul")
def _(node, g):
    a, b = node.inputs
    return g * b.detach(), g * a.detach()


@mutant("mul: need ignored", ops_basic.Mul, "vjp", "need_is_honoured", "mul")
def _(self, node, need, g):
    a, b = node.inputs
    return ops_basic.sum_to(g * b, a.shape), ops_basic.sum_to(g * a, b.shape)


@mutant("mul: None returned for an input that is needed", ops_basic.Mul, "vjp", "gradient", "mul")
def _(self, node, need, g):
    a, b = node.inputs
    return (ops_basic.sum_to(g * b, a.shape), None) if all(need) else (None, None)


@mutant("mul: answers depend on what else is needed", ops_basic.Mul, "vjp", "need", "mul")
def _(self, node, need, g):
    a, b = node.inputs
    scale = 1.0 if all(need) else 2.0
    return tuple(
        ops_basic.sum_to(g * y * scale, x.shape) if n else None for x, y, n in zip((a, b), (b, a), need, strict=True)
    )


@rule("div: db lacks a division", ops_basic.Div, "gradient", "div")
def _(node, g):
    a, b = node.inputs
    return g / b, neg(g * a / b)


@rule("div: sign of db", ops_basic.Div, "gradient", "div")
def _(node, g):
    a, b = node.inputs
    return g / b, g * a / (b * b)


@rule("exp: slope one", ops_elementary.Exp, "gradient", "exp")
def _(node, g):
    return g


@rule("exp: output kept as a constant", ops_elementary.Exp, "higher_orders", "exp")
def _(node, g):
    return g * Tensor(node.outputs[0])


@rule("log1p: the one forgotten", ops_elementary.Log1p, "gradient", "log1p")
def _(node, g):
    return g / node.inputs[0]


@rule("sqrt: factor two", ops_elementary.Sqrt, "gradient", "sqrt")
def _(node, g):
    return g / node.output()


@rule("rsqrt: square for cube", ops_elementary.Rsqrt, "gradient", "rsqrt")
def _(node, g):
    return g * -0.5 * node.output() * node.output()


@rule("cos: sign", ops_elementary.Cos, "gradient", "cos")
def _(node, g):
    return g * sin(node.inputs[0])


@mutant("pow: exponent not lowered", ops_elementary.PowScalar, "vjp", "gradient", "pow.cube")
def _(self, node, need, g):
    return (g * self.exponent * self(node.inputs[0]),)


@rule("abs: slope 1 at 0", ops_elementary.Abs, "kink", "abs")
def _(node, g):
    return where(node.inputs[0].data >= 0, g, -g)


@rule("maximum: ties to the first", ops_elementary.Maximum, "kink", "maximum")
def _(node, g):
    first = node.inputs[0].data >= node.inputs[1].data
    return where(first, g, 0.0), where(first, 0.0, g)


@mutant("clip: open interval", ops_elementary.Clip, "vjp", "kink", "clip")
def _(self, node, need, g):
    x = node.inputs[0].data
    return (g * Tensor(((x > self.low) & (x < self.high)).astype(g.dtype)),)


@rule("where: both branches receive all", ops_basic.Where, "gradient", "where")
def _(node, g):
    return None, g, g


@rule("broadcast_to: adjoint averages", ops_basic.BroadcastTo, "gradient", "broadcast_to")
def _(node, g):
    return g * (node.inputs[0].data.size / g.data.size)


# Shapes, reductions, products


@mutant("permute: same order back", ops_shape.Permute, "vjp", "gradient", "permute")
def _(self, node, need, g):
    return (Permute(self.axes)(g),)


@mutant("index: a repeated position keeps the last only", IndexAdd, "forward", "gradient", "__getitem__.repeated")
def _(self, x, *arrays):
    y = np.zeros(self.shape, x.dtype)
    y[filled(self.key, arrays)] = x
    return y


@mutant("index: cotangent held constant", Index, "vjp", "higher_orders", "__getitem__.slice")
def _(self, node, need, g):
    return (IndexAdd(self.key, node.inputs[0].shape)(g.detach()),)


@mutant("cat: pieces of the first size", ops_index.Concat, "vjp", "gradient", "cat")
def _(self, node, need, g):
    lead = (slice(None),) * self.axis
    return tuple(
        Index((*lead, slice(0, x.shape[self.axis])))(g) if n else None for x, n in zip(node.inputs, need, strict=True)
    )


@mutant("pad: wrong side cut off", ops_index.Pad, "vjp", "gradient", "pad")
def _(self, node, need, g):
    inner = tuple(slice(high, high + n) for (_, high), n in zip(self.widths, node.inputs[0].shape, strict=True))
    return (Index(inner)(g),)


@mutant("sum: repeated along the wrong axis", ops_reduce.Sum, "vjp", "gradient", "sum")
def _(self, node, need, g):
    shape = node.inputs[0].shape
    return (broadcast_to(reshape(g, g.shape + (1,) * (len(shape) - g.ndim)), shape),)


@mutant("amax: the first of equals takes all", ops_extreme.Extreme, "vjp", "kink", "amax")
def _(self, node, need, g):
    x, shape = node.inputs[0], ops_extreme.without(node.inputs[0].shape, self.axes, keepdims=True)
    hit = x.data == node.outputs[0].reshape(shape)
    first = hit & (np.cumsum(hit, self.axes[-1]) == 1)
    return (reshape(g, shape) * Tensor(first.astype(g.dtype)),)


@rule("softmax: the sum forgotten", ops_reduce.Softmax, "gradient", "softmax")
def _(node, g):
    return node.output() * g


@mutant("softmax: output held constant", ops_reduce.Softmax, "vjp", "higher_orders", "softmax")
def _(self, node, need, g):
    y = Tensor(node.outputs[0])
    return (y * (g - sum(g * y, self.axis, keepdim=True)),)


@mutant("log_softmax: y for e^y", ops_reduce.LogSoftmax, "vjp", "gradient", "log_softmax")
def _(self, node, need, g):
    return (g - node.output() * sum(g, self.axis, keepdim=True),)


@mutant("safe_norm: no care at zero", ops_reduce, "safe_norm", "kink", "norm")
def _(input, dim=None, keepdim=False):
    return ops_elementary.sqrt(sum(input * input, dim, keepdim))


@mutant("matmul: da without the transpose", ops_matmul.MatMul, "vjp", "gradient", "matmul")
def _(self, node, need, g):
    a, b = node.inputs
    return self(g, b), self(transpose(a, -1, -2), g)


@mutant("matmul: the factor held constant", ops_matmul.MatMul, "vjp", "higher_orders", "matmul")
def _(self, node, need, g):
    a, b = (x.detach() for x in node.inputs)
    return self(g, transpose(b, -1, -2)), self(transpose(a, -1, -2), g)


# Activations


@rule("tanh_grad: its dependence on y forgotten", ops_act.TanhGrad, "higher_orders", "tanh")
def _(node, h):
    y, _ = node.inputs
    return None, ops_act.TanhGrad()(y, h)


@rule("tanh_grad: factor two in d/dy", ops_act.TanhGrad, "reference_orders", "tanh")
def _(node, h):
    y, g = node.inputs
    return -(h * g * y), ops_act.TanhGrad()(y, h)


@mutant("leaky_relu: slopes exchanged", ops_act.LeakyRelu, "vjp", "gradient", "leaky_relu")
def _(self, node, need, g):
    return (ops_act.LeakyReluGrad(self.slope)(neg(node.inputs[0]), g),)


@mutant(
    "leaky_relu: a zero gradient made of nothing", ops_act.LeakyReluGrad, "vjp", "need_is_honoured", "leaky_relu_grad"
)
def _(self, node, need, h):
    return Tensor(np.zeros_like(h.data)), ops_act.LeakyReluGrad(self.slope)(node.inputs[0], h)


@rule("sigmoid: output held constant", ops_act.Sigmoid, "torch_orders", "sigmoid")
def _(node, g):
    y = Tensor(node.outputs[0])
    return g * (y * (1 - y))


@mutant("softplus: beta forgotten inside", ops_act.Softplus, "vjp", "gradient", "softplus")
def _(self, node, need, g):
    return (g * ops_act.sigmoid(node.inputs[0]),)


# Convolution


@mutant("conv2d: bias gradient lacks the batch", ops_conv.Conv, "vjp", "gradient", "conv2d")
def _(self, node, need, g):
    x, w, *b = node.inputs
    dx, dw = ops_conv.ConvInput(self.geometry)(g, w), ops_conv.ConvWeight(self.geometry)(x, g)
    return (dx, dw, sum(g[0], (1, 2))) if b else (dx, dw)


@mutant("conv2d: need ignored", ops_conv.Conv, "vjp", "need_is_honoured", "conv2d")
def _(self, node, need, g):
    x, w, *b = node.inputs
    dx, dw = ops_conv.ConvInput(self.geometry)(g, w), ops_conv.ConvWeight(self.geometry)(x, g)
    return (dx, dw, sum(g, (0, 2, 3))) if b else (dx, dw)


@mutant("conv_transpose2d: the filter held constant", ops_conv.ConvInput, "vjp", "higher_orders", "conv_transpose2d")
def _(self, node, need, h):
    g, w, *b = node.inputs
    dg, dw = ops_conv.Conv(self.geometry)(h, w.detach()), ops_conv.ConvWeight(self.geometry)(h, g)
    return (dg, dw, sum(h, (0, 2, 3))) if b else (dg, dw)


@mutant("conv_weight: its gradient by the image is zero", ops_conv.ConvWeight, "vjp", "gradient", "conv_weight")
def _(self, node, need, v):
    return None, ops_conv.Conv(self.geometry)(node.inputs[0], v)


# Normalisation


@mutant(
    "batch_norm: dx twice too large (zero under a cotangent of ones)",
    ops_norm.BatchNorm,
    "vjp",
    "gradient",
    "batch_norm.train",
)
def _(self, node, need, g, *of_statistics):
    x, w, _ = node.inputs
    dx, dw, db = ops_norm.BatchNormGrad(self.eps)(x, w, g)
    return dx * 2, dw, db


@mutant(
    "batch_norm: statistics held constant in the first order", ops_norm.BatchNorm, "vjp", "gradient", "batch_norm.train"
)
def _(self, node, need, g, *of_statistics):
    x, w, _ = node.inputs
    h, r = ops_norm._standardise(x.detach(), ops_norm._axes(x), self.eps)
    axes = ops_norm._axes(x)
    return g * ops_norm._channel(w, x) * r, sum(g * h, axes), sum(g, axes)


@mutant(
    "batch_norm: statistics held constant in the second order",
    ops_norm.BatchNorm,
    "vjp",
    "higher_orders",
    "batch_norm.train",
)
def _(self, node, need, g, *of_statistics):
    x, w, _ = node.inputs
    h, r = ops_norm._standardise(x.detach(), ops_norm._axes(x), self.eps)
    axes = ops_norm._axes(x)
    centred_g = g - mean(g, axes, keepdim=True) - h * mean(g * h, axes, keepdim=True)
    return ops_norm._channel(w, x) * r * centred_g, sum(g * h, axes), sum(g, axes)


@mutant("batch_norm: <g h> term missing", ops_norm.BatchNormGrad, "reference", "reference_orders", "batch_norm.train")
def _(self, x, w, g):
    h, r = ops_norm._standardise(x, ops_norm._axes(x), self.eps)
    axes = ops_norm._axes(x)
    return ops_norm._channel(w, x) * r * (g - mean(g, axes, keepdim=True)), sum(g * h, axes), sum(g, axes)


@mutant(
    "batch_norm_grad: a dropped output taken for ones", ops_norm.BatchNormGrad, "vjp", "gradient", "batch_norm_grad"
)
def _(self, node, need, *cotangents):
    shapes = (node.inputs[0].shape, node.inputs[1].shape, node.inputs[1].shape)
    filled = [Tensor(np.ones(s)) if c is None else c for c, s in zip(cotangents, shapes, strict=True)]
    grads = ops_norm.BatchNormGradGrad(self.eps, (True,) * 3)(*node.inputs, *filled)
    return tuple(d if n else None for d, n in zip(grads, need, strict=True))


@mutant("layer_norm: eps outside the root", ops_norm, "_standardise", "values", "layer_norm", "instance_norm")
def _(x, axes, eps):
    centred = x - mean(x, axes, keepdim=True)
    r = 1 / (ops_elementary.sqrt(mean(centred * centred, axes, keepdim=True)) + eps)
    return centred * r, r


# Powers and gathered sums


@rule("pow: the exponent not lowered", ops_elementary.PowScalar, "gradient", "pow.cube")
def _(node, g):
    return (g * node.op.exponent * node.inputs[0] ** node.op.exponent,)


@rule("erf: the slope of a density of variance 1", ops_elementary.Erf, "gradient", "erf")
def _(node, g):
    x = node.inputs[0]
    return (g * 2 / np.sqrt(2 * np.pi) * ops_elementary.exp(-x * x / 2),)


@mutant("added in by number: a position named twice receives one", IndexAdd, "forward", "values", "index_add.to_zeros")
def _(self, x, *arrays):
    y = np.zeros(self.shape, x.dtype)
    y[filled(self.key, arrays)] = x
    return y
