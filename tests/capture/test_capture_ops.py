"""Every op of the table captured gives what it gives eagerly: its values, and its derivatives to the third order.

A plan runs other code than an eager pass: `prepare` in place of `forward`, fused loops, memory that is used again. Each
call is recorded, then replayed on other inputs, which shows what a record took for a constant.
"""

import copy

import numpy as np
import pytest

import minigan as mg
from minigan.backend import float32, float64
from minigan.capture import CaptureError
from minigan.testing.opdb import TABLE

TOLERANCE = {float32: 2e-5, float64: 1e-11}
"""Of the largest element of each result. A plan adds up in another order, and fuses products into sums."""
REFUSED = {("__rmatmul__", 0), ("batch_norm.frozen", 0), ("batch_norm.frozen", 1), ("one_hot", 0)}
REFUSED |= {("repeat_interleave", 2), ("repeat_interleave", 3)}
"""Whose functions read a number or make a tensor of an array on the way; `one_hot` does to count the classes."""
COUNTED = {"nonzero", "where.positions", "unique", "bincount"}
"""Whose results have as many elements as the values say; so are those of the `repeat_interleave` above."""
DRAWN = {"dropout"}
"""Which draw random numbers: their generators are made anew in each call, and a record sees its own."""
ROWS = {
    (case.name, i): (case, sample)
    for case in TABLE.values()
    for i, sample in enumerate(case.samples)
    if case.name not in DRAWN
}


def orders(case, sample, leaves, seeds):
    """The outputs, and the gradients of order 1 to the row's highest, of sums weighted by `seeds`."""
    values = case.bound(sample)(*leaves)
    results = list(values) if isinstance(values, (tuple, list)) else [values]
    level, draw = results, iter(seeds)
    for _ in range(case.max_order if leaves else 0):
        live = [y for y in level if y.requires_grad]
        if not live:
            break
        grads = mg.grad(live, leaves, [next(draw)(y) for y in live], create_graph=True)
        level = [g for g in grads if g is not None]
        results.extend(level)
    return results


class Seeds:
    """Cotangents, drawn where a result of that number is first seen."""

    def __init__(self, rng):
        self.rng, self.tensors = rng, []

    def __iter__(self):
        for i in range(1000):
            yield lambda y, i=i: self.of(i, y)

    def of(self, i, y):
        if i == len(self.tensors):
            self.tensors.append(mg.tensor(self.rng.standard_normal(y.shape).astype(y.dtype)))
        return self.tensors[i]


def captured_equals_eager(case, sample, dtype):
    """Recorded, replayed, and replayed on other inputs."""
    leaves, seeds = case.tensors(sample, dtype), Seeds(np.random.default_rng(5))

    def step():
        return orders(case, sample, leaves, seeds)

    step()  # draws the cotangents
    captured = mg.capture(step)
    other = copy.copy(sample)
    object.__setattr__(other, "seed", 1)
    for values in (None, None, case.arrays(other, dtype)):
        for leaf, array in zip(leaves, values or (), strict=False):
            leaf.assign(array)
        expected = [t.detach().clone() for t in step()]
        results = captured()
        assert len(results) == len(expected)
        for a, b in zip(results, expected, strict=True):
            assert a.dtype == b.dtype and a.shape == b.shape
            x, y = a.detach().numpy(), b.numpy()
            assert np.array_equal(np.isfinite(x), np.isfinite(y))
            size = np.abs(y[np.isfinite(y)]).max(initial=1.0)
            np.testing.assert_allclose(x, y, rtol=0, atol=TOLERANCE[dtype] * size if y.dtype.kind == "f" else 0)


SLOW = [
    pytest.param(row, marks=pytest.mark.slow if i % 41 else (), id=f"{row[0]}-{row[1]}") for i, row in enumerate(ROWS)
]


@pytest.mark.parametrize("dtype", [float32, float64], ids=str)
@pytest.mark.parametrize("row", SLOW)
def test_every_row(row, dtype):
    """All of them in the slow suite, every forty-first in the quick one."""
    case, sample = ROWS[row]
    if row in REFUSED or row[0] in COUNTED:
        with pytest.raises(CaptureError):
            captured_equals_eager(case, sample, dtype)
    elif dtype in case.dtypes:
        captured_equals_eager(case, sample, dtype)
