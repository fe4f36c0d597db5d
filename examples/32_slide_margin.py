"""The slide says: a margin loss on f = 2D - 1. The computation says: f never leaves [-1, 1], so the margin never clips.

    max(0, 1 + f) = 1 + f = 2D on all of [-1, 1]: linear; a hinge needs an unbounded f

Run it:  python -m minigan.examples.32_slide_margin
"""

import click
import numpy as np

import minigan as mg
from minigan.examples._figure import panels, save
from minigan.gan.losses import loss


@click.command()
@click.option("--out", default="slide_margin.png", show_default=True)
def main(out: str) -> None:
    """Claim, computation, verdict."""
    t = np.linspace(-6, 6, 121)
    f = 2 / (1 + np.exp(-t)) - 1
    row, none = loss("margin"), mg.tensor([-9.0], dtype=mg.float64)  # the fakes' term at f = -9 is the constant 10
    bounded = np.array([row.discriminator(mg.tensor([v]), none).item() - 10 for v in f])
    free = np.array([row.discriminator(mg.tensor([v]), none).item() - 10 for v in t])
    print(
        f"claim: a hinge; for f = 2D - 1 the largest |max(0, 1 + f) - (1 + f)| is {np.abs(bounded - 1 - f).max():.1e}"
    )
    print(f"of the outputs clipped to 0: unbounded f {(free == 0).mean():.0%}, bounded f {(bounded == 0).mean():.0%}")
    print("verdict: with f = 2D - 1 the loss is linear in D; take f as the raw output for a hinge")
    figure, (axis,) = panels(1, 6)
    axis.plot(t, bounded, label="f = 2D − 1, D a sigmoid")
    axis.plot(t, free, label="f the raw output")
    axis.legend()
    axis.set_xlabel("the critic's raw output on a real sample")
    axis.set_ylabel("max(0, 1 + f)")
    save(figure, out)


if __name__ == "__main__":
    main()
