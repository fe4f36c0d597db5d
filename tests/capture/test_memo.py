"""What a plan keeps between replays, packed weights and what batch norm makes of running statistics, is never stale:
after a write through any door, a replay says what the step itself says, to the bit. And nothing runs without need.
"""

import copy
import gc
import pickle

import numpy as np
import pytest

import minigan as mg
from minigan import nn, optim
from minigan._array import Seal, array_of
from minigan._recompute import recompute
from minigan.capture.memo import Memo

DOORS = {}


def door(function):
    """A way to write to the weights of a network: function(network, weight)."""
    DOORS[function.__name__] = function
    return function


@pytest.fixture
def network():
    mg.manual_seed(3)
    layers = nn.ConvTranspose2d(16, 32, 4, 2, 1), nn.BatchNorm2d(32), nn.ReLU(), nn.Conv2d(32, 16, 3, 1, 1)
    return nn.Sequential(*layers).eval()


@pytest.fixture
def step(network):
    x = mg.tensor(np.random.default_rng(0).standard_normal((2, 16, 8, 8)).astype(np.float32))

    def forward():
        with mg.no_grad():
            return network(x)

    return mg.capture(forward)


def memos(step):
    return [call for call, _ in step.plans[-1].calls if isinstance(call, Memo)]


def runs(step, monkeypatch):
    """How many loops that are kept run in one more replay."""
    count = []
    for call in memos(step):
        monkeypatch.setattr(call, "calls", [(lambda *a, f=f: (count.append(f), f(*a)), args) for f, args in call.calls])
    step()
    monkeypatch.undo()
    return len(count)


def agree(step):
    np.testing.assert_array_equal(step().numpy(), step.function().numpy())


@door
def assign(network, w):
    w.assign(array_of(w) * 2)


@door
def by_methods(network, w):
    with mg.no_grad():
        w.mul_(0.5).add_(1)


@door
def by_an_operator(network, w):
    with mg.no_grad():
        w -= 0.25


@door
def an_entry(network, w):
    with mg.no_grad():
        w[0, 0] = 3.0


@door
def a_view(network, w):
    with mg.no_grad():
        w.reshape(-1)[5:9].zero_()


@door
def one_of_several_views(network, w):
    with mg.no_grad():
        list(w.detach().chunk(2))[1].fill_(0.1)


@door
def data(network, w):
    w.data[...] *= -1


@door
def data_by_method(network, w):
    w.data.normal_(0, 0.02)


@door
def data_of_a_view(network, w):
    w.detach().reshape(-1).data[3] = 7


@door
def numpy(network, w):
    w.detach().numpy()[0] += 1


@door
def asarray(network, w):
    np.asarray(w.detach())[0] += 1


@door
def another_array(network, w):
    w.data = array_of(w) + 1


@door
def init(network, w):
    nn.init.normal_(w.data, 0.0, 0.02)


@door
def state_dict(network, w):
    network.load_state_dict({name: array + 0.5 for name, array in network.state_dict().items()})


@door
def an_optimiser(network, w):
    network(mg.ones(2, 16, 8, 8)).sum().backward()
    optim.Adam(network.parameters(), 0.1).step()


@door
def another_plan(network, w):
    optimiser = optim.SGD(network.parameters(), 0.1)

    @mg.capture
    def train():
        optimiser.zero_grad()
        network(mg.ones(2, 16, 8, 8)).sum().backward()
        optimiser.step()

    train()


@door
def running_statistics(network, w):
    with mg.no_grad():
        network.train()(mg.randn(4, 16, 8, 8))
    network.eval()


@door
def a_second_parameter(network, w):
    other = nn.Parameter(w)
    other.data[...] = 0
    network[3].weight.data[...] = 1


@pytest.mark.parametrize("name", DOORS)
def test_a_write_through_any_door_is_seen(name, network, step):
    agree(step)
    agree(step)
    for layer in (0, 3):
        DOORS[name](network, network[layer].weight)
        agree(step)


