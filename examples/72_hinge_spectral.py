"""Hinge loss and a critic under spectral norm, on digits (Miyato et al. 2018).

    D: minimise  E max(0, 1 - f(x)) + E max(0, 1 + f(G(z)))          G: minimise  -E f(G(z))
    every weight W of f is used as W / sigma(W), sigma the largest singular value, by one power iteration a step

Then every linear layer has slope about 1, as a map of vectors; with the leaky-ReLUs' slopes f is Lipschitz without a
penalty, for next to no time. About: where W turns faster than one power iteration a step follows, sigma is taken too
small, and the slope ends some percent above 1. As only W's direction counts, its size divides the learning rate: the
critic starts with larger weights than DCGAN's, and takes two steps for each of the generator's.

Run it:  python -m minigan.examples.72_hinge_spectral --steps 1500
"""

import click
import numpy as np

import minigan as mg
from minigan import data, nn, optim, viz
from minigan.examples._figure import device_option
from minigan.examples._judge import by_class, samples
from minigan.functional import relu
from minigan.gan.networks import DCGANCritic, DCGANGenerator, dcgan_init_, glorot_init_
from minigan.gan.tricks import spectral_norm_

LATENT, BATCH, SIZE, BASE = 64, 64, 32, 16


def largest_singular_values(network: nn.Module) -> list[float]:
    """Of every convolution's weight as a matrix (outputs, everything else), as it is used."""
    layers = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    return [float(np.linalg.norm(m.weight.detach().to("cpu").numpy().reshape(m.out_channels, -1), 2)) for m in layers]


@click.command()
@click.option("--steps", default=1500, show_default=True, help="Steps of the generator.")
@click.option("--out", default="hinge_spectral.png", show_default=True, help="PNG of samples.")
@click.option("--seed", default=0, show_default=True)
@device_option
def main(steps: int, out: str, seed: int, device: str) -> None:
    """Train, print the critic's margins and singular values, draw samples and have them judged."""
    random = mg.manual_seed(seed)
    g = dcgan_init_(DCGANGenerator(LATENT, 1, SIZE, BASE), random).to(device)
    f = spectral_norm_(glorot_init_(DCGANCritic(1, SIZE, BASE), random), random).to(device)
    optim_g, optim_f = (optim.Adam(n.parameters(), lr=1e-3, betas=(0.5, 0.9)) for n in (g, f))
    batches = data.Loader(data.load("digits"), BATCH, seed, size=SIZE)
    real = mg.zeros(BATCH, 1, SIZE, SIZE)

    @mg.capture
    def train_f():
        with mg.no_grad():
            fake = g(mg.randn(BATCH, LATENT))
        f_real, f_fake = f(real), f(fake)
        loss = relu(1 - f_real).mean() + relu(1 + f_fake).mean()
        optim_f.zero_grad()
        loss.backward(inputs=list(f.parameters()))
        optim_f.step()
        return f_real.detach().mean(), f_fake.detach().mean()

    @mg.capture
    def train_g():
        loss = -f(g(mg.randn(BATCH, LATENT))).mean()
        optim_g.zero_grad()
        loss.backward(inputs=list(g.parameters()))
        optim_g.step()
        return loss

    for step in range(1, steps + 1):
        for _ in range(2):
            real.assign(next(batches)[0])
            outputs = train_f()
        train_g()
        if step % 250 == 0 or step == steps:
            means = [t.item() for t in outputs]
            print(f"step {step:4d}   f(real) {means[0]:6.3f}   f(fake) {means[1]:6.3f}")

    values = "  ".join(f"{v:.3f}" for v in largest_singular_values(f))
    print(f"largest singular value of each layer of f: {values}")
    images = samples(g, LATENT, 1000)
    viz.save_grid(out, images[:64], scale=2)
    print(by_class(images))
    print(f"64 samples in {out}")


if __name__ == "__main__":
    main()
