"""Goodfellow's first: D ends in a sigmoid, cross-entropy of probabilities; the batch comes as an argument."""

import numpy as np

import minigan as mg
from minigan import nn, optim
from minigan.functional import binary_cross_entropy

mg.manual_seed(8)
RANDOM = np.random.default_rng(8)
Z = 10
G = nn.Sequential(nn.Linear(Z, 32), nn.LeakyReLU(0.2), nn.Linear(32, 49), nn.Sigmoid())
D = nn.Sequential(nn.Linear(49, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1), nn.Sigmoid())
optG = optim.Adam(G.parameters(), lr=1e-3, betas=(0.5, 0.999))
optD = optim.Adam(D.parameters(), lr=1e-3, betas=(0.5, 0.999))


def step_inputs():
    images = RANDOM.integers(0, 2, (18, 49)).astype(np.float32)
    return (images,)


def step(images):
    real = mg.tensor(images)
    n = len(real)
    ones, zeros = mg.ones(n, 1), mg.zeros(n, 1)

    fake = G(mg.rand(n, Z) * 2 - 1)
    optD.zero_grad()
    d_loss = binary_cross_entropy(D(real), ones) + binary_cross_entropy(D(fake.detach()), zeros)
    d_loss.backward()
    optD.step()

    optG.zero_grad()
    g_loss = binary_cross_entropy(D(fake), ones)
    g_loss.backward(inputs=list(G.parameters()))
    optG.step()
    return d_loss.item(), g_loss.item(), D(real).mean().item()
