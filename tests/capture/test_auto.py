"""`auto_capture`: a function that captures itself gives the bits of the eager one at every call, whatever changes
between the calls; and what a replay would leave out stays eager, with a reason.

Each case is a world, made twice: once its step is called as it is, once through `auto_capture`. After each of the calls
what the step returned and all that it left behind are the same to the bit.
"""

import collections
import contextlib
import io
import itertools
import logging
import random
import time
import warnings

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


class Counting(Module):
    class network(Net):
        def forward(self, x):
            self.calls += 1
            return super().forward(x)


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


# What stays eager. The word is in the reason.


def eager(word: str, body=None, **methods) -> tuple[str, type]:
    """A world whose step first does something of Python's: body(world, x)."""

    def step(self, x):
        body(self, x)
        return World.step(self, x)

    return word, type(body.__name__, (World,), {"step": step, **methods})


def reads(world, x):
    if world.loss(x).item() > 1:
        world.buffer.assign(x)


def reads_data(world, x):
    world.buffer.assign(world.buffer.data.mean() * x)


def branches(world, x):
    world.buffer.assign(x if world.loss(x) > 1 else -x)


def counts(world, x):
    world.count += 1


def appends(world, x):
    world.log.append("call")


def keeps(world, x):
    world.kept = x * 2


def keeps_argument(world, x):
    world.kept = x


def fills(world, x):
    world.table["last"] = x * 2


def prints(world, x):
    with contextlib.redirect_stdout(io.StringIO()):
        print("loss")


def draws(world, x):
    world.buffer.assign(x * random.random())


def draws_numpy(world, x):
    world.buffer.assign(x * float(np.random.rand()))


def asks_clock(world, x):
    world.buffer.assign(x * (time.time() > 0))


def makes_tensor(world, x):
    world.buffer.assign(x * mg.tensor(world.array))


def writes_array(world, x):
    np.add(world.array, 1, out=world.array)


def sets_item(world, x):
    world.array[0] += 1


def seeds(world, x):
    mg.manual_seed(3)


def own_generator(world, x):
    world.buffer.assign(mg.randn(4, 3, generator=mg.Generator(5)))


def changes_argument(world, x):
    x.assign(x * 2)


def logs(world, x):
    logging.getLogger("quiet").debug("loss")


def warns(world, x):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.warn("loss", stacklevel=1)


def sets_attribute(world, x):
    setattr(world, "table", {**world.table, "n": len(world.table)})  # noqa: B010


def updates(world, x):
    world.table.update(scale=world.table["scale"] + 1)


def schedules(world, x):
    if world.kept is None:
        world.kept = optim.lr_scheduler.ExponentialLR(world.opt, 0.9)
    world.kept.step()


GLOBAL = {"count": 0, "deque": collections.deque(maxlen=30), "iterator": itertools.count()}


def counts_globally(world, x):
    GLOBAL["count"] += 1


def pushes(world, x):
    GLOBAL["deque"].append(world.count)


def advances(world, x):
    world.buffer.assign(x * (next(GLOBAL["iterator"]) >= 0))


EAGER = [
    eager("value is read", reads), eager("value is read", reads_data), eager("value is read", branches),
    eager("count", counts), eager("log", appends), eager("outlives", keeps), eager("kept", keeps_argument),
    eager("table", fills), eager("print", prints), eager("random", draws), eager("NumPy", draws_numpy),
    eager("time()", asks_clock), eager("array becomes a tensor", makes_tensor), eager("array", writes_array),
    eager("array", sets_item), eager("random generator", seeds), eager("random generator", own_generator),
    eager("argument", changes_argument), eager("logging", logs), eager("warn", warns), eager("setattr", sets_attribute),
    eager("table", updates), eager("", schedules), eager("GLOBAL", counts_globally), eager("GLOBAL", pushes),
    eager("iterator", advances),
]  # fmt: skip


@pytest.mark.parametrize(("word", "kind"), EAGER, ids=lambda v: v.__name__ if isinstance(v, type) else "")
def test_what_a_replay_would_leave_out_stays_eager(word, kind):
    step = check(kind)
    assert step.replays == 0 and word in step.why, step.why


class EveryCall(World):
    def between(self, i):
        self.scale = 1.0 + i


class Argument(World):
    def arguments(self, i):
        return data(i), i

    def step(self, x, i):
        return super().step(x * i)


class Raises(World):
    """An error in the middle of the call, once the weights have been changed."""

    def step(self, x):
        super().step(x)
        self.net.requires_grad_(False)
        1 / self.scale
        self.net.requires_grad_(True)
        return super().step(x)

    def between(self, i):
        self.scale = 0.0 if i in (2, 6) else 1.0
        self.net.requires_grad_(True)


class Arrays(World):
    def arguments(self, i):
        return (data(i).numpy(),)

    def step(self, x):
        return super().step(mg.tensor(x))


class ReturnsArgument(World):
    def arguments(self, i):
        return (self.buffer if i < 5 else data(i),)

    def step(self, x):
        super().step(x)
        return x


class ReturnsBuffer(World):
    def step(self, x):
        return super().step(x), self.buffer.detach()


class GraphArgument(World):
    """A graph made outside comes as an argument, whose value is never read."""

    def __init__(self):
        super().__init__()
        self.buffer.requires_grad_()
        self.kept = self.buffer.square().sum()

    def arguments(self, i):
        return data(i), self.kept

    def step(self, x, kept):
        return super().step(x * mg.grad(kept, self.buffer)[0])


class Graph(World):
    """A graph made outside, which an eager call would refuse once a tensor in it has changed."""

    def __init__(self):
        super().__init__()
        self.buffer.requires_grad_()
        self.kept = self.buffer.square().sum()

    def loss(self, x):
        return super().loss(x) * mg.grad(self.kept, self.buffer)[0].sum()


class ReturnsView(World):
    def step(self, x):
        return super().step(x), self.net[0].weight.detach()


@pytest.mark.parametrize(
    "kind", [EveryCall, Argument, Arrays, ReturnsArgument, ReturnsView, ReturnsBuffer, Graph, GraphArgument, Counting]
)
def test_no_plan_where_each_call_is_another(kind):
    assert check(kind).replays == 0


def test_an_error_in_the_middle_is_the_eager_one_and_the_next_calls_are_captured():
    assert check(Raises).replays >= 1


class Double(mg.Op):
    """A user's own op: what it does besides cannot be seen."""

    def forward(self, x):
        return 2 * x

    def vjp(self, node, need, g):
        return (2 * g,)


class OwnOp(World):
    def loss(self, x):
        return Double()(super().loss(x))


class OwnOptimiser(World):
    class Slow(optim.SGD):
        def step(self, closure=None):
            super().step(closure)
            super().step(closure)

    def __init__(self):
        super().__init__()
        self.opt = self.Slow(self.net.parameters(), 0.1)


def test_an_op_of_the_users_stays_eager():
    assert "not minigan's own" in (step := check(OwnOp)).why and step.replays == 0


def test_an_optimiser_with_a_step_of_its_own():
    check(OwnOptimiser)


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
