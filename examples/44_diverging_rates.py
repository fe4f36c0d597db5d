"""Learning rates from too small to diverging, the same WGAN-GP and the same number of steps.

    critic:     E f(Gz) - E f(x) + 0.1 E (||grad f(x_hat)|| - 1)^2, twice;     generator:  -E f(Gz), once

Too small a rate leaves samples where they started, too large a one throws them about or out of the finite numbers. The
exact W1 stands between that of the start and that of two draws of the data.

Run it:  python -m minigan.examples.44_diverging_rates --steps 400
"""

import itertools

import click
import numpy as np

import minigan as mg
from minigan import nn, optim
from minigan.examples._figure import device_option, panels, save
from minigan.gan.penalties import gradient_penalty
from minigan.gan.theory.divergences import w1

BATCH, COUNT = 128, 500
RATES = (1e-6, 1e-4, 1e-3, 1e-1, 1e18)
CENTRES = np.array([(np.cos(a), np.sin(a)) for a in np.arange(8) * np.pi / 4])


def network(*widths: int) -> nn.Module:
    """Linear layers of these widths, ReLU between them."""
    layers = [layer for a, b in itertools.pairwise(widths) for layer in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


@click.command()
@click.option("--steps", default=400, show_default=True, help="Generator steps.")
@click.option("--seed", default=0, show_default=True)
@device_option
@click.option("--out", default="rates.png", show_default=True)
@np.errstate(over="ignore", invalid="ignore")  # a rate of 1e18 is meant to leave the finite numbers
def main(steps: int, seed: int, device: str, out: str) -> None:
    """Print the exact Wasserstein distance that each rate reaches, and draw the samples."""
    random = np.random.default_rng(seed)

    def ring(count: int) -> np.ndarray:
        return CENTRES[random.integers(8, size=count)] + 0.01 * random.standard_normal((count, 2))

    figure, axes = panels(len(RATES), 3.2, 3.6)
    for axis, rate in zip(axes, RATES, strict=True):
        mg.manual_seed(seed)
        g, f = network(2, 64, 64, 2).to(device), network(2, 64, 64, 1).to(device)
        optim_f, optim_g = (optim.Adam(net.parameters(), rate, (0.0, 0.9)) for net in (f, g))
        z, path = mg.randn(COUNT, 2), []
        start = w1(g(z).detach().numpy(), ring(COUNT))
        for _ in range(steps):
            for _ in range(2):
                real, fake = mg.tensor(ring(BATCH), dtype=mg.float32), g(mg.randn(BATCH, 2)).detach()
                penalty, _ = gradient_penalty(lambda x, f=f: f(x)[:, 0], real, fake, mg.rand(BATCH, 1))
                loss = f(fake).mean() - f(real).mean() + 0.1 * penalty
                optim_f.zero_grad()
                loss.backward()
                optim_f.step()
            optim_g.zero_grad()
            (-f(g(mg.randn(BATCH, 2))).mean()).backward(inputs=list(g.parameters()))
            optim_g.step()
            path.append(loss.item())
            if not np.isfinite(path[-1]):
                break
        x = g(z).detach().numpy()
        if np.isfinite(x).all() and np.isfinite(path).all():
            print(f"rate {rate:.0e}: W1 {start:.3f} -> {w1(x, ring(COUNT)):.3f}")
            axis.scatter(*x.T, s=3, color="crimson")
        else:
            print(f"rate {rate:.0e}: no longer finite after step {len(path)}")
        axis.scatter(*CENTRES.T, s=30, facecolors="none", edgecolors="k")
        axis.set_title(f"rate {rate:.0e}")
        axis.set_xlabel("x")
        axis.set_ylabel("y")
    print(f"two draws of the data: W1 {w1(ring(COUNT), ring(COUNT)):.3f}")
    save(figure, out)


if __name__ == "__main__":
    main()
