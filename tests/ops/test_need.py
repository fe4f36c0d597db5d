"""Property 4: only the gradients asked for are computed, and zero is never computed with.

For every op, any subset of inputs gets the same gradients as all of them. For critics, kernel calls are counted.
"""

from collections import Counter

import numpy as np
import properties
import pytest

import minigan as mg
from minigan import kernels, nn, optim
from minigan.gan.penalties import gradient_penalty
from minigan.testing.opdb import TABLE

KERNELS = {
    "conv": ("conv_forward", "conv_input", "conv_weight"),
    "norm": ("batch_norm", "batch_norm_grad", "batch_norm_grad_grad"),
    "act": ("leaky_relu", "leaky_relu_grad", "tanh", "tanh_grad"),
    "matmul": ("matmul", "batched"),
}


class Calls(Counter):
    """How often each kernel ran; `zeros` lists the calls in which a floating operand was all zeros."""

    def __init__(self) -> None:
        super().__init__()
        self.zeros: list[str] = []


@pytest.fixture
def calls(monkeypatch) -> Calls:
    calls = Calls()

    def wrap(name, kernel):
        def counting(*args, **kwargs):
            calls[name] += 1
            for a in args:
                if isinstance(a, np.ndarray) and a.size and not a.any():
                    calls.zeros.append(name)
            return kernel(*args, **kwargs)

        return counting

    for module, names in KERNELS.items():
        for name in names:
            owner = getattr(kernels, module)
            monkeypatch.setattr(owner, name, wrap(name, getattr(owner, name)))
    return calls


def critic(activation=None, norm: bool = False) -> nn.Sequential:
    mg.manual_seed(0)
    layers = [nn.Conv2d(1, 3, 4, 2, 1), activation or nn.LeakyReLU(0.2), nn.Conv2d(3, 4, 4, 2, 1, bias=not norm)]
    layers += [nn.BatchNorm2d(4)] if norm else []
    layers += [nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(16, 1)]
    return nn.Sequential(*layers)


def images(rng, *, requires_grad: bool = False) -> mg.Tensor:
    return mg.tensor(rng.standard_normal((2, 1, 8, 8)).astype(np.float32), requires_grad=requires_grad)


@pytest.mark.parametrize("case", [c for c in TABLE.values() if c.max_order], ids=str)
def test_every_subset_of_inputs(case):
    for sample in case.samples:
        properties.need(case, sample)
        properties.need_is_honoured(case, sample)


def test_gradient_by_the_image_runs_no_weight_gradient(calls, rng):
    x = images(rng, requires_grad=True)
    y = critic()(x).sum()
    calls.clear()
    mg.grad(y, x, create_graph=True)
    assert calls["conv_weight"] == 0 and calls["conv_input"] == 2


def test_a_frozen_critic_runs_no_weight_gradient(calls, rng):
    """The generator's step: the critic passes the gradient on, its own weights get none."""
    net = critic().requires_grad_(False)
    fake = images(rng, requires_grad=True)
    net(fake * 1.5).sum().backward()
    assert calls["conv_weight"] == 0 and calls["conv_input"] == 2
    assert fake.grad is not None and all(p.grad is None for p in net.parameters())


def test_a_critic_on_data_runs_no_gradient_by_the_image(calls, rng):
    net = critic()
    net(images(rng)).sum().backward()
    assert calls["conv_weight"] == 2 and calls["conv_input"] == 1


def test_only_the_parameter_asked_for(calls, rng):
    net = critic()
    y = net(images(rng)).sum()
    calls.clear()
    (g,) = mg.grad(y, net[5].weight)
    assert g is not None and calls["conv_weight"] == calls["conv_input"] == calls["leaky_relu_grad"] == 0


def penalty_step(net, rng) -> None:
    real, fake = images(rng), images(rng)
    eps = mg.tensor(rng.random((2, 1, 1, 1)).astype(np.float32))
    penalty, _ = gradient_penalty(net, real, fake, eps)
    penalty.backward()


def test_the_penalty_of_a_leaky_relu_critic_touches_no_zero(calls, rng):
    """The critic is piecewise linear, so the second pass never returns through the activations: per convolution one
    forward, one input gradient for d/dx, then its two derivatives, and no more."""
    net = critic()
    penalty_step(net, rng)
    assert not calls.zeros
    # d/dx is ConvInput(g, w) twice; its derivative is Conv twice (by g) and ConvWeight twice (by w); the first g is a
    # constant.
    assert (calls["conv_forward"], calls["conv_input"], calls["conv_weight"]) == (4, 2, 2)
    assert calls["leaky_relu"] == 2 and calls["leaky_relu_grad"] == 4
    names = {name for name, p in net.named_parameters() if p.grad is not None}
    assert names == {"0.weight", "2.weight", "5.weight"}  # a bias does not change the slope


def test_the_penalty_of_a_tanh_critic_does_return_through_the_activations(calls, rng):
    """The control: a curved activation needs the pass that the piecewise linear one spares."""
    net = critic(nn.Tanh())
    penalty_step(net, rng)
    assert calls["conv_weight"] == 3
    assert net[0].bias.grad is not None


def test_batch_norm_gives_no_gradient_that_is_not_needed(calls, rng):
    net = critic(norm=True)
    net.requires_grad_(False)
    x = images(rng, requires_grad=True)
    (g,) = mg.grad(net(x).sum(), x, create_graph=True)
    assert calls["batch_norm_grad"] == 1 and calls["conv_weight"] == 0
    mg.grad((g * g).sum(), x)
    assert calls["batch_norm_grad_grad"] == 1


def test_gradients_move_no_running_statistics(rng):
    """They change in a training forward pass and nowhere else: not in a gradient, nor in the gradient of one."""
    net = critic(norm=True)
    x = images(rng, requires_grad=True)
    y = net(x).sum()
    buffers = [b.data.copy() for b in net.buffers()]
    assert buffers[0].any()  # the forward pass did move them
    (g,) = mg.grad(y, x, create_graph=True)
    (g * g).sum().backward()
    for b, before in zip(net.buffers(), buffers, strict=True):
        np.testing.assert_array_equal(b.data, before)
    with nn.frozen_statistics(net):
        penalty_step(net, rng)
    for b, before in zip(net.buffers(), buffers, strict=True):
        np.testing.assert_array_equal(b.data, before)


def test_an_optimiser_leaves_unreached_parameters_alone(rng):
    net = critic()
    before = {k: v.copy() for k, v in net.state_dict().items()}
    step = optim.SGD(net.parameters(), lr=0.1)
    penalty_step(net, rng)
    step.step()
    names = {k for k, v in net.state_dict().items() if not np.array_equal(v, before[k])}
    assert names == {"0.weight", "2.weight", "5.weight"}
