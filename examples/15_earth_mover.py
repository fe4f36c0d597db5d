"""Moving earth: the cheapest plan, its dual potential, and the closed form on a line, for the lecture's piles.

    W = min over plans of sum plan_ij |i - j| = max over 1-Lipschitz f of sum f (P - Q) = sum |F_P - F_Q|
    where the plan moves earth from x to y:  f(x) - f(y) = |x - y|,  slope 1 all along the way between coupled points

Why a gradient penalty looks between the points and not at them: at a point itself f may bend, and has no slope there.

Run it:  python -m minigan.examples.15_earth_mover
"""

import click
import numpy as np

from minigan.examples._figure import panels, save
from minigan.gan.theory.divergences import earth_mover, earth_mover_1d
from minigan.gan.theory.potentials import coupled_slopes, extended, potential_1d


@click.command()
@click.option("--out", default="earth_mover.png", show_default=True)
def main(out: str) -> None:
    """Solve P = (3, 2, 1, 4) to Q = (1, 2, 4, 3) three ways, look at the potential's slopes there and between two
    clouds of points in the plane, and draw piles, plan and potential."""
    p, q, x = np.array([3, 2, 1, 4]), np.array([1, 2, 4, 3]), np.arange(4)
    transport = earth_mover(p, q, x)
    print(f"plan {transport.cost:g}   dual {transport.dual:g}   closed form {earth_mover_1d(p, q, x):g}")
    slopes = potential_1d(p, q, x)[1]
    print(f"slopes between the piles {slopes}, on every coupled way {np.unique(coupled_slopes(transport, x))}")

    random = np.random.default_rng(0)
    real, fake = random.standard_normal((12, 2)), random.standard_normal((12, 2)) + np.array([3, 0])
    plane = earth_mover(np.full(12, 1 / 12), np.full(12, 1 / 12), real, fake)
    i, j = np.nonzero(plane.plan > 1e-9)
    way, points = fake[j] - real[i], np.concatenate([real, fake])
    slope = {}
    for place, t in (("at the real point", 0.0), ("half way", 0.5), ("at the fake point", 1.0)):
        at = real[i] + t * way  # the central difference of f along the way
        ends = [extended(plane, points, at + side * 1e-4 * way) for side in (-1, 1)]
        slope[place] = (ends[0] - ends[1]) / (2e-4 * np.linalg.norm(way, axis=1))
    print(f"the plane, {len(i)} coupled pairs: slope of f along the way "
          + ", ".join(f"{place} {v.min():.3f} to {v.max():.3f}" for place, v in slope.items()))  # fmt: skip
    figure, (piles, plan, dual) = panels(3, 4)
    piles.bar(x - 0.2, p, 0.4, label="P")
    piles.bar(x + 0.2, q, 0.4, label="Q")
    piles.set_xlabel("place")
    piles.set_ylabel("earth")
    piles.legend()
    piles.set_title("piles")
    plan.imshow(transport.plan, cmap="Blues", vmax=2 * transport.plan.max())
    plan.set(xticks=x, yticks=x)
    for (i, j), mass in np.ndenumerate(transport.plan):
        if mass:
            plan.text(j, i, f"{mass:g}", ha="center", va="center", color="crimson")
    plan.grid(False)
    plan.set_xlabel("to")
    plan.set_ylabel("from")
    plan.set_title(f"plan, rows to columns: cost {transport.cost:g}")
    dual.plot(x, transport.potential[:4], "o-")
    dual.set_xlabel("place")
    dual.set_ylabel("f")
    dual.set_title(f"potential f, slope at most 1: gain {transport.dual:g}")
    save(figure, out)


if __name__ == "__main__":
    main()
