"""The slide says: JS = KL(P||M) + KL(Q||M), and log 2 for disjoint P, Q. The computation says: that sum is 2 log 2.

    JS = KL(P||M) / 2 + KL(Q||M) / 2,   M = (P + Q) / 2

Run it:  python -m minigan.examples.31_slide_js_half
"""

import click
import numpy as np

from minigan.examples._figure import panels, save
from minigan.gan.theory.divergences import js, kl


@click.command()
@click.option("--out", default="slide_js_half.png", show_default=True)
def main(out: str) -> None:
    """Claim, computation, verdict."""
    p, q = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    middle = (p + q) / 2
    without = kl(p, middle) + kl(q, middle)
    print(f"claim: {np.log(2):.4f}; computation without the halves {without:.4f}, with them {js(p, q):.4f}")
    print("verdict: the halves are missing on the slide; its log 2 is right with them")
    figure, (axis,) = panels(1, 6)
    t = np.linspace(0, 1, 50)
    rows = [(np.array([1 - s, s]), np.array([s, 1 - s])) for s in t]
    axis.plot(t, [js(a, b) for a, b in rows], label="with the halves")
    axis.plot(t, [2 * js(a, b) for a, b in rows], label="as on the slide")
    axis.axhline(np.log(2), color="k", linestyle=":", label="log 2")
    axis.set_xlabel("s: P = (1 − s, s), Q = (s, 1 − s)")
    axis.set_ylabel("divergence")
    axis.legend()
    save(figure, out)


if __name__ == "__main__":
    main()
