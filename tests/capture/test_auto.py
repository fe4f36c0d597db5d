"""`auto_capture`: a function that captures itself gives the bits of the eager one at every call, whatever changes
between the calls; and what a replay would leave out stays eager, with a reason.

Each case is a world, made twice: once its step is called as it is, once through `auto_capture`. After each of the calls
what the step returned and all that it left behind are the same to the bit.
"""

import random

import numpy as np
import pytest

import minigan as mg
from minigan import nn, optim

CALLS = 9


def data(i: int, n: int = 4) -> mg.Tensor:
    return mg.tensor(np.random.default_rng(i).standard_normal((n, 3)).astype(np.float32))


class World:
    """A small network, its optimiser, a list and numbers. `between(i)` happens before call i."""

    def __init__(self) -> None:
        mg.manual_seed(1)
        self.net = nn.Sequential(nn.Linear(3, 5), nn.LeakyReLU(0.2), nn.Linear(5, 1))
        self.opt = optim.Adam(self.net.parameters(), 1e-2)
        self.scale, self.count, self.log, self.table = 1.0, 0, [], {"scale": 1.0}
        self.kept, self.array = None, np.ones(3, np.float32)
        self.buffer = mg.zeros(4, 3)

    def between(self, i: int) -> None: ...

    def arguments(self, i: int) -> tuple:
        return (data(i),)

    def loss(self, x):
        return (self.net(x) * self.scale - 1).square().mean()

    def step(self, x):
        self.opt.zero_grad()
        loss = self.loss(x)
        loss.backward()
        self.opt.step()
        return loss

    def state(self) -> list:
        grads = [p.grad for p in self.net.parameters()]
        arrays = [p.detach().numpy() for p in self.net.parameters()]
        arrays += [b.numpy() for b in self.net.buffers()]
        arrays += [None if g is None else g.numpy() for g in grads]
        modes = [m.training for m in self.net.modules()]
        flags = [p.requires_grad for p in self.net.parameters()]
        numbers = [mg.backend.default_generator.state_dict(), self.count, list(map(str, self.log)), self.table, modes]
        numbers += [flags, self.opt.state_dict(), self.array, self.scale, self.buffer.detach().numpy()]
        return [*arrays, *numbers]


def lies(x: np.ndarray) -> list[int]:
    """Its strides, where they mean something."""
    return [step for step, size in zip(x.strides, x.shape, strict=True) if size > 1]


def bits(value: object) -> object:
    if isinstance(value, mg.Tensor):
        value = value.detach().numpy()
    if isinstance(value, np.ndarray):
        return value.shape, value.dtype, lies(value), value.tobytes()
    if isinstance(value, dict):
        return {key: bits(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value).__name__, [bits(entry) for entry in value]
    return repr(value)


def history(kind: type[World], automatic: bool) -> tuple[list, list, object]:
    """(what stands after each call, what stands at the end of all that was returned, the step)."""
    world = kind()
    random.seed(0), np.random.seed(0)
    step = mg.auto_capture(world.step) if automatic else world.step
    notes, returned = [], []
    for i in range(CALLS):
        world.between(i)
        try:
            returned.append(step(*world.arguments(i)))
        except ZeroDivisionError as error:
            returned.append(repr(error))
        notes.append((bits(returned[-1]), bits(world.state())))
    return notes, bits(returned), step


def check(kind: type[World]):
    """The step, once its calls are seen to be the eager ones."""
    expected, end = history(kind, False)[:2]
    got, last, step = history(kind, True)
    for i, (a, b) in enumerate(zip(expected, got, strict=True)):
        assert a == b, f"call {i}: {step!r}"
    assert end == last, "what a call returned was changed by a later one"
    return step


# What is captured.


class Plain(World): ...


class Dropout(World):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 5), nn.Dropout(0.5), nn.Linear(5, 1))
        self.opt = optim.SGD(self.net.parameters(), 0.1, momentum=0.9)

    def loss(self, x):
        return (self.net(x + 0.1 * mg.randn(4, 3))).square().mean()


class Norm(World):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.LeakyReLU(0.2), nn.Linear(5, 1))
        self.opt = optim.RMSprop(self.net.parameters(), 1e-2)


