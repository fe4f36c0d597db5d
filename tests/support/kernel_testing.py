"""What the tests of the kernels share: tolerances, memory layouts, thread counts.

A float32 result is held to a few units of its last place, 1e-6 relative to the largest value, since each kernel either
rounds once or accumulates in float64.
"""

import numpy as np

from minigan import kernels

DTYPES = [np.float32, np.float64]
SHAPES = [(8, 3, 5, 7), (33, 5), (2, 1, 128, 128), (16, 64, 32, 32), (7, 512), (30, 4, 6), (3, 2, 3, 4, 5)]
TOLERANCE = {np.float32: 1e-6, np.float64: 1e-13}


def close(actual, expected, dtype, factor=1.0):
    """Finite, and within the dtype's tolerance of the largest expected value."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.dtype == dtype
    assert actual.shape == expected.shape
    assert np.isfinite(actual).all()
    if expected.size:
        limit = factor * TOLERANCE[dtype] * max(1.0, abs(expected).max())
        assert abs(actual.astype(np.float64) - expected).max() <= limit


def normal(shape, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def layouts(x):
    """The same values as x in every kind of memory: C, channels last, Fortran, sliced, reversed."""
    yield x.copy()
    yield np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    yield np.asfortranarray(x)
    wide = np.repeat(x, 2, axis=-1)
    yield wide[..., ::2]
    yield np.ascontiguousarray(x[::-1, ::-1])[::-1, ::-1]


def on_threads(function):
    """The results of function() on 1, 2 and 4 threads."""
    load = kernels.load
    before = load.get_num_threads()
    try:
        for threads in (1, 2, 4):
            load.set_num_threads(threads)
            yield function()
    finally:
        load.set_num_threads(before)


def same_bits(results):
    first, *others = results
    for other in others:
        for a, b in zip(first, other, strict=True):
            assert np.array_equal(a, b, equal_nan=True)


def lies_channels_last(x):
    return np.moveaxis(x, 1, -1).flags.c_contiguous
