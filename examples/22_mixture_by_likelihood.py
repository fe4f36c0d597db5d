"""A mixture of Gaussians by maximum likelihood (E-M): its model is blobs, so it draws blobs, whatever the data are.

    E: r_ik = w_k N(x_i; m_k, S_k) / sum_j ...     M: w, m, S = weighted moments     ln L never falls

Run it:  python -m minigan.examples.22_mixture_by_likelihood --steps 100
"""

import click
import numpy as np

from minigan.examples._figure import panels, save
from minigan.gan.divergences import w1


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


@click.command()
@click.option("--steps", default=100, show_default=True)
@click.option("--out", default="mixture_by_likelihood.png", show_default=True)
def main(steps: int, out: str) -> None:
    """Fit 3 and 12 Gaussians to a ring of radius 1: most samples of the few lie off the ring."""
    random = np.random.default_rng(0)

    def ring(count: int) -> np.ndarray:
        angle = random.uniform(0, 2 * np.pi, count)
        radius = 1 + 0.02 * random.standard_normal(count)
        return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)

    x = ring(1000)
    figure, axes = panels(3, 4)
    axes[0].scatter(*x.T, s=3)
    axes[0].set_title("data")
    for axis, parts in zip(axes[1:], (3, 12), strict=True):
        w, m, s, history = em(x, parts, max(steps, 2), random)
        which = random.choice(parts, 1000, p=w)
        made = m[which] + np.einsum("nij,nj->ni", np.linalg.cholesky(s)[which], random.standard_normal((1000, 2)))
        off = (np.abs(np.linalg.norm(made, axis=1) - 1) > 0.06).mean()
        rises, distance = bool((np.diff(history) > -1e-6).all()), w1(made[:500], ring(500))
        print(f"{parts:2} parts: ln L {history[0]:.3f} -> {history[-1]:.3f}, never falling: {rises}")
        print(f"          off the ring {off:.0%}, W1 {distance:.3f}")
        axis.scatter(*made.T, s=3, color="crimson")
        axis.set_title(f"{parts} Gaussians: {off:.0%} off the ring")
    save(figure, out)


if __name__ == "__main__":
    main()
