"""Two routes to G's gradient, and several G steps a round: what freezing D is for, and what k_G does.

    freeze D:      dL_G/dw = d/dw of L_G(D(G(z))), D's weights left out
    by D's slope:  dL_G/dw = - sum over samples of (dL_D/dx) (dx/dw),  x = G(z): where L_G = -L_D on samples
                   (minimax, Wasserstein); with the lecture's halves in L_D it comes out half as long

Run it:  python -m minigan.examples.45_two_routes --steps 300
"""

import itertools

import click
import numpy as np

import minigan as mg
from minigan import nn, optim
from minigan.examples._figure import device_option, panels, save
from minigan.gan.losses import loss
from minigan.gan.steps import by_way_of_samples
from minigan.gan.theory.divergences import w1

BATCH, COUNT, RATE = 128, 500, 5e-4
CENTRES = np.array([(np.cos(a), np.sin(a)) for a in np.arange(8) * np.pi / 4])


def network(*widths: int) -> nn.Module:
    """Linear layers of these widths, leaky ReLU between them."""
    layers = [layer for a, b in itertools.pairwise(widths) for layer in (nn.Linear(a, b), nn.LeakyReLU(0.2))]
    return nn.Sequential(*layers[:-1])


def ring(random: np.random.Generator, count: int = BATCH) -> mg.Tensor:
    """A batch of the ring's 8 modes."""
    points = CENTRES[random.integers(8, size=count)] + 0.01 * random.standard_normal((count, 2))
    return mg.tensor(points, dtype=mg.float32)


@click.command()
@click.option("--steps", default=300, show_default=True, help="Rounds: a D step and k_G G steps.")
@click.option("--seed", default=0, show_default=True)
@device_option
@click.option("--out", default="two_routes.png", show_default=True)
def main(steps: int, seed: int, device: str, out: str) -> None:
    """Compare the routes for three losses; then train with k_G = 1, 2 and 5."""
    mg.manual_seed(seed)
    random = np.random.default_rng(seed)
    g, d = network(2, 64, 64, 2).double().to(device), network(2, 64, 64, 1).double().to(device)
    x, z, params = ring(random).double(), mg.randn(BATCH, 2, dtype=mg.float64), list(g.parameters())
    for name in ("minimax", "wasserstein", "non-saturating"):
        row, lengths = loss(name), []
        routes = {
            "frozen": mg.grad(row.generator(d(g(z))), params),
            "pushed": by_way_of_samples(lambda fake, row=row: -row.discriminator(d(x), d(fake)), g(z), params),
            "halved": by_way_of_samples(lambda fake, row=row: -row.discriminator(d(x), d(fake)) / 2, g(z), params),
        }
        flat = {route: np.concatenate([s.numpy().ravel() for s in slopes]) for route, slopes in routes.items()}
        gap = np.abs(flat["pushed"] - flat["frozen"]).max() / np.abs(flat["frozen"]).max()
        lengths = {route: np.linalg.norm(v) / np.linalg.norm(flat["frozen"]) for route, v in flat.items()}
        print(f"{name}: the routes differ by {gap:.0e} of the largest; by D's slope {lengths['pushed']:.4f} as long,"
              f" with halves in L_D {lengths['halved']:.4f}")  # fmt: skip

    figure, axes = panels(3, 3.6, 3.8)
    for axis, k_g in zip(axes, (1, 2, 5), strict=True):
        mg.manual_seed(seed)
        random, row = np.random.default_rng(seed), loss("non-saturating")
        g, d = network(2, 64, 64, 2).to(device), network(2, 64, 64, 1).to(device)
        optim_g, optim_d = (optim.Adam(net.parameters(), RATE, (0.5, 0.999)) for net in (g, d))
        for _ in range(steps):
            fake = g(mg.randn(BATCH, 2)).detach()
            optim_d.zero_grad()
            row.discriminator(d(ring(random)), d(fake)).backward()
            optim_d.step()
            for _ in range(k_g):
                optim_g.zero_grad()
                row.generator(d(g(mg.randn(BATCH, 2)))).backward(inputs=list(g.parameters()))
                optim_g.step()
        points = g(mg.randn(COUNT, 2)).detach().numpy()
        distance, spread = w1(points, ring(random, COUNT).numpy()), points.std(0).mean()
        print(f"k_G = {k_g}: after {steps} rounds W1 {distance:.3f}, spread {spread:.2f} (the ring: 0.71)")
        axis.scatter(*points.T, s=3, color="crimson")
        axis.scatter(*CENTRES.T, s=30, facecolors="none", edgecolors="k")
        axis.set_title(f"k_G = {k_g}: W1 {distance:.3f}")
        axis.set_xlabel("x")
        axis.set_ylabel("y")
    save(figure, out)


if __name__ == "__main__":
    main()