@pytest.mark.parametrize("when", ["before the record", "between replays"])
@pytest.mark.parametrize("hold", ["data", "a view of data", "asarray of data", "numpy", "memoryview", "another tensor"])
def test_an_array_that_somebody_holds_may_be_written_to_at_any_time(hold, when, network, step):
    w = network[0].weight

    def look():
        match hold:
            case "data":
                return w.data
            case "a view of data":
                return w.data.T[1:]
            case "asarray of data":
                return np.asarray(w.data).reshape(-1)[7:]
            case "numpy":
                return w.detach().numpy()
            case "memoryview":
                return np.asarray(memoryview(w.data))
            case "another tensor":
                return mg.from_numpy(w.data).detach().numpy()

    if when == "between replays":
        agree(step)
    array = look()
    agree(step)
    gc.collect()
    array[...] = 0.125
    agree(step)
    array[...] = 0.5
    agree(step)
    del array
    agree(step)


def test_what_is_kept_does_not_run_again(network, step, monkeypatch):
    step()
    every = sum(len(call.calls) for call in memos(step))
    assert every > 6 and runs(step, monkeypatch) == 0
    network[3].weight.assign(array_of(network[3].weight))
    one = runs(step, monkeypatch)
    assert 0 < one < every and runs(step, monkeypatch) == 0
    network[1].running_var.assign(array_of(network[1].running_var) * 2)
    assert 0 < runs(step, monkeypatch) < every and runs(step, monkeypatch) == 0


def test_a_look_at_the_weights_ends_with_the_array(network, step, monkeypatch):
    step()
    array = network[0].weight.data
    first = runs(step, monkeypatch)
    assert first > 0 and runs(step, monkeypatch) == first
    del array
    assert runs(step, monkeypatch) == first and runs(step, monkeypatch) == 0


def test_a_step_that_changes_its_weights_keeps_nothing_of_them(network):
    optimiser = optim.SGD(network.parameters(), 0.01)
    twin = copy.deepcopy(network)
    of_twin = optim.SGD(twin.parameters(), 0.01)
    x = mg.randn(2, 16, 8, 8)

    def train(net, opt):
        opt.zero_grad()
        loss = (net(x) ** 2).mean()
        loss.backward()
        opt.step()
        return loss

    step = mg.capture(lambda: train(network, optimiser))
    losses = [(step().item(), train(twin, of_twin).item()) for _ in range(4)]
    np.testing.assert_allclose(*zip(*losses, strict=True), rtol=1e-5)
    versions = {id(p.version) for p in network.parameters()}
    assert not any(id(v) in versions for call in memos(step) for v in call.versions)


def test_a_result_is_the_callers_to_write_to(network):
    w = network[1].weight

    def scaled():
        with mg.no_grad():
            return w * 2

    step = mg.capture(scaled)
    step().data[...] = 9
    np.testing.assert_array_equal(step().numpy(), 2 * array_of(w))


def test_an_array_that_came_from_outside_may_be_written_to_at_any_time(network, step):
    array = array_of(network[0].weight).copy()
    network[0].weight.data = array
    for _ in range(3):
        agree(step)
        array += 1


def test_a_gradient_is_the_callers_to_write_to():
    w, v = nn.Parameter(np.zeros(8, np.float32)), nn.Parameter(np.ones(8, np.float32))

    @mg.capture
    def step():
        with mg.no_grad():
            w.grad = v * 2

    for _ in range(3):
        step()
        np.testing.assert_array_equal(w.grad.numpy(), 2 * np.ones(8))
        w.grad.data[...] = 5


def test_within_recompute_the_statistics_go_back_and_forth(network, step):
    answers = []

    def moving(x):
        answers.append([step().numpy()])
        y = network.train()(x)
        network.eval()
        answers[-1].append(step().numpy())
        return y

    x = mg.randn(4, 16, 8, 8)
    y = recompute(moving, recompute(moving, x)[:, :16, :8, :8])
    y.sum().backward()
    for first, again in zip(answers[:2], answers[:1:-1], strict=True):
        np.testing.assert_array_equal(again, first)
    agree(step)


def test_copies_own_their_memory(network):
    w = network[0].weight
    for twin in (copy.deepcopy(w), pickle.loads(pickle.dumps(w))):
        assert type(twin.version) is Seal and twin.version is not w.version and twin.version.state() is not None
        assert not np.shares_memory(array_of(twin), array_of(w))
    assert type(nn.Parameter(w.data).version) is Seal and not np.shares_memory(array_of(nn.Parameter(w.data)), w.data)
