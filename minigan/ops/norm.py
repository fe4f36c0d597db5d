"""Machine room, ops: normalisation, batch, instance and layer norm.

Batch norm over the M = N H W values of a channel, with mean m, variance v, r = (v + eps)^(-1/2), h = (x - m) r:

    y = w h + b                                  (Ioffe & Szegedy 2015, equations of Algorithm 1)

The mean and variance depend on x, so the gradient has three terms, <.> being the mean over the channel:

    dx = w r (g - <g> - h <g h>),    dw = M <g h>,    db = M <g>.

`BatchNormGrad` is that as an op of (x, w, g); it recomputes m and r from x, because a kept statistic would be a
constant to the next order. Its own gradient is the hand-written `BatchNormGradGrad`. That op's gradient, and all
further ones, come from its reference.

Instance and layer norm are h along axes of their own, m and v being each sample's. `Standardise` is that, its gradient
dx = r (g - <g> - h <g h>) is `StandardiseGrad`, and what follows comes from that one's reference. Weight and bias are
ordinary products and sums.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minigan import kernels

from ..autograd import Op, Tensor, array_of, grad, in_place, is_grad_enabled
from ..backend import on
from .elementary import rsqrt
from .matmul import same_dtype
from .reduce import mean, sum
from .shape import reshape


def _axes(x: Tensor) -> tuple[int, ...]:
    return (0, *range(2, x.ndim))


def _channel(t: Tensor, like: Tensor) -> Tensor:
    return reshape(t, (1, -1) + (1,) * (like.ndim - 2))


def _standardise(x: Tensor, axes: tuple[int, ...], eps: float) -> tuple[Tensor, Tensor]:
    """h = (x - m) r along `axes`, and r, composed of basic ops; each depends on x."""
    centred = x - mean(x, axes, keepdim=True)
    r = rsqrt(mean(centred * centred, axes, keepdim=True) + eps)
    return centred * r, r


def _projection(g: Tensor, h: Tensor, axes: tuple[int, ...]) -> Tensor:
    """g - <g> - h <g h>: g without its parts along 1 and along h, which is what centring and scaling leave of it."""
    return g - mean(g, axes, keepdim=True) - h * mean(g * h, axes, keepdim=True)


class BatchNorm(Op):
    """y, m, v = w h + b, <x>, <(x - m)^2>, with h = (x - m) r, r = (v + eps)^(-1/2)
    dL/dx = w r (g - <g> - h <g h>), the first result of BatchNormGrad(x, w, g)
    dL/dw = M <g h>, its second
    dL/db = M <g>, its third

    m and v come along for the layer's running statistics. The lines hold for a loss of y; a loss of m or v as well is
    rare, and gets the derivative of the reference.
    """

    name = "batch_norm"

    def __init__(self, eps: float) -> None:
        self.eps = eps

    def forward(self, x, w, b):
        return kernels.norm.batch_norm(x, w, b, self.eps)

    def prepare(self, work, inputs, outputs, slope=1.0):
        kernels.norm.batch_norm(*inputs, self.eps, slope=slope, out=tuple(outputs), work=work)

    def vjp(self, node, need, g, *of_statistics):
        if g is None or of_statistics != (None, None):  # a loss of the statistics themselves: rare, so composed
            return super().vjp(node, need, g, *of_statistics)
        x, w, _ = node.inputs
        if not (need[0] or need[1]):
            return None, None, sum(g, _axes(g))
        # dw and db are by-products of dx: the sums it needs.
        return tuple(d if n else None for d, n in zip(BatchNormGrad(self.eps)(x, w, g), need, strict=True))

    def reference(self, x, w, b):
        h, r = _standardise(x, _axes(x), self.eps)
        variance = reshape(1 / (r * r) - self.eps, w.shape)
        return h * _channel(w, x) + _channel(b, x), mean(x, _axes(x)), variance


class BatchNormGrad(Op):
    """dx, dw, db = w r (g - <g> - h <g h>), M <g h>, M <g>
    dL/dx = r (u - <u> - h <u h>) - r^2 h w S
    dL/dw = r M S
    dL/dg = w r (a - <a> - h <a h>) + p h + q

    a, p, q are the cotangents of dx, dw, db; S = <a g> - <a><g> - <a h><g h>, u = -w r (a <g h> + g <a h>) + p g.
    BatchNormGradGrad computes all three.
    """

    name = "batch_norm_grad"

    def __init__(self, eps: float) -> None:
        self.eps = eps

    def forward(self, x, w, g):
        return kernels.norm.batch_norm_grad(x, w, g, self.eps)

    def prepare(self, work, inputs, outputs, slope=1.0, mask=None):
        kernels.norm.batch_norm_grad(*inputs, self.eps, mask=mask, slope=slope, out=tuple(outputs), work=work)

    def vjp(self, node, need, *cotangents):
        present = tuple(c is not None for c in cotangents)
        # db does not depend on x, nor db and dw on w: those gradients are zero.
        need = (need[0] and (present[0] or present[1]), need[1] and present[0], need[2])
        if not any(need):
            return None, None, None
        op = BatchNormGradGrad(self.eps, present, need)
        grads = iter(op(*node.inputs, *(c for c in cotangents if c is not None)))
        return tuple(next(grads) if n else None for n in need)

    def reference(self, x, w, g):
        # learn: batch-norm-grad begin
        h, r = _standardise(x, _axes(x), self.eps)
        dx = _channel(w, x) * r * _projection(g, h, _axes(x))
        return dx, sum(g * h, _axes(x)), sum(g, _axes(x))
        # learn: batch-norm-grad end


class BatchNormGradGrad(Op):
    """cx, cw, cg = the derivatives of BatchNormGrad by x, w and g, where `need`
    dL/dx = d(<s, cx> + <t, cw> + <u, cg>)/dx, from the reference
    dL/dw = d(<s, cx> + <t, cw> + <u, cg>)/dw, from the reference
    dL/dg = d(<s, cx> + <t, cw> + <u, cg>)/dg, from the reference
    dL/dcotangents = the same by each of a, p and q, from the reference

    cotangents: a, p, q of dx, dw, db, where `present`; s, t, u are those of cx, cw, cg, whose formulas BatchNormGrad
    states.
    """

    name = "batch_norm_grad_grad"

    def __init__(self, eps: float, present: tuple[bool, ...], need: tuple[bool, ...] = (True, True, True)) -> None:
        self.eps, self.present, self.need = eps, present, need

    def _operands(self, arrays):
        """x, w, g, and the cotangents of dx, dw, db, None for those that are zero."""
        cotangents = iter(arrays[3:])
        return *arrays[:3], *(next(cotangents) if here else None for here in self.present)

    def forward(self, x, w, g, *cotangents):
        outputs = kernels.norm.batch_norm_grad_grad(*self._operands((x, w, g, *cotangents)), self.eps, self.need)
        return tuple(d for d in outputs if d is not None)

    def prepare(self, work, inputs, outputs):
        arrays = iter(outputs)
        out = tuple(next(arrays) if n else None for n in self.need)
        kernels.norm.batch_norm_grad_grad(*self._operands(inputs), self.eps, self.need, out=out, work=work)

    def reference(self, x, w, g, *cotangents):
        # Differentiates the first gradient's reference; an alias is an end point that stays tied to its input.
        xs = [t._alias() if t.requires_grad else t.detach().requires_grad_() for t in (x, w, g)]
        outputs = BatchNormGrad(self.eps).reference(*xs)
        outputs = [y for y, here in zip(outputs, self.present, strict=True) if here]
        by = [t for t, n in zip(xs, self.need, strict=True) if n]
        return grad(outputs, by, cotangents, create_graph=is_grad_enabled())


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Batch normalisation of input (N, C) or (N, C, ...), per channel.

    training: use the batch's statistics and move the running ones (if given) towards them by `momentum`, with the
    unbiased variance; else use the running ones as constants. Raises ValueError for shapes that do not fit, or training
    on one value per channel.
    """
    op = "batch_norm"
    if input.ndim < 2:
        raise ValueError(f"{op}: input must be (N, C, ...), got shape {input.shape}")
    channels = input.shape[1]
    for name, t in {"running_mean": running_mean, "running_var": running_var, "weight": weight, "bias": bias}.items():
        if t is not None and t.shape != (channels,):
            raise ValueError(f"{op}: {name} has shape {t.shape}, expected {(channels,)} for input {input.shape}")
    same_dtype(op, input=input, weight=weight, bias=bias)
    if not training:
        if running_mean is None or running_var is None:
            raise ValueError(f"{op}: training=False needs running_mean and running_var")
        scale = rsqrt(running_var + eps)
        scale = scale if weight is None else scale * weight
        shift = -running_mean * scale if bias is None else bias - running_mean * scale
        return input * _channel(scale, input) + _channel(shift, input)
    count = input.shape[0] * int(np.prod(input.shape[2:]))
    if count <= 1:
        raise ValueError(f"{op}: training needs more than one value per channel, got input {input.shape}")
    weight = Tensor(on(array_of(input), np.ones(channels, input.dtype))) if weight is None else weight
    bias = Tensor(on(array_of(input), np.zeros(channels, input.dtype))) if bias is None else bias
    y, *statistics = BatchNorm(eps)(input, weight, bias)
    for running, batch, factor in zip((running_mean, running_var), statistics, (1, count / (count - 1)), strict=True):
        if running is not None:
            in_place(_move(1 - momentum, momentum * factor), [running], [batch])
    return y


