"""The slide says: simultaneous steps on xy "oscillate in circles". The computation says: they always leave.

    A = [[1, -eta], [eta, 1]],  |lambda| = sqrt(1 + eta^2)
    A^2 (1,0) = (1 - eta^2, 2 eta),  A^3 (1,0) = (1 - 3 eta^2, 3 eta - eta^3)

Run it:  python -m minigan.examples.30_slide_bilinear
"""

import click
import numpy as np

from minigan.examples._figure import panels, save
from minigan.gan.theory.games import BILINEAR, radius, trajectory, update_eigenvalues


@click.command()
@click.option("--out", default="slide_bilinear.png", show_default=True)
def main(out: str) -> None:
    """Claim, computation, verdict."""
    eta = 0.1
    path = trajectory(BILINEAR, "simultaneous", eta, 400)
    slide = {2: (1 - eta**2, eta * (1 + eta)), 3: (1 - 2 * eta**2 - eta, 2 * eta + eta**3)}
    exact = {2: (1 - eta**2, 2 * eta), 3: (1 - 3 * eta**2, 3 * eta - eta**3)}
    for k in (2, 3):
        print(f"step {k}: claim {np.round(slide[k], 4)}, steps {np.round(path[k], 4)}, matrix {np.round(exact[k], 4)}")
        assert np.allclose(path[k], exact[k])
    rho = radius(update_eigenvalues(BILINEAR, "simultaneous", eta))
    print(f"|lambda| = {rho:.6f} > 1 for every eta > 0")
    print("verdict: the slide's steps 2 and 3 are slips, and the spiral never closes into a circle")
    figure, (whole, start) = panels(2)
    whole.plot(*path.T)
    whole.set_title("400 steps")
    whole.set_aspect("equal")
    start.plot(*path[:5].T, "o-", label="computed")
    for k in range(5):
        start.annotate(f"{k}", path[k], xytext=(6, 6), textcoords="offset points")
    start.plot(*np.array([slide[2], slide[3]]).T, "rx", markersize=9, label="the slide's steps 2, 3")
    start.set_title("the first steps")
    start.legend()
    for axis in (whole, start):
        axis.set_xlabel("x, which minimises")
        axis.set_ylabel("y, which maximises")
    save(figure, out)


if __name__ == "__main__":
    main()
