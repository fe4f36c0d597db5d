"""At a kink the derivative jumps, and PyTorch's side is the rule; second derivatives there stay finite. At extreme
values nothing overflows."""

import itertools

import numpy as np
import properties
import pytest

import minigan as mg
from minigan import functional as F
from minigan.testing import gradcheck
from minigan.testing.opdb import TABLE

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


@pytest.mark.parametrize("case", [c for c in TABLE.values() if c.kinks], ids=str)
def test_torch_s_side(case):
    for sample in case.kinks:
        properties.kink(case, sample)


@pytest.mark.parametrize(
    ("fn", "at", "slope"),
    [
        (F.relu, 0.0, 0.0),
        (lambda x: F.leaky_relu(x, 0.2), 0.0, 0.2),
        (mg.abs, 0.0, 0.0),
        (lambda x: F.elu(x, 2.0), 0.0, 2.0),
        (lambda x: mg.clip(x, 0.0, 1.0), 0.0, 1.0),
        (lambda x: mg.clip(x, 0.0, 1.0), 1.0, 1.0),
        (lambda x: mg.maximum(x, 0.0), 0.0, 0.5),
        (lambda x: mg.minimum(x, 0.0), 0.0, 0.5),
        (mg.safe_norm, 0.0, 0.0),
        (lambda x: mg.norm(x, 1), 0.0, 0.0),
        (lambda x: mg.pow(x, 2.0), 0.0, 0.0),
        (lambda x: mg.pow(x, 0.0), 0.0, 0.0),
    ],
)  # fmt: skip
def test_pinned_slopes(fn, at, slope):
    """The same rules as numbers, so that they hold without PyTorch too."""
    x = mg.tensor(np.array([at]), requires_grad=True)
    (g,) = mg.grad(fn(x).sum(), x)
    assert (0.0 if g is None else g.item()) == slope


def test_equal_largest_elements():
    """amax shares the gradient among them, max_pool2d gives it to the first."""
    x = mg.tensor(np.array([[3.0, 1.0, 3.0, 3.0]]), requires_grad=True)
    np.testing.assert_allclose(mg.grad(mg.amax(x), x)[0].data, [[1 / 3, 0, 1 / 3, 1 / 3]])
    image = mg.tensor(np.ones((1, 1, 2, 2)), requires_grad=True)
    np.testing.assert_array_equal(mg.grad(F.max_pool2d(image, 2).sum(), image)[0].data, [[[[1, 0], [0, 0]]]])


@pytest.mark.parametrize("order", [1, 2, 3])
def test_safe_norm_at_zero_is_zero_to_every_order(order):
    x = mg.tensor(np.zeros((2, 3)), requires_grad=True)
    for g in gradcheck.derivatives(lambda x: mg.safe_norm(x, 1), [x], order):
        assert g is None or not g.any()


def test_where_passes_no_nan_from_the_branch_not_taken():
    x = mg.tensor(np.array([0.0, 4.0]), requires_grad=True)
    (g,) = mg.grad(mg.where(x > 0, mg.sqrt(mg.where(x > 0, x, 1.0)), 0.0).sum(), x)
    np.testing.assert_array_equal(g.data, [0.0, 0.25])


def test_nan_is_passed_on():
    """No op hides a NaN: not relu, not the maximum, not the pooling."""
    x = mg.tensor(np.array([[np.nan, 1.0, 2.0]]))
    for fn in (
        F.relu,
        mg.tanh,
        mg.amax,
        mg.amin,
        mg.sum,
        lambda x: mg.maximum(x, 5.0),
        lambda x: mg.clip(x, 0.0, 1.0),
        lambda x: F.softmax(x, 1),
    ):
        assert np.isnan(fn(x).data).any()
    image = mg.tensor(np.full((1, 1, 2, 2), np.nan))
    assert np.isnan(F.max_pool2d(image, 2).data).all()
    assert F.relu(mg.tensor(np.array([-np.inf]))).item() == 0.0


def power_slope(a: float, b: float, by: str) -> float:
    """The derivative of a^b by the letters of `by`, from the coefficients of (ln a)^k a^(b - m), for a > 0."""
    terms = {(0, 0): np.poly1d([1.0])}  # (k, m) -> coefficient, a polynomial in b
    for letter in by:
        new = {}

        def add(key, p, new=new):
            new[key] = new.get(key, np.poly1d([0.0])) + p

        for (k, m), p in terms.items():
            if letter == "a":
                add((k, m + 1), p * np.poly1d([1.0, -m]))
                if k:
                    add((k - 1, m + 1), k * p)
            else:
                add((k, m), p.deriv())
                add((k + 1, m), p)
        terms = new
    return sum(p(b) * np.log(a) ** k * a ** (b - m) for (k, m), p in terms.items())


@pytest.mark.parametrize("by", ["".join(w) for n in (1, 2, 3) for w in itertools.product("ab", repeat=n)])
def test_derivatives_of_a_power_near_and_at_zero(by):
    """Near a = 0 the formula; at it the limit from the right, which the formula shows at a = 1e-90 already. Whichever
    way round one differentiates."""
    exponents = np.array([-1.0, -0.5, 0.0, 0.3, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0])
    for base in (1e-3, 0.0):
        a = mg.tensor(np.full(len(exponents), base), requires_grad=True)
        b = mg.tensor(exponents, requires_grad=True)
        y = a**b
        with np.errstate(all="ignore"):
            for letter in by:
                (y,) = mg.grad(y.sum(), a if letter == "a" else b, create_graph=True, materialize_grads=True)
        for exponent, slope in zip(exponents, y.tolist(), strict=True):
            if base:
                assert slope == pytest.approx(power_slope(base, exponent, by), rel=1e-9, abs=1e-12)
            elif exponent == 0:
                assert slope == 0  # 0^0: there is no limit, and PyTorch's first derivatives are 0
            else:
                near = power_slope(1e-60, exponent, by)
                wanted = 0 if abs(near) < 1e-9 else near if abs(near) < 100 else np.copysign(np.inf, near)
                assert slope == pytest.approx(wanted), exponent
