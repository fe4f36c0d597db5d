"""A WGAN-GP step in PyTorch."""

import torch
from torch import nn

torch.manual_seed(1)
points = torch.randn(300, 2) * 0.3 + 1.0
G = nn.Sequential(nn.Linear(3, 24), nn.ReLU(), nn.Linear(24, 2))
D = nn.Sequential(nn.Linear(2, 24), nn.LeakyReLU(0.2), nn.Linear(24, 1))
opt_g = torch.optim.Adam(G.parameters(), lr=1e-4, betas=(0.0, 0.9))
opt_d = torch.optim.Adam(D.parameters(), lr=1e-4, betas=(0.0, 0.9))


def gradient_penalty(real, fake):
    alpha = torch.rand(real.size(0), 1)
    mixed = (alpha * real + (1 - alpha) * fake).requires_grad_(True)
    scores = D(mixed)
    grads = torch.autograd.grad(scores, mixed, torch.ones_like(scores), create_graph=True)[0]
    return ((grads.norm(2, dim=1) - 1) ** 2).mean()


def step():
    for _ in range(2):
        real = points[torch.randint(0, 300, (20,))]
        with torch.no_grad():
            fake = G(torch.randn(20, 3))
        loss = D(fake).mean() - D(real).mean() + 10 * gradient_penalty(real, fake)
        opt_d.zero_grad()
        loss.backward()
        opt_d.step()
    loss_g = -D(G(torch.randn(20, 3))).mean()
    opt_g.zero_grad()
    loss_g.backward()
    opt_g.step()
