"""Reductions along the middle axis of a block, and the ops that run on them, in every layout: sums to the rounding of
float64, extremes and shares exactly; alike on all threads, now, prepared or captured."""

import itertools

import numpy as np
import pytest
from kernel_testing import DTYPES, close, normal, on_threads, same_bits
from test_kernels_basic import same_when_prepared

import minigan as mg
from minigan import kernels
from minigan.kernels.along import LONG, STRIP
from minigan.kernels.layout import block

BLOCKS = [
    (1, 7, 5),
    (3, 1, 2),
    (3, 5, 4),
    (9, 3, 700),
    (STRIP - 1, 5, 1),
    (STRIP, 17, 1),
    (2 * STRIP + 1, 40, 1),
    (700, 33, 1),
    (3, LONG - 1, 1),
    (3, LONG + 5, 1),
]
"""(A, K, B): one block, lines in fewer and in more than a strip, long lines, and enough of all for two threads."""


def ties(shape, dtype) -> np.ndarray:
    """Whole numbers from -2 to 2, so that extremes are met more than once."""
    return np.round(normal(shape, 0, dtype)).clip(-2, 2)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", BLOCKS, ids=str)
def test_sums(shape, dtype):
    x = normal(shape, 0, dtype)
    close(kernels.along.sum_along(x), x.astype(np.float64).sum(1), dtype)
    same_bits(on_threads(lambda: (kernels.along.sum_along(x),)))
    same_when_prepared(kernels.along.sum_along, [x], np.empty(shape[::2], dtype))


def test_sums_keep_what_float32_would_lose():
    """2^24 + 1, + 1, ...: a float32 accumulator would stop at 2^24."""
    for a, b in ((STRIP, 1), (2, 3)):
        x = np.ones((a, 101, b), np.float32)
        x[:, 0] = 1 << 24
        assert (kernels.along.sum_along(x) == (1 << 24) + 100).all()


@pytest.mark.parametrize("backwards", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", BLOCKS, ids=str)
def test_running_sums(shape, dtype, backwards):
    """To the bit those of NumPy in float64."""
    x, turn = normal(shape, 0, dtype), slice(None, None, -1 if backwards else 1)
    expected = x[:, turn].cumsum(1, np.float64)[:, turn].astype(dtype)
    same_bits([(kernels.along.running_sum(x, backwards),), (expected,)])
    same_bits(on_threads(lambda: (kernels.along.running_sum(x, backwards),)))
    same_when_prepared(kernels.along.running_sum, [x, backwards], np.empty(shape, dtype))


@pytest.mark.parametrize("axis", range(4))
@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 2, 3, 1), (3, 1, 0, 2)], ids=str)
def test_cumsum_in_any_layout(axis, order):
    """Values and gradients beside NumPy's, also of what is spread, turned round, or empty; captured to the bit."""
    x = normal((2, 3, 4, 5), 0, np.float32).transpose(np.argsort(order)).copy().transpose(order)
    for view in (x, x[:, ::-1, :, ::2], np.broadcast_to(x[:, :1], x.shape), x[:, :0]):
        t = mg.tensor(view.copy()).requires_grad_()
        t._data = view  # in this layout
        weight = mg.tensor(normal(view.shape, 1, np.float32))

        def step(t=t, weight=weight):
            y = t.cumsum(axis)
            return [y * 1, *mg.grad((y * weight).sum(), t)]

        eager = [np.ascontiguousarray(r.data) for r in step()]
        np.testing.assert_allclose(eager[0], view.cumsum(axis, np.float64), rtol=1e-6)
        turned = np.flip(np.flip(weight.data, axis).cumsum(axis, np.float64), axis)
        np.testing.assert_allclose(eager[1], turned, rtol=1e-6)
        captured = mg.capture(step)
        for _ in range(3):
            replay = [np.ascontiguousarray(r.data) for r in captured()]
        same_bits([eager, replay])


