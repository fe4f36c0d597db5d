"""Energy-based GAN on digits: D is an autoencoder, its error is the energy (Zhao et al. 2017).

    E(x) = mean over pixels of (Dec(Enc(x)) - x)^2
    D: minimise  E(x) + max(0, m - E(G(z)))          G: minimise  E(G(z)) + 0.1 PT(Enc(G(z)))

The pulling-away term PT, the mean squared cosine between the codes of a batch, keeps samples apart.

Run it:  python -m minigan.examples.73_ebgan --steps 1500
"""

import click
import numpy as np

import minigan as mg
from minigan import data, optim, viz
from minigan.examples._figure import device_option
from minigan.examples._judge import by_class, samples
from minigan.functional import relu
from minigan.gan.metrics.classifier import prepared
from minigan.gan.networks import DCGANGenerator, dcgan_init_
from minigan.gan.systems.ebgan import AutoencoderCritic, autoencoder_init_, pulling_away, separation

LATENT, BATCH, SIZE, BASE, MARGIN = 64, 64, 32, 16, 0.2


@click.command()
@click.option("--steps", default=1500, show_default=True, help="Steps of each network.")
@click.option("--out", default="ebgan.png", show_default=True, help="PNG: samples, and how the critic returns them.")
@click.option("--seed", default=0, show_default=True)
@device_option
def main(steps: int, out: str, seed: int, device: str) -> None:
    """Train, print the energies of either side, and how well they tell held-out digits from samples."""
    random, dataset = mg.manual_seed(seed), data.load("digits")
    g = dcgan_init_(DCGANGenerator(LATENT, 1, SIZE, BASE), random).to(device)
    d = autoencoder_init_(AutoencoderCritic(1, SIZE, BASE), random).to(device)
    optim_g, optim_d = (optim.Adam(n.parameters(), lr=5e-4, betas=(0.5, 0.999)) for n in (g, d))
    batches = data.Loader(dataset, BATCH, seed, size=SIZE)
    real = mg.zeros(BATCH, 1, SIZE, SIZE)

    @mg.capture
    def train_d():
        with mg.no_grad():
            fake = g(mg.randn(BATCH, LATENT))
        e_real, e_fake = d(real), d(fake)
        loss = e_real.mean() + relu(MARGIN - e_fake).mean()
        optim_d.zero_grad()
        loss.backward(inputs=list(d.parameters()))
        optim_d.step()
        return e_real.detach().mean(), e_fake.detach().mean()

    @mg.capture
    def train_g():
        energy, code = d.judge(g(mg.randn(BATCH, LATENT)))
        away = pulling_away(code)
        loss = energy.mean() + 0.1 * away
        optim_g.zero_grad()
        loss.backward(inputs=list(g.parameters()))
        optim_g.step()
        return away.detach()

    for step in range(1, steps + 1):
        real.assign(next(batches)[0])
        energies, away = train_d(), train_g()
        if step % 250 == 0 or step == steps:
            a, b = (e.item() for e in energies)
            print(f"step {step:4d}   E(real) {a:.4f}   E(fake) {b:.4f}   PT {away.item():.3f}")

    images, held_out = samples(g, LATENT, 1000), prepared(dataset, dataset.held_out, SIZE)
    with mg.no_grad():
        energy = [d(mg.tensor(x)).to("cpu").numpy() for x in (held_out, images)]
        back = d.reconstruct(mg.tensor(images[:16])).to("cpu").numpy()
    print(separation(*energy))
    viz.save_grid(out, np.concatenate([images[:48], images[:16], back]), columns=16, scale=2)
    print(by_class(images))
    print(f"48 samples, and below them the first 16 and their reconstructions, in {out}")


if __name__ == "__main__":
    main()
