"""Hypothesis strategies: shapes, values, memory layouts, convolution geometries, and calls for the op table.

For your own ops as well as minigan's (needs the test extra, which brings hypothesis):

    from hypothesis import given
    from minigan import gradcheck, strategies

    @given(x=strategies.tensors(), layout=strategies.layouts())
    def test_my_op(x, layout):
        gradcheck.gradcheck(my_op, [x])

Hypothesis draws shapes, settings and a seed, which shrink well; NumPy makes the values from that seed, away from kinks
where asked, so that finite differences stay on one side of them (`opcase.Values`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from ..autograd import Tensor
from .layouts import LAYOUTS
from .opcase import REAL, OpCase, Sample, Values

Strategy = st.SearchStrategy


def shapes(min_dims: int = 0, max_dims: int = 3, min_side: int = 0, max_side: int = 3) -> Strategy[tuple[int, ...]]:
    """Shapes, zero sizes and 0-d included."""
    return st.lists(st.integers(min_side, max_side), min_size=min_dims, max_size=max_dims).map(tuple)


def seeds() -> Strategy[int]:
    """Seeds for values."""
    return st.integers(0, 2**32 - 1)


@st.composite
def tensors(draw, shape: Strategy[tuple[int, ...]] | None = None, values: Values = REAL) -> Tensor:
    """A float64 leaf that requires a gradient."""
    rng = np.random.default_rng(draw(seeds()))
    return Tensor(values.draw((draw(shapes() if shape is None else shape),), rng)[0]).requires_grad_()


@st.composite
def broadcastable(
    draw, count: int = 2, max_dims: int = 3, min_side: int = 0, max_side: int = 3
) -> tuple[tuple[int, ...], ...]:
    """`count` shapes that broadcast together: of one common shape each keeps any subset of the axes, the others being 1
    or, in front, absent."""
    full = draw(shapes(0, max_dims, min_side, max_side))
    family = []
    for _ in range(count):
        shape = tuple(s if draw(st.booleans()) else 1 for s in full)
        dropped = draw(st.integers(0, next((i for i, s in enumerate(shape) if s != 1), len(shape))))
        family.append(shape[dropped:])
    return tuple(family)


def axis_subsets(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """`shape` with each subset of its axes replaced by 1, and each of those without its leading ones: all that
    broadcast to it."""
    subsets = []
    for mask in range(2 ** len(shape)):
        ones = tuple(1 if mask >> i & 1 else s for i, s in enumerate(shape))
        lead = next((i for i, s in enumerate(ones) if s != 1), len(ones))
        subsets += [ones[i:] for i in range(lead + 1)]
    return list(dict.fromkeys(subsets))


def layouts() -> Strategy[Callable[[np.ndarray], np.ndarray]]:
    """A function that puts an array into another memory layout: transposed, sliced, negative or zero strides, NHWC,
    ..."""
    return st.sampled_from(list(LAYOUTS)).map(LAYOUTS.__getitem__)


# Convolutions. The output is drawn and the input derived, so that every leftover r (input rows that no output reads)
# occurs.


@st.composite
def conv2d(draw, max_groups: int = 3) -> Sample:
    """A call of conv2d: per axis  H = s (o - 1) + d (k - 1) + 1 - 2 p + r  with r in 0..s-1; H and W differ."""
    axes = []
    for _ in range(2):
        k, s, d, o = (draw(st.integers(1, 3)) for _ in range(4))
        p, r = draw(st.integers(0, d * (k - 1))), draw(st.integers(0, s - 1))
        axes.append((k, s, d, p, s * (o - 1) + d * (k - 1) + 1 - 2 * p + r))
    kernel, stride, dilation, padding, size = zip(*axes, strict=True)
    assume(min(size) >= 1 and size[0] != size[1])
    return _convolution(draw, max_groups, size, kernel, stride=stride, padding=padding, dilation=dilation)


@st.composite
def conv_transpose2d(draw, max_groups: int = 3) -> Sample:
    """A call of conv_transpose2d; output_padding r in 0..max(s, d)-1, since PyTorch allows r >= s where the dilation is
    larger."""
    axes = []
    for _ in range(2):
        k, s, d, h = (draw(st.integers(1, 3)) for _ in range(4))
        p, r = draw(st.integers(0, d * (k - 1))), draw(st.integers(0, max(s, d) - 1))
        axes.append((k, s, d, p, r, h))
        assume((h - 1) * s - 2 * p + d * (k - 1) + r + 1 >= 1)
    kernel, stride, dilation, padding, extra, size = zip(*axes, strict=True)
    assume(size[0] != size[1])
    return _convolution(
        draw, max_groups, size, kernel, True, stride=stride, padding=padding, dilation=dilation, output_padding=extra
    )  # fmt: skip


def _convolution(draw, max_groups: int, size, kernel, transposed: bool = False, **settings) -> Sample:
    n, groups = draw(st.integers(0, 2)), draw(st.integers(1, max_groups))
    inner, outer = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    channels, outputs = groups * inner, groups * outer
    weight = (channels, outer, *kernel) if transposed else (outputs, inner, *kernel)
    bias = ((outputs,),) if draw(st.booleans()) else ()
    return Sample(((n, channels, *size), weight, *bias), {**settings, "groups": groups}, draw(seeds()))


# Calls for the rows of the op table, by the name in OpCase.strategy.


@st.composite
def unary(draw) -> Sample:
    """One tensor of any shape."""
    return Sample((draw(shapes()),), {}, draw(seeds()))


@st.composite
def binary(draw) -> Sample:
    """Two tensors that broadcast."""
    return Sample(draw(broadcastable()), {}, draw(seeds()))


@st.composite
def broadcast_to(draw) -> Sample:
    """A tensor and a shape that it broadcasts to."""
    full = draw(shapes(0, 3))
    return Sample((draw(st.sampled_from(axis_subsets(full))),), {"shape": full}, draw(seeds()))


@st.composite
def sum_to(draw) -> Sample:
    """A tensor and a shape that broadcasts to it."""
    full = draw(shapes(0, 3))
    return Sample((full,), {"shape": draw(st.sampled_from(axis_subsets(full)))}, draw(seeds()))


@st.composite
def reduction(draw, min_side: int = 1) -> Sample:
    """A tensor, some or all of its axes (counted from either end), keepdim or not."""
    shape = draw(shapes(1, 3, min_side))
    axes = st.integers(-len(shape), len(shape) - 1)
    dim = draw(
        st.none()
        | axes
        | st.lists(axes, min_size=1, max_size=len(shape), unique_by=lambda a: a % len(shape)).map(tuple)
    )
    return Sample((shape,), {"dim": dim, "keepdim": draw(st.booleans())}, draw(seeds()))


def reduction_of_two() -> Strategy[Sample]:
    """The same, over two elements or more, as a variance needs."""
    return reduction(2)


@st.composite
def along(draw) -> Sample:
    """A tensor and one of its axes."""
    shape = draw(shapes(1, 3, 1))
    return Sample((shape,), {"dim": draw(st.integers(-len(shape), len(shape) - 1))}, draw(seeds()))


@st.composite
def matmul(draw) -> Sample:
    """Two operands of matmul: vectors, matrices, stacks whose batch axes broadcast."""
    m, k, n = (draw(st.integers(0, 3)) for _ in range(3))
    if draw(st.booleans()):
        left, right = (draw(st.sampled_from([(k,), (m, k)])), draw(st.sampled_from([(k,), (k, n)])))
    else:
        a, b = draw(broadcastable(max_dims=2, min_side=1))
        left, right = (*a, m, k), (*b, k, n)
    return Sample((left, right), {}, draw(seeds()))


@st.composite
def reshape(draw) -> Sample:
    """A tensor and its sizes in another order, perhaps with one left out as -1."""
    shape = draw(shapes())
    new = draw(st.permutations(shape))
    if new and 0 not in new and draw(st.booleans()):
        new[draw(st.integers(0, len(new) - 1))] = -1
    return Sample((shape,), {"shape": tuple(new)}, draw(seeds()))


@st.composite
def flip(draw) -> Sample:
    """A tensor and some of its axes."""
    shape = draw(shapes(1))
    return Sample((shape,), {"dims": tuple(draw(st.sets(st.integers(0, len(shape) - 1))))}, draw(seeds()))


@st.composite
def split(draw) -> Sample:
    """A tensor cut into pieces of any sizes."""
    sizes = tuple(draw(st.lists(st.integers(0, 2), min_size=1, max_size=4)))
    return Sample(((sum(sizes), 2),), {"size": sizes}, draw(seeds()))


@st.composite
def getitem(draw) -> Sample:
    """A tensor and an integer index of any shape, repeats and negatives included."""
    rows = draw(st.integers(1, 3))
    index = np.array(draw(st.lists(st.integers(-rows, rows - 1), max_size=4)), np.int64)
    return Sample(
        ((rows, *draw(shapes(0, 2))),), {"index": index.reshape(-1, 1) if draw(st.booleans()) else index}, draw(seeds())
    )


@st.composite
def pool2d(draw) -> Sample:
    """A pooling call: the kernel, stride and padding differ per axis."""
    kernel = tuple(draw(st.integers(1, 3)) for _ in range(2))
    settings = {"kernel_size": kernel, "padding": tuple(draw(st.integers(0, k // 2)) for k in kernel)}
    if draw(st.booleans()):
        settings["stride"] = draw(st.integers(1, 3))
    size = tuple(k + draw(st.integers(0, 2)) for k in kernel)
    return Sample(((draw(st.integers(0, 2)), draw(st.integers(1, 2)), *size),), settings, draw(seeds()))


@st.composite
def interpolate(draw) -> Sample:
    """A resizing call, up or down, by either mode."""
    settings = {
        "size": tuple(draw(st.integers(1, 6)) for _ in range(2)),
        "mode": draw(st.sampled_from(["nearest", "bilinear"])),
    }
    if settings["mode"] == "bilinear":
        settings["align_corners"] = draw(st.booleans())
    shape = (draw(st.integers(1, 2)), draw(st.integers(1, 2)), draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    return Sample((shape,), settings, draw(seeds()))


@st.composite
def batch_norm(draw) -> Sample:
    """Batch norm of (N, C) to (N, C, D, H), with and without weight and bias; at least three values a channel, so that
    the variance is not tiny."""
    trailing = draw(shapes(0, 2, 1))
    channels = draw(st.integers(1, 3))
    n = draw(st.integers(1, 3))
    assume(n * int(np.prod(trailing)) >= 3)
    affine = ((), ((channels,),), ((channels,), (channels,)))[draw(st.integers(0, 2))]
    return Sample(((n, channels, *trailing), *affine), {"eps": draw(st.sampled_from([1e-5, 0.1]))}, draw(seeds()))


def samples(case: OpCase) -> Strategy[Sample]:
    """Calls of one row of the op table: what its strategy draws, or its own samples with other values."""
    if case.strategy is None:
        return st.tuples(st.sampled_from(case.samples), seeds()).map(lambda pair: replace(pair[0], seed=pair[1]))
    return globals()[case.strategy]()
