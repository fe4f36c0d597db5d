"""The f-GAN table of the lecture: one Gaussian fitted to a mixture of two by each divergence, judged by each.

    P = 0.6704 N(1.999, 1.414^2) + 0.3296 N(-1.002, 0.2547^2),    Q = N(mu, sigma^2),    rows train, columns test

(the mixture was fitted to the published optima of Nowozin et al. 2016, table 3). `exact` minimises each divergence on a
grid; `train` does it as a GAN: G(z) = mu + sigma z against a critic on samples, with the f-GAN losses of gan/losses.py.
A trained Gaussian is judged by its divergence on the same grid: sampling could not order 0.1280 from 0.1285.
The table's JS column is 2 JS, what f-GAN's js row bounds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ... import nn, optim
from ...autograd import Tensor, grad, no_grad, tensor
from ...backend import Generator, default_device
from ...ops.elementary import exp
from ...ops.index import stack
from ...ops.reduce import mean
from ..losses import CONJUGATES, nearest
from . import divergences

WEIGHTS, MEANS, DEVIATIONS = (0.6704, 0.3296), (1.999, -1.002), (1.414, 0.2547)
NAMES = ("kl", "reverse-kl", "js", "jeffreys", "pearson")
GRID = np.linspace(-15, 17, 8001)
DX = float(GRID[1] - GRID[0])


def mixture(x: np.ndarray) -> np.ndarray:
    """The density of P at x."""
    parts = zip(WEIGHTS, MEANS, DEVIATIONS, strict=True)
    return np.sum([w * divergences.normal(x, m, s) for w, m, s in parts], axis=0)


def mixture_samples(count: int, random: np.random.Generator) -> np.ndarray:
    """(count,) draws from P."""
    which = random.choice(2, count, p=WEIGHTS)
    return np.asarray(MEANS)[which] + np.asarray(DEVIATIONS)[which] * random.standard_normal(count)


def divergence(name: str, mu: float, sigma: float) -> float:
    """The table's `name` divergence of N(mu, sigma^2) from P, on the grid; js is 2 JS."""
    if name not in NAMES:
        raise nearest("divergence of the f-GAN table", name, NAMES)
    value = divergences.DIVERGENCES[name](mixture(GRID), divergences.normal(GRID, mu, sigma), DX)
    return 2 * value if name == "js" else value


def exact(name: str) -> tuple[float, float, float]:
    """(mu, sigma, divergence) of the Gaussian nearest to P, by Nelder-Mead on the grid from P's moments."""
    from scipy.optimize import minimize

    optimum = minimize(
        lambda w: divergence(name, w[0], np.exp(w[1])),
        (1.0, np.log(1.8)),
        method="Nelder-Mead",
        options={"xatol": 1e-7, "fatol": 1e-12, "maxiter": 2000},
    )
    return float(optimum.x[0]), float(np.exp(optimum.x[1])), float(optimum.fun)


@dataclass(frozen=True)
class Fit:
    """A trained Gaussian: its parameters and its divergence in every column."""

    name: str
    seed: int
    mu: float
    sigma: float
    row: dict[str, float]


def train(name: str, seed: int = 0, steps: int = 600, batch: int = 512, n_critic: int = 3, width: int = 24) -> Fit:
    """Train G(z) = mu + exp(s) z by the f-GAN loss called `name`.

    The critic is a network of x and x^2 that starts where it cannot tell. Both rates fall as a cosine; the result is
    the mean over the last quarter of the steps. Raises ValueError for an unknown name.
    """
    if name not in NAMES:
        raise nearest("divergence of the f-GAN table", name, NAMES)
    row, random, draws = CONJUGATES[name], Generator(seed, 0), np.random.default_rng(seed)
    mu, log_sigma = (tensor(np.array([v]), requires_grad=True) for v in (0.0, 0.7))
    net = nn.Sequential(nn.Linear(2, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1))
    for p in net.parameters():
        bound = 1 / np.sqrt(p.shape[-1])
        p.assign(bound * (2 * random.uniform(p.shape) - 1))
    net[4].weight.assign(np.zeros(net[4].weight.shape))
    net = net.double().to(default_device())
    critic = list(net.parameters())
    optim_g, optim_d = optim.Adam([mu, log_sigma], 2e-2, (0.5, 0.99)), optim.Adam(critic, 4e-3, (0.5, 0.99))

    def v(x: Tensor) -> Tensor:
        return row_start(name) + net(features(x))[:, 0]

    def fakes() -> Tensor:
        return mu + exp(log_sigma) * tensor(draws.standard_normal(batch))

    total, count = np.zeros(2), 0
    for step in range(steps):
        decay = 0.5 * (1 + np.cos(np.pi * step / steps))
        optim_g.param_groups[0]["lr"], optim_d.param_groups[0]["lr"] = 2e-2 * decay, 4e-3 * max(decay, 0.1)
        for _ in range(n_critic):
            with no_grad():
                fake = fakes()
            objective = mean(row.conjugate(v(fake))) - mean(row.activation(v(tensor(mixture_samples(batch, draws)))))
            for p, g in zip(critic, grad(objective, critic), strict=True):
                p.grad = g
            optim_d.step()
        objective = -mean(row.conjugate(v(fakes())))
        mu.grad, log_sigma.grad = grad(objective, [mu, log_sigma])
        optim_g.step()
        if step >= 3 * steps // 4:
            total, count = total + np.array([mu.item(), log_sigma.item()]), count + 1
    m, s = total[0] / count, float(np.exp(total[1] / count))
    return Fit(name, seed, float(m), s, {column: divergence(column, m, s) for column in NAMES})


def features(x: Tensor) -> Tensor:
    """x (N,) as the critic sees it, centred and scaled, beside its square: (N, 2)."""
    u = (x - 1) / 2
    return stack([u, u * u / 4], 1)


def row_start(name: str) -> float:
    """The output v at which T = f'(1): where a critic starts that cannot tell."""
    return {"kl": 1.0}.get(name, 0.0)
