"""min_x max_y xy: simultaneous steps spiral outwards, alternating ones circle, looking ahead converges.

    radius a step:  simultaneous sqrt(1 + eta^2),  alternating 1,  lookahead sqrt(1 - eta^2 + eta^4)

Run it:  python -m minigan.examples.12_bilinear_game --eta 0.1
"""

import click

from minigan.examples._figure import arrows, panels, save
from minigan.gan.theory.games import BILINEAR, BILINEAR_THEORY, METHODS, radius, trajectory, update_eigenvalues


@click.command()
@click.option("--eta", default=0.1, show_default=True, help="Step size.")
@click.option("--steps", default=150, show_default=True)
@click.option("--out", default="bilinear_game.png", show_default=True)
def main(eta: float, steps: int, out: str) -> None:
    """Print the spectral radius of every method beside the theory, and draw its path over the field."""
    figure, axes = panels(len(METHODS), 3.8)
    for axis, method in zip(axes, METHODS, strict=True):
        rho = radius(update_eigenvalues(BILINEAR, method, eta))
        print(f"{method:13} spectral radius {rho:.5f}   theory {BILINEAR_THEORY[method](eta):.5f}")
        arrows(axis, BILINEAR.v, 2.2)
        axis.plot(*trajectory(BILINEAR, method, eta, steps).T, color="crimson")
        axis.plot(0, 0, "ko")
        axis.set_title(f"{method}: {rho:.5f} a step")
        axis.set_xlabel("x, which minimises")
        axis.set_ylabel("y, which maximises")
        axis.set_xlim(-2.2, 2.2)
        axis.set_ylim(-2.2, 2.2)
    save(figure, out)


if __name__ == "__main__":
    main()
