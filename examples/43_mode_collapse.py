"""Mode collapse on purpose: a generator that learns much faster than its discriminator runs after it, mode by mode.

    D: -ln D(x) - ln(1 - D(Gz)) at rate lr_D;    G: -ln D(Gz) at rate lr_G = 20 lr_D, or lr_D / 4

For a D that hardly moves the best G puts all samples where D is highest; D then lowers that place, and G moves on. A
D that is the faster one answers before G has gathered: it keeps the samples on all modes.

Run it:  python -m minigan.examples.43_mode_collapse --steps 1500
"""

import itertools

import click
import numpy as np

import minigan as mg
from minigan import nn, optim
from minigan.examples._figure import device_option, panels, save
from minigan.functional import softplus

BATCH, LOOKS = 128, 6
CENTRES = np.array([(np.cos(a), np.sin(a)) for a in np.arange(8) * np.pi / 4])


def network(*widths: int) -> nn.Module:
    """Linear layers of these widths, ReLU between them."""
    layers = [layer for a, b in itertools.pairwise(widths) for layer in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


@click.command()
@click.option("--steps", default=1500, show_default=True, help="Steps of each player.")
@click.option("--seed", default=0, show_default=True)
@device_option
@click.option("--out", default="collapse.png", show_default=True)
def main(steps: int, seed: int, device: str, out: str) -> None:
    """Print at six looks where the samples are, how far they spread (the ring: 0.71) and how many modes have 2 % of
    them within 0.3; draw the last three looks."""
    figure, axes = panels(6, 3.2, 3.6)
    for row, (rate, ratio) in enumerate(((2e-4, 20), (2e-3, 0.25))):
        mg.manual_seed(seed)
        random = np.random.default_rng(seed)
        g, d = network(2, 64, 64, 2).to(device), network(2, 64, 64, 1).to(device)
        optim_d = optim.Adam(d.parameters(), rate, (0.5, 0.999))
        optim_g = optim.Adam(g.parameters(), ratio * rate, (0.5, 0.999))
        for step in range(1, steps + 1):
            ring = CENTRES[random.integers(8, size=BATCH)] + 0.01 * random.standard_normal((BATCH, 2))
            fake = g(mg.randn(BATCH, 2))
            loss_d = softplus(-d(mg.tensor(ring, dtype=mg.float32))).mean() + softplus(d(fake.detach())).mean()
            optim_d.zero_grad()
            loss_d.backward()
            optim_d.step()

            loss_g = softplus(-d(fake)).mean()
            optim_g.zero_grad()
            loss_g.backward(inputs=list(g.parameters()))
            optim_g.step()

            if step % max(1, steps // LOOKS) == 0:
                x = g(mg.randn(1000, 2)).detach().numpy()
                near = np.linalg.norm(x[:, None] - CENTRES, axis=2) < 0.3
                modes = (near.mean(0) > 0.02).sum()
                print(f"lr_G = {ratio:4g} lr_D, step {step:5d}: centre ({x[:, 0].mean():5.2f}, {x[:, 1].mean():5.2f}),"
                      f" spread {x.std(0).mean():.2f}, {modes} of 8 modes")  # fmt: skip
                look = step * LOOKS // steps - LOOKS // 2 - 1
                if 0 <= look < 3:
                    axes[3 * row + look].scatter(*x.T, s=3, color="crimson")
                    axes[3 * row + look].set_title(f"lr_G = {ratio} lr_D, step {step}: {modes} of 8")
    for axis in axes:
        axis.scatter(*CENTRES.T, s=30, facecolors="none", edgecolors="k")
        axis.set_xlim(-2, 2)
        axis.set_ylim(-2, 2)
        axis.set_xlabel("x")
        axis.set_ylabel("y")
    save(figure, out)


if __name__ == "__main__":
    main()
