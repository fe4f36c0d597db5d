"""recompute: the values and gradients of the plain call, to any order, with less kept."""

import gc
import weakref

import numpy as np
import pytest

import minigan as mg
from minigan import functional as F
from minigan import nn

X = np.random.default_rng(0).normal(size=(4, 3, 6, 6)).astype(np.float32)


class Outer(nn.Module):
    """A batch norm that is recomputed inside a function that may be recomputed itself."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))

    def forward(self, x):
        return mg.recompute(self.inner, x).tanh()


def blocks():
    yield "convolutions", nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Conv2d(4, 2, 3))
    yield "batch norm", nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.LeakyReLU(0.2))
    yield "a block in a block", Outer()
    yield "dropout", nn.Sequential(nn.Conv2d(3, 4, 3), nn.Dropout(0.5), nn.Tanh())
    yield "spectral norm", nn.Sequential(nn.spectral_norm(nn.Conv2d(3, 4, 3)), nn.Tanh())


def outcome(block, call):
    """Values, first gradients, second gradients, and the module's state after two steps."""
    rows = []
    mg.manual_seed(1)
    for _ in range(2):
        x = mg.tensor(X, requires_grad=True)
        y = call(block, x)
        params = [x, *block.parameters()]
        grads = mg.grad((y * y).sum(), params, create_graph=True)
        second = mg.grad((grads[0] ** 2).sum(), params, allow_unused=True)
        rows += [y, *grads, *second]
    return [None if t is None else t.detach().numpy() for t in rows] + list(block.state_dict().values())


@pytest.mark.parametrize(("name", "block"), list(blocks()), ids=lambda v: v if isinstance(v, str) else "")
def test_equal_to_the_plain_call_to_second_order(name, block):
    state = block.state_dict()
    plain = outcome(block, lambda f, x: f(x))
    block.load_state_dict(state)
    again = outcome(block, mg.recompute)
    for a, b in zip(plain, again, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_allclose(b, a, rtol=2e-4, atol=1e-5)


def test_random_numbers_go_on_as_after_one_call():
    x = mg.tensor(X, requires_grad=True)
    draws = []
    for call in (lambda f, v: f(v), mg.recompute):
        mg.manual_seed(3)
        y = call(lambda v: F.dropout(v) * 2, x)
        between = mg.rand(2)
        y.sum().backward()
        draws.append((between.numpy(), mg.rand(2).numpy(), x.grad.numpy()))
        x.grad = None
    for a, b in zip(*draws, strict=True):
        assert (a == b).all()


def test_closures_numbers_and_several_results():
    x, w = mg.tensor(X[0, 0], requires_grad=True), mg.tensor(X[0, 1], requires_grad=True)

    def f(v, scale, nothing=None):
        return v * w * scale, (v @ w).exp()

    results = []
    for call in (lambda: f(x, 0.1, None), lambda: mg.recompute(f, x, 0.1, None)):
        a, b = call()
        results.append([g.numpy() for g in mg.grad(a.sum() + (b * b).sum(), [x, w])])
        results.append([g.numpy() for g in mg.grad(call()[1].sum(), [x, w])])  # the first output is dropped
    for a, b in zip(results[0] + results[1], results[2] + results[3], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)
    with pytest.raises(TypeError, match="recompute: the function must return a Tensor"):
        mg.recompute(lambda v: [v], x)


def test_nothing_inside_is_kept():
    x, inner = mg.tensor(X, requires_grad=True), []

    def f(v):
        h = v.exp()
        inner.append(weakref.ref(h))
        return h.sin() * 2

    gc.disable()
    try:
        y = mg.recompute(f, x)
        assert inner[0]() is None
        y.sum().backward()
        assert len(inner) == 2 and inner[1]() is None and x.grad is not None
    finally:
        gc.enable()


def test_without_a_gradient_and_in_a_captured_step():
    x = mg.tensor(X)
    assert not mg.recompute(mg.exp, x).requires_grad
    with mg.no_grad():
        assert not mg.recompute(mg.exp, mg.tensor(X, requires_grad=True)).requires_grad
    v = mg.tensor(X, requires_grad=True)
    step = mg.capture(lambda: mg.grad(mg.recompute(lambda t: t.exp().sin(), v).sum(), v))
    for _ in range(2):
        np.testing.assert_allclose(step()[0].numpy(), np.cos(np.exp(X)) * np.exp(X), rtol=1e-4, atol=1e-5)


def test_a_computed_tensor_that_the_function_closes_over():
    """It has its gradient as in the plain call, to second order, and its hooks, like a weight's, see it whole and
    once."""
    for call in (lambda f, x: f(x), mg.recompute):
        x, w = (mg.tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
        h, seen = x * 2, []
        h.register_hook(lambda g, seen=seen: seen.append(("h", g.tolist())))
        w.register_hook(lambda g, seen=seen: seen.append(("w", g.tolist())))
        y = call(lambda z, h=h, w=w: z * h * w, x)
        (g,) = mg.grad(y.sum(), [h], create_graph=True)
        assert g.tolist() == [1, 4] and mg.grad(g.sum(), [x], allow_unused=True)[0].tolist() == [1, 2]
        seen.clear()
        (y.sum() + h.sum() + w.sum()).backward()
        assert sorted(seen) == [("h", [2, 5]), ("w", [3, 9])] and x.grad.tolist() == [6, 18]
