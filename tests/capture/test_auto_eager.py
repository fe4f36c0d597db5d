"""What `auto_capture` leaves eager: what a replay would leave out, and calls that are another program each time. Each
call gives the eager one's bits, and the reason names what it is.
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
from test_auto import Module, Net, World, check, data

import minigan as mg
from minigan import optim


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


class Counting(Module):
    class network(Net):
        def forward(self, x):
            self.calls += 1
            return super().forward(x)


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
