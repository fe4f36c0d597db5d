"""The training loop: who moves when, along which gradient, and what must not move."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from ... import nn
from ... import optim as optimisers
from ...autograd import grad
from ...creation import tensor
from ..checks import equal, leaf, numbers, true
from ..exercise import Exercise
from ..sources import source

track = partial(Exercise, track="training")


def linear(inputs: int, outputs: int, seed: int) -> Any:
    """A linear layer in float64, with weights that depend on the seed alone."""
    layer = nn.Linear(inputs, outputs, bias=False).double()
    layer.weight.data[...] = numbers(outputs, inputs, seed=seed)
    return layer


def players() -> tuple[Any, Any]:
    """A generator and a critic of one layer each."""
    return linear(2, 3, 1), linear(3, 1, 2)


def critic_step(m: Any) -> Iterator[str]:
    g, f = players()
    real, z = tensor(numbers(4, 3)), tensor(numbers(4, 2, seed=5))
    before, old = f.weight.data.copy(), g.weight.data.copy()
    f.weight.grad = leaf(np.ones((1, 3))).detach()  # what an earlier step may have left
    loss = m.critic_step(f, g, optimisers.SGD(f.parameters(), lr=0.1), real, z)
    fake = z.data @ old.T
    slope = fake.mean(0) - real.data.mean(0)
    yield from equal("D's loss", loss, (fake @ before.T).mean() - (real.data @ before.T).mean())
    yield from equal(
        "D's weights after the step",
        f.weight,
        before - 0.1 * slope,
        "w - lr dL/dw, of this step's gradient alone: zero_grad comes before backward",
    )
    yield from equal("G's weights", g.weight, old, "this step is not G's")
    yield from true(
        g.weight.grad is None, "G got a gradient in D's step: take its samples under no_grad, or detach them"
    )


def generator_step(m: Any) -> Iterator[str]:
    for count in (4, 3):
        yield from _generator_step(m, count)


def _generator_step(m: Any, count: int) -> Iterator[str]:
    g, f = players()
    z = tensor(numbers(count, 2, seed=5))
    before, old = f.weight.data.copy(), g.weight.data.copy()
    g.weight.grad = leaf(np.ones((3, 2))).detach()
    m.generator_step(f, g, optimisers.SGD(g.parameters(), lr=0.1), z)
    slope = -np.outer(before[0], z.data.mean(0))
    yield from equal(
        "G's weights after the step",
        g.weight,
        old - 0.1 * slope,
        "G minimises -E f(G(z)), and the gradient passes through f",
    )
    yield from equal("D's weights", f.weight, before, "this step is not D's")
    yield from true(
        f.weight.grad is None,
        "D got a gradient in G's step: freeze it, it is computed for nothing",
    )
    yield from true(f.weight.requires_grad, "D stays frozen after G's step: it will not train again")


def schedule(m: Any) -> Iterator[str]:
    class Log(list):
        def critic(self, batch: Any) -> None:
            self.append(("critic", batch))

        def generator(self) -> None:
            self.append(("generator", None))

    for steps, count in ((2, 3), (3, 1)):
        log, batches = Log(), iter(range(100))
        m.train(steps, count, batches, log.critic, log.generator)
        expected = []
        for step in range(steps):
            expected += [*(("critic", count * step + k) for k in range(count)), ("generator", None)]
        calls = " ".join(f"{name}({'' if b is None else b})" for name, b in log)
        yield from true(
            log == expected,
            f"{steps} steps of {count} critic steps call: {calls or 'nothing'}; expected {count} of these, each on a"
            " new batch, before each generator step",
        )
        yield from true(next(batches) == steps * count, "more batches are taken than used")


def epochs(m: Any) -> Iterator[str]:
    for count, size, batches in ((11, 3, 3), (9, 3, 3), (14, 4, 3)):
        data, used = np.arange(count), size * batches
        stream = m.batches(data, size, np.random.default_rng(0))
        orders = [np.concatenate([np.atleast_1d(next(stream)) for _ in range(batches)]).tolist() for _ in range(2)]
        for name, order in zip(("first", "second"), orders, strict=True):
            whole = len(order) == used == len(set(order))
            yield from true(
                whole,
                f"{count} samples by {size}: the {name} {batches} batches are {order}; expected {used} samples, none"
                " twice",
            )
        yield from true(orders[0] != orders[1], "both epochs have one order: draw a new one for each")
        yield from true(sorted(orders[0]) != orders[0], "the samples come in their own order: shuffle them")
        yield from equal("the data afterwards", data, np.arange(count), "permute the indices, not the data")


def weight_average(m: Any) -> Iterator[str]:
    for decay in (0.9, 0.6):
        yield from _weight_average(m, decay)


def _weight_average(m: Any, decay: float) -> Iterator[str]:
    net = linear(2, 2, 0)
    average = m.WeightAverage(net, decay)
    expected = net.weight.data.copy()
    for step in range(1, 25):
        net.weight.data[...] = numbers(2, 2, seed=step)
        average.update(net)
        factor = min(decay, (1 + step) / (10 + step))
        expected = factor * expected + (1 - factor) * net.weight.data
        yield from equal(
            f"the average after update {step}",
            average.module.weight,
            expected,
            "factor a + (1 - factor) p, with factor min(decay, (1 + t) / (10 + t)), t from 1",
            1e-8,
        )


def running(m: Any) -> Iterator[str]:
    mean, var = np.zeros(3), np.ones(3)
    expected = [mean.copy(), var.copy()]
    for step in range(3):
        x = numbers(8 - step, 3, seed=step) * 2 + 1
        y = m.batch_norm(x, mean, var, training=True)
        yield from equal(
            "y in training",
            y,
            (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5),
            "by the batch's own statistics, with the biased variance",
        )
        expected = [0.9 * expected[0] + 0.1 * x.mean(0), 0.9 * expected[1] + 0.1 * x.var(0, ddof=1)]
        yield from equal("the running mean", mean, expected[0], "moved in place, by a tenth of the way")
        yield from equal("the running variance", var, expected[1], "it takes the unbiased variance, M - 1 below")
    x = numbers(2, 3, seed=9)
    y = m.batch_norm(x, mean, var, training=False)
    yield from equal(
        "y outside training",
        y,
        (x - expected[0]) / np.sqrt(expected[1] + 1e-5),
        "by the running statistics: a sample's image must not depend on its neighbours",
    )
    yield from equal("the running mean after use outside training", mean, expected[0], "it moves in training only")


def frozen_penalty(m: Any) -> Iterator[str]:
    f = linear(3, 1, 2)
    real, fake = numbers(4, 3), numbers(4, 3, seed=1)
    for weight in (10.0, 2.5):
        loss = m.critic_loss(f, tensor(real), tensor(fake), tensor(numbers(4, 1) * 0 + 0.5), weight)
        w = f.weight.data
        expected = (fake @ w.T).mean() - (real @ w.T).mean() + weight * (np.linalg.norm(w) - 1) ** 2
        yield from equal("the loss", loss, expected, "E f(fake) - E f(real) + weight times the mean of (|slope| - 1)^2")
        (g,) = grad(loss, f.weight)
        norm = np.linalg.norm(w)
        slope = fake.mean(0) - real.mean(0) + 2 * weight * (norm - 1) * w / norm
        yield from equal("its gradient by the weights", g, slope, "", 1e-8)


EXERCISES = [
    track(
        "critic-step",
        text="""What belongs into a critic's step, and in which order?

