"""Kernels in Numba: the loop nests of a convolution, as kernels/conv_loops.py and kernels/im2col.py have them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from ..checks import numbers
from ..exercise import Exercise
from ..sources import source
from ..watched import loops

track = partial(Exercise, track="nests")
NAN = float("nan")


def geometry(stride: tuple = (2, 1), padding: tuple = (2, 1)) -> tuple[Any, ...]:
    """x (N, H, W, G, C), w (KY, KX, G, C, O), y's shape, stride, padding, dilation."""
    x, w, dilation = numbers(2, 6, 4, 2, 2), numbers(3, 2, 2, 2, 3), (1, 2)
    out = [(n + 2 * p - 3) // s + 1 for n, p, s in zip((6, 4), padding, stride, strict=True)]  # both see 3 pixels
    return x, w, (2, *out, 2, 3), stride, padding, dilation


def taps(
    x_shape: tuple, y_shape: tuple, w_shape: tuple, stride: tuple, padding: tuple, dilation: tuple
) -> Iterator[tuple]:
    """(n, oy, ox, iy, ix, ky, kx) of every product of the sum whose pixel is inside."""
    for n, oy, ox, ky, kx in np.ndindex(*y_shape[:3], *w_shape[:2]):
        iy, ix = oy * stride[0] - padding[0] + ky * dilation[0], ox * stride[1] - padding[1] + kx * dilation[1]
        if 0 <= iy < x_shape[1] and 0 <= ix < x_shape[2]:
            yield n, oy, ox, iy, ix, ky, kx


def conv_rows(m: Any) -> Iterator[str]:
    x, w, y_shape, stride, padding, dilation = geometry()
    bias = numbers(2, 3, seed=2)
    expected = np.zeros(y_shape) + bias
    for n, oy, ox, iy, ix, ky, kx in taps(x.shape, y_shape, w.shape, stride, padding, dilation):
        expected[n, oy, ox] += np.einsum("gc,gco->go", x[n, iy, ix], w[ky, kx])
    inputs = {"x": x, "w": w, "bias": bias, "slope": 1.0, "y": np.full(y_shape, NAN), "stride": stride}
    inputs |= {"padding": padding, "dilation": dilation, "first": 0, "last": y_shape[0] * y_shape[1]}
    yield from loops(m, "forward_rows", inputs, {"y": expected}, "iy = oy stride - padding + ky dilation", 1e-9)


def input_rows(m: Any) -> Iterator[str]:
    for strides in (((2, 1), (2, 1)), ((2, 3), (0, 2))):
        x, w, y_shape, stride, padding, dilation = geometry(*strides)
        g, bias = numbers(*y_shape, seed=3), numbers(2, 2, seed=2)
        expected = np.zeros(x.shape) + bias
        for n, oy, ox, iy, ix, ky, kx in taps(x.shape, y_shape, w.shape, stride, padding, dilation):
            expected[n, iy, ix] += np.einsum("go,gco->gc", g[n, oy, ox], w[ky, kx])
        inputs = {
            "g": g,
            "w": w.transpose(0, 1, 2, 4, 3).copy(),
            "bias": bias,
            "mask": np.empty((0, 4, 4, 2, 2)),
            "slope": 1.0,
        }
        inputs |= {"dx": np.full(x.shape, NAN), "stride": stride, "padding": padding, "dilation": dilation}
        inputs |= {"first": 0, "last": x.shape[0] * x.shape[1]}
        yield from loops(
            m,
            "input_rows",
            inputs,
            {"dx": expected},
            "an output oy reads this pixel only where oy stride = iy + padding - ky dilation",
        )


def weight_rows(m: Any) -> Iterator[str]:
    x, w, y_shape, stride, padding, dilation = geometry()
    g = numbers(*y_shape, seed=3)
    expected = np.zeros(w.shape)
    for n, oy, ox, iy, ix, ky, kx in taps(x.shape, y_shape, w.shape, stride, padding, dilation):
        expected[ky, kx] += np.einsum("gc,go->gco", x[n, iy, ix], g[n, oy, ox])
    inputs = {"x": x, "g": g, "dw": np.full(w.shape, NAN), "stride": stride, "padding": padding, "dilation": dilation}
    inputs |= {"first": 0, "last": int(np.prod(w.shape[:4]))}
    yield from loops(m, "weight_rows", inputs, {"dw": expected}, "dw = the sum over n, oy, ox of x times g")


def im2col(m: Any) -> Iterator[str]:
    x = numbers(2, 4, 3, 2)
    sizes = (5, 4, 2, 2, 1, 1, 1, 1, 1, 1)  # OY OX KY KX, stride, padding, dilation
    expected = np.zeros((2 * 5 * 4, 2 * 2 * 2))
    for n, oy, ox, ky, kx in np.ndindex(2, 5, 4, 2, 2):
        iy, ix = oy - 1 + ky, ox - 1 + kx
        if 0 <= iy < 4 and 0 <= ix < 3:
            expected[(n * 5 + oy) * 4 + ox, (ky * 2 + kx) * 2 :][:2] = x[n, iy, ix]
    names = (
        "out_y",
        "out_x",
        "size_y",
        "size_x",
        "stride_y",
        "stride_x",
        "padding_y",
        "padding_x",
        "dilation_y",
        "dilation_x",
    )
    inputs = {"x": x, "columns": np.full(expected.shape, NAN), **dict(zip(names, sizes, strict=True))}
    yield from loops(m, "_im2col", inputs, {"columns": expected}, "outside the image the column holds 0")


EXERCISES = [
    track(
        "conv-rows",
        text="""What does one row of a convolution read?

This is forward_rows of kernels/conv_loops.py, the loop nest that a student may lay over conv.cu. One call makes the
rows `first` to `last` of y (N, OY, OX, G, O); x is (N, H, W, G, C), w (KY, KX, G, C, O). y[n, oy, ox] holds the bias
already. Add to it, over ky, kx, group, c and o,

    x[n, iy, ix, group, c] w[ky, kx, group, c, o],
    iy = oy stride_y - padding_y + ky dilation_y,    ix likewise,

and skip pixels outside the image. stride, padding and dilation are pairs (y, x).""",
        source=source(
            "kernels/conv_loops.py", "forward_rows", between=("for ky in range(size_y):", "y[n, oy, ox, group, o] += x")
        ),
        hints=(
            "Compute iy as soon as ky is known, and `continue` where it is outside.",
            "Five loops: ky, kx, group, c, o; the innermost over o, which lies side by side in memory.",
        ),
        grader=conv_rows,
        mutants=(
            ("below 0 is not outside", "if iy < 0 or iy >= height:", "if iy >= height:"),
            ("padding with the wrong sign", "ox * stride[1] - padding[1]", "ox * stride[1] + padding[1]"),
            ("the dilation is forgotten", "kx * dilation[1]", "kx"),
            ("one row too far", "iy >= height", "iy > height"),
        ),
    ),
    track(
        "input-rows",
        text="""Which outputs have read this pixel?

The input gradient, gathered: one iteration owns the pixel (iy, ix) of dx and adds up all that belongs there, so that no
two threads write one number. Output oy read it through ky where  oy stride_y = iy + padding_y - ky dilation_y. Divide,
and skip ky where the division leaves a rest, or oy is no row of g (N, OY, OX, G, O). w is (KY, KX, G, O, C). dx holds
the bias already; add g[n, oy, ox, group, o] w[ky, kx, group, o, c].""",
        source=source(
            "kernels/conv_loops.py", "input_rows", between=("for ky in range(size_y):", "dx[n, iy, ix, group, c] += g")
        ),
        hints=(
            "y = iy + padding[0] - ky * dilation[0]; oy = y // stride[0]; skip unless oy * stride[0] == y.",
            "Python's and Numba's // round down, so a negative y gives a negative oy.",
        ),
        grader=input_rows,
        mutants=(
            (
                "the rest is not looked at",
                "if oy < 0 or oy >= out_y or oy * stride[0] != y:",
                "if oy < 0 or oy >= out_y:",
            ),
            ("below 0 is not outside", "if ox < 0 or ox >= out_x", "if ox >= out_x"),
            ("ky with the wrong sign", "iy + padding[0] - ky * dilation[0]", "iy + padding[0] + ky * dilation[0]"),
        ),
    ),
    track(
        "weight-rows",
        text="""Why is a long sum summed in parts?

The weight gradient dw[ky, kx, group, c, o] is a sum over all n, oy, ox: many thousand numbers. Each line of pixels is
summed into `part` first, and the line's sum joins the total: the rounding error of a sum grows with its length. One
iteration owns (ky, kx, group, c). Write the loops over n, oy and ox. `part` has O numbers; dw begins at 0.""",
        source=source(
            "kernels/conv_loops.py",
            "weight_rows",
            between=("for n in range(batch):", "dw[ky, kx, group, c, o] += part[o]"),
        ),
        hints=(
            "For each n, oy: skip iy outside; part to 0; a loop over ox; then add part to dw.",
            "part[o] += x[n, iy, ix, group, c] * g[n, oy, ox, group, o]",
        ),
        grader=weight_rows,
        mutants=(
            ("part is not cleared", "                    part[o] = 0\n", "                    part[o] += 0\n"),
            ("the last line only", "dw[ky, kx, group, c, o] += part[o]", "dw[ky, kx, group, c, o] = part[o]"),
            ("outside is wrapped around", "if ix < 0 or ix >= width:", "if ix >= width:"),
        ),
    ),
    track(
        "im2col",
        text="""How does a convolution become one matrix product?

im2col writes every window of the image as a row of a matrix:

    columns[(n, oy, ox), (ky, kx, c)] = x[n, iy, ix, c],  0 outside,   iy = oy stride_y - padding_y + ky dilation_y.

This is the kernel of kernels/im2col.py; x is (N, H, W, C), `row` is n OY + oy. Fill in what stands inside the loop over
kx: ix, whether the pixel is inside, and the loop over channels.""",
        source=source(
            "kernels/im2col.py", "_im2col", between=("ix = ox * stride_x", "columns[row * out_x + ox, at] =")
        ),
        hints=("The window's row is row * out_x + ox.", "The column is (ky * size_x + kx) * channels + c."),
        grader=im2col,
        mutants=(
            (
                "outside is not written",
                "columns[row * out_x + ox, at] = x[n, iy, ix, c] if inside else 0",
                "if inside:\n                            columns[row * out_x + ox, at] = x[n, iy, ix, c]",
            ),
            ("outside is wrapped around", "0 <= iy < height and 0 <= ix < width", "iy < height and ix < width"),
            ("ky and kx change places", "(ky * size_x + kx)", "(kx * size_y + ky)"),
        ),
    ),
]
