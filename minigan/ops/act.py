"""Activations, hand-written to the second order where the lectures look inside: leaky-ReLU and tanh.

leaky-ReLU is piecewise linear: its gradient is g or slope g, by the sign of x. That is linear in g, so its own
derivative in g is itself, and in x it is zero wherever it exists: a vjp of None, which is why the second pass of a
gradient penalty never revisits the activations of a leaky-ReLU critic.
"""

from __future__ import annotations

import math

import numpy as np

from minigan import kernels

from ..autograd import Op, Tensor
from ..backend import FLOATS, float32, namespace
from .basic import cast, neg, where
from .elementary import Clip, Floating, erf, exp, expm1
from .reduce import amax
from .shape import axis_index, reshape


class LeakyRelu(Op):
    """y = x where x > 0, else slope x
    dL/dx = LeakyReluGrad(x, g)"""

    name = "leaky_relu"

    def __init__(self, slope: float) -> None:
        self.slope = slope
        # With a slope that keeps signs, the output says where x > 0, and x need not be kept.
        self.saves_output = slope >= 0
        self.saves_input = not self.saves_output

    def forward(self, x):
        return kernels.act.leaky_relu(x, self.slope)

    def prepare(self, work, inputs, outputs):
        kernels.act.leaky_relu(inputs[0], self.slope, outputs[0], work=work)

    def vjp(self, node, need, g):
        return (LeakyReluGrad(self.slope)(node.output() if self.saves_output else node.inputs[0], g),)

    def reference(self, x):
        return where(x > 0, x, x * self.slope)


class LeakyReluGrad(Op):
    """y = g where x > 0, else slope g
    dL/dx = 0
    dL/dg = LeakyReluGrad(x, h)"""

    name = "leaky_relu_grad"

    def __init__(self, slope: float) -> None:
        self.slope = slope

    def forward(self, x, g):
        return kernels.act.leaky_relu_grad(x, g, self.slope)

    def prepare(self, work, inputs, outputs):
        kernels.act.leaky_relu_grad(*inputs, self.slope, outputs[0], work=work)

    def vjp(self, node, need, h):
        # learn: leaky-relu-grad begin
        return None, LeakyReluGrad(self.slope)(node.inputs[0], h) if need[1] else None
        # learn: leaky-relu-grad end

    def reference(self, x, g):
        return where(x > 0, g, g * self.slope)


class Tanh(Op):
    """y = tanh x
    dL/dx = TanhGrad(y, g)"""

    name, saves_input, saves_output = "tanh", False, True

    def forward(self, x):
        return kernels.act.tanh(x)

    def prepare(self, work, inputs, outputs):
        kernels.act.tanh(inputs[0], outputs[0], work=work)

    def vjp(self, node, need, g):
        return (TanhGrad()(node.output(), g),)

    def reference(self, x):
        return 1 - 2 / (exp(2 * x) + 1)


class TanhGrad(Op):
    """d = g (1 - y^2)
    dL/dy = -2 h g y
    dL/dg = h (1 - y^2)"""

    name = "tanh_grad"

    def forward(self, y, g):
        return kernels.act.tanh_grad(y, g)

    def prepare(self, work, inputs, outputs):
        kernels.act.tanh_grad(*inputs, outputs[0], work=work)

    def vjp(self, node, need, h):
        # learn: tanh-grad begin
        y, g = node.inputs
        return h * g * y * -2.0 if need[0] else None, TanhGrad()(y, h) if need[1] else None
        # learn: tanh-grad end

    def reference(self, y, g):
        return g * (1 - y * y)


class Sigmoid(Floating):
    """y = 1 / (1 + e^-x)
    dL/dx = g y (1 - y)"""

    saves_input, saves_output = False, True

    def forward(self, x):
        return kernels.act.sigmoid(x if x.dtype in FLOATS else x.astype(float32))

    def prepare(self, work, inputs, outputs):
        if inputs[0].dtype in FLOATS:
            kernels.act.sigmoid(inputs[0], outputs[0], work=work)
        else:
            Op.prepare(self, work, inputs, outputs)

    def vjp(self, node, need, g):
        # learn: sigmoid begin
        y = node.output()
        return (g * (y * (1 - y)),)
        # learn: sigmoid end


