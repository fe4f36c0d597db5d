"""The optimal discriminator: D* = p / (p + q) on a grid, beside one that was trained.

    max_D V = E_P ln D + E_Q ln(1 - D) = -2 ln 2 + 2 JS(P, Q),    reached at D*(x) = p(x) / (p(x) + q(x))

Run it:  python -m minigan.examples.10_optimal_discriminator --steps 1500
"""

import click
import numpy as np

import minigan as mg
from minigan import nn, optim
from minigan.examples._figure import device_option, panels, save
from minigan.functional import softplus
from minigan.gan.theory.divergences import js, normal, optimal_discriminator, value

X = np.linspace(-9, 9, 1441)
DX = X[1] - X[0]


@click.command()
@click.option("--steps", default=1500, show_default=True, help="Discriminator steps.")
@device_option
@click.option("--out", default="optimal_discriminator.png", show_default=True)
def main(steps: int, device: str, out: str) -> None:
    """Train D on samples of N(-1, 1) against N(1, 0.7^2); compare it with D* and its V with the JS divergence."""
    random = mg.manual_seed(0)
    p, q = normal(X, -1, 1), normal(X, 1, 0.7)
    d = nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1)).to(device)
    adam = optim.Adam(d.parameters(), lr=5e-3)
    for step in range(steps):
        adam.param_groups[0]["lr"] = 5e-3 * (1 - step / steps)
        real, fake = mg.randn(512, 1, generator=random) - 1, 0.7 * mg.randn(512, 1, generator=random) + 1
        loss = softplus(-d(real)).mean() + softplus(d(fake)).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    with mg.no_grad():
        output = d(mg.tensor(X[:, None], dtype=mg.float32)).sigmoid().numpy()[:, 0].astype(float)
    best = optimal_discriminator(p, q)
    gap = (np.abs(output - best) * (p + q) / 2).sum() * DX
    print(f"max V = {value(best, p, q, DX):.6f}   -2 ln 2 + 2 JS = {-2 * np.log(2) + 2 * js(p, q, DX):.6f}")
    print(f"trained V = {value(output, p, q, DX):.6f}   mean |D - D*| = {gap:.4f}")

    figure, (left,) = panels(1, 7)
    left.plot(X, p, label="p, real")
    left.plot(X, q, label="q, generated")
    left.plot(X, best, "k", label="D* = p / (p + q)")
    left.plot(X, output, "--", color="crimson", label=f"trained, {steps} steps")
    left.set_xlim(-5, 5)
    left.set_xlabel("x")
    left.set_ylabel("density, or D")
    left.legend()
    save(figure, out)


if __name__ == "__main__":
    main()