class ModeInside(Norm):
    def step(self, x):
        self.net.train()
        return super().step(x)


class ModeOutside(Norm):
    def between(self, i):
        self.net.train(i % 4 != 3)


class ModeInsideAndOutside(ModeInside):
    def between(self, i):
        if i == 6:
            self.net.eval()


class Convolution(World):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(1, 4, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(4, 8, 4, 2, 1), nn.BatchNorm2d(8), nn.LeakyReLU(0.2),
            nn.ConvTranspose2d(8, 1, 4, 2, 1), nn.Tanh(),
        )  # fmt: skip
        self.opt = optim.Adam(self.net.parameters(), 1e-3)

    def arguments(self, i):
        return (mg.tensor(np.random.default_rng(i).standard_normal((3, 1, 8, 8)).astype(np.float32)),)


class Penalty(World):
    def loss(self, x):
        x = x.detach().requires_grad_()
        (g,) = mg.grad(self.net(x).sum(), x, create_graph=True)
        return ((g.square().sum(1) + 1e-8).sqrt() - 1).square().mean() + super().loss(x)


class Frozen(World):
    """A generator's step, the critic frozen meanwhile, as in every GAN."""

    def __init__(self):
        super().__init__()
        self.generator = nn.Linear(3, 3)
        self.other = optim.Adam(self.generator.parameters(), 1e-2)

    def step(self, x):
        fake = self.generator(mg.randn(4, 3))
        self.opt.zero_grad()
        critic = self.net(fake.detach()).mean() - self.net(x).mean()
        critic.backward()
        self.opt.step()
        self.net.requires_grad_(False)
        self.other.zero_grad()
        loss = -self.net(fake).mean()
        loss.backward()
        self.other.step()
        self.net.requires_grad_(True)
        return {"critic": critic, "generator": loss}

    def state(self):
        return [*super().state(), *(p.detach().numpy() for p in self.generator.parameters())]


class Scheduled(World):
    def __init__(self):
        super().__init__()
        self.schedule = optim.lr_scheduler.ExponentialLR(self.opt, 0.9)

    def between(self, i):
        if i:
            self.schedule.step()


class Scalar(World):
    def between(self, i):
        self.scale = 1.0 + i // 5


class Flips(World):
    """A branch on a number: two programs, each captured."""

    def between(self, i):
        self.scale = 1 + (i > 5)

    def loss(self, x):
        return self.net(x).mean() if self.scale == 1 else self.net(x).square().mean()


class Shapes(World):
    def arguments(self, i):
        return (data(i, 4 + i % 2),)


class Layouts(World):
    def arguments(self, i):
        x = np.random.default_rng(i).standard_normal((3, 4)).astype(np.float32)
        return (mg.Tensor(x.T if i > 5 else np.ascontiguousarray(x.T)),)

    def step(self, x):
        return super().step(x), x * 2


class Accumulates(World):
    def step(self, x):
        loss = self.loss(x)
        loss.backward()
        return loss.detach()


class AccumulatesAndSteps(Accumulates):
    def between(self, i):
        if i % 3 == 2:
            self.opt.step()
            self.opt.zero_grad()


class Weights(World):
    """The weights are changed between calls, by every door."""

    def between(self, i):
        w = self.net[0].weight
        if i == 5:
            w.data *= 2
        if i == 6:
            with mg.no_grad():
                w.mul_(0.5)
        if i == 7:
            self.net.load_state_dict({k: v + 1 for k, v in self.net.state_dict().items()})
        if i == 8:
            w.data = w.data + 1


class Forward(World):
    def step(self, x):
        with mg.no_grad():
            return [self.net(x), {"rows": (x + 1).sum(0), "number": 3}]


class Loops(World):
    def loss(self, x):
        parts = []
        for k in range(3):
            parts.append((self.net(x) * k).sum())
        return sum([p + x.sum() for p in parts]) / len(parts)


class Buffer(World):
    def step(self, x):
        self.buffer.assign(x * 2)
        return super().step(self.buffer)


class Averaged(World):
    def __init__(self):
        super().__init__()
        self.average = optim.WeightAverage(self.net, 0.9)

    def step(self, x):
        loss = super().step(x)
        self.average.update(self.net)
        return loss

    def state(self):
        return [*super().state(), self.average.updates, *(p.numpy() for p in self.average.module.parameters())]


