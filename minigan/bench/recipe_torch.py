"""The default run of `minigan train` as a PyTorch script: WGAN-GP on handwritten digits (Gulrajani et al. 2017).

    critic       minimise  E f(G z) - E f(x) + 10 E (||grad f(x_hat)|| - 1)^2,    x_hat between x and G z
    generator    minimise  - E f(G z),    after every five critic steps

The networks are DCGAN's, the samples those of an average of the generator's weights. Channels lie last and Adam is
fused, which is PyTorch's fastest way on a CPU without a compiler. The real images come in minigan's order of the same
seed, the first weights are minigan's; the latents are PyTorch's own.
"""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ..data import Loader, load

BATCH, LATENT, CRITIC_STEPS, GP_WEIGHT, RATE, BETAS, DECAY = 32, 100, 5, 10.0, 3e-4, (0.0, 0.9), 0.99


def generator() -> nn.Sequential:
    """Latents (N, 100, 1, 1) to images (N, 1, 32, 32) in (-1, 1)."""
    layers: list[nn.Module] = []
    for inputs, outputs in ((LATENT, 128), (128, 64), (64, 32)):
        stride, padding = (1, 0) if inputs == LATENT else (2, 1)
        layers += [nn.ConvTranspose2d(inputs, outputs, 4, stride, padding, bias=False)]
        layers += [nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers, nn.ConvTranspose2d(32, 1, 4, 2, 1), nn.Tanh())


def critic() -> nn.Sequential:
    """Images (N, 1, 32, 32) to scores (N, 1, 1, 1)."""
    layers: list[nn.Module] = []
    for inputs, outputs in ((1, 32), (32, 64), (64, 128)):
        layers += [nn.Conv2d(inputs, outputs, 4, 2, 1), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Conv2d(128, 1, 4))


class Recipe:
    """seed: of the order of the images and of the latents. folder: has the first weights, as minigan drew them."""

    def __init__(self, seed: int, folder: Path) -> None:
        torch.manual_seed(seed)
        with np.load(folder / "start.npz") as arrays:
            first = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
        self.generator, self.critic = (
            network.to(memory_format=torch.channels_last) for network in (generator(), critic())
        )
        for network, name in ((self.generator, "generator"), (self.critic, "critic")):
            prefix = f"{name}.main."
            state = {key.removeprefix(prefix): a for key, a in first.items() if key.startswith(prefix)}
            lacking = network.load_state_dict(state, strict=False)
            assert all("num_batches" in key for key in lacking.missing_keys), lacking
        self.average = copy.deepcopy(self.generator).requires_grad_(False).eval()
        self.optim_g = torch.optim.Adam(self.generator.parameters(), RATE, BETAS, fused=True)
        self.optim_d = torch.optim.Adam(self.critic.parameters(), RATE, BETAS, fused=True)
        self.batches, self.updates = Loader(load("digits"), BATCH, seed, size=32), 0

    def step(self) -> None:
        """Five critic steps and one generator step."""
        for _ in range(CRITIC_STEPS):
            self.critic_step(torch.from_numpy(next(self.batches)[0]))
        self.critic.requires_grad_(False)
        loss = -self.critic(self.generator(torch.randn(BATCH, LATENT, 1, 1))).mean()
        self.optim_g.zero_grad()
        loss.backward()
        self.optim_g.step()
        self.critic.requires_grad_(True)
        self.move_average()

    def critic_step(self, real: torch.Tensor) -> None:
        """On one batch of images (N, 1, 32, 32)."""
        with torch.no_grad():
            fake = self.generator(torch.randn(BATCH, LATENT, 1, 1))
        between = torch.lerp(fake, real, torch.rand(BATCH, 1, 1, 1)).requires_grad_()
        (slope,) = torch.autograd.grad(self.critic(between).sum(), between, create_graph=True)
        penalty = ((slope.flatten(1).norm(2, dim=1) - 1) ** 2).mean()
        loss = self.critic(fake).mean() - self.critic(real).mean() + GP_WEIGHT * penalty
        self.optim_d.zero_grad()
        loss.backward()
        self.optim_d.step()

    @torch.no_grad()
    def move_average(self) -> None:
        """average += (weights - average) (1 - decay), with a smaller decay at first."""
        self.updates += 1
        decay = min(DECAY, (1 + self.updates) / (10 + self.updates))
        torch._foreach_lerp_(list(self.average.parameters()), list(self.generator.parameters()), 1 - decay)
        for a, b in zip(self.average.buffers(), self.generator.buffers(), strict=True):
            a.copy_(b)

    @torch.no_grad()
    def samples(self, latents: np.ndarray) -> np.ndarray:
        """Images (N, 1, 32, 32) for latents (N, 100), by the averaged generator."""
        z = torch.from_numpy(latents)[:, :, None, None]
        return torch.cat([self.average(part) for part in z.split(100)]).numpy()
