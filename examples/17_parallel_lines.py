"""Two parallel lines: total variation, KL and JS jump, only the Wasserstein distance has a slope.

    theta != 0:  TV = 1,  KL = infinity,  JS = ln 2,  W = |theta|;    theta = 0: all 0

Run it:  python -m minigan.examples.17_parallel_lines         (Arjovsky et al. 2017, example 1)
"""

import click
import numpy as np

from minigan.examples._figure import panels, save
from minigan.gan.theory.divergences import parallel_lines


@click.command()
@click.option("--out", default="parallel_lines.png", show_default=True)
def main(out: str) -> None:
    """Compute every distance at 21 offsets, from atoms on the lines."""
    thetas = np.linspace(-1, 1, 21)
    rows = [parallel_lines(0.0 if abs(t) < 1e-9 else t, 4) for t in thetas]
    for t in (0, 10, 15):
        print(f"theta {thetas[t]:5.2f}   " + "   ".join(f"{k} {v:.4f}" for k, v in rows[t].items()))
    figure, (axis,) = panels(1, 6)
    for key in ("w", "js", "tv"):
        values = np.array([row[key] for row in rows])
        (points,) = axis.plot(thetas, values, "o", label=key.upper())
        jumps = values[11] > 0.2  # a tenth away from 0 already
        for part in (slice(0, 10), slice(11, 21)) if jumps else (slice(0, 21),):
            axis.plot(thetas[part], values[part], color=points.get_color())
    axis.set_xlabel("θ, the distance between the lines (KL is infinite but at 0)")
    axis.set_ylabel("distance of the two lines")
    axis.legend()
    save(figure, out)


if __name__ == "__main__":
    main()
