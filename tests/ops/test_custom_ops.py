"""Ops of one's own, and what an op takes in: references, checked answers, constants, kernels that can be replaced."""

import numpy as np
import pytest

import minigan as mg
from minigan import kernels


def leaf(*values, shape=None) -> mg.Tensor:
    return mg.tensor(np.array(values, float) if shape is None else np.ones(shape), requires_grad=True)


def test_an_op_with_a_reference_only_has_every_order():
    from minigan.testing import gradcheck

    class Cube(mg.Op):
        def forward(self, x):
            return x**3

        def reference(self, x):
            return x * x * x

    x = leaf(0.5, -1.5)
    for order in (1, 2, 3):
        assert gradcheck.check_order(Cube(), [x], order) < 1e-6


def test_an_op_with_neither_says_so():
    class Opaque(mg.Op):
        def forward(self, x):
            return x * 1

    with pytest.raises(NotImplementedError, match="Opaque has neither a vjp nor a reference"):
        Opaque()(leaf(1.0)).backward()


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (lambda g: (g, g), "Wrong: its vjp returned 2 gradients for 1 inputs"),
        (lambda g: (g.sum(),), r"Wrong: its vjp returned a gradient of shape \(\) for input 0 of .*\(3,\) .*sum_to"),
    ],
)
def test_a_vjp_s_answer_is_checked(answer, match):
    class Wrong(mg.Op):
        def forward(self, x):
            return x * 2

        def vjp(self, node, need, g):
            return answer(g)

    with pytest.raises(ValueError, match=match):
        Wrong()(leaf(shape=(3,))).sum().backward()


def test_constants_of_any_kind_are_taken_in():
    x = leaf(2.0)
    for y in (
        x * 3,
        3 * x,
        x * np.array([3.0]),
        np.array([3.0]) * x,
        x * np.float64(3),
        x * mg.tensor(np.array([3.0])),
    ):
        assert isinstance(y, mg.Tensor) and y.item() == 6 and y.dtype == np.float64
        assert mg.grad(y, x)[0].item() == 3


def test_what_needs_no_gradient_records_nothing():
    y = mg.tensor([1.0]) * 2
    assert y.node is None and not y.requires_grad
    assert (leaf(1.0) > 0).node is None
    assert mg.argmax(leaf(1.0)).node is None


def test_kernels_are_called_through_their_module(monkeypatch, rng):
    """So that a test, or a profiler, can stand in between."""
    calls = []
    original = kernels.act.tanh
    monkeypatch.setattr(kernels.act, "tanh", lambda *a, **k: calls.append(1) or original(*a, **k))
    mg.tanh(mg.tensor(rng.standard_normal(3)))
    assert calls == [1]
