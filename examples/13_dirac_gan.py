"""The Dirac-GAN: one parameter each, every method, and the eigenvalues that say which of them converges.

    G puts all mass at theta, the data are at 0, D(x) = psi x;  L = f(psi theta) + f(0),  f(t) = -ln(1 + e^-t)

Run it:  python -m minigan.examples.13_dirac_gan              (Mescheder et al. 2018, figures 1 and 3)
"""

import click
import numpy as np

from minigan.examples._figure import arrows, panels, save
from minigan.gan.theory.games import dirac, trajectory


@click.command()
@click.option("--steps", default=500, show_default=True)
@click.option("--h", default=0.2, show_default=True, help="Step size.")
@click.option("--out", default="dirac_gan.png", show_default=True)
def main(steps: int, h: float, out: str) -> None:
    """Print each game's final radius and the eigenvalues of -J at the equilibrium; draw the simultaneous paths."""
    games = dirac()
    figure, axes = panels(len(games), 3.6, 3.8, rows=2)
    print(f"{'game':15} {'simultaneous':>12} {'alternating':>12}   eigenvalues at (0, 0)")
    for axis, (name, game) in zip(axes, games.items(), strict=True):
        path = trajectory(game, "simultaneous", h, steps)
        radii = [np.hypot(*end) for end in (path[-1], trajectory(game, "alternating", h, steps)[-1])]
        value = np.linalg.eigvals(-game.jacobian((0, 0)))[0]
        text = f"{value.real + 0:.3f} +- {abs(value.imag):.3f} i"
        text = "the penalty has a kink there" if name == "wgan-gp" else text
        print(f"{name:15} {radii[0]:12.3g} {radii[1]:12.3g}   {text}")
        arrows(axis, game.v, 2.2, 13)
        axis.plot(*path.T, color="crimson", linewidth=1)
        axis.plot(0, 0, "ko", markersize=4)
        axis.set_xlabel("θ, where G is")
        axis.set_ylabel("ψ, the slope of D")
        axis.set_xlim(-2.2, 2.2)
        axis.set_ylim(-2.2, 2.2)
        axis.set_title(f"{name}: ends at {radii[0]:.2g}")
    save(figure, out)


if __name__ == "__main__":
    main()
