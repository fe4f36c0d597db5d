"""A tenth of the digits: what augmentation that gradients pass through is worth (Zhao et al. 2020, DiffAugment).

    D: minimise  E softplus(f(T' Gz) - f(T x)) + gamma/2 E ||grad_x f(T x)||^2 + gamma/2 E ||grad_Gz f(T' Gz)||^2
    G: minimise  E softplus(f(T x) - f(T' Gz))              T: colour, translation, cutout, drawn anew for each image

With few images f learns them by heart: it tells real images from samples by which ones they are, and G is driven to
copy them. Changes at random make many images of each. The gradient passes through them to G, and samples are changed,
too: were only real images changed, f would have G draw grey squares.

Each look gives the Frechet distance to the validation half of the held-out images, and the share of samples that lie
nearer to a training image than to one of as many held-out ones: a half where nothing is copied, 1 for copies. The stop
rule: the smallest distance is three looks old.

Run it:  python -m minigan.examples.92_little_data --steps 3000
"""

import click
import numpy as np

import minigan as mg
from minigan import data, optim, viz
from minigan.examples._figure import device_option
from minigan.examples._judge import samples
from minigan.functional import softplus
from minigan.gan.augment import augmentations, augmented
from minigan.gan.metrics import classifier
from minigan.gan.metrics.distances import frechet_distance
from minigan.gan.metrics.memorisation import memorisation
from minigan.gan.networks.r3gan import R3Critic, R3Generator, r3gan_init_
from minigan.gan.penalties import penalty
from minigan.gan.stopping import is_time
from minigan.gan.systems.plain import some_of
from minigan.optim import WeightAverage

LATENT, BATCH, SIZE, BASE, LR, GAMMA, SHARE, LOOKS = 64, 32, 32, 16, 7e-4, 20.0, 0.1, 8
HALF = data.load("digits").half("validation")
FEW = some_of(HALF, SHARE)


def features(images: np.ndarray) -> np.ndarray:
    """What the judge of digits sees in images (N, 1, 32, 32): (N, F)."""
    model, _ = classifier.load("digits")
    return np.concatenate([seen for seen, _ in classifier.judge(model, images)])


def train(names: str, steps: int, seed: int, device: str) -> np.ndarray:
    """Train on the few images with augmentations; prints each look, and stops by the rule. 1000 samples."""
    random, rows = mg.manual_seed(seed), augmentations(names)
    g = r3gan_init_(R3Generator(LATENT, 1, SIZE, BASE), random).to(device)
    f = r3gan_init_(R3Critic(1, SIZE, BASE), random).to(device)
    optim_g, optim_f = (optim.Adam(n.parameters(), lr=LR, betas=(0.0, 0.99)) for n in (g, f))
    average, row = WeightAverage(g, 0.999), penalty("r1+r2")
    batches, real = data.Loader(FEW, BATCH, seed, size=SIZE), mg.zeros(BATCH, 1, SIZE, SIZE)

    def shown(images: mg.Tensor) -> mg.Tensor:
        return augmented(images, rows, random)

    def improved(network, optimiser, loss: mg.Tensor) -> None:
        optimiser.zero_grad()
        loss.backward(inputs=list(network.parameters()))
        optimiser.step()

    @mg.capture
    def step() -> None:
        with mg.no_grad():
            fake = g(mg.randn(BATCH, LATENT))
        points = row.points(real, fake)
        outputs = f(shown(points))  # the slope is that at the points, behind T
        value, _ = row.of_outputs(outputs, points)
        improved(f, optim_f, softplus(outputs[BATCH:] - outputs[:BATCH]).mean() + GAMMA * value)
        d_fake = f(shown(g(mg.randn(BATCH, LATENT))))
        improved(g, optim_g, softplus(f(shown(real)).detach() - d_fake).mean())

    few, held_out = (classifier.prepared(d, rows) for d, rows in ((FEW, FEW.train), (HALF, HALF.held_out)))
    distances, images = [], few
    for number in range(1, steps + 1):
        real.assign(next(batches)[0])
        step()
        average.update(g)
        if number % max(1, steps // LOOKS) == 0 or number == steps:
            images = samples(average.module, LATENT, 1000)
            distances.append(frechet_distance(features(images), features(held_out)))
            near = memorisation(images, few, held_out)
            print(f"step {number:4d}  augmented by {names or 'nothing'}: Frechet {distances[-1]:.1f}", end="")
            print(f", nearer to a training image {near.share:.0%}")
            if is_time(distances, 3):
                print(f"stopped: the smallest distance, {min(distances):.1f}, is three looks old")
                break
    return images


@click.command()
@click.option("--steps", default=3000, show_default=True, help="Steps of each network, at most.")
@click.option("--out", default="little_data.png", show_default=True, help="PNG of samples, without and with.")
@click.option("--seed", default=0, show_default=True)
@device_option
def main(steps: int, out: str, seed: int, device: str) -> None:
    """Train on a tenth of the digits, without and with augmentation, and draw both."""
    print(f"{len(FEW.train)} training images")
    without = train("", steps, seed, device)
    with_all = train("colour,translation,cutout", steps, seed, device)
    viz.save_grid(out, np.concatenate([without[:32], with_all[:32]]), scale=2)
    print(f"32 samples without and 32 with augmentation in {out}")


if __name__ == "__main__":
    main()
