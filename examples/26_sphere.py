"""Latents live on a sphere: norms of normal vectors, and what a straight line between two of them passes through.

    |z| is sqrt(d) +- 0.7 for z ~ N(0, I_d);   half way the norm is sqrt(d/2) on a straight line, sqrt(d) on a circle

Run it:  python -m minigan.examples.26_sphere
"""

import click
import numpy as np

import minigan as mg
from minigan.examples._figure import panels, save
from minigan.gan.tricks import slerp, spherical


@click.command()
@click.option("--out", default="sphere.png", show_default=True)
def main(out: str) -> None:
    """Histogram of norms for d = 2, 10, 100, and the norm along both ways."""
    mg.manual_seed(0)
    figure, (left, right) = panels(2)
    for d in (2, 10, 100):
        z = mg.randn(4000, d)
        norms = np.linalg.norm(z.data, axis=1)
        print(f"d {d:3}: |z| {norms.mean():.3f} +- {norms.std():.3f}, sqrt(d) {np.sqrt(d):.3f},"
              f" spread on the sphere {np.linalg.norm(spherical(z).data, axis=1).std():.1e}")  # fmt: skip
        left.hist(norms, 60, density=True, histtype="step", label=f"d = {d}")
    a, b = spherical(z).data[:2].astype(float)
    t = np.linspace(0, 1, 41)
    straight = [np.linalg.norm((1 - s) * a + s * b) for s in t]
    circle = [np.linalg.norm(slerp(a, b, s)) for s in t]
    print(f"middle: straight {straight[20]:.3f} (sqrt(d/2) = {np.sqrt(50):.3f}), great circle {circle[20]:.3f}")
    right.plot(t, straight, label="straight line")
    right.plot(t, circle, label="great circle")
    right.legend()
    left.legend()
    left.set_title("normal latents keep to a shell of radius √d")
    left.set_xlabel("|z|")
    left.set_ylabel("density")
    right.set_title("a straight way leaves the shell, d = 100")
    right.set_xlabel("share of the way from a to b")
    right.set_ylabel("|z|")
    save(figure, out)


if __name__ == "__main__":
    main()
