"""Property 6: inputs and cotangents in any memory layout give what their contiguous copies give."""

import numpy as np
import properties
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigan as mg
from minigan.testing import strategies
from minigan.testing.opdb import TABLE


@pytest.mark.parametrize("case", TABLE.values(), ids=str)
def test_layouts(case):
    for sample in case.samples:
        properties.layouts(case, sample)


@pytest.mark.parametrize(
    "case",
    [c for c in TABLE.values() if c.strategy in ("conv2d", "conv_transpose2d", "batch_norm", "matmul", "pool2d")],
    ids=str,
)
@given(data=st.data())
def test_layouts_of_drawn_calls(case, data):
    properties.in_layout(case, data.draw(strategies.samples(case)), data.draw(strategies.layouts()))


def test_layouts_are_what_they_say():
    x = np.arange(120.0).reshape(2, 3, 4, 5)
    for name, layout in strategies.LAYOUTS.items():
        y = layout(x)
        assert y.shape == x.shape and y.dtype == x.dtype
        assert not y.flags.c_contiguous or not y.flags.aligned
        if name != "stride_0":
            np.testing.assert_array_equal(y, x)
    assert strategies.LAYOUTS["stride_0"](x).strides[0] == 0
    assert min(strategies.LAYOUTS["reversed"](x).strides) < 0
    assert strategies.LAYOUTS["nhwc"](x).transpose(0, 2, 3, 1).flags.c_contiguous


def test_convolutions_answer_in_nhwc_memory(rng):
    """An activation is an (N, C, H, W) view of NHWC memory, and elementwise ops keep it so."""
    x, w = mg.tensor(rng.standard_normal((2, 3, 5, 6))), mg.tensor(rng.standard_normal((4, 3, 3, 3)))
    y = mg.functional.leaky_relu(mg.functional.conv2d(x, w), 0.2) * 2 + 1
    assert y.data.transpose(0, 2, 3, 1).flags.c_contiguous
