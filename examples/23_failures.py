"""Failures on purpose: a D too strong, a G that learns only D's weaknesses, rates too high; each measured.

    |grad_G L_G| as D improves;   samples of a G that D never answers;   radius of the game at step sizes too large

D is too strong where it is sure of every sample: the data lie on a line that G does not reach, and minimax's gradient,
D(Gz) grad t, goes to nothing with D(Gz). Where some samples lie among the data it does not (example 42). A D that
never answers is high in places where there are no data, and all of G goes there.

Run it:  python -m minigan.examples.23_failures
"""

import itertools

import click
import numpy as np

import minigan as mg
from minigan import nn, optim
from minigan.examples._figure import device_option, panels, save
from minigan.gan.losses import loss
from minigan.gan.theory.games import BILINEAR, trajectory

CENTRES = np.array([(np.cos(a), np.sin(a)) for a in np.arange(8) * np.pi / 4])


def mlp(*widths: int) -> nn.Module:
    """Linear layers of these widths, leaky ReLU between them."""
    layers = []
    for a, b in itertools.pairwise(widths):
        layers += [nn.Linear(a, b), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers[:-1])


def train(net, objective, steps: int, lr: float) -> list[float]:
    """Adam on one player; the other stands still."""
    adam, values = optim.Adam(net.parameters(), lr, (0.5, 0.9)), []
    for _ in range(steps):
        value = objective()
        for p, g in zip(net.parameters(), mg.grad(value, list(net.parameters())), strict=True):
            p.grad = g
        adam.step()
        values.append(value.item())
    return values


@click.command()
@click.option("--steps", default=400, show_default=True)
@device_option
@click.option("--out", default="failures.png", show_default=True)
def main(steps: int, device: str, out: str) -> None:
    """The generator's gradient under a D of growing strength; a G trained against a D that never answers; eta = 1."""
    random, numbers = mg.manual_seed(0), np.random.default_rng(0)
    g, d = mlp(2, 32, 2).to(device), mlp(2, 64, 64, 1).to(device)
    params = list(g.parameters())
    figure, (left, middle, right) = panels(3, 4)

    def real() -> mg.Tensor:
        ring = CENTRES[numbers.integers(8, size=256)] + 0.01 * numbers.standard_normal((256, 2))
        return mg.tensor(ring, dtype=mg.float32)

    def line() -> mg.Tensor:  # no sample of the fresh G comes near: D can be sure of every one
        return mg.tensor(np.stack([np.full(256, 2.0), numbers.uniform(-1, 1, 256)], 1), dtype=mg.float32)

    strength, norms, judge = [], {"minimax": [], "non-saturating": []}, mlp(2, 64, 64, 1).to(device)
    z = mg.randn(256, 2, generator=random)
    fake = g(z).detach()
    for _ in range(9):
        for name, norm in norms.items():
            slopes = mg.grad(loss(name).generator(judge(g(z))), params)
            norm.append(np.sqrt(sum((s.numpy().astype(float) ** 2).sum() for s in slopes)))
        objective = lambda: loss("minimax").discriminator(judge(line()), judge(fake))  # noqa: E731
        strength += train(judge, objective, max(steps // 8, 1), 2e-3)[-1:]
    rows = [f"{name} {norm[0]:.3f}, {max(norm):.3f} at most, {norm[-1]:.1e} at last" for name, norm in norms.items()]
    print(f"D too strong: D's loss {strength[0]:.0e} -> {strength[-1]:.0e}; |grad G| of {'; of '.join(rows)}")
    for name, norm in norms.items():
        left.semilogy(np.arange(9) * (steps // 8), norm, "o-", label=name)
    left.set_title("minimax's gradient vanishes as D trains")
    left.set_xlabel("D's steps, G stands still")
    left.set_ylabel("‖∇G‖")
    left.legend()

    train(d, lambda: loss("minimax").discriminator(d(real()), d(fake)), steps, 2e-3)
    train(g, lambda: loss("non-saturating").generator(d(g(mg.randn(256, 2, generator=random)))), steps, 2e-3)
    points = g(mg.randn(1000, 2, generator=random)).detach().numpy()
    near = np.linalg.norm(points[:, None] - CENTRES, axis=2) < 0.3
    modes, share = (near.mean(0) > 0.02).sum(), near.any(1).mean()
    print(f"D's weaknesses: against a D that stands still {share:.0%} of G's samples are near a mode,"
          f" {modes} of 8 modes")  # fmt: skip
    middle.scatter(*CENTRES.T, label="modes")
    middle.scatter(*points.T, s=4, label="samples")
    middle.set_title(f"G trained alone finds D's weak spots, {modes} of 8 modes")
    middle.set_xlabel("x")
    middle.set_ylabel("y")
    middle.legend()

    for eta in (0.1, 0.3, 1.0):
        path = np.linalg.norm(trajectory(BILINEAR, "simultaneous", eta, 40), axis=1)
        right.semilogy(path, label=f"eta {eta:g}")
    print(f"rates too high: at eta 1 the radius is {path[-1]:.3g} after 40 steps, 2^20 = {2**20}")
    right.set_title("the bilinear game flies apart at large rates")
    right.set_xlabel("step")
    right.set_ylabel("radius")
    right.legend()
    save(figure, out)


if __name__ == "__main__":
    main()
