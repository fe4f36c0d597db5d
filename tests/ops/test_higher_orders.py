"""Property 3: derivatives of order 2 and 3 against finite differences of the order before and against the references;
PyTorch up to order 2."""

import properties
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigan.testing import strategies
from minigan.testing.opdb import TABLE

DIFFERENTIABLE = [c for c in TABLE.values() if c.max_order]


FIRST = 2
"""Samples of a row that the quick test compares with differences; the other properties hold for all of them."""


@pytest.mark.parametrize("case", DIFFERENTIABLE, ids=str)
def test_orders_2_and_3_against_differences(case):
    for sample in case.samples[:FIRST]:
        properties.higher_orders(case, sample)


@pytest.mark.slow
@pytest.mark.parametrize("case", [c for c in DIFFERENTIABLE if len(c.samples) > FIRST], ids=str)
def test_orders_2_and_3_of_further_samples_against_differences(case):
    for sample in case.samples[FIRST:]:
        properties.higher_orders(case, sample)


@pytest.mark.parametrize("case", [c for c in TABLE.values() if c.torch_fn and c.torch_order], ids=str)
def test_orders_1_and_2_against_torch(case):
    for sample in case.samples:
        properties.torch_orders(case, sample)


@pytest.mark.parametrize("case", DIFFERENTIABLE, ids=str)
def test_orders_1_to_3_against_references(case):
    for sample in case.samples:
        properties.reference_orders(case, sample)


@pytest.mark.parametrize("case", [c for c in DIFFERENTIABLE if c.strategy], ids=str)
@given(data=st.data())
def test_drawn_calls(case, data):
    sample = data.draw(strategies.samples(case))
    properties.reference_orders(case, sample)
    properties.torch_orders(case, sample)


@pytest.mark.parametrize("case", [c for c in DIFFERENTIABLE if c.strategy], ids=str)
@settings(max_examples=max(3, settings().max_examples // 3))
@given(data=st.data())
def test_drawn_calls_against_differences(case, data):
    properties.higher_orders(case, data.draw(strategies.samples(case)))
