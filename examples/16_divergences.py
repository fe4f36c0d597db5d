"""KL, reverse KL, JS and maximum likelihood: what each sees in a Gaussian too narrow, too wide, or beside the data.

    KL(P||Q) = E_P ln(p/q) = cross entropy - entropy, so maximum likelihood minimises KL: the Gaussian of the moments

Run it:  python -m minigan.examples.16_divergences
"""

import click
import numpy as np

from minigan.examples._figure import panels, save
from minigan.gan.theory import divergences as dv

X = np.linspace(-12, 12, 4001)
DX = X[1] - X[0]


@click.command()
@click.option("--out", default="divergences.png", show_default=True)
def main(out: str) -> None:
    """Check the identities on a two-humped P, fit by likelihood, and draw each divergence against the model's mean."""
    p = 0.5 * dv.normal(X, -2, 0.6) + 0.5 * dv.normal(X, 2, 0.6)
    mean = (p * X).sum() * DX
    deviation = np.sqrt((p * (X - mean) ** 2).sum() * DX)
    q = dv.normal(X, mean, deviation)
    gap = dv.cross_entropy(p, q, DX) - dv.entropy(p, DX) - dv.kl(p, q, DX)
    print(f"cross entropy - entropy - KL = {gap:.1e};  likelihood's Gaussian: {mean:.3f}, {deviation:.3f}")
    disjoint = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    noisy = [0.9 * a + 0.05 for a in disjoint]
    print(f"disjoint: KL {dv.kl(*disjoint)}, JS {dv.js(*disjoint):.4f}; after noise: KL {dv.kl(*noisy):.4f}")

    figure, (left, right) = panels(2, 5)
    left.plot(X, p, label="P")
    left.plot(X, q, label="KL: covers both humps")
    left.plot(X, dv.normal(X, 2, 0.6), label="reverse KL: sits on one")
    left.set_xlabel("x")
    left.set_ylabel("density")
    left.set_xlim(-6, 6)
    left.legend()
    centres = np.linspace(-5, 5, 81)
    for name in ("kl", "reverse-kl", "js", "total-variation"):
        curve = [dv.DIVERGENCES[name](p, dv.normal(X, c, 0.6), DX) for c in centres]
        right.plot(centres, np.minimum(curve, 6), label=name)
    right.set_title("against the mean of N(c, 0.6²), cut at 6")
    right.set_xlabel("c, the model's mean")
    right.set_ylabel("divergence")
    right.legend()
    save(figure, out)


if __name__ == "__main__":
    main()
