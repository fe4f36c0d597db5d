"""Gradients by hand: convolutions, norms and normalisations, the layers of a GAN."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from ..checks import derivatives, differences, equal, numbers, only_needed
from ..exercise import Exercise
from ..sources import source

track = partial(Exercise, track="layers")


def _convolved(x: np.ndarray, w: np.ndarray, stride: int, padding: int) -> np.ndarray:
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], (2, 3))[:, :, ::stride, ::stride]
    return np.einsum("ncyxij,ocij->noyx", windows, w)


GEOMETRIES = [((2, 2, 5, 4), (3, 2, 3, 2), 1, 0), ((1, 2, 5, 5), (2, 2, 3, 3), 2, 1)]
"""x, w, stride, padding."""


def conv_weight_loops(m: Any) -> Iterator[str]:
    for x_shape, w_shape, stride, padding in GEOMETRIES:
        x, w = numbers(*x_shape), numbers(*w_shape)
        g = numbers(*_convolved(x, w, stride, padding).shape)
        expected = differences(lambda a, g=g, x=x, s=stride, p=padding: float((g * _convolved(x, a, s, p)).sum()), w)
        yield from equal(
            f"dw for stride {stride}, padding {padding}",
            m.weight_gradient(x, g, w_shape, stride, padding),
            expected,
            "each y[n, o, oy, ox] used w[o, c, ky, kx] once, with the pixel at oy s - p + ky",
            1e-6,
        )


def conv_input_loops(m: Any) -> Iterator[str]:
    for x_shape, w_shape, stride, padding in GEOMETRIES:
        x, w = numbers(*x_shape), numbers(*w_shape)
        g = numbers(*_convolved(x, w, stride, padding).shape)
        expected = differences(lambda a, g=g, w=w, s=stride, p=padding: float((g * _convolved(a, w, s, p)).sum()), x)
        yield from equal(
            f"dx for stride {stride}, padding {padding}",
            m.input_gradient(g, w, x_shape, stride, padding),
            expected,
            "give each g[n, o, oy, ox] back to the pixels it was computed from",
            1e-6,
        )


def conv_op(m: Any, name: str, shapes: tuple, transposed: bool) -> Iterator[str]:
    from minigan.kernels.geometry import ConvGeometry

    geometry = ConvGeometry((2, 2, 3, 2), (2, 1, 2, 2), (2, 1), (1, 0), (1, 1), 2)
    op = getattr(m, name)(geometry)
    inputs = [
        numbers(*(geometry.x_shape if s == "x" else geometry.w_shape if s == "w" else geometry.y_shape)) for s in shapes
    ]
    bias = [numbers(geometry.x_shape[1] if transposed else geometry.w_shape[0])]
    yield from derivatives(name, op, *inputs, *bias, upto=2, reference=op.reference)
    yield from derivatives(f"{name} without a bias", op, *inputs, upto=2)
    yield from only_needed(name, op, *inputs)


def batch_norm(m: Any) -> Iterator[str]:
    x, w, b, g = numbers(6, 3) / 20 + 1, numbers(3, seed=1), numbers(3, seed=2), numbers(6, 3, seed=3)

    def loss(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> float:
        return float((g * (w * (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5) + b)).sum())

    dx, dw, db = m.batch_norm_gradient(x, w, g)
    yield from equal(
        "dx", dx, differences(lambda a: loss(a, w, b), x), "m and r depend on x as well: three terms", 1e-5
    )
    yield from equal("dw", dw, differences(lambda a: loss(x, a, b), w), tolerance=1e-5)
    yield from equal("db", db, differences(lambda a: loss(x, w, a), b), tolerance=1e-5)


def layer_norm(m: Any) -> Iterator[str]:
    x, g = numbers(3, 7) * 2 + 1, numbers(3, 7, seed=3)

    def loss(x: np.ndarray) -> float:
        return float((g * (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5)).sum())

    yield from equal(
        "dx",
        m.layer_norm_gradient(x, g),
        differences(loss, x),
        "take out of g its mean and its part along h, of each row by itself",
        1e-5,
    )


def upsample(m: Any) -> Iterator[str]:
    for k, shape in ((2, (2, 1, 3, 2)), (3, (1, 2, 2, 1))):
        x = numbers(*shape)
        g = numbers(shape[0], shape[1], k * shape[2], k * shape[3])
        expected = differences(lambda a, k=k, g=g: float((g * a.repeat(k, 2).repeat(k, 3)).sum()), x)
        yield from equal(
            f"dx for k = {k}", m.upsample_gradient(g, k), expected, "the sum over each block of k x k", 1e-6
        )


EXERCISES = [
    track(
        "conv-weight-loops",
        text="""What is the gradient of a convolution by its weights, as loops?

    y[n, o, oy, ox] = sum over c, ky, kx of  w[o, c, ky, kx] x[n, c, oy s - p + ky, ox s - p + kx]

