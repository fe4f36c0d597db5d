"""Hinge loss, spectral norm, a label for both networks; everything in one function that is handed what it needs."""

import numpy as np

import minigan as mg
from minigan import nn, optim
from minigan.functional import relu
from minigan.gan.tricks import spectral_norm_

mg.manual_seed(5)
K, WIDTH, B = 3, 6, 15


class CondG(nn.Module):
    def __init__(self):
        super().__init__()
        self.label = nn.Embedding(K, 4)
        self.body = nn.Sequential(nn.Linear(WIDTH + 4, 32), nn.ReLU(), nn.Linear(32, 8), nn.Tanh())

    def forward(self, z, y):
        return self.body(mg.cat([z, self.label(y)], 1))


class CondD(nn.Module):
    def __init__(self):
        super().__init__()
        self.label = nn.Embedding(K, 4)
        self.body = nn.Sequential(nn.Linear(12, 32), nn.LeakyReLU(0.1), nn.Linear(32, 1))

    def forward(self, x, y):
        return self.body(mg.cat([x, self.label(y)], 1)).squeeze(1)


def build():
    g, d = CondG(), CondD()
    spectral_norm_(d)
    return g, d, optim.Adam(g.parameters(), 1e-3, (0.0, 0.9)), optim.Adam(d.parameters(), 2e-3, (0.0, 0.9))


g, d, og, od = build()
rng = np.random.default_rng(9)
table = rng.uniform(-0.9, 0.9, (90, 8)).astype(np.float32)
kinds = rng.integers(0, K, 90)


def update(g=g, d=d, og=og, od=od):
    i = rng.integers(0, 90, B)
    x, y = mg.tensor(table[i]), mg.tensor(kinds[i])
    fake = g(mg.randn(B, WIDTH), y)
    d_loss = relu(1 - d(x, y)).mean() + relu(1 + d(fake.detach(), y)).mean()
    od.zero_grad()
    d_loss.backward()
    od.step()
    for p in d.parameters():
        p.requires_grad = False
    g_loss = -d(g(mg.randn(B, WIDTH), y), y).mean()
    og.zero_grad()
    g_loss.backward()
    og.step()
    for p in d.parameters():
        p.requires_grad = True
    return g_loss