def _move(keep: float, take: float):
    """running = keep running + take batch, as a function of their arrays."""

    def move(running: np.ndarray, batch: np.ndarray) -> None:
        running[...] = keep * running + take * batch

    return move


def instance_norm(
    input: Tensor,
    running_mean: None = None,
    running_var: None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Normalisation of input (N, C, H, W) over H and W, per sample and channel (Ulyanov et al. 2016).

    The sample's own statistics are always used: running ones, which PyTorch offers, raise ValueError.
    """
    op = "instance_norm"
    if running_mean is not None or running_var is not None or not use_input_stats:
        raise ValueError(f"{op}: running statistics are not supported; leave them None and use_input_stats True")
    if input.ndim < 3:
        raise ValueError(f"{op}: input must be (N, C, ...), got shape {input.shape}")
    if int(np.prod(input.shape[2:])) <= 1:
        raise ValueError(f"{op}: needs more than one value per sample and channel, got input {input.shape}")
    h = Standardise(tuple(range(2, input.ndim)), eps)(input)
    return _affine(op, h, weight, bias, (input.shape[1],), input.ndim - 2)


def layer_norm(
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalisation over the last axes, whose sizes are `normalized_shape` (Ba et al. 2016)."""
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not shape or input.shape[-len(shape) :] != shape:
        raise ValueError(f"layer_norm: the last axes of input {input.shape} are not {shape}")
    axes = tuple(range(input.ndim - len(shape), input.ndim))
    return _affine("layer_norm", Standardise(axes, eps)(input), weight, bias, shape, 0)


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Normalisation of input (N, C, ...) per sample and group of C / num_groups channels (Wu & He 2018).

    weight and bias (C) come after it. Raises ValueError for shapes that do not fit, TypeError for mixed dtypes.
    """
    op = "group_norm"
    if input.ndim < 2:
        raise ValueError(f"{op}: input must be (N, C, ...), got shape {input.shape}")
    channels = input.shape[1]
    if num_groups < 1 or channels % num_groups:
        raise ValueError(f"{op}: num_groups {num_groups} does not divide the {channels} channels of {input.shape}")
    size = channels // num_groups * int(np.prod(input.shape[2:], dtype=np.int64))
    if size <= 1:
        raise ValueError(f"{op}: needs more than one value per sample and group, got input {input.shape}")
    h = Standardise((2,), eps)(reshape(input, (input.shape[0], num_groups, size)))
    return _affine(op, reshape(h, input.shape), weight, bias, (channels,), input.ndim - 2)


def rms_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """x / sqrt(mean of x^2 + eps) over the last axes, whose sizes are `normalized_shape` (Zhang & Sennrich 2019).

    eps: None for the smallest step from 1 in the dtype. Raises ValueError for shapes that do not fit.
    """
    op = "rms_norm"
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not shape or input.shape[-len(shape) :] != shape:
        raise ValueError(f"{op}: the last axes of input {input.shape} are not {shape}")
    same_dtype(op, input=input)
    eps = float(np.finfo(input.dtype).eps) if eps is None else eps
    axes = tuple(range(input.ndim - len(shape), input.ndim))
    return _affine(op, input * rsqrt(mean(input * input, axes, True) + eps), weight, None, shape, 0)


class Standardise(Op):
    """h = (x - m) r along `axes`, with their own mean m and biased variance v, r = (v + eps)^(-1/2)
    dL/dx = StandardiseGrad(x, g)"""

    name = "standardise"

    def __init__(self, axes: tuple[int, ...], eps: float) -> None:
        self.axes, self.eps = axes, eps

    def forward(self, x):
        return kernels.layernorm.standardise(x, self.axes, self.eps)

    def prepare(self, work, inputs, outputs):
        kernels.layernorm.standardise(*inputs, self.axes, self.eps, out=outputs[0], work=work)

    def vjp(self, node, need, g):
        return (StandardiseGrad(self.axes, self.eps)(node.inputs[0], g),)

    def reference(self, x):
        return _standardise(x, self.axes, self.eps)[0]


class StandardiseGrad(Op):
    """dx = r (g - <g> - h <g h>) along `axes`
    dL/dx = r (u - <u> - h <u h>) - r^2 h S
    dL/dg = r (a - <a> - h <a h>)

    a is the cotangent of dx; S = <a g> - <a><g> - <a h><g h>, u = -r (a <g h> + g <a h>). Computed from the reference.
    """

    name = "standardise_grad"

    def __init__(self, axes: tuple[int, ...], eps: float) -> None:
        self.axes, self.eps = axes, eps

    def forward(self, x, g):
        return kernels.layernorm.standardise_grad(x, g, self.axes, self.eps)

    def prepare(self, work, inputs, outputs):
        kernels.layernorm.standardise_grad(*inputs, self.axes, self.eps, out=outputs[0], work=work)

    def reference(self, x, g):
        h, r = _standardise(x, self.axes, self.eps)
        return r * _projection(g, h, self.axes)


def _affine(
    op: str, h: Tensor, weight: Tensor | None, bias: Tensor | None, shape: tuple[int, ...], trailing: int
) -> Tensor:
    same_dtype(op, input=h, weight=weight, bias=bias)
    for name, t in {"weight": weight, "bias": bias}.items():
        if t is not None and t.shape != shape:
            raise ValueError(f"{op}: {name} has shape {t.shape}, expected {shape}")
    inner = shape + (1,) * trailing
    h = h if weight is None else h * reshape(weight, inner)
    return h if bias is None else h + reshape(bias, inner)
