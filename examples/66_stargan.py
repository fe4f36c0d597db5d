"""StarGAN: one translator puts glasses on pixel faces, hats, long hair, or takes them off (Choi et al. 2018).

    F = G(x, c' - c, z)    x a face with attributes c; x' another face, whose attributes c' are wanted; z noise
    f(x | c) = f(x) + (2 c - 1) . v(x)                                        the critic is told what it should see
    critic:      softplus(f(F | c') - f(x' | c')) + softplus(f(x | c') - f(x' | c')) + gamma/2 |grad f(x' | c')|^2
    translator:  softplus(f(x' | c') - f(F | c')) + |F - x|_1

Of the paper are the one translator and the one critic for all attributes. Its critic never asks whether a face has the
hat that was wanted: it scores faces, and names attributes; so the translator paints what the names take for a hat.
Here a translation is set against a real face that has what was wanted, and is painted with a few colours.

Run it:  python -m minigan.examples.66_stargan --steps 600      (minutes; `minigan train stargan` does it properly)
"""

from dataclasses import replace

import click
import numpy as np

import minigan as mg
from minigan import data, optim, viz
from minigan.backend import Generator
from minigan.examples._figure import device_option
from minigan.functional import l1_loss, softplus
from minigan.gan.metrics import attributes
from minigan.gan.networks.palette import PaletteCritic, PaletteTranslator, few_colours, start_
from minigan.gan.penalties import penalty

NAMES, BATCH, LATENT, GAMMA = ("glasses", "hat", "long_hair"), 32, 4, 1.0


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
    avatars = data.load("avatars").half("test")
    columns = [list(avatars.info.attributes).index(name) for name in NAMES]
    batches = data.Loader(replace(avatars, labels=None), BATCH, seed)  # so that attributes come beside the images
    draw = Generator(seed, 1)
    generator = start_(PaletteTranslator(3, 16, 16, 2, conditions=len(NAMES) + LATENT), draw).to(device)
    critic = start_(PaletteCritic(len(NAMES), 3, 16, 32), draw).to(device)
    optim_g = optim.Adam(generator.parameters(), lr=8e-4, betas=(0.0, 0.9))
    optim_d = optim.Adam(critic.parameters(), lr=8e-4, betas=(0.0, 0.9))
    x, other = (mg.zeros(BATCH, 3, 16, 16) for _ in range(2))
    has, wanted = (mg.zeros(BATCH, len(NAMES)) for _ in range(2))
    mg.manual_seed(seed)

    def translated() -> mg.Tensor:
        return generator(x, mg.cat([wanted - has, mg.randn(BATCH, LATENT)], 1))

    def f(images: mg.Tensor) -> mg.Tensor:
        scores, values = critic(images)
        return scores + ((2 * wanted - 1) * values).sum(1)

    @mg.capture
    def critic_step():
        with mg.no_grad():
            fake = translated()
        real = f(other)
        told_apart, mismatch = softplus(f(fake) - real).mean(), softplus(f(x) - real).mean()
        slope, _ = penalty("r1")(f, other, fake)
        gradients_of(told_apart + mismatch + GAMMA * slope, optim_d)
        return told_apart

    @mg.capture
    def generator_step():
        fake = translated()
        change = l1_loss(fake, x)
        fooled = softplus(f(other) - f(fake)).mean()
        gradients_of(fooled + change, optim_g)
        return fooled, change

    for step in range(1, steps + 1):
        images, values = next(batches)
        values = values[:, columns].astype(np.float32)
        order = np.roll(np.arange(BATCH), 1)  # what another of the batch has
        for tensor, array in ((x, images), (other, images[order]), (has, values), (wanted, values[order])):
            tensor.assign(array)
        told_apart = critic_step()
        optim_d.step()
        fooled, change = generator_step()
        optim_g.step()
        if step % 50 == 0 or step == steps:
            print(
                f"step {step:4d}   critic {told_apart.item():.3f}   translator {fooled.item():.3f}   change"
                f" {change.item():.4f}"
            )

    judge, record = attributes.load_for(avatars)
    index = avatars.held_out[:300]
    real, truth = data.to_unit(avatars.images[index]), avatars.attributes[index]
    generator.eval()  # every pixel stays, or is painted
    rows = [real[:16]]
    for k, (name, column) in enumerate(zip(NAMES, columns, strict=True)):
        turned = 1 - truth[:, column]
        condition = np.random.default_rng(seed).standard_normal((len(real), len(NAMES) + LATENT)).astype(np.float32)
        condition[:, : len(NAMES)] = np.eye(len(NAMES))[k] * (2 * turned[:, None] - 1)
        with mg.no_grad():
            fake = generator(mg.Tensor(real).to(device), mg.Tensor(condition).to(device)).to("cpu").numpy()
        fake = few_colours(real, fake)
        verdicts = attributes.judge(judge, fake.repeat(2, 2).repeat(2, 3), avatars)  # which sees 32 x 32
        others = [c for c in columns if c != column]
        print(f"{name}: turned over in {(verdicts[:, column] == turned).mean():.1%}, the other attributes kept in"
              f" {(verdicts[:, others] == truth[:, others]).mean():.1%} (the judge is right on"
              f" {record['held_out_accuracy'][name]:.1%})")  # fmt: skip
        rows.append(fake[:16])
    viz.save_grid(out, np.concatenate(rows), columns=16, scale=3)
    print(f"faces, then each with one attribute turned over: {out}")


if __name__ == "__main__":
    main()
