"""Why a GAN turns in circles: the eigenvalues of its gradient field, before and after a penalty.

    v = (grad_G L_G, grad_D L_D),   J = dv / d(all parameters);  stable if |1 - h lambda| < 1 for every lambda

Run it:  python -m minigan.examples.14_gan_eigenvalues --steps 300
"""

import click
import numpy as np

import minigan as mg
from minigan import nn, optim
from minigan.examples._figure import device_option, panels, save
from minigan.gan import steps as moves
from minigan.gan.losses import loss
from minigan.gan.penalties import penalty
from minigan.gan.theory.games import gan_jacobian


@click.command()
@click.option("--steps", default=300, show_default=True)
@device_option
@click.option("--out", default="gan_eigenvalues.png", show_default=True)
def main(steps: int, device: str, out: str) -> None:
    """Train a GAN of some 60 parameters on N(0, 1), with and without R1, and draw the eigenvalues of -J."""
    figure, axes = panels(2)
    for axis, weight in zip(axes, (0.0, 1.0), strict=True):
        random = mg.manual_seed(1)
        g = nn.Sequential(nn.Linear(1, 6), nn.Tanh(), nn.Linear(6, 1)).double().to(device)
        d = nn.Sequential(nn.Linear(1, 12), nn.Tanh(), nn.Linear(12, 1)).double().to(device)
        players, row = [list(g.parameters()), list(d.parameters())], loss("minimax")
        x, z = (mg.randn(128, 1, generator=random, dtype=mg.float64) for _ in range(2))

        def losses(g=g, d=d, row=row, x=x, z=z, weight=weight):
            fake = g(z)
            slope = weight * penalty("r1")(lambda a: d(a)[:, 0], x, x)[0] if weight else 0.0
            return row.generator(d(fake)), row.discriminator(d(x), d(fake)) + slope

        sgd = [optim.SGD(params, lr=0.1) for params in players]
        for _ in range(steps):
            moves.set_gradients(players, moves.field(losses(), players))
            for o in sgd:
                o.step()
        values = np.linalg.eigvals(-gan_jacobian(losses(), players))
        print(f"R1 weight {weight:g}: largest imaginary part {np.abs(values.imag).max():.3f},"
              f" most damped {values.real.min():.3f}, largest real part {values.real.max():.4f}")  # fmt: skip
        axis.scatter(values.real, values.imag, s=12)
        axis.axvline(0, color="k", linewidth=0.8)
        axis.set_title(f"eigenvalues of −J, R1 weight {weight:g}")
        axis.set_xlabel("real part: damping")
        axis.set_ylabel("imaginary part: rotation")
    save(figure, out)


if __name__ == "__main__":
    main()
