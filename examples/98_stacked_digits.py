"""A thousand modes, counted: three digits stacked as the channels of one image (Metz et al. 2017; Lin et al. 2018).

    class of an image = 100 a + 10 b + c for its channels' digits a, b, c;   modes = classes in which a sample falls
    reverse KL = KL(classes of samples || classes of images);   n draws of K even classes hold K (1 - (1 - 1/K)^n)

A small DCGAN is trained whose critic has a quarter of the published critic's filters: it cannot watch all modes, and
the generator need not make them. Beside its figures stand noise, one image, and what real classes come to.

Run it:  python -m minigan.examples.98_stacked_digits --steps 3000
"""

import click

import minigan as mg
from minigan import data, optim, viz
from minigan.examples._figure import device_option
from minigan.examples._judge import samples
from minigan.functional import softplus
from minigan.gan.metrics import classifier
from minigan.gan.metrics.modes import observe_modes
from minigan.gan.networks import DCGANCritic, DCGANGenerator, dcgan_init_

LATENT, BATCH, SIZE, BASE, CRITIC_BASE = 100, 64, 32, 16, 2


@click.command()
@click.option("--steps", default=3000, show_default=True, help="Steps of each network.")
@click.option("--count", default=5000, show_default=True, help="Samples to judge.")
@click.option("--out", default="stacked_digits.png", show_default=True, help="PNG of real images and samples.")
@click.option("--seed", default=0, show_default=True)
@device_option
def main(steps: int, count: int, out: str, seed: int, device: str) -> None:
    """Train, and print how many modes the samples hold."""
    random, stacked = mg.manual_seed(seed), data.load("stacked")
    g = dcgan_init_(DCGANGenerator(LATENT, 3, SIZE, BASE), random).to(device)
    d = dcgan_init_(DCGANCritic(3, SIZE, CRITIC_BASE, norm=True), random).to(device)
    optim_g, optim_d = (optim.Adam(n.parameters(), lr=2e-4, betas=(0.5, 0.999)) for n in (g, d))
    batches = data.Loader(stacked, BATCH, seed, size=SIZE)
    real = mg.zeros(BATCH, 3, SIZE, SIZE)

    @mg.capture
    def train_d():
        with mg.no_grad():
            fake = g(mg.randn(BATCH, LATENT))
        loss = softplus(-d(real)).mean() + softplus(d(fake)).mean()
        optim_d.zero_grad()
        loss.backward(inputs=list(d.parameters()))
        optim_d.step()
        return loss.detach()

    @mg.capture
    def train_g():
        loss = softplus(-d(g(mg.randn(BATCH, LATENT)))).mean()
        optim_g.zero_grad()
        loss.backward(inputs=list(g.parameters()))
        optim_g.step()
        return loss.detach()

    for step in range(1, steps + 1):
        real.assign(next(batches)[0])
        loss_d, loss_g = train_d(), train_g()
        if step % 500 == 0 or step == steps:
            print(f"step {step:4d}   D loss {loss_d.item():.3f}   G loss {loss_g.item():.3f}", flush=True)

    images = samples(g, LATENT, count)
    judge, record = classifier.load("stacked")
    print(f"the judge of digits is right on all three channels of {record['held_out_accuracy']:.1%} of held-out stacks")
    for line in observe_modes(images, judge, stacked, seed, details=True)[1]:
        print(line)
    shown = classifier.prepared(stacked, stacked.held_out[::100], SIZE)[:32]
    grids = {"held-out images": shown, "samples": images[:32]}
    viz.save_grids(out, {name: x.reshape(2, 16, 3, SIZE, SIZE) for name, x in grids.items()})
    print(f"picture: {out}")


if __name__ == "__main__":
    main()
