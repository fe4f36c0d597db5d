"""Find the bug: a WGAN-GP that learns a ring of points, with one mistake each time, told by what its user sees."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ... import nn
from ...autograd import Tensor, grad
from ...creation import tensor
from ..checks import equal, leaf, numbers, true
from ..exercise import Exercise

PROGRAM = '''import math

import minigan as mg
from minigan import nn, optim

BATCH, LATENT, N_CRITIC, LAMBDA = 16, 4, 3, 10.0


def generator():
    return nn.Sequential(nn.Linear(LATENT, 16), nn.ReLU(), nn.Linear(16, 2))


def critic():
    return nn.Sequential(nn.Linear(2, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1))


def real_batch():
    """BATCH points on a circle of radius 1."""
    angle = 2 * math.pi * mg.rand(BATCH, 1)
    return mg.cat([angle.cos(), angle.sin()], 1)


def penalty(f, real, fake):
    """E (||grad f|| - 1)^2 at points between."""
    eps = mg.rand(len(real), 1)
    x = (eps * real + (1 - eps) * fake).detach().requires_grad_()
    (slope,) = mg.grad(f(x).sum(), x, create_graph=True)
    return ((slope.safe_norm(1) - 1) ** 2).mean()


def critic_loss(f, g, real):
    with mg.no_grad():
        fake = g(mg.randn(BATCH, LATENT))
    return f(fake).mean() - f(real).mean() + LAMBDA * penalty(f, real, fake)


def generator_loss(f, g):
    return -f(g(mg.randn(BATCH, LATENT))).mean()


class Trainer:
    def __init__(self):
        self.g, self.f = generator(), critic()
        self.average = optim.WeightAverage(self.g, 0.99)
        self.opt_g = optim.Adam(self.g.parameters(), lr=1e-3, betas=(0.0, 0.9))
        self.opt_f = optim.Adam(self.f.parameters(), lr=1e-3, betas=(0.0, 0.9))

    def step(self):
        """N_CRITIC steps of the critic, one of the generator; both losses."""
        for _ in range(N_CRITIC):
            loss = critic_loss(self.f, self.g, real_batch())
            self.opt_f.zero_grad()
            loss.backward()
            self.opt_f.step()
        self.f.requires_grad_(False)
        loss_g = generator_loss(self.f, self.g)
        self.opt_g.zero_grad()
        loss_g.backward()
        self.opt_g.step()
        self.f.requires_grad_(True)
        self.average.update(self.g)
        return loss.item(), loss_g.item()

    def sample(self, count):
        """`count` points of the averaged generator."""
        with mg.no_grad():
            return self.average.module(mg.randn(count, LATENT))
'''


def whole(m: Any) -> Iterator[str]:
    """Everything that the program must do, from its parts to its step."""
    yield from reals(m)
    yield from penalties(m)
    yield from losses(m)
    yield from steps(m)


def reals(m: Any) -> Iterator[str]:
    points = np.concatenate([m.real_batch().data for _ in range(20)])
    yield from equal("the radius of the real points", np.hypot(*points.T), np.ones(len(points)), "", 1e-5)
    quadrants = {(a > 0, b > 0) for a, b in points}
    yield from true(len(quadrants) == 4, f"the real points lie in {len(quadrants)} of 4 quadrants")


def penalties(m: Any) -> Iterator[str]:
    real, fake = numbers(8, 2), numbers(8, 2, seed=1) + 3
    for count in (8, 4):
        w = leaf([[3.0], [4.0]])
        value = m.penalty(lambda x, w=w: x @ w, tensor(real[:count]), tensor(fake[:count]))
        yield from equal(f"the penalty of a critic of slope (3, 4) everywhere, {count} samples", value, 16.0)
    at: list[np.ndarray] = []

    def bowl(x: Tensor) -> Tensor:
        at.append(x.data.copy())
        return (x * x).sum(1, keepdim=True) + (x @ w) * 0

    value = m.penalty(bowl, tensor(real), tensor(fake))
    yield from equal("the penalty of |x|^2", value, ((2 * np.linalg.norm(at[0], axis=1) - 1) ** 2).mean())
    share = (at[0] - fake) / (real - fake)
    yield from equal("where the slope is taken: the share of the real point, by y", share[:, 1], share[:, 0], "", 1e-5)
    inside = share.min() >= -1e-6 and share.max() <= 1 + 1e-6
    yield from true(
        inside, f"the slope is taken outside the lines from reals to fakes: shares of the reals {share[:3, 0]}"
    )
    yield from true(
        np.ptp(share[:, 0]) > 0.1,
        f"on all lines the slope is taken at one share of the real point, {share[0, 0]:.3f}",
    )
    value = m.penalty(lambda x: x @ w, tensor(real), tensor(fake))
    yield from true(
        value.requires_grad, "the penalty does not depend on the critic's weights: it is printed, and trains nothing"
    )
    if value.requires_grad:
        yield from equal("the penalty's gradient by the weights (3, 4)", grad(value, w)[0], [[4.8], [6.4]])


class Fixed(nn.Module):
    """A generator of known points, with one weight to be trained."""

    def __init__(self, points: np.ndarray) -> None:
        super().__init__()
        self.points, self.shift = tensor(points), nn.Parameter(tensor([0.5, -0.25], dtype=np.float64))

    def forward(self, z: Tensor) -> Tensor:
        """The points, shifted."""
        return self.points + self.shift + z.sum() * 0


def losses(m: Any) -> Iterator[str]:
    fake, real = numbers(16, 2), numbers(16, 2, seed=1)
    g, w = Fixed(fake), leaf([[0.6], [0.8]])
    loss = m.critic_loss(lambda x: x @ w, g, tensor(real))
    moved = fake + np.array([0.5, -0.25])
    yield from equal("the critic's loss for a slope of length 1", loss, ((moved - real) @ [0.6, 0.8]).mean())
    steep = leaf([[3.0], [4.0]])
    loss = m.critic_loss(lambda x: x @ steep, g, tensor(real))
    yield from equal("the critic's loss for a slope of length 5", loss, ((moved - real) @ [3, 4]).mean() + 160)
    loss.backward()
    yield from true(g.shift.grad is None, "the critic's loss gives the generator a gradient")
    loss = m.generator_loss(lambda x: x @ w.detach(), g)
    yield from equal("the generator's loss", loss, -(moved @ [0.6, 0.8]).mean())
    yield from true(loss.requires_grad, "the generator's loss does not depend on the generator")
    if loss.requires_grad:
        yield from equal("its gradient by a shift of all points", grad(loss, g.shift)[0], [-0.6, -0.8])


def weights(module: nn.Module) -> list[np.ndarray]:
    return [p.data.copy() for p in module.parameters()]


def moved(before: list[np.ndarray], after: list[np.ndarray]) -> bool:
    return any(not np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def steps(m: Any) -> Iterator[str]:
    t = m.Trainer()
    calls: list[Any] = []

    def critic_loss(f: Any, g: Any, real: Any) -> Tensor:
        calls.append(all(p.requires_grad for p in f.parameters()))
        return sum(p.sum() for p in f.parameters()) if calls[-1] else leaf(0.0)

    def generator_loss(f: Any, g: Any) -> Tensor:
        calls.append((weights(f), [p.requires_grad for p in f.parameters()]))
        return sum(p.sum() for p in g.parameters())

    real = m.critic_loss, m.generator_loss
    m.critic_loss, m.generator_loss = critic_loss, generator_loss
    try:
        for step in (1, 2):
            calls.clear()
            before = weights(t.f), weights(t.g), weights(t.average.module)
            t.step()
            kinds = [isinstance(c, tuple) for c in calls]
            yield from true(
                kinds == [False] * 3 + [True],
                f"step {step} asks for {kinds.count(False)} losses of the critic and {kinds.count(True)} of the"
                " generator; expected 3 and 1, in this order",
            )
            yield from true(all(calls), f"step {step}: the critic is frozen in its own steps")
            yield from true(
                moved(before[0], calls[-1][0]), f"step {step}: the critic's weights did not move in its own steps"
            )
            yield from true(
                not moved(calls[-1][0], weights(t.f)),
                f"step {step}: the critic's weights moved in the generator's step",
            )
            yield from true(moved(before[1], weights(t.g)), f"step {step}: the generator's weights did not move")
            yield from true(
                moved(before[2], weights(t.average.module)), f"step {step}: the averaged generator did not move"
            )
            yield from true(not any(calls[-1][1]), f"step {step}: the critic is not frozen in the generator's step")
            for name, module in (("critic", t.f), ("generator", t.g)):
                for p in module.parameters():
                    if p.grad is not None:
                        yield from equal(
                            f"step {step}: the gradient that the {name}'s last step was made with",
                            p.grad,
                            np.ones(p.shape),
                        )
    finally:
        m.critic_loss, m.generator_loss = real
    for p in t.average.module.parameters():
        p.data[...] = 0.25
    points = t.sample(5)
    yield from equal("the shape of 5 samples", points.shape, (5, 2))
    yield from true(not points.requires_grad, "samples carry a graph: memory grows with every sheet")
    for p in t.g.parameters():
        p.data[...] = 0.0
    yield from true(np.abs(t.sample(5).data).max() > 0, "samples are not the averaged generator's")


FAULTS = {
    "explosion": ("the penalty has no graph", "create_graph=True", "create_graph=False"),
    "batch-size": ("one norm for the batch", "slope.safe_norm(1)", "slope.safe_norm()"),
    "runaway": ("G's sign", "return -f(g(", "return f(g("),
    "silence": ("D stays frozen", "        self.f.requires_grad_(True)\n", ""),
    "standstill": ("G's optimiser has D's weights", "optim.Adam(self.g.parameters()", "optim.Adam(self.f.parameters()"),
    "swings": ("gradients pile up", "            self.opt_f.zero_grad()\n", ""),
    "flicker": ("samples are not averaged", "self.average.module(mg.randn", "self.g(mg.randn"),
    "": ("one eps for all", "mg.rand(len(real), 1)", "mg.rand(1, 1)"),
    " ": ("the slope is taken at the fakes", "eps * real + (1 - eps) * fake", "fake + 0 * eps * real"),
    "  ": ("the penalty is rewarded", "+ LAMBDA", "- LAMBDA"),
}
"""By exercise: what is wrong, the right text, the wrong text. Those without a name are mutants only."""


def bug(name: str, symptoms: str, *hints: str) -> Exercise:
    """The exercise of a fault. Its mutants are the other faults: a repair must not break what was right."""
    title, _, rest = symptoms.partition("\n\n")
    text = f"{title}\n\n{rest.strip()}\n\n{ASK}"
    _, right, wrong = FAULTS[name]
    others = tuple(row for other, row in FAULTS.items() if other != name)
    return Exercise(name, "points", text, PROGRAM, hints, whole, others, ((right, wrong),))


ASK = """The program below is a whole WGAN-GP on points of a circle. Find the one mistake and repair it; nothing else
needs to change. The grader looks at every part: real points, penalty, losses, who moves in a step, samples. `minigan
doctor` can look at a step of it, too."""

EXERCISES = [
    bug(
        "explosion",
        """Whether LAMBDA is 0 or 1000, I get the same weights. What does the penalty do, then?

