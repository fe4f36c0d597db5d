"""Property 8: float32 stays float32 through values and gradients and is near the float64 result; mixed dtypes promote
as in PyTorch."""

from itertools import product

import numpy as np
import properties
import pytest
import pytorch

import minigan as mg
from minigan.testing import gradcheck
from minigan.testing.opcase import Sample
from minigan.testing.opdb import TABLE

# The results of these are exact or change dtype by design.
CASTS = ("to", "float", "double", "long")
DTYPES = (np.float32, np.float64, np.int64, np.int32)


@pytest.mark.parametrize("case", [c for c in TABLE.values() if c.op not in CASTS], ids=str)
def test_float32(case):
    for sample in case.samples:
        properties.dtypes(case, sample)


@pytest.mark.parametrize("name", ["add", "sub", "mul", "div", "pow", "maximum", "minimum", "lt", "eq"])
@pytest.mark.parametrize(("a", "b"), list(product(DTYPES, repeat=2)), ids=lambda d: d.__name__)
def test_promotion_of_two_tensors(name, a, b, torch):
    x, y = np.array([1, 2]).astype(a), np.array([2, 1]).astype(b)
    ours = getattr(mg, name)(mg.tensor(x), mg.tensor(y))
    theirs = getattr(torch, name)(torch.tensor(x), torch.tensor(y)).numpy()
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(ours.data, theirs)


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda d: d.__name__)
@pytest.mark.parametrize("number", [2, 2.5, True])
@pytest.mark.parametrize("op", ["add", "mul", "truediv", "pow", "radd", "rmul", "rtruediv"])
def test_a_python_number_does_not_promote(op, number, dtype, torch):
    x = np.array([1, 2]).astype(dtype)
    ours = getattr(mg.tensor(x), f"__{op}__")(number)
    theirs = getattr(torch.tensor(x), f"__{op}__")(number).numpy()
    assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(ours.data, theirs, rtol=1e-6)


def test_numbers_inside_a_float32_graph(rng):
    """A second-order pass through a float32 graph with Python floats in it makes no float64 anywhere."""
    x = mg.tensor(rng.standard_normal((3, 4)).astype(np.float32), requires_grad=True)
    y = (1.5 * x**3 / 0.7 - 2).tanh().mean() + mg.where(x > 0.1, x, 0.2).sum() + mg.pow(2.0, x).sum()
    (g,) = mg.grad(y, x, create_graph=True)
    (h,) = mg.grad((g * g).sum(), x)
    assert y.dtype == g.dtype == h.dtype == np.float32


def test_mixed_floats_give_each_input_its_own_dtype():
    a = mg.tensor(np.ones(3, np.float32), requires_grad=True)
    b = mg.tensor(np.ones(3, np.float64), requires_grad=True)
    da, db = mg.grad((a * b).sum(), (a, b))
    assert (da.dtype, db.dtype) == (np.float32, np.float64)


def test_cast_is_differentiable():
    x = mg.tensor(np.array([0.5, -1.0]), requires_grad=True)
    if pytorch.compared():
        gradcheck.compare_with_torch(lambda x: x.float() ** 2, lambda x: x.float() ** 2, [x], order=2, atol=1e-6)
    (g,) = mg.grad((x.float() ** 2).sum(), x)
    assert g.dtype == np.float64


def test_sums_are_accumulated_wide():
    """Ten million float32 ones (and a mean, and a channel sum) come out exact; a float32 running sum would stop at
    2^24."""
    x = mg.tensor(np.ones((20_000_000,), np.float32))
    assert x.sum().item() == 20_000_000
    channels = mg.tensor(np.full((4, 2, 1600, 1600), 1.0, np.float32))
    np.testing.assert_array_equal(channels.sum((0, 2, 3)).data, np.full(2, 4 * 1600 * 1600, np.float32))


@pytest.mark.parametrize("dtype", [np.float16, np.complex64, object, "U3"])
def test_unsupported_dtypes(dtype):
    with pytest.raises(
        TypeError, match=r"tensor: dtype .* is not supported; use float32, float64, an integer type or bool"
    ):
        mg.tensor(np.zeros(2, dtype))


def test_only_floats_require_gradients():
    with pytest.raises(TypeError, match="only float32 and float64 tensors can require a gradient, not int64"):
        mg.tensor([1, 2], requires_grad=True)


def test_tensor_keeps_an_array_s_dtype_and_makes_python_floats_float32():
    assert mg.tensor([1.0]).dtype == np.float32 and mg.tensor([1]).dtype == np.int64 and mg.tensor(True).dtype == bool
    for dtype in DTYPES:
        assert mg.tensor(np.zeros(1, dtype)).dtype == dtype
    assert mg.tensor(np.float64(1.0)).dtype == np.float64


def test_a_mean_of_ones_is_one():
    """For every count: a product with the rounded 1 / n would miss it for 41, among others."""
    for n in range(1, 200):
        assert mg.mean(mg.ones(n)).item() == 1.0


@pytest.mark.parametrize("name", ["conv2d", "conv_transpose2d"])
def test_the_fast_kernels_are_as_right_as_the_plain_ones(name, monkeypatch):
    """Where float32 takes the micro-kernel's route: values and derivatives to order 2 near the plain float64 ones."""
    from minigan.kernels.fast import conv, lanes

    kernels = set()
    for kernel in ("conv_forward", "conv_input", "conv_weight"):
        original = getattr(conv, kernel)
        monkeypatch.setattr(conv, kernel, lambda *a, k=kernel, o=original: kernels.add(k) or o(*a))
    for settings in ({"stride": 2, "padding": 1}, {"stride": 1, "padding": 2, "dilation": 2}):
        inputs = (
            ((4, 16, 14, 12), (24, 16, 4, 4), (24,)) if name == "conv2d" else ((4, 24, 7, 6), (24, 16, 4, 4), (16,))
        )
        properties.dtypes(TABLE[name], Sample(inputs, settings))
    assert kernels == ({"conv_forward", "conv_input", "conv_weight"} if lanes() else set())
