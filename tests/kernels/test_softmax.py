"""Softmax and its logarithm along the middle axis of a block: to the rounding of float32 whatever the size of the
numbers, in every layout, alike on all threads, now, prepared or captured."""

import itertools
from functools import partial

import numpy as np
import pytest
from kernel_testing import normal, on_threads, same_bits
from test_kernels_basic import same_when_prepared

import minigan as mg
from minigan.functional import cross_entropy, log_softmax, softmax
from minigan.kernels import softmax as kernel
from minigan.kernels.softmax import LANES, TASK

BLOCKS = [
    (1, 1, 1),
    (5, 1, 3),
    (1, 7, 5),
    (3, 5, 4),
    (3, LANES - 1, 1),
    (7, LANES, 1),
    (4, 3 * LANES + 5, 1),
    (700, 10, 1),
    (2, TASK + 3, 1),
    (9, 3, 700),
]
"""(A, K, B): lines shorter and longer than the lanes, and enough of them for two threads, alone or side by side."""


def exact(x: np.ndarray, log: bool, axis: int = 1) -> np.ndarray:
    """From the differences to the largest, which are rounded to the dtype of x."""
    x = (x - x.max(axis, keepdims=True)).astype(np.float64)
    shares = x - np.log(np.exp(x).sum(axis, keepdims=True))
    return shares if log else np.exp(shares)


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("shape", BLOCKS, ids=str)
def test_the_shares(shape, log):
    x = normal(shape, 0, np.float32) * 3
    found = kernel.softmax(x, log)
    wanted = exact(x, log)
    assert found.dtype == np.float32
    assert (np.abs(found - wanted) <= 4e-7 * np.maximum(np.abs(wanted), 4 if log else 0)).all()
    if not log:
        np.testing.assert_allclose(found.sum(1, dtype=np.float64), 1, rtol=3e-7)
    same_bits(on_threads(lambda: (kernel.softmax(x, log),)))
    same_when_prepared(lambda x, out=None, **how: kernel.softmax(x, log, out, **how), [x], np.empty_like(x))


@pytest.mark.parametrize("shape", [(3, 40, 1), (3, 40, 2)])
def test_no_size_of_the_numbers_overflows(shape):
    """Shifted by the largest, wherever it stands; a share below what float32 holds is 0, its logarithm is not."""
    for place, shift in itertools.product((0, 17, 39), (-3e38, -100, 0, 1e4, 3e38)):
        x = np.full(shape, np.float32(shift))
        x[:, place] = np.float32(shift) + max(200.0, abs(shift) / 1e3)
        rest = np.float64(x[0, place, 0]) - np.float64(x[0, (place + 1) % 40, 0])
        share, log_share = kernel.softmax(x), kernel.softmax(x, log=True)
        assert (share[:, place] == 1).all() and share.sum() == share.shape[0] * share.shape[2]
        np.testing.assert_allclose(np.delete(log_share, place, 1), -rest, rtol=1e-6)
        assert (log_share[:, place] == 0).all()


@pytest.mark.parametrize("shape", [(3, 5, 1), (3, 40, 1), (3, 5, 2)])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_spoils_its_own_line(shape, bad):
    x = normal(shape, 0, np.float32)
    for place in (0, 2, shape[1] - 1):
        y = x.copy()
        y[1, place, 0] = bad
        for log in (False, True):
            found, whole = kernel.softmax(y, log), kernel.softmax(x, log)
            line = found[1, :, 0].copy()
            found[1, :, 0] = whole[1, :, 0]
            same_bits([(found,), (whole,)])
            if bad == -np.inf:  # a class that cannot be
                assert line[place] == (bad if log else 0) and np.isfinite(np.delete(line, place)).all()
            else:
                assert np.isnan(line).all()
    assert np.isnan(kernel.softmax(np.full(shape, np.float32(-np.inf)))).all()


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_the_ops_along_any_axis_of_any_layout(axis, order):
    x = np.ascontiguousarray(normal((4, 5, 6), 0, np.float32).transpose(order)).transpose(np.argsort(order))
    wide, source = x.astype(np.float64), mg.tensor(x)
    for op, log in ((softmax, False), (log_softmax, True)):
        np.testing.assert_allclose(op(source, axis).numpy(), exact(x, log, axis), atol=1e-6)
        np.testing.assert_allclose(op(source[:, ::2], axis).numpy(), exact(x[:, ::2], log, axis), atol=1e-6)
        np.testing.assert_allclose(op(mg.tensor(wide), axis).numpy(), exact(wide, log, axis), atol=1e-14)
        captured = mg.capture(partial(op, source, axis))
        for _ in range(3):
            same_bits([(captured().numpy(),), (op(source, axis).numpy(),)])
        assert op(mg.zeros(0, 3), 0).shape == (0, 3)


def test_cross_entropy_weighs_each_target_s_class():
    """By hand, with a weight that has a gradient of its own: (w_1 l_1 + w_2 l_2) / (w_1 + w_2)."""
    x = mg.tensor(np.array([[1.0, 2.0, 4.0], [0.0, 1.0, -1.0], [3.0, 3.0, 3.0]])).requires_grad_()
    weight = mg.tensor(np.array([1.0, 2.0, 5.0])).requires_grad_()
    target = np.array([2, 0, -100])
    loss = cross_entropy(x, target, weight)
    each = -exact(x.detach().numpy(), True)[[0, 1], [2, 0]]
    np.testing.assert_allclose(loss.item(), (5 * each[0] + 1 * each[1]) / 6)
    (slope,) = mg.grad(loss, [weight])
    np.testing.assert_allclose(slope.numpy(), [(each[1] - loss.item()) / 6, 0, (each[0] - loss.item()) / 6])
    np.testing.assert_allclose(cross_entropy(x, target).item(), each.mean())