with stride s and padding p; pixels outside the image count as 0. Each output used each weight once. So for a cotangent
g of y's shape,

    dw[o, c, ky, kx] = sum over n, oy, ox of  g[n, o, oy, ox] x[n, c, oy s - p + ky, ox s - p + kx].

Write it in plain loops, NumPy for the arrays. The grader compares with finite differences.""",
        source='''import numpy as np


def weight_gradient(x, g, shape, stride, padding):
    """dw of the given shape (O, C, KY, KX), for x (N, C, H, W) and g (N, O, OY, OX)."""
    dw = np.zeros(shape)
    height, width = x.shape[2:]
    # learn: conv-weight-loops begin
    for n, o, oy, ox in np.ndindex(g.shape):
        for c, ky, kx in np.ndindex(shape[1:]):
            iy, ix = oy * stride - padding + ky, ox * stride - padding + kx
            if 0 <= iy < height and 0 <= ix < width:
                dw[o, c, ky, kx] += g[n, o, oy, ox] * x[n, c, iy, ix]
    # learn: conv-weight-loops end
    return dw
''',
        hints=(
            "np.ndindex(g.shape) runs through n, o, oy, ox in one loop.",
            "iy = oy * stride - padding + ky; skip a pixel outside 0 <= iy < height: NumPy takes -1 for the last row.",
            "dw[o, c, ky, kx] += g[n, o, oy, ox] * x[n, c, iy, ix]",
        ),
        grader=conv_weight_loops,
        mutants=(
            ("outside is wrapped around", "if 0 <= iy < height and 0 <= ix < width:", "if iy < height and ix < width:"),
            ("the stride is forgotten", "oy * stride - padding + ky", "oy - padding + ky"),
            ("the last one wins", "dw[o, c, ky, kx] += g", "dw[o, c, ky, kx] = g"),
            ("turned by 180 degrees", "dw[o, c, ky, kx] +=", "dw[o, c, shape[2] - 1 - ky, kx] +="),
        ),
    ),
    track(
        "conv-input-loops",
        text="""What is the gradient of a convolution by its input, and why is it called a deconvolution?

With y as in conv-weight-loops, give each cotangent back to the pixels that its output was computed from:

    dx[n, c, iy, ix] += w[o, c, ky, kx] g[n, o, oy, ox]    for  iy = oy s - p + ky,  ix = ox s - p + kx.

With stride 2 that makes a large image of a small one: it is the transposed convolution, by which a generator grows its
images. Write it in loops. The grader compares with finite differences.""",
        source='''import numpy as np


def input_gradient(g, w, shape, stride, padding):
    """dx of the given shape (N, C, H, W), for g (N, O, OY, OX) and w (O, C, KY, KX)."""
    dx = np.zeros(shape)
    height, width = shape[2:]
    # learn: conv-input-loops begin
    for n, o, oy, ox in np.ndindex(g.shape):
        for c, ky, kx in np.ndindex(w.shape[1:]):
            iy, ix = oy * stride - padding + ky, ox * stride - padding + kx
            if 0 <= iy < height and 0 <= ix < width:
                dx[n, c, iy, ix] += g[n, o, oy, ox] * w[o, c, ky, kx]
    # learn: conv-input-loops end
    return dx
''',
        hints=(
            "The loops are those of conv-weight-loops; only the last line differs.",
            "dx[n, c, iy, ix] += g[n, o, oy, ox] * w[o, c, ky, kx]: two outputs may read one pixel, hence +=.",
        ),
        grader=conv_input_loops,
        mutants=(
            ("overlaps are lost", "dx[n, c, iy, ix] += g", "dx[n, c, iy, ix] = g"),
            ("a convolution instead", "w[o, c, ky, kx]", "w[o, c, w.shape[2] - 1 - ky, kx]"),
            ("the padding has the wrong sign", "oy * stride - padding", "oy * stride + padding"),
        ),
    ),
    track(
        "conv",
        text="""Why are three kernels enough for every derivative of a convolution?

