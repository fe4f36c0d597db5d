"""Label smoothing: what the best D becomes with labels 0.9 and 0, and what goes wrong with 0.9 and 0.1.

    D* = (a p + b q) / (p + q) for labels a (real) and b (fake): with b > 0, D* is flat at b where there are no data

Run it:  python -m minigan.examples.25_label_smoothing --steps 300
"""

import click
import numpy as np

import minigan as mg
from minigan.examples._figure import device_option, panels, save
from minigan.gan.losses import loss
from minigan.gan.theory.divergences import normal
from minigan.gan.tricks import smoothed

X = np.linspace(-4, 6, 201)


@click.command()
@click.option("--steps", default=300, show_default=True, help="Newton steps on the logits, one per point.")
@device_option
@click.option("--out", default="label_smoothing.png", show_default=True)
def main(steps: int, device: str, out: str) -> None:
    """Minimise D's smoothed loss pointwise from its derivatives and compare it with the formula."""
    p, q = normal(X, 0, 1), normal(X, 3, 0.7)
    figure, (axis,) = panels(1, 7)
    for a, b in ((1.0, 0.0), (0.9, 0.0), (0.9, 0.1)):
        row, t = smoothed(loss("minimax"), a, b), mg.zeros(len(X), dtype=mg.float64, requires_grad=True)
        for _ in range(steps):
            # D's loss with weights p on the real and q on the fake side, at every point of the line alone.
            one = mg.grad(row.discriminator(t, mg.zeros(1, dtype=mg.float64)), t, create_graph=True)[0] * len(X)
            two = mg.grad(row.discriminator(mg.zeros(1, dtype=mg.float64), t), t, create_graph=True)[0] * len(X)
            slope = mg.tensor(p) * one + mg.tensor(q) * two
            (curvature,) = mg.grad(slope.sum(), t)
            newton = np.clip(slope.detach().numpy() / np.maximum(curvature.numpy(), 1e-12), -1, 1)
            t.assign(np.clip(t.detach().numpy() - newton, -12, 12))
        d = 1 / (1 + np.exp(-t.detach().numpy()))
        gap = np.abs(d - (a * p + b * q) / (p + q)).max()
        print(f"labels {a:g}, {b:g}: largest |D - formula| {gap:.1e};  D far in the fakes {d[-1]:.3f}")
        axis.plot(X, d, label=f"labels {a:g} and {b:g}")
    axis.fill_between(X, p, color="k", alpha=0.1, label="p")
    axis.fill_between(X, q, color="crimson", alpha=0.1, label="q")
    axis.set_xlabel("x")
    axis.set_ylabel("D, or a density")
    axis.legend()
    save(figure, out)


if __name__ == "__main__":
    main()
