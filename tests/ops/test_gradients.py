"""Property 2: every op's gradient, against central differences in float64 under random cotangents and the whole
Jacobian where it is small."""

import properties
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigan.testing import strategies
from minigan.testing.opdb import TABLE

DIFFERENTIABLE = [c for c in TABLE.values() if c.max_order]


@pytest.mark.parametrize("case", DIFFERENTIABLE, ids=str)
def test_gradient(case):
    for sample in case.samples:
        properties.gradient(case, sample)


@pytest.mark.parametrize("case", [c for c in DIFFERENTIABLE if c.strategy], ids=str)
@given(data=st.data())
def test_gradient_of_drawn_calls(case, data):
    properties.gradient(case, data.draw(strategies.samples(case)))
