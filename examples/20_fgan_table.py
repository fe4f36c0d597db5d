"""The f-GAN table: one Gaussian for a mixture of two, fitted by five divergences, each judged by all five.

    D_f(P || Q) >= max_T E_P T(x) - E_Q f*(T(G(z))),    G(z) = mu + exp(s) z minimises what the critic maximises

The critic's network gives v(x), and each divergence turns it into a T(v) that f* takes (gan/losses.py, CONJUGATES):

    kl          T = v                        f*(T) = exp(v - 1)        js (twice JS)   T = ln 2 - ln(1 + exp(-v))
    reverse-kl  T = -exp(-v)                 f*(T) = v - 1                             f*(T) = ln(1 + exp(v)) - ln 2
    jeffreys    T = v + 1 - exp(-v)          f*(T) = exp(v) + v - 1    pearson         T = v,  f*(T) = v^2 / 4 + v

Run it:  python -m minigan.examples.20_fgan_table --steps 600       (Nowozin et al. 2016, table 3; half a minute)
"""

import click
import numpy as np

import minigan as mg
from minigan import nn, optim
from minigan.examples._figure import device_option, panels, save
from minigan.gan.losses import CONJUGATES
from minigan.gan.theory import fgan
from minigan.gan.theory.divergences import normal

BATCH, N_CRITIC, WIDTH = 512, 3, 24


def train(name: str, seed: int, steps: int) -> tuple[float, float]:
    """(mu, sigma) of the Gaussian that the f-GAN finds, the mean over the last quarter of the steps."""
    row, draws = CONJUGATES[name], np.random.default_rng(seed)
    mg.manual_seed(seed)
    layers = nn.Linear(2, WIDTH), nn.Tanh(), nn.Linear(WIDTH, WIDTH), nn.Tanh(), nn.Linear(WIDTH, 1)
    network = nn.Sequential(*layers).double()
    network[4].weight.assign(np.zeros((1, WIDTH)))  # v starts where the critic cannot tell: T = f'(1)
    mu, s = (mg.tensor([start], dtype=mg.float64, requires_grad=True) for start in (0.0, 0.7))
    optim_d, optim_g = optim.Adam(network.parameters(), 4e-3, (0.5, 0.99)), optim.Adam([mu, s], 2e-2, (0.5, 0.99))

    def v(x):  # the critic sees x and x^2: what tells two Gaussians apart
        return fgan.row_start(name) + network(fgan.features(x))[:, 0]

    def fake():
        return mu + s.exp() * mg.tensor(draws.standard_normal(BATCH))

    path = []
    for step in range(steps):
        falling = (1 + np.cos(np.pi * step / steps)) / 2
        optim_g.param_groups[0]["lr"], optim_d.param_groups[0]["lr"] = 2e-2 * falling, 4e-3 * max(falling, 0.1)
        for _ in range(N_CRITIC):  # the critic ascends the bound E_P T - E_Q f*(T)
            real = mg.tensor(fgan.mixture_samples(BATCH, draws))
            bound = row.activation(v(real)).mean() - row.conjugate(v(fake().detach())).mean()
            optim_d.zero_grad()
            (-bound).backward()
            optim_d.step()
        optim_g.zero_grad()
        (-row.conjugate(v(fake())).mean()).backward(inputs=[mu, s])  # the Gaussian descends it
        optim_g.step()
        path.append((mu.item(), s.item()))
    m, log_sigma = np.mean(path[-max(1, steps // 4) :], axis=0)
    return float(m), float(np.exp(log_sigma))


@click.command()
@click.option("--steps", default=600, show_default=True, help="Generator steps of each row; 0 for exact optima only.")
@click.option("--seed", default=0, show_default=True)
@device_option
@click.option("--out", default="fgan_table.png", show_default=True)
def main(steps: int, seed: int, device: str, out: str) -> None:
    """Print the table with exact optima, then with trained ones, and draw the five Gaussians."""
    figure, (axis,) = panels(1, 7)
    axis.plot(fgan.GRID, fgan.mixture(fgan.GRID), "k", label="the mixture")
    for kind in ("exact", "trained") if steps else ("exact",):
        print(f"{kind:12} {'mu':>7} {'sigma':>7}   " + " ".join(f"{n:>10}" for n in fgan.NAMES))
        for name in fgan.NAMES:
            mu, sigma = fgan.exact(name)[:2] if kind == "exact" else train(name, seed, steps)
            row = [fgan.divergence(column, mu, sigma) for column in fgan.NAMES]
            print(f"{name:12} {mu:7.4f} {sigma:7.4f}   " + " ".join(f"{d:10.4f}" for d in row))
            if kind == "exact":
                axis.plot(fgan.GRID, normal(fgan.GRID, mu, sigma), label=name)
    axis.set_title("what each divergence takes for the nearest Gaussian")
    axis.set_xlabel("x")
    axis.set_ylabel("density")
    axis.set_xlim(-5, 7)
    axis.legend()
    save(figure, out)


if __name__ == "__main__":
    main()
