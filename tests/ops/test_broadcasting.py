"""Property 5: broadcasting over every subset of the axes, both ways, with and without leading axes: value and gradients
to order 2 as PyTorch's."""

from itertools import product

import numpy as np
import properties
import pytest

import minigan as mg
from minigan.testing.opcase import Sample
from minigan.testing.opdb import TABLE
from minigan.testing.strategies import axis_subsets

FULL = (2, 3, 2)
BINARY = [c for c in TABLE.values() if len(c.samples[0].inputs) == 2 and c.strategy == "binary"]


@pytest.mark.parametrize("case", BINARY, ids=str)
def test_two_operands(case):
    for pair in product(axis_subsets(FULL), repeat=2):
        sample = Sample(pair)
        if case.max_order:
            properties.torch_orders(case, sample)
        else:
            properties.values(case, sample)


def test_where_broadcasts_three_ways(rng):
    case = TABLE["where"]
    for a, b, c in product(axis_subsets((2, 3)), repeat=3):
        properties.torch_orders(case, Sample((a, b), {"condition": np.asarray(rng.random(c) > 0.5)}))


@pytest.mark.parametrize("name", ["broadcast_to", "sum_to"])
def test_to_a_shape(name):
    case = TABLE[name]
    for small in axis_subsets(FULL):
        sample = Sample((small,), {"shape": FULL}) if name == "broadcast_to" else Sample((FULL,), {"shape": small})
        properties.values(case, sample)
        properties.gradient(case, sample)
        properties.torch_orders(case, sample)


def test_size_one_against_size_one_is_not_summed():
    """An axis of size 1 on both sides was not broadcast: its gradient keeps its place."""
    a, b = (mg.tensor(np.ones(s), requires_grad=True) for s in ((1, 3), (2, 1, 1)))
    da, db = mg.grad((a * b * 2).sum(), (a, b))
    np.testing.assert_array_equal(da.data, np.full((1, 3), 4.0))
    np.testing.assert_array_equal(db.data, np.full((2, 1, 1), 6.0))


@pytest.mark.parametrize("shapes", [((2,), (3,)), ((2, 3), (2,)), ((4, 1, 2), (3, 3))])
def test_shapes_that_do_not_fit(shapes):
    a, b = (mg.tensor(np.ones(s)) for s in shapes)
    with pytest.raises(ValueError, match="add: the shapes do not broadcast"):
        a + b