Write the convolution as one form, linear in x, w and g:

    <x, w, g> = sum over n, o, y, c, ky of  g[n, o, y] w[o, c, ky] x[n, c, s y + d ky - p].

Leave g open: that is Conv. Leave x open: ConvInput(g, w), the input gradient. Leave w open: ConvWeight(x, g), the
weight gradient. This is the class Conv of minigan/ops/conv.py. Write its vjp: the gradients by x, by w, and by the bias
b where there is one. need[i] says whether the i-th is asked for; return None where it is not, since each is the run of
a kernel. The bias was added to all pixels of its channel. An op is called with its geometry first:
ConvInput(self.geometry)(g, w).

The grader takes groups, a stride and a padding, to second order, and looks whether need is obeyed.""",
        source=source("ops/conv.py", "Conv"),
        hints=(
            "node.inputs is x, w or x, w, b: `x, w, *b = node.inputs` takes both; it stands there already.",
            "dx = ConvInput(self.geometry)(g, w), dw = ConvWeight(self.geometry)(x, g).",
            "db = sum(g, (0, 2, 3)); without a bias return two gradients only.",
        ),
        grader=partial(conv_op, name="Conv", shapes=("x", "w"), transposed=False),
        mutants=(
            ("the bias's gradient is summed over everything", "sum(g, (0, 2, 3))", "sum(g, (0, 2, 3)) * 0 + sum(g)"),
            (
                "need is not looked at",
                "ConvWeight(self.geometry)(x, g) if need[1] else None",
                "ConvWeight(self.geometry)(x, g)",
            ),
            (
                "w is a constant to the next order",
                "ConvInput(self.geometry)(g, w)",
                "ConvInput(self.geometry)(g, w.detach())",
            ),
            (
                "the weight's gradient doubled",
                "ConvWeight(self.geometry)(x, g) if",
                "2 * ConvWeight(self.geometry)(x, g) if",
            ),
        ),
    ),
    track(
        "conv-transpose",
        text="""What is the gradient of a transposed convolution?

ConvInput is the form <x, w, g> with x left open, and the layer ConvTranspose2d is this op. Its inputs are g, w and
perhaps a bias b over the channels of x; h is the cotangent, of x's shape. The form is linear in each slot, so its
gradients are the other two ops, with h in the place of x. Write the vjp, None where need says no.""",
        source=source("ops/conv.py", "ConvInput"),
        hints=(
            "Put h where x stood: <h, w, g>. By g that is a convolution.",
            "dg = Conv(self.geometry)(h, w), dw = ConvWeight(self.geometry)(h, g), db = sum(h, (0, 2, 3)).",
        ),
        grader=partial(conv_op, name="ConvInput", shapes=("y", "w"), transposed=True),
        mutants=(
            ("no gradient of the weight", "ConvWeight(self.geometry)(h, g) if need[1] else None", "None"),
            ("half the bias's gradient", "sum(h, (0, 2, 3))", "sum(h, (0, 2, 3)) * 0.5"),
            (
                "need is not looked at",
                "ConvWeight(self.geometry)(h, g) if need[1] else None",
                "ConvWeight(self.geometry)(h, g)",
            ),
        ),
    ),
    track(
        "batch-norm",
        text="""Why has the gradient of batch norm three terms?

For a column of M values with mean m and variance v, r = (v + 1e-5)^(-1/2) and h = (x - m) r,

    y = w h + b.

