"""Least squares GAN on digits: D's target is a number, not a probability (Mao et al. 2017, eq. 2).

    D: minimise  1/2 E (D(x) - 1)^2 + 1/2 E D(G(z))^2          G: minimise  1/2 E (D(G(z)) - 1)^2

A sample that D is sure of keeps its pull: the slope of G's loss by D's output is D - 1. Minimax has -sigmoid(t) for
the logit t, which is next to nothing at t = -5.

Run it:  python -m minigan.examples.71_lsgan --steps 1500
"""

import math

import click

import minigan as mg
from minigan import data, optim, viz
from minigan.examples._figure import device_option
from minigan.examples._judge import by_class, samples
from minigan.gan.networks import DCGANCritic, DCGANGenerator, dcgan_init_

LATENT, BATCH, SIZE, BASE = 64, 64, 32, 16


@click.command()
@click.option("--steps", default=1500, show_default=True, help="Steps of each network.")
@click.option("--out", default="lsgan.png", show_default=True, help="PNG of samples.")
@click.option("--seed", default=0, show_default=True)
@device_option
def main(steps: int, out: str, seed: int, device: str) -> None:
    """Train, print D's outputs on either side (targets 1 and 0), draw samples and have them judged."""
    for output in (-5.0, 0.0):
        minimax = 1 / (1 + math.exp(-output))
        slopes = f"least squares {output - 1:.3f}, minimax {-minimax:.3f}"
        print(f"slope of G's loss where D puts out {output:4.1f}: {slopes}")
    random = mg.manual_seed(seed)
    g = dcgan_init_(DCGANGenerator(LATENT, 1, SIZE, BASE), random).to(device)
    d = dcgan_init_(DCGANCritic(1, SIZE, BASE, norm=True), random).to(device)
    optim_g, optim_d = (optim.Adam(n.parameters(), lr=5e-4, betas=(0.5, 0.999)) for n in (g, d))
    batches = data.Loader(data.load("digits"), BATCH, seed, size=SIZE)
    real = mg.zeros(BATCH, 1, SIZE, SIZE)

    @mg.capture
    def train_d():
        with mg.no_grad():
            fake = g(mg.randn(BATCH, LATENT))
        d_real, d_fake = d(real), d(fake)
        loss = ((d_real - 1) ** 2).mean() / 2 + (d_fake**2).mean() / 2
        optim_d.zero_grad()
        loss.backward(inputs=list(d.parameters()))
        optim_d.step()
        return d_real.detach().mean(), d_fake.detach().mean()

    @mg.capture
    def train_g():
        loss = ((d(g(mg.randn(BATCH, LATENT))) - 1) ** 2).mean() / 2
        optim_g.zero_grad()
        loss.backward(inputs=list(g.parameters()))
        optim_g.step()
        return loss

    for step in range(1, steps + 1):
        real.assign(next(batches)[0])
        outputs, loss = train_d(), train_g()
        if step % 250 == 0 or step == steps:
            means = [t.item() for t in outputs]
            print(f"step {step:4d}   D(real) {means[0]:6.3f}   D(fake) {means[1]:6.3f}   G loss {loss.item():.3f}")

    images = samples(g, LATENT, 1000)
    viz.save_grid(out, images[:64], scale=2)
    print(by_class(images))
    print(f"64 samples in {out}")


if __name__ == "__main__":
    main()
