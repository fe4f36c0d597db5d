"""Why a GAN turns in circles: the eigenvalues of its gradient field at the equilibrium, without a penalty and with R1.

The data are one point, 0; G makes it already, and D = sum psi_k tanh(a_k x) + b knows nothing: psi = b = 0. There

    v = (grad_G L_G, grad_D L_D),  J = dv / d(all parameters);   a step eta is stable if |1 - eta lambda| <= 1 for all
    eigenvalues of -J:  -w |a|^2 / 2 +- sqrt(w^2 |a|^4 / 4 - |a|^2 |h|^2 / 4),  -1/2 for D's bias, and 0

w is the weight of R1, a the slopes of D's units, h the mean output of G's hidden units, and a 1 for its bias. Without
R1 the pair lies on the imaginary axis, so descent spirals outwards at any rate; from w = |h| / |a| on nothing turns.
Data with a density add friction of their own; one point has none (Mescheder et al. 2018, sections 2 and 4).

Run it:  python -m minigan.examples.14_gan_eigenvalues --steps 200
"""

import click
import numpy as np

import minigan as mg
from minigan import nn, optim
from minigan.examples._figure import device_option, panels, save
from minigan.gan import steps as moves
from minigan.gan.losses import loss
from minigan.gan.theory.games import gan_jacobian

RATE, PUSH = 0.1, 1e-4


@click.command()
@click.option("--steps", default=200, show_default=True, help="Steps of descent from beside the equilibrium.")
@device_option
@click.option("--out", default="gan_eigenvalues.png", show_default=True)
def main(steps: int, device: str, out: str) -> None:
    """Eigenvalues for three weights of R1; then G's point is pushed aside, and goes round, outwards or back."""
    figure, (left, right) = panels(2)
    for share in (0.0, 0.5, 1.5):
        random = mg.manual_seed(1)
        g = nn.Sequential(nn.Linear(1, 6), nn.Tanh(), nn.Linear(6, 1)).double().to(device)
        d = nn.Sequential(nn.Linear(1, 12), nn.Tanh(), nn.Linear(12, 1)).double().to(device)
        for p in (*g[2].parameters(), *d[2].parameters(), d[0].bias):
            p.assign(np.zeros(p.shape))
        x, z = (
            mg.zeros(128, 1, dtype=mg.float64, requires_grad=True),
            mg.randn(128, 1, generator=random, dtype=mg.float64),
        )
        a = np.linalg.norm(d[0].weight.detach().numpy())
        h = np.hypot(1, np.linalg.norm(g[1](g[0](z)).detach().numpy().mean(0)))
        players, row, weight = [list(g.parameters()), list(d.parameters())], loss("minimax"), share * h / a

        def losses(g=g, d=d, row=row, x=x, z=z, weight=weight):
            fake = g(z)
            (slope,) = mg.grad(d(x).sum(), x, create_graph=True)
            r1 = (slope**2).sum(1).mean() / 2
            return row.generator(d(fake)), row.discriminator(d(x), d(fake)) + weight * r1

        values = np.linalg.eigvals(-gan_jacobian(losses(), players))
        root = np.emath.sqrt((weight * a * a) ** 2 / 4 - (a * h) ** 2 / 4)
        theory = np.array([root - weight * a * a / 2, -root - weight * a * a / 2, -0.5])
        gap = max(np.abs(theory[:, None] - values).min(1).max(), np.sort(np.abs(values))[-4])  # and the rest are 0
        one, other = (values[np.abs(values - t).argmin()] for t in theory[:2])

        g[2].bias.assign([PUSH])
        sgd, path = [optim.SGD(params, lr=RATE) for params in players], [1.0]
        for _ in range(steps):
            moves.set_gradients(players, moves.field(losses(), players))
            for o in sgd:
                o.step()
            path.append(g(z).mean().item() / PUSH)
        linear = np.eye(2) + RATE * np.array([[0, h * h / 2], [-a * a / 2, -weight * a * a]])  # G's mean, D's slope
        expected = np.linalg.matrix_power(linear, steps)[0, 0]
        print(f"R1 {share:g} |h|/|a|: eigenvalues {one:.4f} and {other:.4f}, formula off by {gap:.0e}; after {steps}"
              f" steps G's point is at {path[-1]:.4f} of the push, linear theory {expected:.4f}")  # fmt: skip
        left.scatter(values.real, values.imag, s=16, label=f"R1 {share:g} |h|/|a|")
        right.plot(path, label=f"R1 {share:g} |h|/|a|")
    left.set_title("eigenvalues of −J at the equilibrium")
    left.set_xlabel("real part: damping where negative")
    left.set_ylabel("imaginary part: rotation")
    right.set_title("without R1 G's point spirals outwards")
    right.set_xlabel("step of descent")
    right.set_ylabel("G's mean / the push")
    left.legend()
    right.legend()
    save(figure, out)


if __name__ == "__main__":
    main()
