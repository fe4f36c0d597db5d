"""Chains through the latents that ask for a condition: plug and play generative networks (Nguyen et al. 2017, eq. 5).

    z <- z + e1 (R(z) - z) + e2 w d ln C_y(G(z)) / dz + e3 N(0, 1)

C_y is a judge's probability of what is asked for. R is a denoiser, learnt to give latents back that noise of deviation
sigma was added to; R(z) - z = sigma^2 d ln p_sigma(z) / dz (Alain & Bengio 2014), so the first term is the slope of a
prior that nobody wrote down: of the codes of training images where the system has an encoder, else of its own draws.

With e1 = step / (2 sigma^2), e2 = step / 2, e3 = sqrt(step) and w = 1 it is Langevin's walk: its visits are distributed
as p_sigma(z) C_y(G(z)), while ascent goes to one peak of that and stays (null model).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ... import nn
from ...autograd import Tensor, no_grad, tensor
from ...backend import Generator, host
from ...functional import leaky_relu, mse_loss
from ...nn import Parameter, init
from ...optim import Adam
from ..metrics.classifier import prepared
from ..train import SAMPLE_STREAM, Trainer
from .ascent import Score, ascend, slope_of
from .space import Space, draws, space_of
from .standing import Scale, Study
from .targets import Target


class Denoiser(nn.Module):
    """R: noisy latents (N, d) to clean ones, by a linear map, which is exact for a normal law, and two layers beside
    it; it begins as the identity."""

    def __init__(self, latent: int, random: Generator, width: int = 128) -> None:
        super().__init__()
        self.linear = nn.Linear(latent, latent)
        self.hidden, self.last = nn.Linear(latent, width), nn.Linear(width, latent)
        init.kaiming_normal_(self.hidden.weight, 0.1, generator=random)
        for part in (self.linear.bias, self.hidden.bias, self.last.weight, self.last.bias):
            init.zeros_(part)
        self.linear.weight.data[...] = np.eye(latent)

    def forward(self, z: Tensor) -> Tensor:
        """R(z)."""
        return self.linear(z) + self.last(leaky_relu(self.hidden(z), 0.1))


def denoiser(
    fresh: Callable[[int], np.ndarray],
    sigma: np.ndarray | float,
    random: Generator,
    steps: int = 1000,
    batch: int = 128,
) -> Denoiser:
    """R, by steps of Adam, the rate falling from 3e-3 to 0, on E |R(z + sigma eps) - z|^2 over z of fresh(N) (N, d).
    sigma: one number, or one a latent (d,)."""
    model = Denoiser(fresh(2).shape[1], random)
    optimiser = Adam(model.parameters(), 3e-3)
    for step in range(steps):
        z = fresh(batch)
        noisy = z + sigma * host(random.normal(z.shape))
        optimiser.param_groups[0]["lr"] = 3e-3 * (1 - step / steps)
        loss = mse_loss(model(tensor(noisy.astype(np.float32))), tensor(z.astype(np.float32)))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model


def chain(
    space: Space,
    inputs: np.ndarray,
    score: Score,
    denoise: Callable[[Tensor], Tensor],
    random: Generator,
    steps: int = 500,
    sigma: float = 0.3,
    step: float = 0.1,
    weight: float = 1.0,
    width: np.ndarray | float = 1.0,
    watch: Callable[[int, np.ndarray], None] = lambda step, z: None,
) -> np.ndarray:
    """Inputs (N, width) at the ends of N chains from inputs (N, width), of which each goes its own way.

    score: images (N, C, S, S) to ln C_y (N,). denoise: R, learnt with noise of deviation sigma * width. weight: w.
    width: the unit (d,) of each latent, in which sigma and step are told. watch(t, z) is told each z (N, d). Raises
    ValueError as `ascend` does.
    """
    z = inputs[:, : space.latent].copy()
    for t in range(steps):
        here = Parameter(z)
        push = weight * step / 2 * width**2 * slope_of(space, here, inputs, score).data
        with no_grad():
            prior = denoise(here).data - z
        noise = np.sqrt(step) * width * host(random.normal(z.shape))
        z = space.project((z + step / (2 * sigma**2) * prior + push + noise).astype(z.dtype))
        watch(t + 1, z)
    return np.concatenate([z, inputs[:, space.latent :]], 1)


def codes_of(trainer: Trainer, random: Generator) -> Callable[[int], np.ndarray]:
    """What the prior is learnt on, N to (N, d): codes of training images, or what the system draws."""
    latent = trainer.options.latent
    if not hasattr(trainer, "encode"):
        return lambda count: draws(trainer, count, random)[:, :latent]
    codes = trainer.encode(prepared(trainer.dataset, trainer.dataset.train, trainer.options.size), random)
    return lambda count: codes[(random.uniform((count,)) * len(codes)).astype(np.int64)]


def study(
    trainer: Trainer,
    aim: Target,
    chains: int = 8,
    steps: int = 500,
    every: int = 10,
    sigma: float = 0.3,
    step: float = 0.1,
    weight: float = 1.0,
    seed: int = 0,
    scale: Scale | None = None,
    show: int = 10,
) -> Study:
    """Chains of a trained system that ask for a target, beside ascent from the same latents over as many steps, the
    same chains without the condition, and real images.

    The first fifth of each is left out, and of the rest every so many steps' images count. Coverage is that of each
    chain alone, so it says whether a chain visits more than one place. Raises ValueError where fewer than two images
    of a chain would count.
    """
    visits = [t for t in range(1, steps + 1) if t > steps // 5 and t % every == 0]
    if len(visits) < 2:
        raise ValueError(f"search: of {steps} steps, every {every}th after the first fifth leaves {len(visits)} images;"
                         " take more steps, or more often")  # fmt: skip
    space, random = space_of(trainer), Generator(seed, SAMPLE_STREAM)
    scale = scale or Scale(aim, trainer.options.size)
    start, fresh = draws(trainer, chains, random), codes_of(trainer, random)
    start[:, : space.latent] = fresh(chains)
    width = fresh(1000).std(0)
    denoise = denoiser(fresh, sigma * width, random)

    def visited(walk: Callable) -> np.ndarray:
        """The inputs (chains, visits, width) on a walk."""
        stops: list[np.ndarray] = []
        walk(lambda t, z: stops.append(z.copy()) if t in visits else None)
        z = np.stack(stops, 1)
        behind = np.repeat(start[:, None, space.latent :], len(visits), 1)
        return np.concatenate([z, behind], 2).astype(start.dtype)

    settings = {"random": random, "steps": steps, "sigma": sigma, "step": step, "width": width}
    inputs = {
        "chains": visited(lambda w: chain(space, start, aim.score, denoise, weight=weight, watch=w, **settings)),
        "ascent": visited(lambda w: ascend(space, start, aim.score, steps, watch=w)),
        "chains, nothing asked": visited(
            lambda w: chain(space, start, aim.score, denoise, weight=0.0, watch=w, **settings)
        ),
    }
    images = {name: _images(trainer, x) for name, x in inputs.items()}
    flat = {name: x.reshape(-1, x.shape[2])[:, : space.latent] for name, x in inputs.items()}
    rows = {name: scale.groups(images[name], flat[name]) for name in inputs}
    real = scale.real(chains * len(visits))
    if real is not None and len(real) == chains * len(visits):
        order = np.random.default_rng(seed).permutation(len(real))
        rows["real images"] = scale.groups(real[order].reshape(chains, len(visits), *real.shape[1:]))
    shown = np.linspace(0, len(visits) - 1, min(show, len(visits))).round().astype(int)
    titles = {
        "chains": f"chains that ask for {aim.text}, a row each",
        "ascent": "ascent from the same draws",
        "chains, nothing asked": "the same chains, nothing asked for",
    }
    grids = {title: images[name][:4, shown] for name, title in titles.items()}
    line = f"{len(visits)} images of each of {chains} chains; coverage of each chain alone"
    return Study(rows, grids, (scale.line, line))


def _images(trainer: Trainer, inputs: np.ndarray) -> np.ndarray:
    images = trainer.sample(Tensor(inputs.reshape(-1, inputs.shape[2])))
    return images.reshape(*inputs.shape[:2], *images.shape[1:])