class Softplus(Op):
    """y = ln(1 + e^(beta x)) / beta, and x itself where beta x > threshold
    dL/dx = g sigmoid(beta x), and g where beta x > threshold"""

    name = "softplus"

    def __init__(self, beta: float, threshold: float) -> None:
        self.beta, self.threshold = beta, threshold

    def forward(self, x):
        if isinstance(x, np.ndarray):
            return kernels.act.softplus(x, self.beta, self.threshold)
        xp, z = namespace(x), x * self.beta
        y = (xp.maximum(z, 0) + xp.log1p(xp.exp(-xp.abs(z)))) / self.beta
        return xp.where(z > self.threshold, x, y).astype(x.dtype)

    def prepare(self, work, inputs, outputs):
        (x,), (y,) = inputs, outputs
        if isinstance(x, np.ndarray):
            kernels.act.softplus(x, self.beta, self.threshold, y, work=work)
        else:
            super().prepare(work, inputs, outputs)

    def vjp(self, node, need, g):
        # learn: softplus begin
        z = node.inputs[0] * self.beta
        return (where(z > self.threshold, g, g * sigmoid(z)),)
        # learn: softplus end


sigmoid, _tanh = Sigmoid(), Tanh()


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x where x > 0, else negative_slope x; the derivative at 0 is negative_slope.

    Here and below, `inplace` is accepted because torch has it; nothing is overwritten.
    """
    return LeakyRelu(float(negative_slope))(_floating(input))


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0); the derivative at 0 is 0."""
    return LeakyRelu(0.0)(_floating(input))


def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    return _tanh(_floating(input))


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """ln(1 + e^(beta x)) / beta, a smooth relu; exactly x where beta x > threshold, as in PyTorch."""
    return Softplus(beta, threshold)(_floating(input))


def logsigmoid(input: Tensor) -> Tensor:
    """ln(1 / (1 + e^-x)) = -softplus(-x), without overflow."""
    return neg(softplus(neg(input), threshold=math.inf))


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where x > 0, else alpha (e^x - 1)."""
    input = _floating(input)
    return relu(input) + alpha * expm1(Clip(None, 0.0)(input))


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """x sigmoid(x), also called swish (Hendrycks & Gimpel 2016)."""
    input = _floating(input)
    return input * sigmoid(input)


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """x P(a standard normal number < x) = x (1 + erf(x / sqrt 2)) / 2 (Hendrycks & Gimpel 2016).

    approximate: "tanh" for x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2 instead. Raises ValueError for another.
    """
    x = _floating(input)
    if approximate == "none":
        return x * 0.5 * (1 + erf(x * math.sqrt(0.5)))
    if approximate != "tanh":
        raise ValueError(f"gelu: unknown approximate {approximate!r}; known: none, tanh")
    return x * 0.5 * (1 + tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * (x * x * x))))


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """x where x > 0, else weight x; one weight for all, or one a channel, axis 1. The derivative at 0 is the weight's.

    Raises ValueError for another number of weights.
    """
    input = _floating(input)
    channels = input.shape[1] if input.ndim > 1 else 1
    if weight.ndim > 1 or weight.data.size not in (1, channels):
        raise ValueError(f"prelu: weight {weight.shape} does not fit input {input.shape}; give 1 or {channels} numbers")
    positive = input > 0
    slope = reshape(weight, (-1,) + (1,) * max(input.ndim - 2, 0)) if input.ndim else reshape(weight, ())
    return where(positive, input, slope * where(positive, 0.0, input))


def maxout(input: Tensor, pieces: int, dim: int = 1) -> Tensor:
    """The largest of each `pieces` consecutive features along axis `dim`, whose size they divide (Goodfellow et al.
    2013)."""
    axis = axis_index(dim, input.ndim, "maxout")
    size = input.shape[axis]
    if pieces < 1 or size % pieces:
        raise ValueError(f"maxout: {pieces} pieces do not divide axis {axis} of shape {input.shape}")
    groups = reshape(input, (*input.shape[:axis], size // pieces, pieces, *input.shape[axis + 1 :]))
    return amax(groups, axis + 1)


def _floating(input: Tensor) -> Tensor:
    if not isinstance(input, Tensor):
        raise TypeError(f"expected a Tensor, got {type(input).__name__}; wrap it with minigan.tensor(...)")
    return input if input.dtype in FLOATS else cast(input, float32)
