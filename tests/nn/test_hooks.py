"""Hooks on modules: what they see and change, forward and backward, in what order, to any order of derivative."""

import copy
import pickle

import numpy as np
import pytest

import minigan as mg
from minigan import nn

X = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]], np.float32)


class Pair(nn.Module):
    """Two arguments, two outputs and a keyword."""

    def forward(self, a, b, scale=1.0):
        return a * b * scale, a + b


def test_order_and_removal():
    layer, calls = nn.Tanh(), []
    first = layer.register_forward_pre_hook(lambda m, args: calls.append("first"))
    layer.register_forward_pre_hook(lambda m, args: calls.append("second"))
    layer.register_forward_pre_hook(lambda m, args: calls.append("zeroth"), prepend=True)
    with layer.register_forward_hook(lambda m, args, out: calls.append("after")):
        layer(mg.tensor(X))
    assert calls == ["zeroth", "first", "second", "after"]
    first.remove()
    first.remove()
    calls.clear()
    layer(mg.tensor(X))
    assert calls == ["zeroth", "second"]


def test_keyword_arguments():
    module, seen = Pair(), []

    def before(m, args, kwargs):
        return args, {**kwargs, "scale": 3.0}

    module.register_forward_pre_hook(before, with_kwargs=True)
    module.register_forward_hook(lambda m, args, kwargs, out: seen.append(kwargs), with_kwargs=True)
    product, _ = module(mg.tensor(X), mg.tensor(X), scale=2.0)
    assert seen == [{"scale": 3.0}] and np.allclose(product.numpy(), 3 * X * X)


def both(T, see):
    """The gradients and what a backward hook saw, for two arguments of which one requires no gradient."""

    class Both(T.nn.Module):
        def forward(self, a, b):
            return a * b, a + b

    x, y = T.tensor(X, requires_grad=True), T.tensor(X * 2)
    module, calls = Both(), []

    def hook(m, grad_input, grad_output):
        calls.append([*grad_input, *grad_output])
        return see(grad_input)

    module.register_full_backward_hook(hook)
    product, total = module(x, y)
    (product.sum() * 3 + (total**2).sum()).backward()
    numbers = [[None if g is None else g.detach().numpy() for g in call] for call in calls]
    return x.grad.numpy(), numbers


@pytest.mark.parametrize("see", [lambda g: None, lambda g: (g[0] * 5, g[1])], ids=["looks", "changes"])
def test_several_arguments_and_outputs(see):
    torch = pytest.importorskip("torch")
    (ours, seen), (theirs, wanted) = both(mg, see), both(torch, see)
    assert np.allclose(ours, theirs, rtol=1e-6) and len(seen) == len(wanted) == 1
    assert seen[0].pop(1) is None and not wanted[0].pop(1).any()  # the argument that requires no gradient
    for a, b in zip(seen[0], wanted[0], strict=True):
        assert np.allclose(a, b, rtol=1e-6)


def test_a_backward_hook_is_differentiable():
    """d/dx of twice the gradient, which the hook doubled on its way."""
    x = mg.tensor(X, dtype=mg.float64, requires_grad=True)
    layer = nn.Tanh()
    layer.register_full_backward_hook(lambda m, gi, go: (gi[0] * 2,))
    (g,) = mg.grad(layer(x).sum(), x, create_graph=True)
    assert np.allclose(g.detach().numpy(), 2 * (1 - np.tanh(X) ** 2))
    (h,) = mg.grad(g.sum(), x)
    assert np.allclose(h.numpy(), 2 * 2 * -2 * np.tanh(X) * (1 - np.tanh(X) ** 2))  # doubled at both passes


def test_without_a_gradient_nothing_is_registered_on_the_graph():
    layer = nn.Tanh()
    layer.register_full_backward_hook(lambda m, gi, go: pytest.fail("there is no backward pass"))
    with mg.no_grad():
        layer(mg.tensor(X, requires_grad=True))
    layer(mg.tensor(X))


def test_a_wrong_number_of_gradients_is_refused():
    layer, x = nn.Tanh(), mg.tensor(X, requires_grad=True)
    layer.register_full_backward_hook(lambda m, gi, go: (gi[0], gi[0]))
    with pytest.raises(ValueError, match="a hook of Tanh returned 2 gradients for 1 arguments"):
        layer(x).sum().backward()


def test_hooks_are_copied_with_their_module_and_captured():
    layer = nn.Linear(3, 2)
    layer.register_forward_hook(lambda m, args, out: out * 2)
    x = mg.tensor(X)
    assert (copy.deepcopy(layer)(x) == layer(x)).numpy().all()
    step = mg.capture(lambda: layer(x))
    before = step().numpy()
    handle = layer.register_forward_hook(lambda m, args, out: out + 1)
    assert np.allclose(step().numpy(), before + 1)
    handle.remove()
    assert np.allclose(step().numpy(), before)


def test_backward_hooks_of_a_captured_step():
    """In float32, to a rounding of the largest element: small ones are differences of larger terms."""
    layer, x = nn.Linear(3, 2), mg.tensor(X, requires_grad=True)
    layer.register_full_backward_hook(lambda m, gi, go: (gi[0] * 10,))
    (eager,) = mg.grad(layer(x).tanh().sum(), x)
    step = mg.capture(lambda: mg.grad(layer(x).tanh().sum(), x))
    for _ in range(2):
        assert np.abs(step()[0].numpy() - eager.numpy()).max() <= 4e-7 * np.abs(eager.numpy()).max()


def test_containers():
    net = nn.Sequential(nn.Tanh())
    assert net.append(nn.ReLU()) is net and len(net.insert(1, nn.Identity())) == 3
    assert [type(m).__name__ for m in net] == ["Tanh", "Identity", "ReLU"] and type(net[1:]) is nn.Sequential
    many = nn.ModuleList([nn.Tanh(), nn.ReLU()])
    assert type(many[:1]) is nn.ModuleList and len(many.extend([nn.ELU()])) == 3
    table = nn.ModuleDict({"a": nn.Linear(1, 1)})
    table["b"] = nn.Linear(1, 2)
    assert sorted(table.state_dict()) == ["a.bias", "a.weight", "b.bias", "b.weight"]
    del table["a"]
    assert "a" not in table and list(table) == ["b"] and table.get_parameter("b.weight").shape == (2, 1)
    for name in ("b.scale", "c.weight"):
        with pytest.raises(AttributeError, match="has no"):
            table.get_parameter(name)
    for module in (table, many):
        with pytest.raises(NotImplementedError):
            module(mg.tensor(X))


@pytest.mark.parametrize("normalise", [nn.spectral_norm, nn.weight_norm])
def test_a_normalised_layer_is_pickled_and_trains_on(normalise):
    net = nn.Sequential(normalise(nn.Linear(3, 2)), nn.Tanh())
    twin, x = pickle.loads(pickle.dumps(net)), mg.tensor(np.random.default_rng(0).standard_normal((4, 3)).astype("f"))
    for _ in range(2):  # in training each pass of a spectral norm changes its vectors
        assert (twin(x) == net(x)).numpy().all()
    for ours, theirs in zip(
        mg.grad(twin(x).sum(), [*twin.parameters()]), mg.grad(net(x).sum(), [*net.parameters()]), strict=True
    ):
        assert (ours == theirs).numpy().all()
