"""Training steps drawn at random: networks, losses, penalties, optimisers and what changes between the calls. Two
worlds from one seed, one captured and one eager, hold the same weights after every call.

Float64, so the two differ by the order of sums only (where a gradient is zero but for that, as a bias's before a norm
is, Adam's division by its size makes 1e-9 of it); five hundred seeds are the slow test, a dozen the quick one.
"""

import warnings

import numpy as np
import pytest

import minigan as mg
from minigan import functional as F
from minigan import nn
from minigan.capture import capture
from minigan.gan import losses, penalties
from minigan.optim import SGD, Adam, AdamW, RMSprop

CALLS = 5
BATCH, LATENT, CHANNELS, SIDE = 4, 3, 2, 8


class Residual(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner, self.scale = inner, 0.5

    def forward(self, x):
        return x + self.inner(x) * self.scale


def activation(rng):
    kinds = [nn.ReLU, nn.Tanh, nn.Sigmoid, nn.Softplus, nn.ELU, lambda: nn.LeakyReLU(0.2)]
    return kinds[rng.integers(len(kinds))]()


def critic(rng):
    """Images (N, 2, 8, 8) to numbers (N, 1)."""
    layers, channels, side = [], CHANNELS, SIDE
    for _ in range(rng.integers(1, 4)):
        width = int(rng.integers(2, 6))
        kernel, stride = [(3, 1), (4, 2), (1, 1), (2, 2), (3, 2)][rng.integers(5)]
        padding = int(rng.integers(0, 2))
        if (side + 2 * padding - kernel) // stride < 1:  # InstanceNorm wants more than one pixel
            break
        layer = nn.Conv2d(channels, width, kernel, stride, padding, bias=bool(rng.integers(2)))
        layers.append(nn.spectral_norm(layer) if rng.random() < 0.25 else layer)
        channels, side = width, (side + 2 * padding - kernel) // stride + 1
        layers.append(BLOCKS[rng.integers(len(BLOCKS))](rng, channels))
        if side % 2 == 0 and rng.random() < 0.3:
            layers.append([nn.AvgPool2d(2), nn.MaxPool2d(2)][rng.integers(2)])
            side //= 2
    layers.append(nn.Flatten())
    size = channels * side * side
    if rng.random() < 0.4:
        layers += [nn.Linear(size, 6), nn.LayerNorm(6) if rng.random() < 0.5 else nn.Identity(), activation(rng)]
        size = 6
    return nn.Sequential(*layers, nn.Linear(size, 1))


BLOCKS = [
    lambda rng, c: activation(rng),
    lambda rng, c: nn.Sequential(nn.BatchNorm2d(c), activation(rng)),
    lambda rng, c: nn.Sequential(activation(rng), nn.InstanceNorm2d(c, affine=True)),
    lambda rng, c: Residual(nn.Sequential(activation(rng), nn.Conv2d(c, c, 3, 1, 1))),
    lambda rng, c: nn.Sequential(nn.Dropout(0.25), activation(rng)),
]


def generator(rng):
    """Codes (N, 3) to images (N, 2, 8, 8)."""
    way, c = rng.integers(4), int(rng.integers(2, 5))
    start = [nn.Linear(LATENT, c * 16), nn.Unflatten(1, (c, 4, 4)), BLOCKS[rng.integers(len(BLOCKS))](rng, c)]
    end = [
        [nn.ConvTranspose2d(c, CHANNELS, 4, 2, 1)],
        [nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(c, CHANNELS, 3, 1, 1)],
        [nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(c, CHANNELS, 3, 1, 1)],
        [nn.Conv2d(c, CHANNELS * 4, 3, 1, 1), nn.PixelShuffle(2)],
    ][way]
    return nn.Sequential(*start, *end, nn.Tanh() if rng.random() < 0.5 else nn.Identity())


def optimiser(rng, module):
    kinds = [
        lambda p: SGD(p, lr=0.001, momentum=0.5),
        lambda p: SGD(p, lr=0.001),
        lambda p: Adam(p, lr=0.01, betas=(0.0, 0.9)),
        lambda p: AdamW(p, lr=0.01),
        lambda p: RMSprop(p, lr=0.005),
    ]
    return kinds[rng.integers(len(kinds))](module.parameters())


class World:
    """Two players, their optimisers and data, all from one seed."""

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        mg.manual_seed(seed)
        self.critic, self.generator = critic(rng).double(), generator(rng).double()
        self.optimisers = [optimiser(rng, self.critic), optimiser(rng, self.generator)]
        self.loss = list(losses.LOSSES.values())[rng.integers(len(losses.LOSSES))]
        rows = [None, *penalties.PENALTIES.values()]
        self.penalty = rows[rng.integers(len(rows))]
        self.weight = 0.1
        self.clip, self.draws_inside = rng.random() < 0.3, rng.random() < 0.5
        self.changes = rng.integers(0, 6, CALLS)
        self.rng = np.random.default_rng([seed, 1])
        self.codes, self.reals, self.eps = (mg.tensor(self.rng.standard_normal(shape)) for shape in SHAPES)

    def feed(self, call):
        """New data, and the change that the seed draws for this call."""
        for tensor in (self.codes, self.reals):
            tensor.assign(self.rng.standard_normal(tensor.shape))
        self.eps.assign(self.rng.random(self.eps.shape))
        change = self.changes[call]
        if change == 1:
            self.weight += 0.1
        elif change == 2:
            for optimiser in self.optimisers:
                for group in optimiser.param_groups:
                    group["lr"] *= 0.5
        elif change == 3:
            self.generator.train(not self.generator.training)
        elif change == 4:
            parameter = next(iter(self.critic.parameters()))
            parameter.requires_grad_(not parameter.requires_grad)

    def outputs(self, x):
        return self.loss.head(self.critic(x))

    def step(self):
        """One half-step of each player."""
        first, second = self.optimisers
        codes = self.codes + 0.1 * mg.randn(*self.codes.shape, dtype="float64") if self.draws_inside else self.codes
        with mg.no_grad():
            fakes = self.generator(codes)
        first.zero_grad()
        loss = self.loss.discriminator(self.outputs(self.reals), self.outputs(fakes))
        if self.penalty is not None:
            term, _ = self.penalty(self.outputs, self.reals, fakes, self.eps)
            loss = loss + self.weight * term
        loss.backward()
        first.step()
        if self.clip:
            with mg.no_grad():
                for p in self.critic.parameters():
                    p.assign(mg.clamp(p, -0.5, 0.5))
        second.zero_grad()
        fakes = self.generator(codes)
        g_loss = self.loss.generator(self.outputs(fakes), self.outputs(self.reals).detach()) * self.weight
        g_loss = g_loss + 0.1 * F.mse_loss(fakes, self.reals)
        g_loss.backward()
        second.step()
        return loss, {"generator": g_loss}

    def arrays(self):
        return {f"{name}.{key}": np.array(value)
                for name in ("critic", "generator")
                for key, value in getattr(self, name).state_dict().items()}  # fmt: skip


SHAPES = [(BATCH, LATENT), (BATCH, CHANNELS, SIDE, SIDE), (BATCH, 1, 1, 1)]


def run(seed):
    eager, world = World(seed), World(seed)
    step = capture(world.step)
    for call in range(CALLS):
        eager.feed(call)
        world.feed(call)
        mg.manual_seed(1000 + call)
        loss, figures = eager.step()
        mg.manual_seed(1000 + call)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "recorded anew", where the seed changes a number at every call
            replay, replayed = step()
        expected = {"loss": loss.detach().numpy(), "g": figures["generator"].detach().numpy()} | eager.arrays()
        actual = {"loss": replay.numpy(), "g": replayed["generator"].numpy()} | world.arrays()
        for name, a in expected.items():
            where = f"seed {seed}, call {call}: {name}"
            np.testing.assert_allclose(actual[name], a, rtol=1e-6, atol=1e-7, err_msg=where)


@pytest.mark.parametrize("seed", range(12))
def test_captured_is_eager(seed):
    run(seed)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(12, 512, 50))
def test_five_hundred_steps(first):
    for seed in range(first, first + 50):
        run(seed)
