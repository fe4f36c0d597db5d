"""StarGAN: one translator puts glasses on pixel faces, hats, long hair, or takes them off (Choi et al. 2018).

    critic:      E f(G(x, c')) - E f(x) + 10 (||grad f|| - 1)^2 + 6 (BCE(p(x), c) + BCE(p(G(x, c')), c))
    translator:  -E f(G(x, c')) + 6 BCE(p(G(x, c')), c') + 10 |G(G(x, c'), c) - x| + 10 |G(x, c') - x|

f scores, p names attributes; c is what was there, c' what is wanted. The last term of each is not the paper's: without
the critic's, the translator soon paints what p alone takes for a hat; without its own, it changes what it likes.

Run it:  python -m minigan.examples.66_stargan --steps 600      (minutes; `minigan train stargan` does it properly)
"""

from dataclasses import replace

import click
import numpy as np

import minigan as mg
from minigan import data, optim, viz
from minigan.backend import Generator
from minigan.examples._figure import device_option
from minigan.functional import binary_cross_entropy_with_logits, l1_loss
from minigan.gan.metrics import attributes
from minigan.gan.networks.translators import AttributeCritic, Translator, init_
from minigan.gan.penalties import gradient_penalty

NAMES, BATCH, N_CRITIC, CLASS, LAMBDA = ("glasses", "hat", "long_hair"), 16, 2, 6.0, 10.0


def bce(logits: mg.Tensor, values: mg.Tensor) -> mg.Tensor:
    """Cross-entropy summed over the attributes, averaged over the images."""
    return binary_cross_entropy_with_logits(logits, values) * logits.shape[1]


def gradients_of(loss: mg.Tensor, optimiser: optim.Adam) -> None:
    """Only the weights of this optimiser: the other player stands still."""
    weights = optimiser.param_groups[0]["params"]
    for weight, slope in zip(weights, mg.grad(loss, weights), strict=True):
        weight.grad = slope


@click.command()
@click.option("--steps", default=600, show_default=True, help="Steps of the translator.")
@click.option("--seed", default=0, show_default=True)
@click.option("--out", default="stargan.png", show_default=True, help="PNG of translations.")
@device_option
def main(steps: int, seed: int, out: str, device: str) -> None:
    """Train, print how often an independent judge finds what was wanted, and draw held-out translations."""
    avatars = data.load("avatars")
    columns = [list(avatars.info.attributes).index(name) for name in NAMES]
    batches = data.Loader(replace(avatars, labels=None), BATCH, seed)  # so that attributes come beside the images
    draw = Generator(seed, 1)
    generator = init_(Translator(3, 16, 16, 2, halvings=1, conditions=len(NAMES), mask=True), draw).to(device)
    critic = init_(AttributeCritic(len(NAMES), 3, 16, 32, halvings=2), draw).to(device)
    optim_g = optim.Adam(generator.parameters(), lr=5e-4, betas=(0.5, 0.999))
    optim_d = optim.Adam(critic.parameters(), lr=5e-4, betas=(0.5, 0.999))
    x, has, target = mg.zeros(BATCH, 3, 16, 16), mg.zeros(BATCH, len(NAMES)), mg.zeros(BATCH, len(NAMES))
    mg.manual_seed(seed)

    @mg.capture
    def critic_step():
        with mg.no_grad():
            fake = generator(x, target)
        (f_real, real_classes), (f_fake, fake_classes) = critic(x), critic(fake)
        slope, _ = gradient_penalty(lambda images: critic(images)[0], x, fake, mg.rand(BATCH, 1, 1, 1))
        distance = f_real.mean() - f_fake.mean()
        gradients_of(10 * slope - distance + CLASS * (bce(real_classes, has) + bce(fake_classes, has)), optim_d)
        return distance

    @mg.capture
    def generator_step():
        fake = generator(x, target)
        score, classes = critic(fake)
        class_loss, back = bce(classes, target), l1_loss(generator(fake, has), x)
        gradients_of(CLASS * class_loss - score.mean() + LAMBDA * (back + l1_loss(fake, x)), optim_g)
        return class_loss, back

    for step in range(1, steps + 1):
        for _ in range(N_CRITIC):
            images, values = next(batches)
            values = values[:, columns].astype(np.float32)
            x.assign(images)
            has.assign(values)
            target.assign(np.roll(values, 1, 0))  # what another of the batch has
            distance = critic_step()
            optim_d.step()
        class_loss, back = generator_step()
        optim_g.step()
        if step % 50 == 0 or step == steps:
            print(
                f"step {step:4d}   W {distance.item():6.3f}   BCE {class_loss.item():.3f}   there and back"
                f" {back.item():.4f}"
            )

    judge, record = attributes.load_for(avatars)
    index = avatars.held_out[:300]
    real, truth = data.to_unit(avatars.images[index]), avatars.attributes[index]
    rows = [real[:16]]
    for k, (name, column) in enumerate(zip(NAMES, columns, strict=True)):
        values = truth[:, columns].astype(np.float32)
        values[:, k] = 1 - values[:, k]
        with mg.no_grad():
            fake = generator(mg.Tensor(real).to(device), mg.Tensor(values).to(device)).to("cpu").numpy().clip(-1, 1)
        verdicts = attributes.judge(judge, fake.repeat(2, 2).repeat(2, 3), avatars)  # which sees 32 x 32
        others = [c for c in columns if c != column]
        print(f"{name}: turned over in {(verdicts[:, column] == values[:, k]).mean():.1%}, the other attributes kept in"
              f" {(verdicts[:, others] == truth[:, others]).mean():.1%} (the judge is right on"
              f" {record['held_out_accuracy'][name]:.1%})")  # fmt: skip
        rows.append(fake[:16])
    viz.save_grid(out, np.concatenate(rows), columns=16, scale=3)
    print(f"faces, then each with one attribute turned over: {out}")


if __name__ == "__main__":
    main()