class Grads(World):
    """The gradients of every call are kept outside."""

    def between(self, i):
        self.kept = [*(self.kept or []), self.net[0].weight.grad]

    def state(self):
        return [*super().state(), *self.kept]


class Aliased(World):
    """Once, the argument is a tensor that the step changes before it reads the argument."""

    def arguments(self, i):
        return (self.buffer if i == 7 else data(i),)

    def step(self, x):
        self.buffer.assign(self.buffer * 0.5 + 1)
        return super().step(x)


class Wide(World):
    """Wide enough for the micro-kernel."""

    def __init__(self):
        super().__init__()
        layers = nn.Linear(3, 64), nn.LeakyReLU(0.2), nn.Linear(64, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1)
        self.net = nn.Sequential(*layers)
        self.opt = optim.Adam(self.net.parameters(), 1e-3)

    def arguments(self, i):
        return (data(i, 64),)


class WeightArgument(World):
    """A weight comes as an argument and is read by detach() only; its array is another from call 6 on."""

    def between(self, i):
        self.buffer.requires_grad_()
        if i == 6:
            self.buffer.data = self.buffer.data + 1

    def arguments(self, i):
        return data(i), self.buffer

    def step(self, x, weight):
        return super().step(x + weight.detach())


class Detached(World):
    """The step reads a tensor by detach() only; its array is another from call 6 on."""

    def between(self, i):
        if i == 6:
            self.buffer.data = self.buffer.data + 1
        if i == 7:
            self.buffer.assign(self.buffer * 2)

    def loss(self, x):
        return super().loss(x + self.buffer.detach())


class Clipped(World):
    def step(self, x):
        self.opt.zero_grad()
        loss = self.loss(mg.recompute(lambda x: x[:, :3] * 2, x))
        loss.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), 0.1)
        self.opt.step()
        return loss


class Net(nn.Module):
    """A module of the user's, with settings of its own."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.factor, self.calls = nn.Linear(3, 5), nn.Linear(5, 1), 1.0, 0

    def forward(self, x):
        y = self.a(x)
        return self.b(self.factor * (y.tanh() if self.training else y))


class Module(World):
    network = Net

    def __init__(self):
        super().__init__()
        self.net = self.network()
        self.opt = optim.Adam(self.net.parameters(), 1e-2)

    def between(self, i):
        if i == 4:
            self.net.a.register_forward_hook(lambda module, arguments, y: y + 1)
        if i == 5:
            self.net.factor = 2.0
        if i == 6:
            self.net.eval()


class Mixed(World):
    def arguments(self, i):
        return data(i), 0.5 if i < 6 else 0.25

    def step(self, x, weight):
        return super().step(x * weight)


CAPTURED = [
    Plain, Dropout, Norm, ModeInside, ModeOutside, ModeInsideAndOutside, Convolution, Penalty, Frozen, Scheduled,
    Scalar, Flips, Shapes, Layouts, Accumulates, AccumulatesAndSteps, Weights, Forward, Loops, Buffer, Averaged,
    Grads, Aliased, Wide, WeightArgument, Detached, Clipped, Module, Mixed,
]  # fmt: skip


@pytest.mark.parametrize("kind", CAPTURED)
def test_captured_bits_are_the_eager_ones(kind):
    step = check(kind)
    assert step.replays >= 1, step.why


def test_what_is_returned_has_no_graph_from_the_first_call_on():
    world = World()
    step = mg.auto_capture(world.step)
    assert not any(step(data(i)).requires_grad for i in range(5)) and step.replays == 2
    with pytest.raises(ValueError, match="depends on nothing"):
        step(data(5)).backward()


def test_a_method_and_a_record_of_somebody_elses():
    class Own(World):
        step = mg.auto_capture(World.step)

    world, other = Own(), World()
    for i in range(5):
        assert bits(world.step(data(i))) == bits(other.step(data(i)))
    assert Own.step.replays == 2
    with mg.detect_anomaly():
        world.step(data(5))
    mg.capture(lambda: world.step(world.buffer))()
    assert Own.step.replays == 2
    with pytest.raises(TypeError, match="expected a function"):
        mg.auto_capture(3)