m and v depend on x, so x acts in three ways. With <.> for the mean over the column the sum of the three is

    dx = w r (g - <g> - h <g h>),    dw = M <g h>,    db = M <g>:

g without its parts along 1 and along h, the two directions that batch norm removes. Write batch_norm_gradient for x
(M, C), w (C,), g (M, C) in NumPy. The grader compares with finite differences.""",
        source='''import numpy as np


def batch_norm_gradient(x, w, g, eps=1e-5):
    """dx (M, C), dw (C,), db (C,) of y = w h + b, for the cotangent g of y."""
    # learn: batch-norm begin
    r = 1 / np.sqrt(x.var(0) + eps)
    h = (x - x.mean(0)) * r
    dx = w * r * (g - g.mean(0) - h * (g * h).mean(0))
    return dx, (g * h).sum(0), g.sum(0)
    # learn: batch-norm end
''',
        hints=(
            "x.var(0) divides by M, as batch norm does in training.",
            "Compute r and h first; every mean is over axis 0.",
            "dx = w * r * (g - g.mean(0) - h * (g * h).mean(0))",
        ),
        grader=batch_norm,
        mutants=(
            ("the variance is a constant", " - h * (g * h).mean(0)", ""),
            ("the mean is a constant", "g - g.mean(0) - h", "g - h"),
            ("w is forgotten", "dx = w * r", "dx = r"),
            ("dw is a mean", "(g * h).sum(0), g", "(g * h).mean(0), g"),
        ),
    ),
    track(
        "layer-norm",
        text="""What changes in the gradient when each sample is normalised by itself?

Layer norm standardises each row of x (N, F) by the row's own mean and variance: h = (x - m) r, r = (v + 1e-5)^(-1/2).
No sample looks at another, so a critic may have it under a gradient penalty, as it may not have batch norm.

    dx = r (g - <g> - h <g h>),    <.> the mean over the row.

Write it in NumPy.""",
        source='''import numpy as np


def layer_norm_gradient(x, g, eps=1e-5):
    """dx (N, F) for the cotangent g (N, F) of h."""
    # learn: layer-norm begin
    r = 1 / np.sqrt(x.var(1, keepdims=True) + eps)
    h = (x - x.mean(1, keepdims=True)) * r
    return r * (g - g.mean(1, keepdims=True) - h * (g * h).mean(1, keepdims=True))
    # learn: layer-norm end
''',
        hints=("As batch-norm, along axis 1.", "keepdims=True, so that the means stand as a column beside the rows."),
        grader=layer_norm,
        mutants=(
            ("means over the batch", "g - g.mean(1, keepdims=True)", "g - g.mean(0, keepdims=True)"),
            ("the variance is a constant", " - h * (g * h).mean(1, keepdims=True)", ""),
            ("the unbiased variance", "x.var(1, keepdims=True)", "x.var(1, ddof=1, keepdims=True)"),
        ),
    ),
    track(
        "upsample",
        text="""What is the gradient of repeating pixels?

A generator may grow its images by repeating each pixel k times along both axes,

    y[n, c, i, j] = x[n, c, i // k, j // k].

A pixel that was used k^2 times gets the sum of k^2 cotangents. Write the gradient for g (N, C, k H, k W) in NumPy: dx
is (N, C, H, W).""",
        source='''import numpy as np


def upsample_gradient(g, k):
    """dx (N, C, H, W) of y = x with each pixel repeated k times along both axes."""
    # learn: upsample begin
    n, c, height, width = g.shape
    return g.reshape(n, c, height // k, k, width // k, k).sum((3, 5))
    # learn: upsample end
''',
        hints=("Split each axis in two by reshape: H k -> (H, k).", "Then sum over both axes of length k."),
        grader=upsample,
        mutants=(
            ("a mean", ".sum((3, 5))", ".mean((3, 5))"),
            ("every k-th cotangent", "g.reshape(n, c, height // k, k, width // k, k).sum((3, 5))", "g[:, :, ::k, ::k]"),
            (
                "the axes are split the wrong way",
                "height // k, k, width // k, k).sum((3, 5))",
                "k, height // k, k, width // k).sum((2, 4))",
            ),
        ),
    ),
]
