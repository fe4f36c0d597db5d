"""The CUDA kernels where the shapes, the values or the operands are unusual, against their Numba twins.

They are for mistakes that the plain cases do not see, see cuda/mutation.txt.
"""

from itertools import product

import numpy as np
import pytest
from test_cuda_kernels import DTYPES, TOLERANCE, same

from minigan import kernels
from minigan.kernels.cuda import load

pytestmark = pytest.mark.usefixtures("few_blocks")


def same_where_there_is(ours, theirs, tolerance):
    """As `same`, for results of which some may be None, on both sides."""
    assert [a is None for a in ours] == [b is None for b in theirs]
    for a, b in zip(ours, theirs, strict=True):
        if a is not None:
            same(a, b, tolerance)


@DTYPES
@pytest.mark.parametrize("present", list(product([False, True], repeat=3)), ids=str)
def test_batch_norm_without_an_operand(xp, rng, dtype, present):
    """Every subset of the three cotangents of the second derivative, and no weight."""
    x, g, a = rng.standard_normal((3, 300, 5)).astype(dtype)
    p, q = rng.standard_normal((2, 5)).astype(dtype)
    cotangents = [c if there else None for c, there in zip((a, p, q), present, strict=True)]
    norm = kernels.norm
    ours = norm.batch_norm_grad_grad(x, None, g, *cotangents, 1e-5)
    on_device = [None if c is None else xp.asarray(c) for c in cotangents]
    theirs = norm.batch_norm_grad_grad(xp.asarray(x), None, xp.asarray(g), *on_device, 1e-5)
    same_where_there_is(ours, theirs, TOLERANCE[dtype])


@DTYPES
def test_batch_norm_far_from_zero(xp, rng, dtype):
    """Where the mean is 100,000 times the spread, its rounding error, large against the spread, is put right.

    A float32 near 1000 is a multiple of 6e-5; both sides are given the same, and what they do with it is exact to 2e-5.
    """
    x = (1000 + 0.01 * rng.standard_normal((300, 5))).astype(dtype)
    w, b = np.ones((2, 5), dtype)
    ours = kernels.norm.batch_norm(x, w, b, 1e-5)
    assert np.abs(ours[0].mean(0) - 1).max() < 1e-4
    tolerance = 2e-5 if dtype == np.float32 else 1e-8
    same(ours, kernels.norm.batch_norm(*map(xp.asarray, (x, w, b)), 1e-5), tolerance)


@DTYPES
@pytest.mark.parametrize("slope", [0.0, 0.2])
def test_batch_norm_behind_an_activation(xp, rng, dtype, slope):
    """The cotangent is gated by the sign of the mask, where the mask is 0 too."""
    x, g, mask = rng.standard_normal((3, 40, 6)).astype(dtype)
    mask[::3] = 0
    w = rng.standard_normal(6).astype(dtype)
    ours = kernels.norm.batch_norm_grad(x, w, g, 1e-5, mask=mask, slope=slope)
    x, w, g, mask = map(xp.asarray, (x, w, g, mask))
    same(ours, kernels.norm.batch_norm_grad(x, w, g, 1e-5, mask=mask, slope=slope), TOLERANCE[dtype])


def test_empty_batches(xp):
    """No rows: sums are 0, and batch norm says what its twin says."""
    x, w = np.zeros((0, 3), np.float32), np.ones(3, np.float32)
    d, v = xp.asarray(x), xp.asarray(w)
    same(kernels.reduce.channel_sum(x), kernels.reduce.channel_sum(d), 0)
    same(kernels.reduce.total(x), kernels.reduce.total(d), 0)
    same(kernels.norm.batch_norm(x, w, w, 1e-5), kernels.norm.batch_norm(d, v, v, 1e-5), 0)
    same(kernels.norm.batch_norm_grad(x, w, x, 1e-5), kernels.norm.batch_norm_grad(d, v, d, 1e-5), 0)


@DTYPES
@pytest.mark.parametrize("shape", [(1, 1), (3, 40), (2, 700)], ids=str)
def test_row_norm(xp, rng, dtype, shape):
    """Against the formula in float64; its twin is an op of several kernels."""
    x = rng.standard_normal(shape).astype(dtype) + dtype(3)
    d, out = xp.asarray(x), xp.empty(shape, dtype)
    load.launch(xp, "layernorm", "row_norm_kernel", dtype, shape[:1], d, 1e-5, out, shape[1])
    wide = x.astype(np.float64)
    centred = wide - wide.mean(1, keepdims=True)
    expected = centred / np.sqrt((centred**2).mean(1, keepdims=True) + 1e-5)
    same(expected.astype(dtype), out, TOLERANCE[dtype])


@DTYPES
@pytest.mark.parametrize("nhwc", [False, True])
@pytest.mark.parametrize("axes", [(1, 2, 3), (2, 3), (3,)], ids=str)
def test_standardise(xp, rng, dtype, axes, nhwc):
    """Layer and instance norm and their gradient in both memory orders, so by rows and by columns, against the twin."""
    x, g = (rng.standard_normal((2, 4, 5, 3)).astype(dtype) for _ in range(2))
    if nhwc:
        x, g = (t.transpose(0, 3, 1, 2) for t in (x, g))
    layernorm = kernels.layernorm
    same(layernorm.standardise(x, axes, 1e-5), layernorm.standardise(xp.asarray(x), axes, 1e-5), TOLERANCE[dtype])
    theirs = layernorm.standardise_grad(xp.asarray(x), xp.asarray(g), axes, 1e-5)
    same(layernorm.standardise_grad(x, g, axes, 1e-5), theirs, TOLERANCE[dtype])


def pooled_alike(xp, x, *settings):
    ours = kernels.pool.max_pool_index(x, *settings)
    assert (ours == kernels.pool.max_pool_index(xp.asarray(x), *settings).get()).all()


def test_max_pooling_of_equals(xp):
    """Of equal numbers the first is taken; a grid smaller than the windows; channels beside each other."""
    pooled_alike(xp, np.zeros((1, 1, 4, 4)), (2, 2), (2, 2), (0, 0), (1, 1), (2, 2))
    pooled_alike(xp, np.full((1, 2, 3, 3), -1.5), (3, 3), (1, 1), (1, 1), (1, 1), (3, 3))


def test_max_pooling_of_many_windows(xp, rng):
    pooled_alike(xp, rng.standard_normal((2, 5, 12, 14)), (2, 3), (1, 2), (1, 1), (1, 1), (13, 7))


def test_max_pooling_of_nan(xp):
    """A later NaN is taken before an earlier one, and before any number."""
    x = np.arange(16.0).reshape(1, 1, 4, 4)
    x[0, 0, 1, 1] = x[0, 0, 2, 1] = np.nan
    pooled_alike(xp, x, (3, 3), (1, 1), (0, 0), (1, 1), (2, 2))
