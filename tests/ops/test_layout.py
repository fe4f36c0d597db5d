"""Property 6: inputs and cotangents in any memory layout give what their contiguous copies give."""

import itertools

import numpy as np
import properties
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigan as mg
from minigan.kernels import work
from minigan.testing import strategies
from minigan.testing.opdb import TABLE

EMPTY_LIKE = np.empty_like


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


ALONG = {
    "softmax": lambda x, i: x.softmax(i),
    "log_softmax": lambda x, i: x.log_softmax(i),
    "logsumexp": lambda x, i: x.logsumexp(i),
    "amax": lambda x, i: x.amax(i),
    "amin": lambda x, i: x.amin(i),
    "sum": lambda x, i: (x * x).sum(i),
    "cumsum": lambda x, i: (x * x).cumsum(i),
    "std": lambda x, i: x.std(i, correction=0),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ALONG)
def test_axes_of_one_element_lie_anywhere(name, dtype, rng, monkeypatch):
    """The stride of an axis of one element says nothing: results and gradients are those of the contiguous copy, and
    none of them is memory that nobody has written."""
    monkeypatch.setattr(work, "POISON", True)
    monkeypatch.setattr(np, "empty_like", lambda x, **settings: work.poisoned(EMPTY_LIKE(x, **settings)))
    for shape in ((1, 3, 2), (2, 1, 3), (1, 3, 1), (1, 3, 1, 4), (2, 1, 3, 1), (1, 1, 2, 3)):
        for order in itertools.permutations(range(len(shape))):
            values = rng.standard_normal([shape[i] for i in order]).astype(dtype).transpose(np.argsort(order))
            assert values.shape == shape
            for axis in range(len(shape)):
                answers = []
                for array in (values, np.ascontiguousarray(values)):
                    x = mg.from_numpy(array).requires_grad_()
                    y = ALONG[name](x, axis)
                    weights = mg.tensor(np.arange(1.0, 1 + y.data.size).reshape(y.shape).astype(dtype))
                    answers.append((y, *mg.grad((y * weights).sum(), x)))
                for ours, plain in zip(*answers, strict=True):
                    np.testing.assert_allclose(
                        ours.detach().numpy(), plain.detach().numpy(), 1e-5, 1e-6, err_msg=f"{shape} {order} {axis}"
                    )


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "amax"])
def test_axes_of_one_element_in_a_captured_step(name, rng):
    for shape in ((1, 3, 2), (1, 3, 1, 4), (2, 1, 3)):
        values = np.ascontiguousarray(rng.standard_normal(shape).astype(np.float32).swapaxes(1, 2)).swapaxes(1, 2)
        x = mg.tensor(values.copy(order="K"), requires_grad=True)

        def step(x=x):
            y = ALONG[name](x, 1)
            return mg.grad((y * y).sum(), x)[0] + y.sum().detach()

        plan, expected = mg.capture(step), step()
        for _ in range(3):
            np.testing.assert_allclose(plan().numpy(), expected.numpy(), 1e-6)


@pytest.mark.parametrize(("name", "value", "slope"), [("softmax", 1.0, 0.0), ("log_softmax", 0.0, 0.0)])
def test_a_single_number_counts_as_one_axis(name, value, slope):
    x = mg.tensor(2.0, requires_grad=True)
    y = ALONG[name](x, 0)
    assert y.shape == () and y.item() == value and mg.grad(y, x)[0].item() == slope
