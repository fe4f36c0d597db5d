"""DCGAN on faces in colour, its samples counted: how many look real, how many reals are covered (Radford et al. 2016).

    D: minimise  -ln D(x) - ln(1 - D(G(z)))          G: minimise  -ln D(G(z))
    precision: the share of samples within reach of a real image's neighbours; recall: the reverse (Kynkaanniemi 2019)

Samples come from the average of G's weights over the last thousand steps or so, which forgets the noise of single ones.

Run it:  python -m minigan.examples.75_colour_dcgan --steps 5000
"""

import click

import minigan as mg
from minigan import data, optim, viz
from minigan.examples._figure import device_option
from minigan.examples._judge import by_attributes, samples
from minigan.functional import softplus
from minigan.gan.networks import DCGANCritic, DCGANGenerator, dcgan_init_

LATENT, BATCH, SIZE, BASE = 100, 64, 16, 64


@click.command()
@click.option("--steps", default=5000, show_default=True, help="Steps of each network.")
@click.option("--out", default="colour_dcgan.png", show_default=True, help="PNG of samples.")
@click.option("--seed", default=0, show_default=True)
@device_option
def main(steps: int, out: str, seed: int, device: str) -> None:
    """Train, print how real each side looks to D (0.5 is chance), draw samples and have them judged."""
    random = mg.manual_seed(seed)
    g = dcgan_init_(DCGANGenerator(LATENT, 3, SIZE, BASE), random).to(device)
    d = dcgan_init_(DCGANCritic(3, SIZE, BASE, norm=True), random).to(device)
    optim_g, optim_d = (optim.Adam(n.parameters(), lr=5e-4, betas=(0.5, 0.999)) for n in (g, d))
    average = optim.WeightAverage(g, 0.999)
    batches = data.Loader(data.load("avatars"), BATCH, seed, size=SIZE)
    real = mg.zeros(BATCH, 3, SIZE, SIZE)

    @mg.capture
    def train_d():
        with mg.no_grad():
            fake = g(mg.randn(BATCH, LATENT))
        t_real, t_fake = d(real), d(fake)
        loss = softplus(-t_real).mean() + softplus(t_fake).mean()
        optim_d.zero_grad()
        loss.backward(inputs=list(d.parameters()))
        optim_d.step()
        return t_real.detach().sigmoid().mean(), t_fake.detach().sigmoid().mean()

    @mg.capture
    def train_g():
        loss = softplus(-d(g(mg.randn(BATCH, LATENT)))).mean()
        optim_g.zero_grad()
        loss.backward(inputs=list(g.parameters()))
        optim_g.step()
        return loss

    for step in range(1, steps + 1):
        real.assign(next(batches)[0])
        outputs, loss = train_d(), train_g()
        average.update(g)
        if step % 250 == 0 or step == steps:
            chances = [p.item() for p in outputs]
            print(f"step {step:4d}   D(real) {chances[0]:.3f}   D(fake) {chances[1]:.3f}   G loss {loss.item():.3f}")

    images = samples(average.module, LATENT, 1000)
    viz.save_grid(out, images[:64], scale=4)
    print(by_attributes(images))
    print(f"64 samples in {out}")


if __name__ == "__main__":
    main()
