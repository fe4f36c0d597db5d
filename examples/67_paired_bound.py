"""How near any translator could come: a network like CycleGAN's, without its frame, on the true pairs of emoji.

    minimise  |G(a) - b|_1  over pairs (a, b) of the training split; scored on held-out pairs, as CycleGAN is

What is left is what the picture of one vendor does not tell about the other's: another pose, another colour, another
idea. CycleGAN, which never sees a pair, cannot be asked for more.

Run it:  python -m minigan.examples.67_paired_bound --steps 1200     (some two minutes for both directions)
"""

import click
import numpy as np

import minigan as mg
from minigan import data, optim, viz
from minigan.backend import Generator
from minigan.examples._figure import device_option
from minigan.functional import l1_loss
from minigan.gan.networks.translators import Translator, init_

BATCH, RATE = 16, 1e-3


def pairs(emoji: data.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the training images, (N, 2) like the held-out `Dataset.pairs`: vendors lie one behind the other."""
    count = len(emoji.images) // len(emoji.class_names)
    first = emoji.rows(label=emoji.class_names[0])
    return np.stack([first, first + count], 1), emoji.pairs[:, :2]


@click.command()
@click.option("--steps", default=1200, show_default=True, help="Steps of each direction.")
@click.option("--seed", default=0, show_default=True)
@click.option("--out", default="paired.png", show_default=True, help="PNG of held-out translations.")
@device_option
def main(steps: int, seed: int, out: str, device: str) -> None:
    """Train one translator each way on pairs; print its distance to held-out pairs beside the identity map's."""
    emoji = data.load("emoji")
    images, (train, test), rows = data.to_unit(emoji.images), pairs(emoji), []
    for k, other in ((0, 1), (1, 0)):
        rng = np.random.default_rng(seed)
        translator = init_(Translator(blocks=3, halvings=1, coordinates=True), Generator(seed, 1)).to(device)
        optimiser = optim.Adam(translator.parameters(), lr=RATE, betas=(0.5, 0.999))
        average = optim.WeightAverage(translator, 0.99)
        a, b = mg.zeros(BATCH, 3, 32, 32), mg.zeros(BATCH, 3, 32, 32)

        @mg.capture
        def step(translator=translator, optimiser=optimiser, a=a, b=b):
            optimiser.zero_grad()
            loss = l1_loss(translator(a), b)
            loss.backward()
            optimiser.step()
            return loss

        for number in range(1, steps + 1):
            optimiser.param_groups[0]["lr"] = RATE * min(1, 2 * (1 - (number - 1) / steps))
            batch = images[train[rng.choice(len(train), BATCH, replace=False)]]  # (B, 2, C, H, W)
            mirrored = rng.random((BATCH, 1, 1, 1, 1)) < 0.5
            batch = np.where(mirrored, batch[..., ::-1], batch)
            a.assign(batch[:, k])
            b.assign(batch[:, other])
            loss = step()
            average.update(translator)
            if number % 200 == 0 or number == steps:
                print(f"step {number:4d}   L1 of the batch {loss.item():.4f}")
        real, true = images[test[:, k]], images[test[:, other]]
        with mg.no_grad():
            fake = average.module(mg.Tensor(real).to(device)).to("cpu").numpy().clip(-1, 1)
        far, identity = abs(fake - true).mean(), abs(real - true).mean()
        print(f"{emoji.class_names[k]} to {emoji.class_names[other]}, trained on {len(train)} pairs: L1 to {len(test)}"
              f" held-out pairs {far:.4f}, identity map {identity:.4f} ({far / identity - 1:+.1%})")  # fmt: skip
        rows += [real[:160:16], fake[:160:16], true[:160:16]]
    viz.save_grid(out, np.concatenate(rows), columns=10, scale=2)
    print(f"image, translation, true pair, in both directions: {out}")


if __name__ == "__main__":
    main()
