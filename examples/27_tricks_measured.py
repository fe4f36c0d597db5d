"""Tricks measured: the same small GAN on the ring for the same number of updates, with one trick at a time.

    smoothing   -0.9 ln D(x) - 0.1 ln(1 - D(x))      noise     x + sigma N(0, I), sigma 0.2 -> 0, on reals and fakes
    sphere      z / ||z|| sqrt(d)                    features  G: ||E f(x) - E f(Gz)||^2 in place of its loss
    two rates   lr_D = 4 lr_G                        noisy     each label wrong with chance 0.05

Run it:  python -m minigan.examples.27_tricks_measured --steps 2000
"""

import click
import numpy as np

import minigan as mg
from minigan import nn, optim
from minigan.examples._figure import device_option, panels, save
from minigan.gan.losses import loss
from minigan.gan.toy import data as toydata
from minigan.gan.toy import networks as toynets
from minigan.gan.tricks import decayed, feature_matching, noisy, smoothed, spherical

TRICKS = ("plain", "smoothing", "noise", "sphere", "features", "two rates", "noisy")
BATCH, LATENT, WIDTH, LR = 128, 8, 64, 5e-4


def train(trick: str, steps: int, seed: int, device: str) -> np.ndarray:
    """2,500 samples of the trained generator, in the ring's units."""
    random, points = mg.manual_seed(seed), toydata.load("ring")
    data = points.sample(50_000, seed)
    scale, rows = data.std(), np.random.default_rng(seed)
    g = toynets.generator(LATENT, WIDTH, 2, random).to(device)
    d = toynets.critic(1, WIDTH, 2, random).to(device)
    features = nn.Sequential(*list(d)[:-1])
    row = loss("non-saturating")
    row = {"smoothing": smoothed(row, 0.9), "noisy": noisy(row, 0.05)}.get(trick, row)
    optim_g = optim.Adam(g.parameters(), LR, (0.5, 0.999))
    optim_d = optim.Adam(d.parameters(), LR * (4 if trick == "two rates" else 1), (0.5, 0.999))
    real, sigma = mg.zeros(BATCH, 2), mg.zeros(1)

    def latent(count: int) -> mg.Tensor:
        z = mg.randn(count, LATENT)
        return spherical(z) if trick == "sphere" else z

    def seen(x: mg.Tensor) -> mg.Tensor:  # what D is shown
        return x + sigma * mg.randn(*x.shape) if trick == "noise" else x

    @mg.capture
    def step_d():
        with mg.no_grad():
            fake = g(latent(BATCH))
        optim_d.zero_grad()
        row.discriminator(d(seen(real)), d(seen(fake))).backward()
        optim_d.step()

    @mg.capture
    def step_g():
        fake = seen(g(latent(BATCH)))
        value = feature_matching(features(real), features(fake)) if trick == "features" else row.generator(d(fake))
        optim_g.zero_grad()
        value.backward(inputs=list(g.parameters()))
        optim_g.step()

    for step in range(steps):
        real.assign(data[rows.integers(len(data), size=BATCH)] / scale)
        sigma.assign(np.full(1, decayed(0.2, step, steps), np.float32))
        step_d()
        step_g()
    with mg.no_grad():
        return g(latent(toydata.SAMPLES)).numpy() * scale


@click.command()
@click.option("--steps", default=2000, show_default=True, help="Updates of each player.")
@click.option("--seeds", default=3, show_default=True, help="Runs of each trick.")
@device_option
@click.option("--out", default="tricks_measured.png", show_default=True)
def main(steps: int, seeds: int, device: str, out: str) -> None:
    """Print modes, share of high quality and exact W1 of each trick, the mean over seeds, and draw the first seed's
    samples."""
    figure, axes = panels(len(TRICKS), 2.6, 2.9)
    points = toydata.load("ring")
    print(f"{steps} updates, mean of {seeds} seeds   modes of 8   high quality       W1   W1 of each seed")
    for axis, trick in zip(axes, TRICKS, strict=True):
        runs = [train(trick, steps, seed, device) for seed in range(seeds)]
        scores = [toydata.scores(samples, points) for samples in runs]
        modes, quality, distance = (np.mean([s[k] for s in scores]) for k in ("modes", "high_quality", "w1"))
        each = " ".join(f"{s['w1']:.3f}" for s in scores)
        print(f"{trick:<33} {modes:10.1f} {quality:14.1%} {distance:8.3f}   {each}")
        axis.scatter(*points.modes.T, s=30, color="#d9721e")
        axis.scatter(*runs[0].T, s=1)
        axis.set_title(f"{trick}: W1 {distance:.3f}", fontsize=9)
        axis.set_xlim(-1.4, 1.4)
        axis.set_ylim(-1.4, 1.4)
    save(figure, out)


if __name__ == "__main__":
    main()
