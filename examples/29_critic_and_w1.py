"""What -L_D says of the exact W1: a penalised critic overstates it a little, a clipped one misses it by a factor.

    P = N(d/2, 1), Q = N(-d/2, 1):  W1 = d.    H = F_Q - F_P;  E_P f - E_Q f = integral of f' H for any critic f
    penalty w E (|f'(x_hat)| - 1)^2:  f' = 1 + H / (2 w r), r the density of x_hat;  estimate W1 + int H^2 / (2 w r)
    n ReLUs, weights in [-c, c]:      f' <= n c^2;   estimate n c^2 times int H over x > -1

Both formulas hold for the best critic of their kind; the trained one stands beside each. The penalised one starts flat:
on a line it could not turn round, for (|f'| - 1)^2 is a wall at f' = 0, and one that starts downhill stays so.

Run it:  python -m minigan.examples.29_critic_and_w1 --steps 300
"""

import click
import numpy as np

import minigan as mg
from minigan import nn, optim
from minigan.examples._figure import device_option, panels, save
from minigan.gan.penalties import gradient_penalty
from minigan.gan.theory.divergences import normal
from minigan.gan.theory.potentials import clipped_estimate, mixed_normals, penalised_estimate

X = np.linspace(-12, 12, 4801)
BATCH, UNITS, C, WEIGHT = 256, 64, 0.01, 10.0


def train(kind: str, d: float, steps: int) -> float:
    """E_P f - E_Q f on the two densities, by the trained critic."""
    mg.manual_seed(0)
    random = np.random.default_rng(0)
    if kind == "clipped":
        f = nn.Sequential(nn.Linear(1, UNITS), nn.ReLU(), nn.Linear(UNITS, 1))
        for p in f.parameters():
            p.assign(C * random.uniform(-1, 1, p.shape))
        step = optim.RMSprop(f.parameters(), 5e-4)
    else:
        f = nn.Sequential(nn.Linear(1, UNITS), nn.Tanh(), nn.Linear(UNITS, 1))
        f[2].weight.assign(np.zeros((1, UNITS)))
        step = optim.Adam(f.parameters(), 1e-2, (0.0, 0.9))
    for k in range(steps):
        noise = random.standard_normal((2, BATCH, 1)) + np.array([d / 2, -d / 2]).reshape(2, 1, 1)
        real, fake = (mg.tensor(points, dtype=mg.float32) for points in noise)
        loss = f(fake).mean() - f(real).mean()  # L_D
        if kind == "penalised":
            step.param_groups[0]["lr"] = 1e-2 * (1 - k / steps)
            eps = mg.rand(BATCH, 1)
            loss = loss + WEIGHT * gradient_penalty(lambda x: f(x)[:, 0], real, fake, eps)[0]
        step.zero_grad()
        loss.backward()
        step.step()
        if kind == "clipped":
            optim.clip_weights_(f.parameters(), C)
    with mg.no_grad():
        values = f(mg.tensor(X[:, None], dtype=mg.float32)).numpy()[:, 0].astype(float)
    return float((values * (normal(X, d / 2) - normal(X, -d / 2))).sum() * (X[1] - X[0]))


@click.command()
@click.option("--steps", default=300, show_default=True, help="Critic steps.")
@device_option
@click.option("--out", default="critic_and_w1.png", show_default=True)
def main(steps: int, device: str, out: str) -> None:
    """Both critics' estimates for four distances, beside the formulas and the exact W1."""
    distances, rows = (0.5, 1.0, 2.0, 4.0), []
    for d in distances:
        p, q = normal(X, d / 2), normal(X, -d / 2)
        theory = {
            "penalised": penalised_estimate(p, q, mixed_normals(X, d / 2, -d / 2), X, WEIGHT),
            "clipped": clipped_estimate(p, q, X, UNITS, C),
        }
        estimate = {kind: train(kind, d, steps) for kind in theory}
        rows.append([*estimate.values(), *theory.values()])
        print(f"W1 {d:.1f}: " + "; ".join(f"{k} -L_D {estimate[k]:.4f}, theory {theory[k]:.4f}" for k in theory))
    figure, (left, right) = panels(2)
    for axis, k, title in ((left, 0, "penalised: a little too much"), (right, 1, "clipped: off by a factor")):
        axis.plot(distances, np.array(rows)[:, k], "o", label="trained critic")
        axis.plot(distances, np.array(rows)[:, k + 2], "-", label="the best one of its kind")
        axis.set_title(title)
        axis.set_xlabel("exact W1")
        axis.set_ylabel("E_r f − E_g f")
    left.plot(distances, distances, "k:", label="W1 itself")
    left.legend()
    right.legend()
    save(figure, out)


if __name__ == "__main__":
    main()
