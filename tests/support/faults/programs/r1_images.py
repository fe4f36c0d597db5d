"""Non-saturating loss with R1 on small images, an average of the generator's weights."""

import numpy as np

import minigan as mg
from minigan import nn, optim
from minigan.functional import softplus

mg.manual_seed(21)
BATCH, GAMMA = 8, 10.0
data = np.random.default_rng(4).uniform(0, 1, (64, 3, 4, 4)).astype(np.float32) * 2 - 1
draw = np.random.default_rng(6)


def conv_block(i, o):
    return nn.Sequential(nn.Conv2d(i, o, 3, 1, 1), nn.LeakyReLU(0.2))


generator = nn.Sequential(
    nn.Linear(5, 12 * 16),
    nn.Unflatten(1, (12, 4, 4)),
    nn.LeakyReLU(0.2),
    conv_block(12, 12),
    nn.Conv2d(12, 3, 1),
    nn.Tanh(),
)
disc = nn.Sequential(conv_block(3, 12), conv_block(12, 12), nn.Flatten(), nn.Linear(12 * 16, 1))
g_opt = optim.Adam(generator.parameters(), lr=2e-4, betas=(0.0, 0.99))
d_opt = optim.Adam(disc.parameters(), lr=2e-4, betas=(0.0, 0.99))
ema = optim.WeightAverage(generator, 0.99)
log = []


def r1(real):
    real = real.detach().requires_grad_()
    scores = disc(real)
    (g,) = mg.grad(scores.sum(), real, create_graph=True)
    return scores, 0.5 * GAMMA * g.square().sum((1, 2, 3)).mean()


def train_d(real):
    d_opt.zero_grad()
    fake = generator(mg.randn(BATCH, 5)).detach()
    real_scores, penalty = r1(real)
    loss = softplus(-real_scores).mean() + softplus(disc(fake)).mean() + penalty
    loss.backward()
    d_opt.step()
    return loss


def train_g():
    g_opt.zero_grad()
    loss = softplus(-disc(generator(mg.randn(BATCH, 5)))).mean()
    loss.backward(inputs=list(generator.parameters()))
    g_opt.step()
    return loss


def step():
    real = mg.tensor(data[draw.choice(64, BATCH)])
    d_loss = train_d(real)
    g_loss = train_g()
    ema.update(generator)
    log.append([d_loss.item(), g_loss.item()])


def sample(n=16):
    with mg.no_grad():
        return ema.module(mg.randn(n, 5)).numpy()
