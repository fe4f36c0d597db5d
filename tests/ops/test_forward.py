"""Property 1: every op's value, shape and dtype are PyTorch's and its reference's, in float32 and float64."""

import properties
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigan.testing import strategies
from minigan.testing.opdb import TABLE


@pytest.mark.parametrize("case", TABLE.values(), ids=str)
def test_values(case):
    for sample in case.samples:
        properties.values(case, sample)
        properties.reference_values(case, sample)


@pytest.mark.parametrize("case", [c for c in TABLE.values() if c.strategy], ids=str)
@given(data=st.data())
def test_values_of_drawn_calls(case, data):
    properties.values(case, data.draw(strategies.samples(case)))
