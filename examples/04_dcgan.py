"""DCGAN on pixel avatars: the library's networks, the non-saturating loss, one step each (Radford et al. 2016).

    D: minimise  -ln D(x) - ln(1 - D(G(z)))          G: minimise  -ln D(G(z))

D ends in a logit t with D = sigmoid(t), and -ln sigmoid(t) = softplus(-t) stays finite for every t.

Run it:  python -m minigan.examples.04_dcgan --steps 500
"""

import click

import minigan as mg
from minigan import data, optim, viz
from minigan.functional import softplus
from minigan.gan.networks import DCGANCritic, DCGANGenerator, dcgan_init_

LATENT, BATCH = 100, 64


@click.command()
@click.option("--steps", default=500, show_default=True, help="Steps of each network.")
@click.option("--out", default="dcgan.png", show_default=True, help="PNG of samples.")
@click.option("--seed", default=0, show_default=True)
def main(steps: int, out: str, seed: int) -> None:
    """Train, print how real each side looks to D (0.5 is chance), and draw samples."""
    random = mg.manual_seed(seed)
    g = dcgan_init_(DCGANGenerator(LATENT, channels=3, size=16), random)
    d = dcgan_init_(DCGANCritic(channels=3, size=16, norm=True), random)
    optim_g = optim.Adam(g.parameters(), lr=2e-4, betas=(0.5, 0.999))
    optim_d = optim.Adam(d.parameters(), lr=2e-4, betas=(0.5, 0.999))
    batches = data.Loader(data.load("avatars"), BATCH, seed)

    for step in range(1, steps + 1):
        real, fake = mg.Tensor(next(batches)[0]), g(mg.randn(BATCH, LATENT))

        t_real, t_fake = d(real), d(fake.detach())  # detach: this loss is not the generator's
        loss_d = softplus(-t_real).mean() + softplus(t_fake).mean()
        optim_d.zero_grad()
        loss_d.backward()
        optim_d.step()

        loss_g = softplus(-d(fake)).mean()
        optim_g.zero_grad()
        loss_g.backward(inputs=list(g.parameters()))
        optim_g.step()

        if step % 50 == 0 or step == steps:
            chances = t_real.detach().sigmoid().mean().item(), t_fake.detach().sigmoid().mean().item()
            print(f"step {step:4d}   D(real) {chances[0]:.3f}   D(fake) {chances[1]:.3f}   G loss {loss_g.item():.3f}")

    g.eval()
    with mg.no_grad():
        viz.save_grid(out, g(mg.randn(64, LATENT)).numpy(), scale=4)
    print(f"64 samples in {out}")


if __name__ == "__main__":
    main()
