"""The lecture's algorithm taken literally: the best D for G_0, one step of G, the best D for G_1, ...: JS falls.

    D*_k = p / (p + q_k);   theta_{k+1} = theta_k - eta dV(theta, D*_k) / dtheta at theta_k    (D*_k held still)

Run it:  python -m minigan.examples.18_iterated_optimal_d --steps 60
"""

import click
import numpy as np

import minigan as mg
from minigan.examples._figure import device_option, panels, save
from minigan.gan.theory.divergences import js, normal, optimal_discriminator

X = np.linspace(-8, 8, 2001)
DX = X[1] - X[0]


@click.command()
@click.option("--steps", default=60, show_default=True)
@device_option
@click.option("--out", default="iterated_optimal_d.png", show_default=True)
def main(steps: int, device: str, out: str) -> None:
    """G is N(theta, 1), from theta = 3; the data are N(0, 1)."""
    p, theta, history = normal(X), mg.tensor(3.0, dtype=mg.float64, requires_grad=True), []
    for _ in range(steps + 1):
        q = normal(X, theta.item())
        history.append((theta.item(), js(p, q, DX)))
        log_fooled = np.log1p(-optimal_discriminator(p, q))  # ln(1 - D*), held still
        density = (-0.5 * (mg.tensor(X) - theta) ** 2).exp() / np.sqrt(2 * np.pi)
        (slope,) = mg.grad((density * mg.tensor(log_fooled)).sum() * DX, theta)
        theta.assign(theta.data - 0.3 * slope.data)
    thetas, values = np.array(history).T
    print(f"JS {values[0]:.4f} -> {values[-1]:.6f}, falling at every step: {bool((np.diff(values) < 0).all())}")
    figure, (left, right) = panels(2)
    left.plot(values)
    left.set_title("JS falls at every step")
    left.set_xlabel("step k")
    left.set_ylabel("JS(P, G_k)")
    right.plot(thetas)
    right.set_title("the mean of G_k goes to the data's, 0")
    right.set_xlabel("step k")
    right.set_ylabel("θ_k")
    save(figure, out)


if __name__ == "__main__":
    main()
