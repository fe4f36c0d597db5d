"""The claim: a generator never sees the data, only D's opinion of its samples, so it cannot overfit. Measured: it can.

    share = P(a sample is nearer to a training point than to any of as many held-out ones);   1/2 honest, 1 copied

G learns through D, and D has the training points by heart where they are few. The nulls: fresh draws of the data, and
the training points themselves.

Run it:  python -m minigan.examples.47_never_sees_the_data --steps 1000
"""

import itertools

import click
import numpy as np

import minigan as mg
from minigan import nn, optim
from minigan.examples._figure import device_option, panels, save
from minigan.gan.metrics.memorisation import memorisation
from minigan.gan.penalties import gradient_penalty

BATCH, COUNT = 128, 1000


def draw(count: int, random: np.random.Generator) -> np.ndarray:
    """Points (count, 2) of the data: a disc of radius 1, evenly."""
    angle, radius = random.uniform(0, 2 * np.pi, count), np.sqrt(random.uniform(0, 1, count))
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)


def network(*widths: int) -> nn.Module:
    """Linear layers of these widths, ReLU between them."""
    layers = [layer for a, b in itertools.pairwise(widths) for layer in (nn.Linear(a, b), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def train(points: np.ndarray, steps: int, seed: int, device: str) -> np.ndarray:
    """Samples (1000, 2) of a WGAN-GP on these points."""
    mg.manual_seed(seed)
    random = np.random.default_rng((seed, 1))
    g, f = network(2, 96, 96, 2).to(device), network(2, 96, 96, 1).to(device)
    optim_g, optim_f = (optim.Adam(net.parameters(), 1e-3, (0.0, 0.9)) for net in (g, f))
    for step in range(steps):
        for adam in (optim_g, optim_f):
            adam.param_groups[0]["lr"] = 1e-3 * (1 - step / steps)
        for _ in range(3):
            real = mg.tensor(points[random.integers(len(points), size=BATCH)], dtype=mg.float32)
            fake = g(mg.randn(BATCH, 2)).detach()
            penalty, _ = gradient_penalty(lambda x: f(x)[:, 0], real, fake, mg.rand(BATCH, 1))
            optim_f.zero_grad()
            (f(fake).mean() - f(real).mean() + 0.1 * penalty).backward()
            optim_f.step()
        optim_g.zero_grad()
        (-f(g(mg.randn(BATCH, 2))).mean()).backward(inputs=list(g.parameters()))
        optim_g.step()
    return g(mg.randn(COUNT, 2)).detach().numpy()


@click.command()
@click.option("--steps", default=1000, show_default=True, help="Generator steps.")
@click.option("--seed", default=0, show_default=True)
@device_option
@click.option("--out", default="never_sees_the_data.png", show_default=True)
def main(steps: int, seed: int, device: str, out: str) -> None:
    """Train on 8, 32, 128 and 2,048 points and ask whose neighbours the samples are."""
    sizes = (8, 32, 128, 2048)
    figure, axes = panels(len(sizes), 3.6, 3.8)
    for axis, count in zip(axes, sizes, strict=True):
        random = np.random.default_rng((seed, count))
        points, held_out = draw(count, random), draw(count, random)
        rows = {"G": train(points, steps, seed, device), "fresh draws": draw(COUNT, random), "copies": points}
        shares = {name: memorisation(x, points, held_out) for name, x in rows.items()}
        texts = [f"{n} {m.share:.0%} [{m.interval[0]:.0%}, {m.interval[1]:.0%}]" for n, m in shares.items()]
        print(f"{count:4} training points: nearer to them than to held-out ones: {', '.join(texts)}")
        axis.scatter(*held_out[:200].T, s=14, marker="x", linewidths=0.8, color="#8a8a92", label="held out")
        axis.scatter(*rows["G"].T, s=2, color="crimson", label="samples")
        axis.scatter(*points[:200].T, s=14, facecolors="none", edgecolors="k", linewidths=0.8, label="training")
        axis.set_title(f"{count} training points: {shares['G'].share:.0%}")
        axis.set_xlabel("x")
        axis.set_ylabel("y")
    axes[0].legend(loc="upper right", fontsize=8)
    save(figure, out)


if __name__ == "__main__":
    main()
