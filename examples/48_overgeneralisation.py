"""Overgeneralisation: mass where there are no data, the opposite of collapse, and what a smooth generator cannot avoid.

    a Gaussian by KL(P, Q) covers all modes and what lies between; by KL(Q, P) it keeps to one mode
    G: [0, 1] -> R^2 of slope at most L:  strays >= (m - 1) (d - 6 sigma) / L  if it reaches m modes, d apart or more

A sample strays if it is farther than 3 sigma from every mode. G is continuous, so on its way from mode to mode it
crosses what lies between, at speed L at the most. It can be steep, drop modes, or stray; noise cannot tear it apart.

Run it:  python -m minigan.examples.48_overgeneralisation
"""

import itertools

import click
import numpy as np
from scipy.stats import ncx2

import minigan as mg
from minigan import nn, optim
from minigan.examples._figure import device_option, panels, save
from minigan.functional import softplus

BATCH, SIGMA = 128, 0.03
CENTRES = np.array([(np.cos(a), np.sin(a)) for a in np.arange(8) * np.pi / 4])
GAP = 2 * np.sin(np.pi / 8) - 6 * SIGMA
Z = np.linspace(0, 1, 20_001)


def look(x: np.ndarray) -> tuple[float, int]:
    """(share of the points (N, 2) that stray, modes that some of them reach)."""
    near = np.linalg.norm(x[:, None] - CENTRES, axis=2) < 3 * SIGMA
    return float(1 - near.any(1).mean()), int(near.any(0).sum())


def best_path(slope: float) -> np.ndarray:
    """A path at Z over all modes that runs through each gap at `slope`, and waits in the modes for the rest."""
    reach = 3 * SIGMA * (1 - 1e-9)
    stops = [c + reach * (b - a) / np.linalg.norm(b - a) * side
             for a, b in itertools.pairwise(CENTRES) for c, side in ((a, 1), (b, -1))]  # fmt: skip
    stops = np.array([CENTRES[0], *stops, CENTRES[-1]])
    lengths = np.linalg.norm(np.diff(stops, axis=0), axis=1)
    gaps = np.arange(len(lengths)) % 2 == 1
    times = np.where(gaps, lengths / slope, (1 - lengths[gaps].sum() / slope) / (~gaps).sum())
    clock = np.concatenate([[0], np.cumsum(times)])
    return np.stack([np.interp(Z, clock / clock[-1], stops[:, k]) for k in (0, 1)], 1)


def network(*widths: int) -> nn.Module:
    """Linear layers of these widths, ReLU between them."""
    layers = [layer for a, b in itertools.pairwise(widths) for layer in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


@click.command()
@click.option("--steps", default=3000, show_default=True, help="Steps of each player.")
@click.option("--seed", default=0, show_default=True)
@device_option
@click.option("--out", default="overgeneralisation.png", show_default=True)
def main(steps: int, seed: int, device: str, out: str) -> None:
    """Print how much strays of two Gaussians, of the best paths, and of a GAN at six looks beside its bound."""
    variance = 0.5 + SIGMA**2  # of the ring, each way
    inside = 8 * ncx2.cdf(9 * SIGMA**2 / variance, 2, 1 / variance)
    print(f"Gaussian of least KL(P, Q), the most likely one: 8 of 8 modes, strays {1 - inside:.4f}")
    print(f"Gaussian of least KL(Q, P), on one mode:         1 of 8 modes, strays {np.exp(-4.5):.4f}")
    for slope in (10, 40, 160):
        share, modes = look(best_path(slope))
        print(f"path of slope {slope:3d}: {modes} of 8 modes, strays {share:.4f}, at least {7 * GAP / slope:.4f}")

    mg.manual_seed(seed)
    random = np.random.default_rng(seed)
    g, d = network(1, 96, 96, 2).to(device), network(2, 96, 96, 1).to(device)
    optim_g, optim_d = (optim.Adam(net.parameters(), 1e-3, (0.5, 0.999)) for net in (g, d))
    for step in range(1, steps + 1):
        real = CENTRES[random.integers(8, size=BATCH)] + SIGMA * random.standard_normal((BATCH, 2))
        fake = g(mg.rand(BATCH, 1) * 8)
        loss_d = softplus(-d(mg.tensor(real, dtype=mg.float32))).mean() + softplus(d(fake.detach())).mean()
        optim_d.zero_grad()
        loss_d.backward()
        optim_d.step()

        optim_g.zero_grad()
        softplus(-d(fake)).mean().backward(inputs=list(g.parameters()))
        optim_g.step()

        if step % max(1, steps // 6) == 0:
            x = g(mg.tensor(8 * Z[:, None], dtype=mg.float32)).detach().numpy().astype(float)
            share, modes = look(x)
            slope = np.linalg.norm(np.diff(x, axis=0), axis=1).max() / (Z[1] - Z[0])
            bound = max(0, modes - 1) * max(0.0, GAP / slope - (Z[1] - Z[0]))
            print(
                f"GAN, step {step:5d}: {modes} of 8 modes, slope {slope:5.1f}, strays {share:.4f}, at least {bound:.4f}"
            )
    random = np.random.default_rng(0)
    blob = np.sqrt(variance) * random.standard_normal((2000, 2))
    figure, axes = panels(3, 4, 4.2)
    shown = (("most likely Gaussian", blob), ("path of slope 40", best_path(40)[::10]), (f"GAN, step {steps}", x[::10]))
    for axis, (title, points) in zip(axes, shown, strict=True):
        axis.scatter(*points.T, s=3, color="crimson")
        axis.scatter(*CENTRES.T, s=40, facecolors="none", edgecolors="k")
        axis.set(title=f"{title}: {look(points)[0]:.0%} stray", xlim=(-2, 2), ylim=(-2, 2), xlabel="x", ylabel="y")
    save(figure, out)


if __name__ == "__main__":
    main()