f is the critic, g the generator, opt the critic's optimiser. One step of a Wasserstein critic (its penalty left out):

    fake = g(z), as numbers only;    L = E f(fake) - E f(real);    f moves down L; g gets no gradient.

A gradient of an earlier step may still lie in .grad. Return the loss. `no_grad` is at hand.""",
        source='''from minigan import no_grad


def critic_step(f, g, opt, real, z):
    """One step of the critic; returns its loss."""
    # learn: critic-step begin
    with no_grad():
        fake = g(z)
    loss = f(fake).mean() - f(real).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
    return loss
    # learn: critic-step end
''',
        hints=("fake under `with no_grad():`, or g(z).detach().", "zero_grad, backward, step, in this order."),
        grader=critic_step,
        mutants=(
            ("gradients pile up", "    opt.zero_grad()\n", ""),
            ("G gets a gradient", "with no_grad():", "if True:"),
            (
                "the step comes before backward",
                "    loss.backward()\n    opt.step()\n",
                "    opt.step()\n    loss.backward()\n",
            ),
            ("D's sign", "f(fake).mean() - f(real).mean()", "f(real).mean() - f(fake).mean()"),
        ),
    ),
    track(
        "generator-step",
        text="""How does G learn through D without moving it?

G minimises -E f(g(z)). The gradient passes through f, but f's own weights need none: freeze them with
f.requires_grad_(False) for the step, and set them free again, or D never trains again. opt is G's optimiser.""",
        source='''def generator_step(f, g, opt, z):
    """One step of the generator."""
    # learn: generator-step begin
    f.requires_grad_(False)
    loss = -f(g(z)).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
    f.requires_grad_(True)
    # learn: generator-step end
''',
        hints=("Freeze, compute, zero_grad, backward, step, set free.", "No detach here: then nothing would reach G."),
        grader=generator_step,
        mutants=(
            ("D stays frozen", "    f.requires_grad_(True)\n", ""),
            ("D is not frozen", "    f.requires_grad_(False)\n", ""),
            ("G helps D", "loss = -f", "loss = f"),
            ("gradients pile up", "    opt.zero_grad()\n", ""),
        ),
    ),
    track(
        "schedule",
        text="""How often does D move for each step of G?

A Wasserstein critic should be near its best before G listens to it: n critic steps, each on a new batch, then one step
of G (Arjovsky et al. 2017, algorithm 1). Write train(steps, n, batches, critic, generator): critic(batch) and
generator() make the steps, batches is an iterator.""",
        source='''def train(steps, n, batches, critic, generator):
    """`steps` steps of the generator, each after n of the critic."""
    # learn: schedule begin
    for _ in range(steps):
        for _ in range(n):
            critic(next(batches))
        generator()
    # learn: schedule end
''',
        hints=(
            "Count: in 2 steps with n = 3 there are six batches.",
            "Two loops, one inside the other; next(batches) for each critic step.",
        ),
        grader=schedule,
        mutants=(
            (
                "one batch for all critic steps",
                "        for _ in range(n):\n            critic(next(batches))\n",
                "        batch = next(batches)\n        for _ in range(n):\n            critic(batch)\n",
            ),
            ("one step of G for each of D", "        generator()", "            generator()"),
            (
                "G first",
                "        for _ in range(n):\n            critic(next(batches))\n        generator()\n",
                "        generator()\n        for _ in range(n):\n            critic(next(batches))\n",
            ),
        ),
    ),
    track(
        "epochs",
        text="""What is a batch of real images drawn from?

Drawing with replacement leaves out a third of the images in an epoch. Write a generator function batches(data, size,
rng) that goes on for ever: in each epoch a new permutation of the indices (rng.permutation(len(data))), cut into whole
batches; what is left over at its end is dropped. The data stay as they are.""",
        source='''def batches(data, size, rng):
    """Batches for ever, each sample at most once an epoch."""
    # learn: epochs begin
    while True:
        order = rng.permutation(len(data))
        for start in range(0, len(data) - size + 1, size):
            yield data[order[start : start + size]]
    # learn: epochs end
''',
        hints=(
            "while True: draw an order, then yield data[order[a : a + size]] for a = 0, size, ...",
            "The last start is at most len(data) - size.",
        ),
        grader=epochs,
        mutants=(
            ("the rest is a small batch", "len(data) - size + 1", "len(data)"),
            (
                "one order for ever",
                "    while True:\n        order = rng.permutation(len(data))\n",
                "    order = rng.permutation(len(data))\n    while True:\n",
            ),
            ("with replacement", "rng.permutation(len(data))", "rng.integers(0, len(data), len(data))"),
            ("no shuffling", "rng.permutation(len(data))", "list(range(len(data)))"),
        ),
    ),
    track(
        "weight-average",
        text="""Why do averaged weights sample better?

G's weights circle around a good place rather than sit in it; their average lies inside. At update t = 1, 2, ...

    a <- factor a + (1 - factor) p,    factor = min(decay, (1 + t) / (10 + t)),

so that the average forgets its random start quickly. This is WeightAverage of minigan/optim/average.py. Write _move: it
counts the update and changes the average arrays in place; arrays holds `count` averages, then as many weights.""",
        source=source("optim/average.py", "WeightAverage"),
        hints=(
            "self.updates += 1 first, so that t begins at 1.",
            "average += (p - average) * (1 - factor), in place: `average = ...` would only name another array.",
        ),
        grader=weight_average,
        mutants=(
            ("the last weights", "(p - average) * p.dtype.type(1 - factor)", "(p - average)"),
            ("the plain decay", "min(self.decay, (1 + self.updates) / (10 + self.updates))", "self.decay"),
            ("factor and its rest change places", "p.dtype.type(1 - factor)", "p.dtype.type(factor)"),
            ("updates are not counted", "self.updates += 1", "self.updates += 0"),
        ),
    ),
    track(
        "running-statistics",
        text="""What does batch norm do when a single image is asked for?

In training x (M, C) is standardised by the batch's own mean and biased variance, y = (x - m) / sqrt(v + 1e-5), and the
running statistics move a tenth of the way:

    mean <- 0.9 mean + 0.1 m,    var <- 0.9 var + 0.1 v M / (M - 1),    in place.

Outside training the running ones are used and nothing moves. Write it in NumPy; mean and var are arrays.""",
        source='''import numpy as np


def batch_norm(x, mean, var, training):
    """y for x (M, C); moves mean and var (C,) in place in training."""
    # learn: running-statistics begin
    if not training:
        return (x - mean) / np.sqrt(var + 1e-5)
    m, v = x.mean(0), x.var(0)
    mean += 0.1 * (m - mean)
    var += 0.1 * (v * len(x) / (len(x) - 1) - var)
    return (x - m) / np.sqrt(v + 1e-5)
    # learn: running-statistics end
''',
        hints=("mean += 0.1 * (m - mean) is the move, in place.", "x.var(0) is biased; x.var(0, ddof=1) is not."),
        grader=running,
        mutants=(
            ("the biased variance runs", "v * len(x) / (len(x) - 1) - var", "v - var"),
            ("not in place", "mean += 0.1 * (m - mean)", "mean = mean + 0.1 * (m - mean)"),
            (
                "batch statistics outside training",
                "    if not training:\n        return (x - mean) / np.sqrt(var + 1e-5)\n",
                "    if not training:\n        return (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)\n",
            ),
            ("momentum 0.9", "mean += 0.1", "mean += 0.9"),
        ),
    ),
    track(
        "critic-loss",
        text="""What does the critic of WGAN-GP minimise, all in all?

    L = E f(fake) - E f(real) + weight E (||grad f(x_hat)|| - 1)^2,    x_hat = eps real + (1 - eps) fake.

gradient_penalty(f, real, fake, eps) of minigan.gan.penalties gives (the mean of the squares, the mean norm). eps holds
one number a sample. Return L, with its graph.""",
        source='''from minigan.gan.penalties import gradient_penalty


def critic_loss(f, real, fake, eps, weight):
    """The critic's loss with its penalty."""
    # learn: critic-loss begin
    penalty, _ = gradient_penalty(f, real, fake, eps)
    return f(fake).mean() - f(real).mean() + weight * penalty
    # learn: critic-loss end
''',
        hints=(
            "gradient_penalty returns two things; the first is the penalty.",
            "Both players minimise: the penalty is added.",
        ),
        grader=frozen_penalty,
        mutants=(
            ("the penalty is rewarded", "+ weight * penalty", "- weight * penalty"),
            ("the mean norm for the penalty", "penalty, _ =", "_, penalty ="),
            ("no weight", "weight * penalty", "penalty"),
            ("the penalty is a number", "weight * penalty", "weight * penalty.detach()"),
        ),
    ),
]
