"""The first GAN: two perceptrons on handwritten digits, a maxout D with dropout (Goodfellow et al. 2014).

    D: minimise  -ln D(x) - ln(1 - D(G(z)))          G: minimise  -ln D(G(z))       (section 3's practical form)

D = sigmoid(t) for the logit t that the network puts out, so -ln D = softplus(-t) and -ln(1 - D) = softplus(t).

Run it:  python -m minigan.examples.70_gan_mlp --steps 3000
"""

import click

import minigan as mg
from minigan import data, optim, viz
from minigan.examples._figure import device_option
from minigan.examples._judge import by_class, samples
from minigan.functional import softplus
from minigan.gan.networks.mlp import PerceptronCritic, PerceptronGenerator, perceptron_init_

LATENT, BATCH, SIZE = 64, 64, 32


@click.command()
@click.option("--steps", default=3000, show_default=True, help="Steps of each network.")
@click.option("--out", default="gan_mlp.png", show_default=True, help="PNG of samples.")
@click.option("--seed", default=0, show_default=True)
@device_option
def main(steps: int, out: str, seed: int, device: str) -> None:
    """Train, print how real each side looks to D (0.5 is chance), draw samples and have them judged."""
    random = mg.manual_seed(seed)
    g = perceptron_init_(PerceptronGenerator(LATENT, size=SIZE), random)
    d = perceptron_init_(PerceptronCritic(size=SIZE, rate=0.3, random=random), random)
    g.to(device), d.to(device)
    optim_g, optim_d = (optim.Adam(n.parameters(), lr=2e-4, betas=(0.5, 0.999)) for n in (g, d))
    batches = data.Loader(data.load("digits"), BATCH, seed, size=SIZE)
    real = mg.zeros(BATCH, 1, SIZE, SIZE)

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
        if step % 250 == 0 or step == steps:
            chances = [p.item() for p in outputs]
            print(f"step {step:4d}   D(real) {chances[0]:.3f}   D(fake) {chances[1]:.3f}   G loss {loss.item():.3f}")

    images = samples(g, LATENT, 1000)
    viz.save_grid(out, images[:64], scale=2)
    print(by_class(images))
    print(f"64 samples in {out}")


if __name__ == "__main__":
    main()
