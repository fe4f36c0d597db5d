"""WGAN-GP on points of a ring."""

import numpy as np

import minigan as mg
from minigan import nn, optim

mg.manual_seed(3)
BATCH, LATENT, LAMBDA = 16, 4, 10.0
angles = np.random.default_rng(0).uniform(0, 2 * np.pi, 512)
points = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
rows = np.random.default_rng(1)

G = nn.Sequential(nn.Linear(LATENT, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 2))
D = nn.Sequential(nn.Linear(2, 16), nn.LeakyReLU(0.2), nn.Linear(16, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1))
opt_G = optim.Adam(G.parameters(), lr=1e-4, betas=(0.0, 0.9))
opt_D = optim.Adam(D.parameters(), lr=1e-4, betas=(0.0, 0.9))
history = []


def penalty(real, fake):
    eps = mg.rand(BATCH, 1)
    x_hat = (eps * real + (1 - eps) * fake).detach().requires_grad_()
    out = D(x_hat)
    (grads,) = mg.grad(out.sum(), x_hat, create_graph=True)
    norms = ((grads**2).sum(1) + 1e-12).sqrt()
    return ((norms - 1) ** 2).mean()


def step():
    for _ in range(2):
        real = mg.tensor(points[rows.integers(0, 512, BATCH)])
        z = mg.randn(BATCH, LATENT)
        fake = G(z).detach()
        loss_D = D(fake).mean() - D(real).mean() + LAMBDA * penalty(real, fake)
        opt_D.zero_grad()
        loss_D.backward()
        opt_D.step()
    D.requires_grad_(False)
    z = mg.randn(BATCH, LATENT)
    loss_G = -D(G(z)).mean()
    opt_G.zero_grad()
    loss_G.backward()
    opt_G.step()
    D.requires_grad_(True)
    history.append((loss_D.item(), loss_G.item()))
