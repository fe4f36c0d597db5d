"""What a captured step returns is built anew at every replay, in its own type, or refused by name; so are a clock,
random numbers of Python and NumPy, shapes that depend on values, and what an earlier record left behind."""

import collections
import copy
import dataclasses
import functools
import gc
import pickle
import random
import time
import types
import warnings

import numpy as np
import pytest

import minigan as mg
from minigan import nn
from minigan.capture import CaptureError, capture

Pair = collections.namedtuple("Pair", "a b")


@dataclasses.dataclass
class Scores:
    loss: mg.Tensor
    parts: dict


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    loss: mg.Tensor


class Holder:
    def __init__(self, value):
        self.value = value


class Slotted:
    __slots__ = ("value",)

    def __init__(self, value):
        self.value = value


x = mg.tensor([1.0])
BUILT = {
    "tuple": (lambda y: (y, 1), lambda r: r[0]),
    "named tuple": (lambda y: Pair(1, y), lambda r: r.b),
    "list": (lambda y: [y, [y]], lambda r: r[1][0]),
    "dict": (lambda y: {"b": 1, "a": y}, lambda r: r["a"]),
    "ordered dict": (lambda y: collections.OrderedDict(b=1, a=y), lambda r: r["a"]),
    "default dict": (lambda y: collections.defaultdict(list, a=y), lambda r: r["a"]),
    "read-only dict": (lambda y: types.MappingProxyType({"a": y}), lambda r: r["a"]),
    "dataclass": (lambda y: Scores(1, {"y": [y]}), lambda r: r.parts["y"][0]),
    "frozen dataclass": (lambda y: Frozen(y), lambda r: r.loss),
}
UNBUILDABLE = {
    "set": lambda y: {y},
    "frozenset": lambda y: frozenset([y]),
    "generator": lambda y: (y for _ in range(2)),
    "map": lambda y: map(abs, [y]),
    "Holder": Holder,
    "Slotted": Slotted,
    "SimpleNamespace": lambda y: types.SimpleNamespace(a=1, b=[y]),
    "deque": lambda y: collections.deque([y]),
    "ChainMap": lambda y: collections.ChainMap({"a": y}),
    "function": lambda y: lambda: y,
    "partial": lambda y: functools.partial(abs, y),
}


@pytest.mark.parametrize("name", BUILT)
def test_results_are_built_anew(name):
    build, pick = BUILT[name]
    x.assign(np.array([1.0]))
    step = capture(lambda: build(x * 2))
    first = step()
    x.assign(np.array([4.0]))
    second, eager = step(), build(x * 2)
    assert type(first) is type(second) is type(eager)
    assert pick(first).item() == 2 and pick(second).item() == 8 and len(step.plans) == 1
    if isinstance(eager, dict):
        assert list(second) == list(eager)
        assert getattr(second, "default_factory", None) is getattr(eager, "default_factory", None)


@pytest.mark.parametrize("name", UNBUILDABLE)
def test_what_cannot_be_built_is_refused_by_name(name):
    build = UNBUILDABLE[name]
    for wrap in (lambda r: r, lambda r: {"inside": [r]}):
        with pytest.raises(CaptureError, match=f"returns an? {name}"):
            capture(lambda wrap=wrap: wrap(build(x * 2)))()


def test_what_holds_no_tensor_of_the_step_passes():
    """Numbers, sets of them, modules and the caller's own tensors are the same at every call."""
    layer = nn.Linear(1, 1)
    for value in ({1, 2}, layer, Holder(x), "text", Holder([1]), types.SimpleNamespace(x=x)):
        step = capture(lambda value=value: (x * 2, value))
        assert step()[1] is value and step()[1] is value


