"""jacobian, hessian, vjp, jvp and hvp: torch's shapes and numbers, and finite differences where torch has none."""

import numpy as np
import pytest

import minigan as mg

A = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]])
B = np.array([0.3, -0.4, 0.9])

FUNCTIONS = {
    "one to one": (lambda T, a: (a * a).exp().sum(1), (A,)),
    "two to one": (lambda T, a, b: T.tanh(a * b), (A, B)),
    "two to two": (lambda T, a, b: (T.tanh(a * b).sum(0), a.sum() * b), (A, B)),
    "constant": (lambda T, a, b: a * 2 if T is None else T.ones_like(b), (A, B)),
    "a number": (lambda T, a: (a**3).sum(), (A,)),
    "two to a number": (lambda T, a, b: ((a * b) ** 2).sum() + (b**3).sum(), (A, B)),
    "linear": (lambda T, a: (a * 3).sum(), (A,)),
}


def flat(value):
    return [v for part in value for v in flat(part)] if isinstance(value, tuple) else [value]


def inputs(T, arrays):
    values = tuple(T.tensor(a.copy()) for a in arrays)
    return values[0] if len(values) == 1 else values


@pytest.mark.parametrize("name", FUNCTIONS)
def test_against_torch(name):
    torch = pytest.importorskip("torch")
    f, arrays = FUNCTIONS[name]
    number = "number" in name or name == "linear"
    rng = np.random.default_rng(0)
    outputs = f(torch, *(torch.tensor(a) for a in arrays))
    v = tuple(rng.normal(size=tuple(y.shape)) for y in (outputs if isinstance(outputs, tuple) else (outputs,)))
    u = tuple(rng.normal(size=a.shape) for a in arrays)
    kinds = {"jacobian": None, "vjp": v, "jvp": u} | ({"hessian": None, "hvp": u} if number else {})
    for kind, direction in kinds.items():
        answers = []
        for T in (mg, torch):
            extra = () if direction is None else (inputs(T, direction),)
            result = getattr(T.autograd.functional, kind)(lambda *x, T=T: f(T, *x), inputs(T, arrays), *extra)
            answers.append(result)
        ours, theirs = flat(answers[0]), flat(answers[1])
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            assert a.shape == tuple(b.shape) and not a.requires_grad
            np.testing.assert_allclose(a.numpy(), b.detach().numpy(), rtol=1e-10, atol=1e-12, err_msg=kind)


def test_create_graph_goes_on():
    """d/dx of the trace of the Jacobian of x^3 is 6 x."""
    x = mg.tensor(B, requires_grad=True)
    trace = sum(mg.jacobian(lambda a: a**3, x, create_graph=True)[i, i] for i in range(3))
    (g,) = mg.grad(trace, x)
    np.testing.assert_allclose(g.numpy(), 6 * B)
    for answer in (mg.hvp(lambda a: (a**3).sum(), x, x, create_graph=True)[1], mg.jvp(lambda a: a**3, x, x, True)[1]):
        assert answer.requires_grad
    assert not mg.jacobian(lambda a: a**3, x).requires_grad and x.grad is None


def test_bad_calls_are_refused():
    x = mg.tensor(B)
    for call, words in (
        (lambda: mg.hessian(lambda a: a * 2, x), "hessian: the function must return one number, got"),
        (lambda: mg.hvp(lambda a: a * 2, x, x), "hvp: the function must return one number, got"),
        (lambda: mg.jvp(lambda a: a * 2, x), "jvp: give v"),
        (lambda: mg.jvp(lambda a: a * 2, x, mg.ones(2)), r"jvp: v has the shapes \[\(2,\)\], the inputs \[\(3,\)\]"),
        (lambda: mg.jacobian(lambda a: mg.ones(2), x, strict=True), "an output does not depend on an input"),
    ):
        with pytest.raises(ValueError, match=words):
            call()
    with pytest.raises(TypeError, match="jacobian: the function must return a Tensor or a tuple of"):
        mg.jacobian(lambda a: 3.0, x)
    with pytest.raises(TypeError, match="hessian: expected a function of Tensors, not int"):
        mg.hessian(3, x)
    with pytest.raises(TypeError, match="recompute: expected a function of Tensors, not NoneType"):
        mg.recompute(None, x)
    with pytest.raises(TypeError, match="jacobian: inputs must be"):
        mg.jacobian(lambda a: a, 3.0)
