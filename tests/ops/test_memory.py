"""Property 10: graphs die by reference counting alone, long chains included, and a training loop does not grow."""

import gc
import sys
import weakref
from contextlib import contextmanager

import numpy as np
import properties
import pytest

import minigan as mg
from minigan import nn, optim
from minigan.autograd import Node, Tensor
from minigan.gan.penalties import gradient_penalty
from minigan.testing.opdb import TABLE

LENGTH = 100_000


@contextmanager
def no_collector():
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def alive(kind: type) -> int:
    return sum(issubclass(type(o), kind) for o in gc.get_objects())


@pytest.mark.parametrize("case", TABLE.values(), ids=str)
def test_freed_without_the_collector(case):
    for sample in case.samples:
        properties.freed(case, sample)


def test_a_chain_of_100_000_ops():
    """Recording, walking and freeing it need no recursion."""
    limit = sys.getrecursionlimit()
    with no_collector():
        nodes = alive(Node)
        x = mg.tensor(np.array([1.0]), requires_grad=True)
        y = x
        for _ in range(LENGTH):
            y = y * 1.00001
        y.sum().backward()
        assert x.grad.item() == pytest.approx(1.00001**LENGTH, rel=1e-9)
        assert alive(Node) >= nodes + LENGTH
        del y
        assert alive(Node) == nodes
    assert sys.getrecursionlimit() == limit


def test_a_second_order_chain():
    """f = sin applied 10,000 times: its gradient is a graph as long again, which is walked and freed likewise."""
    with no_collector():
        nodes = alive(Node)
        x = mg.tensor(np.array([1.0]), requires_grad=True)
        y = x
        for _ in range(LENGTH // 10):
            y = mg.sin(y)
        (g,) = mg.grad(y.sum(), x, create_graph=True)
        (h,) = mg.grad(g.sum(), x)
        assert g.item() > 0 > h.item()
        assert alive(Node) > nodes + LENGTH // 5
        del y, g, h
        assert alive(Node) == nodes


def test_a_wide_sum_of_100_000_terms():
    """One tensor used 100,000 times: its gradient is accumulated, not stacked."""
    x = mg.tensor(np.array([2.0]), requires_grad=True)
    total = x * 0
    for _ in range(LENGTH):
        total = total + x
    total.sum().backward()
    assert x.grad.item() == LENGTH


def test_a_graph_lives_as_long_as_its_end_and_no_longer():
    with no_collector():
        x = mg.tensor(np.ones(3), requires_grad=True)
        h = x.exp()
        middle = weakref.ref(h)
        y = (h * h).sum()
        del h
        assert middle() is not None
        mg.grad(y, x)
        assert middle() is not None  # a graph may be walked again
        del y
        assert middle() is None


def test_backward_leaves_no_history_in_grad():
    """x -> x.grad -> graph -> x would be a leak."""
    with no_collector():
        x = mg.tensor(np.ones(3), requires_grad=True)
        for _ in range(3):
            (x * x * x).sum().backward()
            assert x.grad.node is None and not x.grad.requires_grad
        last = weakref.ref(x)
        del x
        assert last() is None


def test_a_backward_pass_that_fails_keeps_nothing():
    with no_collector():
        x = mg.tensor(np.ones(3), requires_grad=True)
        h = x * x
        middle = weakref.ref(h)
        x.assign(np.zeros(3))
        try:
            h.sum().backward()
        except RuntimeError:
            pass
        else:
            pytest.fail("the stale input was not noticed")
        del h
        assert middle() is None and mg.is_grad_enabled()


def test_ten_critic_steps_leave_nothing_behind(rng):
    """A penalty step, second-order graph and optimiser included, leaves as many Tensors and Nodes as it found."""
    net = nn.Sequential(nn.Conv2d(1, 3, 4, 2, 1), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(48, 1))
    adam = optim.Adam(net.parameters(), lr=1e-3)

    def step():
        real, fake = (mg.tensor(rng.standard_normal((2, 1, 8, 8)).astype(np.float32)) for _ in range(2))
        eps = mg.tensor(rng.random((2, 1, 1, 1)).astype(np.float32))
        loss = net(fake).mean() - net(real).mean() + 10 * gradient_penalty(net, real, fake, eps)[0]
        adam.zero_grad()
        loss.backward()
        adam.step()

    step()
    with no_collector():
        before = alive(Tensor), alive(Node)
        for _ in range(10):
            step()
        assert (alive(Tensor), alive(Node)) == before


def test_no_grad_records_nothing():
    x = mg.tensor(np.ones(3), requires_grad=True)
    with no_collector(), mg.no_grad():
        nodes = alive(Node)
        y = (x * 2).exp().sum()
        assert y.node is None and alive(Node) == nodes