RNG, LEGACY, PYTHON = np.random.default_rng(0), np.random.RandomState(0), random.Random(0)
REFUSED = {
    "random": (lambda: x * random.random(), "random number of Python"),
    "randint": (lambda: x * random.randint(1, 1000), "random number of Python"),
    "an own random": (lambda: x * PYTHON.random(), "random number of Python"),
    "numpy": (lambda: x * float(np.random.rand()), "random number of NumPy"),
    "a numpy generator": (lambda: x * float(RNG.random()), "random number of .*Generator"),
    "a legacy generator": (lambda: x * float(LEGACY.rand()), "random number of .*RandomState"),
    "shuffle": (lambda: random.shuffle([1, 2]) or x * 1, "random number of Python"),
    "time": (lambda: x * time.time(), r"time\(\)"),
    "perf_counter": (lambda: x * time.perf_counter(), "perf_counter"),
    "mask": (lambda: x[x > 0], "mask"),
    "nonzero": (lambda: x.nonzero(), "nonzero has as many elements as the values say"),
    "where of one": (lambda: mg.where(x > 0), "nonzero has as many"),
    "unique": (lambda: x.unique(), "unique has as many"),
    "bincount": (lambda: x.long().bincount(), "bincount has as many"),
    "repeats": (lambda: x.repeat_interleave(x.long()), "repeat_interleave has as many"),
    "mask beside a slice": (lambda: x.reshape(1, 1)[:, x > 0], "mask"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_replay_cannot_repeat_is_refused(name):
    step, reason = REFUSED[name]
    with pytest.raises(CaptureError, match=reason):
        capture(step)()


def test_the_garbage_collectors_callbacks_are_not_the_step():
    """A tool that times the collector (Hypothesis does) reads a clock from whatever line allocates."""
    reads = []

    def timer(phase, info):
        reads.append(time.perf_counter())

    def step():
        rings = [[] for _ in range(2000)]
        for ring in rings:
            ring.append(ring)
        return x * len(rings)

    threshold = gc.get_threshold()
    gc.callbacks.append(timer)
    gc.set_threshold(10)
    try:
        captured = capture(step)
        captured()
        times = len(reads)
        captured()
    finally:
        gc.set_threshold(*threshold)
        gc.callbacks.remove(timer)
    assert gc.isenabled() and times and len(captured.plans) == 1


def test_a_tensor_that_lasts_from_call_to_call_is_refused():
    """What one call leaves in an attribute for the next is not made anew by a replay."""
    owner = Holder(None)

    def step():
        y = x * 2 if owner.value is None else owner.value * 2
        owner.value = y
        return y

    captured = capture(step)
    with pytest.raises(CaptureError, match="earlier record"):
        for _ in range(4):
            captured()


def test_what_changes_at_every_call_is_right_and_told_once():
    """A counter and an annealed weight: the step is recorded anew, the user is told where and what to do."""
    owner = types.SimpleNamespace(weight=1.0)
    x.assign(np.array([1.0]))
    step = capture(lambda: x * owner.weight)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for k in range(10):
            owner.weight = k / 4
            assert step().item() == k / 4
    messages = [str(w.message) for w in caught]
    assert len(messages) == 1 and "weight" in messages[0] and "tensor of no axes" in messages[0]


def test_a_step_that_counts_in_python_counts_on():
    count = 0

    def step():
        nonlocal count
        count += 1
        return x * count

    x.assign(np.array([1.0]))
    captured = capture(step)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert [captured().item() for _ in range(4)] == [1, 2, 3, 4]


def test_what_the_step_does_not_read_does_not_matter():
    """Counters beside the step, methods of the same names as numbers, equal numbers made anew: one record."""

    class Trainer:
        def __init__(self):
            self.steps, self.step, self.rate = 0, 0, 0.1

        def loss(self):
            return x * self.rate + len(OPTIMISER.step())

    trainer = Trainer()
    step = capture(trainer.loss)
    for k in range(5):
        trainer.steps, trainer.step, trainer.rate = k, k, float("0.1")
        step()
    assert len(step.plans) == 1


class Stepper:
    def step(self):
        return "12"


OPTIMISER = Stepper()


@capture
def decorated():
    return x * 2


class Trainee:
    def __init__(self):
        self.weight = nn.Parameter(np.ones(1))
        self.step = capture(self.double)

    def double(self):
        return self.weight * 2


def test_copies_and_pickles():
    """A copy's step is the copy's own, recorded anew; `@capture` functions are pickled by name."""
    trainee = Trainee()
    trainee.step()
    for other in (copy.deepcopy(trainee), pickle.loads(pickle.dumps(trainee))):
        assert other.step.function.__self__ is other and not other.step.plans
        other.weight.assign(np.array([5.0]))
        assert other.step().item() == 10 and trainee.step().item() == 2
    decorated()
    assert pickle.loads(pickle.dumps(decorated)) is decorated
