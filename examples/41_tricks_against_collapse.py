"""Packing against a vanilla GAN's collapse on the ring: what three runs show, beside what has learnt nothing.

    plain    D judges one point at a time: G may leave modes out, as long as what it makes is good
    packing  D judges two points at once: two from one mode, time and again, give G away          (Lin et al. 2018)

    D:  softplus(-D(x)) + softplus(D(Gz)),   G:  softplus(-D(Gz)),   x and Gz points, or pairs of points side by side

A mode is found with one sample within 3 sigma; noise finds most. It is held if half of its share of samples is there.
With 3,000 updates packing finds all eight in each of three runs, and spreads over them evenly (reverse KL); plain finds
8, 7 and 7. But one packed run puts only 23 % of its samples on a mode and holds one: more modes are not more quality.

Run it:  python -m minigan.examples.41_tricks_against_collapse --steps 3000 --seeds 3
"""

import click
import numpy as np

import minigan as mg
from minigan import optim
from minigan.examples._figure import device_option, panels, save
from minigan.functional import softplus
from minigan.gan.toy import data as toydata
from minigan.gan.toy import networks, nulls
from minigan.gan.tricks import pack

BATCH, WIDTH, DEPTH, LR = 64, 64, 3, 1e-3


def train(m: int, steps: int, seed: int) -> np.ndarray:
    """2,500 samples of G after `steps` updates of each player, D judging m points at once."""
    random, points = mg.manual_seed(seed), toydata.load("ring")
    data = points.sample(50_000, seed)
    scale, rows = data.std(), np.random.default_rng(seed)
    g, d = networks.generator(2, WIDTH, DEPTH, random), networks.critic(2 * m, WIDTH, DEPTH, random)
    optim_g, optim_d = (optim.Adam(n.parameters(), LR, (0.5, 0.999)) for n in (g, d))
    real = mg.zeros(BATCH, 2)

    @mg.capture
    def step_d():
        with mg.no_grad():
            fake = g(mg.randn(BATCH, 2))
        optim_d.zero_grad()
        (softplus(-d(pack(real, m))).mean() + softplus(d(pack(fake, m))).mean()).backward()
        optim_d.step()

    @mg.capture
    def step_g():
        optim_g.zero_grad()
        softplus(-d(pack(g(mg.randn(BATCH, 2)), m))).mean().backward(inputs=list(g.parameters()))
        optim_g.step()

    for step in range(steps):
        for group in (*optim_g.param_groups, *optim_d.param_groups):
            group["lr"] = LR * (1 + np.cos(np.pi * step / steps)) / 2
        real.assign(data[rows.integers(len(data), size=BATCH)] / scale)
        step_d()
        step_g()
    with mg.no_grad():
        return g(mg.randn(toydata.SAMPLES, 2)).numpy() * scale


@click.command()
@click.option("--steps", default=3000, show_default=True, help="Updates of each player.")
@click.option("--seeds", default=3, show_default=True, help="Runs of each, from seed 11 on.")
@device_option
@click.option("--out", default="tricks.png", show_default=True, help="PNG of the first seed's samples.")
def main(steps: int, seeds: int, device: str, out: str) -> None:
    """Train both for each seed, print the figures, and draw the first seed's samples."""
    figure, axes = panels(3, 4)
    points = toydata.load("ring")
    print(nulls.head())
    for axis, (name, m) in zip(axes, (("plain", 1), ("packing", 2)), strict=False):
        for seed in range(11, 11 + seeds):
            samples = train(m, steps, seed)
            scores = toydata.scores(samples, points, floor=False)
            print(nulls.line(f"{name}, seed {seed}", scores), flush=True)
            if seed == 11:
                draw(axis, samples, f"{name}: {scores['held']} of 8 modes held")
    blob = 0.3 * np.random.default_rng(0).standard_normal((toydata.SAMPLES, 2))
    print(nulls.line("N(0, 0.3^2)", toydata.scores(blob, points, floor=False)))
    for name, scores in nulls.null_scores(points).items():
        print(nulls.line(name, scores))
    draw(axes[2], blob, "N(0, 0.3^2): 0 of 8 modes held")
    save(figure, out)


def draw(axis, samples: np.ndarray, title: str) -> None:
    """Samples on the modes."""
    axis.scatter(*toydata.load("ring").modes.T, s=60, facecolors="none", edgecolors="k", label="modes")
    axis.scatter(*samples.T, s=1, label="samples")
    axis.set(title=title, xlabel="x", ylabel="y", xlim=(-1.6, 1.6), ylim=(-1.6, 1.6), aspect="equal")
    axis.legend(loc="upper right", fontsize=7)


if __name__ == "__main__":
    main()
