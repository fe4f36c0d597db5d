"""Property 9: nothing given is changed, and the same call twice gives the same bits, values and gradients to order
2."""

import properties
import pytest

from minigan.testing.opdb import TABLE


@pytest.mark.parametrize("case", TABLE.values(), ids=str)
def test_pure_and_repeatable(case):
    for sample in case.samples:
        properties.pure(case, sample)
        properties.leaves_cotangents_alone(case, sample)