"The penalty is printed and it is no small number, so it is computed. But with LAMBDA = 0, 10 and 1000 the runs are the
same to the last digit, all but the printed loss. With larger networks my critic's estimate grows without end." """,
        "If LAMBDA changes nothing, the penalty's gradient is 0: it is a number, and no function of the weights.",
        "Which call says whether the slope remembers how it was computed?",
    ),
    bug(
        "batch-size",
        """With batches of 16 it trains, with 256 the critic is flat. Why does the batch size matter?

"The larger the batch, the smaller my critic's slope: about 1 / 16 of what it should be at 256. With one sample a batch
everything is as in the paper." """,
        "A sum over the batch stands where each sample should stand by itself.",
        "Over which axes does the norm run? One norm a sample, please.",
    ),
    bug(
        "runaway",
        """My samples leave the circle and never come back. What are they looking for?

"The critic works: its estimate of the distance is right, at every step. But the distance only grows. The points go
straight away from the circle, faster and faster, whatever the learning rate." """,
        "The critic is high where the reals are. Which way do the samples go on its slope?",
        "Both players minimise. What does the generator minimise?",
    ),
    bug(
        "silence",
        """After the first step the critic does not change any more. What stopped it?

"It moves in the first step, and after that its weights are the same to the bit. No error is raised. The generator goes
on: soon all points have left the circle." """,
        "Something is switched off for the generator's step.",
        "What is frozen must be set free before the next step begins.",
    ),
    bug(
        "standstill",
        """My samples are the same after 10,000 steps. Why does the generator not learn?

"Its loss changes, and its gradients are not zero: they even grow from step to step. But its weights are, to the bit,
what they were in the beginning. The critic trains well." """,
        "The gradients are there, and nobody takes the step, nor clears them.",
        "An optimiser moves the weights that it was given when it was made.",
    ),
    bug(
        "swings",
        """My critic's gradients grow from step to step, though its loss does not. Where do they come from?

"I use Adam with beta1 = 0, so no momentum. Still the critic seems to run on long after it should turn, and the norm of
its gradient grows and grows. A smaller learning rate changes nothing in that." """,
        "backward adds to what lies in .grad.",
        "What must happen to .grad before each backward, in both players' steps?",
    ),
    bug(
        "flicker",
        """With an average of the weights my sheets should be quiet. Why does its decay change nothing?

"The losses are calm, but from one sheet to the next the points jump. I tried a decay of 0.9 and one of 0.9999: the very
same sheets, to the bit." """,
        "It is computed. Is it used?",
        "Which network does sample() ask?",
    ),
]
