"""Moving earth: the cheapest plan, its dual potential, and the closed form on a line, for the lecture's piles.

    W = min over plans of sum plan_ij |i - j| = max over 1-Lipschitz f of sum f (P - Q) = sum |F_P - F_Q|

Run it:  python -m minigan.examples.15_earth_mover
"""

import click
import numpy as np

from minigan.examples._figure import panels, save
from minigan.gan.theory.divergences import earth_mover, earth_mover_1d


@click.command()
@click.option("--out", default="earth_mover.png", show_default=True)
def main(out: str) -> None:
    """Solve P = (3, 2, 1, 4) to Q = (1, 2, 4, 3) three ways and draw piles, plan and potential."""
    p, q, x = np.array([3, 2, 1, 4]), np.array([1, 2, 4, 3]), np.arange(4)
    transport = earth_mover(p, q, x)
    print(f"plan {transport.cost:g}   dual {transport.dual:g}   closed form {earth_mover_1d(p, q, x):g}")
    figure, (piles, plan, dual) = panels(3, 4)
    piles.bar(x - 0.2, p, 0.4, label="P")
    piles.bar(x + 0.2, q, 0.4, label="Q")
    piles.legend()
    piles.set_title("piles")
    plan.imshow(transport.plan, cmap="Blues")
    for (i, j), mass in np.ndenumerate(transport.plan):
        if mass:
            plan.text(j, i, f"{mass:g}", ha="center", va="center", color="crimson")
    plan.grid(False)
    plan.set_title(f"plan, rows to columns: cost {transport.cost:g}")
    dual.plot(x, transport.potential[:4], "o-")
    dual.set_title(f"potential f, slope at most 1: gain {transport.dual:g}")
    save(figure, out)


if __name__ == "__main__":
    main()
