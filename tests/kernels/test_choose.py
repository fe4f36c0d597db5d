"""One of two numbers by a condition: NumPy's `where` to the bit, in every layout, on all threads, now and prepared."""

import itertools
from functools import partial

import numpy as np
import pytest
from kernel_testing import DTYPES, layouts, normal, on_threads, same_bits
from test_kernels_basic import same_when_prepared

import minigan as mg
from minigan import kernels
from minigan.ops.basic import LARGE

SHAPES = [(3, 5, 2, 4), (2, 16385)]
"""One task, and two whose last has one element for each row."""


def operands(shape, dtype) -> list[list[np.ndarray]]:
    """For a and for b: an array, and a number of no axes. NaN and infinities are numbers like any other."""
    a, b = normal(shape, 0, dtype), normal(shape, 1, dtype)
    a.flat[::3], b.flat[::4] = np.nan, np.inf
    return [[a, np.array(-0.0, dtype)], [b, np.array(np.nan, dtype)]]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_kernel_is_where(shape, dtype):
    condition = normal(shape, 2, dtype) > 0
    for a, b in itertools.product(*operands(shape, dtype)):
        same_bits([(kernels.choose.choose(condition, a, b),), (np.where(condition, a, b),)])
        same_bits(on_threads(lambda a=a, b=b: (kernels.choose.choose(condition, a, b),)))
        same_when_prepared(partial(kernels.choose.choose, condition), [a, b], np.empty(shape, dtype))


@pytest.mark.parametrize("shape", SHAPES[:1], ids=str)
def test_any_layout_and_in_place(shape):
    a, b = normal(shape, 0, np.float32), normal(shape, 1, np.float32)
    condition = a + b > 0
    expected = np.where(condition, a, b)
    for c, x, y in itertools.product(layouts(condition), layouts(a), layouts(b)):
        np.testing.assert_array_equal(kernels.choose.choose(c, x, y), expected)
    for x, y in ((a.copy(), b), (a, b.copy())):
        out = x if x is not a else y
        assert kernels.choose.choose(condition, x, y, out) is out
        np.testing.assert_array_equal(out, expected)


@pytest.mark.parametrize("size", [LARGE - 1, LARGE, 3 * LARGE + 1])
@pytest.mark.parametrize("shapes", list(itertools.product(["whole", "one", "column", "float64"], repeat=2)), ids=str)
def test_the_op_is_where_whatever_it_is_asked(size, shapes):
    """Arrays, numbers, arrays to broadcast and of another dtype, below and above the size at which the kernel runs;
    op by op and captured, values and gradients."""
    condition = mg.tensor(normal((size, 2), 2, np.float32) > 0)
    kinds = {
        "whole": lambda seed: normal((size, 2), seed, np.float32),
        "one": lambda seed: normal((), seed, np.float32),
        "column": lambda seed: normal((size, 1), seed, np.float32),
        "float64": lambda seed: normal((size, 2), seed, np.float64),
    }
    arrays = [kinds[kind](seed) for seed, kind in enumerate(shapes)]
    a, b = (mg.tensor(x).requires_grad_() for x in arrays)

    def step():
        y = mg.where(condition, a, b)
        return [y * 1, *mg.grad((y * y).sum(), [a, b])]

    eager = [r.data for r in step()]
    captured = mg.capture(step)
    for _ in range(3):
        replay = [r.data for r in captured()]
    same_bits([eager, replay])
    c = condition.data
    np.testing.assert_array_equal(eager[0], np.where(c, *arrays))
    for gradient, x, taken in ((eager[1], arrays[0], c), (eager[2], arrays[1], ~c)):
        np.testing.assert_allclose(gradient, summed(2.0 * x * taken, x.shape), rtol=1e-5)


def summed(g: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """g (N, 2) summed to the shape of a number or of a column."""
    return g.sum() if shape == () else g.sum(1, keepdims=True) if shape[1] == 1 else g


def test_one_number_of_more_axes_than_the_condition_gives_its_axes_to_the_result():
    condition = mg.tensor(normal((LARGE,), 0, np.float32) > 0)
    a, b = mg.tensor(np.ones((1, 1), np.float32)), mg.tensor(np.zeros((), np.float32))
    assert mg.where(condition, a, b).shape == (1, LARGE) == mg.capture(lambda: mg.where(condition, a, b))().shape
