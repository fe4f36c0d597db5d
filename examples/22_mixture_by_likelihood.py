"""A mixture of Gaussians by maximum likelihood (E-M) beside a small GAN: blobs, whatever the data are, beside a curve.

    E: r_ik = w_k N(x_i; m_k, S_k) / sum_j ...     M: w, m, S = weighted moments     ln L never falls
    GAN: a network from z to the plane has no form that it must keep, and no likelihood

Run it:  python -m minigan.examples.22_mixture_by_likelihood --steps 100
"""

import click
import numpy as np

from minigan.examples._figure import device_option, panels, save
from minigan.gan.theory.divergences import w1
from minigan.gan.toy import ToyTrainer, options_for
from minigan.gan.toy.data import Points


def em(x: np.ndarray, parts: int, steps: int, random: np.random.Generator):
    """(weights, means, covariances, log-likelihood per sample by step) of a mixture fitted to x (N, 2)."""
    w, m, s = np.full(parts, 1 / parts), x[random.choice(len(x), parts, False)], np.array([np.cov(x.T)] * parts)
    history = []
    for _ in range(steps):
        gap = x[:, None] - m
        distance = np.einsum("nki,kij,nkj->nk", gap, np.linalg.inv(s), gap)
        log = np.log(w) - 0.5 * (distance + np.linalg.slogdet(s)[1]) - np.log(2 * np.pi)
        total = np.logaddexp.reduce(log, axis=1)
        history.append(total.mean())
        r = np.exp(log - total[:, None])  # E
        n = r.sum(0)  # M
        w, m = n / len(x), (r.T @ x) / n[:, None]
        gap = x[:, None] - m
        s = np.einsum("nk,nki,nkj->kij", r, gap, gap) / n[:, None, None] + 1e-8 * np.eye(2)
    return w, m, s, np.array(history)


def ring(count: int, random: np.random.Generator) -> np.ndarray:
    """The data: a circle of radius 1, noise 0.02 across."""
    angle = random.uniform(0, 2 * np.pi, count)
    radius = 1 + 0.02 * random.standard_normal(count)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


@click.command()
@click.option("--steps", default=100, show_default=True, help="E-M steps; the GAN has 20 times as many.")
@device_option
@click.option("--out", default="mixture_by_likelihood.png", show_default=True)
def main(steps: int, device: str, out: str) -> None:
    """Fit 3 and 12 Gaussians and a WGAN-GP to a ring, and count the samples that lie off it."""
    random, models = np.random.default_rng(0), {}
    x = ring(1000, random)
    for parts in (3, 12):
        w, m, s, history = em(x, parts, max(steps, 2), random)
        rises = bool((np.diff(history) > -1e-6).all())
        print(f"{parts:2} parts: ln L {history[0]:.3f} -> {history[-1]:.3f}, never falling: {rises}")
        which = random.choice(parts, 1000, p=w)
        noise = random.standard_normal((1000, 2))
        models[f"{parts} Gaussians"] = m[which] + np.einsum("nij,nj->ni", np.linalg.cholesky(s)[which], noise)
    options = options_for("circle", "wgan-gp", steps=20 * steps, batch_size=128, width=64, depth=3, device=device)
    trainer = ToyTrainer(options, Points("circle", ring))
    list(trainer.train(1000))
    models["small GAN"] = trainer.sample(1000)
    figure, axes = panels(4, 4)
    axes[0].scatter(*x.T, s=3)
    axes[0].set_title("data")
    for axis in axes:
        axis.set_xlabel("x")
        axis.set_ylabel("y")
    for axis, (name, samples) in zip(axes[1:], models.items(), strict=True):
        off = (np.abs(np.linalg.norm(samples, axis=1) - 1) > 0.06).mean()
        print(f"{name:12} off the ring {off:.0%}, W1 {w1(samples[:500], ring(500, random)):.3f}")
        axis.scatter(*samples.T, s=3, color="crimson")
        axis.set_title(f"{name}: {off:.0%} off the ring")
    save(figure, out)


if __name__ == "__main__":
    main()
