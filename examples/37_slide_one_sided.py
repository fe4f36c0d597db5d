"""The slide says: "one-sided" smoothing with 0.9 and 0.1. The computation says: that is two-sided.

    D* = (a p + b q) / (p + q): one-sided is a = 0.9, b = 0; with b = 0.1 the fakes get a bonus where p = 0

Run it:  python -m minigan.examples.37_slide_one_sided
"""

import click
import numpy as np

from minigan.examples._figure import panels, save


@click.command()
@click.option("--out", default="slide_one_sided.png", show_default=True)
def main(out: str) -> None:
    """Claim, computation, verdict."""
    p, q = np.array([0.5, 0.5, 0.0]), np.array([0.0, 0.5, 0.5])
    figure, (axis,) = panels(1, 6)
    for k, (a, b) in enumerate(((1, 0), (0.9, 0), (0.9, 0.1))):
        d = (a * p + b * q) / (p + q)
        print(f"labels {a:g}, {b:g}: best D on data {d[0]:.2f}, on both {d[1]:.2f}, on fakes alone {d[2]:.2f}")
        axis.bar(np.arange(3) + 0.25 * (k - 1), d, 0.25, label=f"{a:g} / {b:g}")
    print("verdict: 0.9 / 0.1 smooths both sides; one-sided is 0.9 / 0, which leaves D = 0 on fakes alone")
    axis.set_xticks(range(3), ["data alone", "both", "fakes alone"])
    axis.set_xlabel("where")
    axis.set_ylabel("the best D")
    axis.legend()
    save(figure, out)


if __name__ == "__main__":
    main()
