"""A conditional GAN writes the digit it is asked for: both networks see the label (Mirza & Osindero 2014).

    D: minimise  -ln D(x, y) - ln(1 - D(G(z, y), y))          G: minimise  -ln D(G(z, y), y)

Two ways for D = sigmoid(t) to see y (gan/networks/heads.py):

    concat        t(x, y) = t([x, y as constant planes])
    projection    t(x, y) = psi(phi(x)) + y^T V phi(x)         Miyato & Koyama 2018, eq. 8

Run it:  python -m minigan.examples.60_conditional_gan --steps 1500
"""

import click
import numpy as np

import minigan as mg
from minigan import data, optim, viz
from minigan.examples._figure import device_option
from minigan.functional import softplus
from minigan.gan.metrics import classifier
from minigan.gan.networks import DCGANGenerator, dcgan_init_
from minigan.gan.networks.heads import ConcatCritic, ProjectionCritic

LATENT, BATCH, BASE, SIZE = 16, 64, 16, 32
CRITICS = {"concat": ConcatCritic, "projection": ProjectionCritic}


@click.command()
@click.option("--steps", default=1500, show_default=True, help="Steps of each network.")
@click.option("--condition", type=click.Choice(list(CRITICS)), default="concat", show_default=True)
@device_option
@click.option("--out", default="conditional_gan.png", show_default=True, help="PNG: a class a column.")
@click.option("--seed", default=0, show_default=True)
def main(steps: int, condition: str, device: str, out: str, seed: int) -> None:
    """Train, and print how often a classifier, trained on real digits, sees the digit that was wishes for."""
    random = mg.manual_seed(seed)
    digits = data.load("digits")
    classes = np.eye(10, dtype=np.float32)
    g = dcgan_init_(DCGANGenerator(LATENT + 10, 1, SIZE, BASE), random).to(device)
    d = dcgan_init_(CRITICS[condition](1, 10, SIZE, BASE, norm=True), random).to(device)
    optim_g, optim_d = (optim.Adam(n.parameters(), lr=4e-4, betas=(0.5, 0.999)) for n in (g, d))
    average = optim.WeightAverage(g, 0.99)
    batches = data.Loader(digits, BATCH, seed, size=SIZE)
    x, y = mg.zeros(BATCH, 1, SIZE, SIZE), mg.zeros(BATCH, 10)

    def fake(labels):
        return g(mg.cat([mg.randn(len(labels), LATENT), labels], 1))

    @mg.capture  # recorded once, then replayed
    def critic_step():
        with mg.no_grad():
            images = fake(y)
        t_real, t_fake = d(x, y), d(images, y)
        optim_d.zero_grad()
        (softplus(-t_real).mean() + softplus(t_fake).mean()).backward()
        optim_d.step()
        return t_real.detach().sigmoid().mean(), t_fake.detach().sigmoid().mean()

    @mg.capture
    def generator_step():
        loss = softplus(-d(fake(y), y)).mean()
        optim_g.zero_grad()
        loss.backward(inputs=list(g.parameters()))
        optim_g.step()
        return loss

    for step in range(1, steps + 1):
        images, labels = next(batches)
        x.assign(images)
        y.assign(classes[labels])
        on_real, on_fake = critic_step()
        loss = generator_step()
        average.update(g)
        if step % 100 == 0 or step == steps:
            chances = f"D(real) {on_real.item():.3f}   D(fake) {on_fake.item():.3f}"
            print(f"step {step:5d}   {chances}   G loss {loss.item():.3f}", flush=True)

    g = average.module.eval()
    wishes = np.arange(1000) % 10
    with mg.no_grad():
        samples = np.concatenate([fake(mg.tensor(classes[part])).detach().numpy() for part in np.split(wishes, 10)])
    judge, record = classifier.load("digits")
    right = (classifier.classes(judge, samples) == wishes).mean()
    viz.save_grid(out, samples[:100], columns=10, scale=2)
    print(
        f"{right:.1%} of 1000 samples agree with their label, by a classifier that is right on"
        f" {record['held_out_accuracy']:.1%} of held-out digits; picture: {out}"
    )


if __name__ == "__main__":
    main()
