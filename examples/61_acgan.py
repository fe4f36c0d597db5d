"""An auxiliary-classifier GAN: D names the class instead of being told it (Odena et al. 2017).

    L_S = E ln P(real | x) + E ln P(fake | G(z, y))           L_C = E ln P(y | x) + E ln P(y | G(z, y))

D maximises L_C + L_S, G maximises L_C - L_S (here as -ln P(real | G(z, y)), which does not saturate). Both answers come
from one network with two heads (gan/networks/heads.py); -ln P(y | x) is the cross-entropy of the second one's logits.

Run it:  python -m minigan.examples.61_acgan --steps 1500
"""

import click
import numpy as np

import minigan as mg
from minigan import data, optim, viz
from minigan.examples._figure import device_option
from minigan.functional import cross_entropy, softplus
from minigan.gan.metrics import classifier
from minigan.gan.networks import DCGANGenerator, dcgan_init_
from minigan.gan.networks.heads import AuxiliaryCritic

LATENT, BATCH, BASE, SIZE = 16, 64, 16, 32


@click.command()
@click.option("--steps", default=1500, show_default=True, help="Steps of each network.")
@device_option
@click.option("--out", default="acgan.png", show_default=True, help="PNG: a class a column.")
@click.option("--seed", default=0, show_default=True)
def main(steps: int, device: str, out: str, seed: int) -> None:
    """Train, and print how often an independent classifier, and D itself, see the digit that was asked for."""
    random = mg.manual_seed(seed)
    digits = data.load("digits")
    classes = np.eye(10, dtype=np.float32)
    g = dcgan_init_(DCGANGenerator(LATENT + 10, 1, SIZE, BASE), random).to(device)
    d = dcgan_init_(AuxiliaryCritic(1, 10, SIZE, BASE, norm=True), random).to(device)
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
        (t_real, class_real), (t_fake, class_fake) = d(x), d(images)
        source = softplus(-t_real).mean() + softplus(t_fake).mean()  # -L_S
        class_losses = cross_entropy(class_real, y), cross_entropy(class_fake, y)  # -L_C, on reals and on fakes
        optim_d.zero_grad()
        (source + class_losses[0] + class_losses[1]).backward()
        optim_d.step()
        return source.detach(), class_losses[0].detach()

    @mg.capture
    def generator_step():
        t, logits = d(fake(y))
        class_loss = cross_entropy(logits, y)
        optim_g.zero_grad()
        (softplus(-t).mean() + class_loss).backward(inputs=list(g.parameters()))
        optim_g.step()
        return class_loss.detach()

    for step in range(1, steps + 1):
        images, labels = next(batches)
        x.assign(images)
        y.assign(classes[labels])
        source, on_real = critic_step()
        on_fake = generator_step()
        average.update(g)
        if step % 100 == 0 or step == steps:
            class_losses = f"-ln P(y | x) {on_real.item():.3f}   -ln P(y | Gz) {on_fake.item():.3f}"
            print(f"step {step:5d}   -L_S {source.item():.3f}   {class_losses}", flush=True)

    g = average.module.eval()
    wishes = np.arange(1000) % 10
    with mg.no_grad():
        samples = np.concatenate([fake(mg.tensor(classes[part])).detach().numpy() for part in np.split(wishes, 10)])
        d.eval()
        answers = np.concatenate([d(mg.tensor(part))[1].argmax(1).numpy() for part in np.split(samples, 10)])
    judge, record = classifier.load("digits")
    right = (classifier.classes(judge, samples) == wishes).mean()
    viz.save_grid(out, samples[:100], columns=10, scale=2)
    print(
        f"{right:.1%} of 1000 samples agree with their label, by a classifier that is right on"
        f" {record['held_out_accuracy']:.1%} of held-out digits; D itself says {(answers == wishes).mean():.1%};"
        f" picture: {out}"
    )


if __name__ == "__main__":
    main()