@pytest.mark.parametrize("largest", [True, False])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", BLOCKS, ids=str)
def test_extremes_and_their_shares(shape, dtype, largest):
    x = ties(shape, dtype)
    y = x.max(1) if largest else x.min(1)
    same_bits([(kernels.along.extreme_along(x, largest),), (y,)])
    same_bits(on_threads(lambda: (kernels.along.extreme_along(x, largest),)))
    same_when_prepared(kernels.along.extreme_along, [x, largest], np.empty(shape[::2], dtype))
    equal = (x == y[:, None]).astype(dtype)
    same_bits([(kernels.along.extreme_share(x, y),), (equal / equal.sum(1, keepdims=True),)])
    same_bits(on_threads(lambda: (kernels.along.extreme_share(x, y),)))
    same_when_prepared(kernels.along.extreme_share, [x, y], np.empty(shape, dtype))


@pytest.mark.parametrize("shape", [s for s in BLOCKS if s[1] > 1], ids=str)
def test_not_a_number_wins_wherever_it_stands(shape):
    for place in (0, 1, shape[1] - 1):
        x = normal(shape, 0, np.float32)
        x[0, place] = np.nan
        for largest, extreme in ((True, np.max), (False, np.min)):
            y = kernels.along.extreme_along(x, largest)
            np.testing.assert_array_equal(y, extreme(x, 1))
            share = kernels.along.extreme_share(x, y)
            assert np.isnan(share[0]).all() and not np.isnan(share[1:]).any()


AXES = [axes for count in (1, 2, 3) for axes in itertools.combinations(range(4), count)]


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 2, 3, 1), (3, 1, 0, 2)], ids=str)
@pytest.mark.parametrize("axes", AXES, ids=str)
def test_a_block_is_the_array_with_its_axes_in_the_middle_or_none(axes, order):
    x = normal((2, 3, 4, 5), 0, np.float32).transpose(np.argsort(order)).copy().transpose(order)
    middle = block(x, axes)
    others = [axis for axis in range(4) if axis not in axes]
    lines = x.transpose(*others, *axes).reshape(*(x.shape[axis] for axis in others), -1)
    if middle is not None:
        assert np.shares_memory(middle, x)
        numbers = np.sort(middle.transpose(0, 2, 1).reshape(lines.shape), -1)  # the axes may lie in another order
        np.testing.assert_array_equal(numbers, np.sort(lines, -1))
    elif order == (0, 1, 2, 3):
        assert axes[-1] - axes[0] >= len(axes), "neighbours in C order have a block"


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 2, 3, 1), (3, 1, 0, 2)], ids=str)
@pytest.mark.parametrize("axes", AXES, ids=str)
def test_ops_over_any_axes_of_any_layout(axes, order):
    """Values and gradients of sum, amax and amin beside NumPy's, op by op and captured, to the bit but for sums."""
    x = ties((6, 17, 4, 18), np.float32).transpose(np.argsort(order)).copy().transpose(order)
    t = mg.tensor(x).requires_grad_()
    t._data = x  # in this layout
    weight = mg.tensor(normal(x.sum(axes).shape, 1, np.float32))

    def step():
        results = []
        for op in (mg.sum, mg.amax, mg.amin):
            y = op(t, axes)
            results += [y, *mg.grad((y * weight).sum(), t)]
        return [r * 1 for r in results]

    eager = [np.ascontiguousarray(r.data) for r in step()]
    captured = mg.capture(step)
    for _ in range(3):
        replay = [np.ascontiguousarray(r.data) for r in captured()]
    same_bits([eager, replay])
    w = np.expand_dims(weight.data, axes)
    np.testing.assert_allclose(eager[0], x.astype(np.float64).sum(axes), rtol=1e-6, atol=1e-5)
    for (y, g), extreme in zip((eager[2:4], eager[4:]), (x.max, x.min), strict=True):
        np.testing.assert_array_equal(y, extreme(axes))
        equal = (x == extreme(axes, keepdims=True)).astype(np.float32)
        np.testing.assert_array_equal(g, w * (equal / equal.sum(axes, keepdims=True)))
