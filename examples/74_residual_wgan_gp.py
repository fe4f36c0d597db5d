"""WGAN-GP with residual networks on emoji in colour (Gulrajani et al. 2017, algorithm 1 and appendix F).

    critic:     minimise  E f(G(z)) - E f(x) + 10 E[(||grad f(x_hat)||_2 - 1)^2],   x_hat = eps x + (1 - eps) G(z)
    generator:  minimise  -E f(G(z))

A residual block adds to its input what two convolutions make of it; the penalty needs the second derivative of every
one of them, of the means over pixels and of the shortcuts.

The slope does not end at 1. A critic of slope s that tells the two apart by s W pays 10 (s - 1)^2 for it, so that
s = 1 + W / 20 is best: with a distance W of 4, 1.2.

Run it:  python -m minigan.examples.74_residual_wgan_gp --steps 600
"""

import click

import minigan as mg
from minigan import data, optim, viz
from minigan.examples._figure import device_option
from minigan.examples._judge import samples
from minigan.gan.metrics.classifier import prepared
from minigan.gan.metrics.distances import spectral_distance
from minigan.gan.networks.resnet import ResidualCritic, ResidualGenerator, residual_init_
from minigan.gan.penalties import gradient_penalty

LATENT, BATCH, SIZE, BASE, N_CRITIC, LAMBDA = 64, 32, 32, 8, 3, 10.0


@click.command()
@click.option("--steps", default=600, show_default=True, help="Generator steps.")
@click.option("--out", default="residual_wgan_gp.png", show_default=True, help="PNG of samples.")
@click.option("--seed", default=0, show_default=True)
@device_option
def main(steps: int, out: str, seed: int, device: str) -> None:
    """Train, print the critic's estimate of the distance and its mean slope, and draw samples."""
    random, dataset = mg.manual_seed(seed), data.load("emoji")
    g = residual_init_(ResidualGenerator(LATENT, 3, SIZE, BASE), random).to(device)
    f = residual_init_(ResidualCritic(3, SIZE, BASE), random).to(device)
    optim_g, optim_f = (optim.Adam(n.parameters(), lr=5e-4, betas=(0.0, 0.9)) for n in (g, f))
    batches = data.Loader(dataset, BATCH, seed, size=SIZE)
    real = mg.zeros(BATCH, 3, SIZE, SIZE)

    @mg.capture
    def train_f():
        with mg.no_grad():
            fake = g(mg.randn(BATCH, LATENT))
        estimate = f(real).mean() - f(fake).mean()
        penalty, slope = gradient_penalty(f, real, fake, mg.rand(BATCH, 1, 1, 1))
        loss = -estimate + LAMBDA * penalty
        optim_f.zero_grad()
        loss.backward(inputs=list(f.parameters()))
        optim_f.step()
        return estimate.detach(), slope.detach()

    @mg.capture
    def train_g():
        loss = -f(g(mg.randn(BATCH, LATENT))).mean()
        optim_g.zero_grad()
        loss.backward(inputs=list(g.parameters()))
        optim_g.step()

    for step in range(1, steps + 1):
        for _ in range(N_CRITIC):
            real.assign(next(batches)[0])
            figures = train_f()
        train_g()
        if step % 50 == 0 or step == steps:
            estimate, slope = (t.item() for t in figures)
            print(f"step {step:4d}   W estimate {estimate:7.3f}   mean slope {slope:.3f}")

    images, held_out = samples(g, LATENT, 300), prepared(dataset, dataset.held_out, SIZE)
    train = prepared(dataset, dataset.train[: len(held_out)], SIZE)
    apart, usual = spectral_distance(images, train), spectral_distance(held_out, train)
    print(f"spectra of samples and training images lie {apart:.2f} dB apart, held-out images' {usual:.2f}")
    viz.save_grid(out, images[:64], scale=2)
    print(f"64 samples in {out}")


if __name__ == "__main__":
    main()
