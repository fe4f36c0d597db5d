"""CycleGAN: one vendor's emoji become another's, learnt without pairs and scored on true ones (Zhu et al. 2017).

    critics:      (D_A(a) - 1)^2 / 2 + D_A(F(b))^2 / 2        and the same for B, with G(a)
    translators:  (D_B(G(a)) - 1)^2 / 2 + (D_A(F(b)) - 1)^2 / 2
                  + lambda (|F(G(a)) - a| + |G(F(b)) - b|)    there and back is the identity
                  + lambda mu (|G(b) - b| + |F(a) - a|)       what is of the domain already stays as it is

Critics see each new translation or, half of the time, one of the last 50 instead.

Run it:  python -m minigan.examples.65_cyclegan --steps 400     (minutes; `minigan train cyclegan` does it properly)
"""

import click
import numpy as np

import minigan as mg
from minigan import data, optim, viz
from minigan.backend import Generator
from minigan.examples._figure import device_option
from minigan.functional import l1_loss
from minigan.gan.networks.translators import PatchCritic, Translator, init_

BATCH, LAMBDA, MU, KEPT = 4, 3.0, 0.1, 50


class Pool:
    """Earlier translations: each new one is shown itself, or takes the place of an old one that is shown instead."""

    def __init__(self, seed: int) -> None:
        self.images, self.rng = [], np.random.default_rng(seed)

    def __call__(self, images: np.ndarray) -> np.ndarray:
        batch = []
        for image in images.copy():
            if len(self.images) < KEPT:
                self.images.append(image)
            elif self.rng.random() < 0.5:
                place = self.rng.integers(KEPT)
                self.images[place], image = image, self.images[place]
            batch.append(image)
        return np.stack(batch)


def gradients_of(loss: mg.Tensor, optimiser: optim.Adam) -> None:
    """Only the weights of this optimiser: the other player stands still."""
    weights = optimiser.param_groups[0]["params"]
    for weight, slope in zip(weights, mg.grad(loss, weights), strict=True):
        weight.grad = slope


@click.command()
@click.option("--steps", default=400, show_default=True, help="Steps of both players.")
@click.option("--seed", default=0, show_default=True)
@click.option("--out", default="cyclegan.png", show_default=True, help="PNG of translations.")
@device_option
def main(steps: int, seed: int, out: str, device: str) -> None:
    """Train, print the distance to the true pairs beside the identity map's, and draw held-out translations."""
    emoji = data.load("emoji")
    images = data.to_unit(emoji.images)
    names = emoji.class_names
    loaders = [data.Loader(emoji.images[emoji.rows(label=name)], BATCH, seed + k) for k, name in enumerate(names)]
    draw = Generator(seed, 1)
    to_a, to_b = (init_(Translator(blocks=3, halvings=1, coordinates=True), draw).to(device) for _ in "ab")
    d_a, d_b = (init_(PatchCritic(halvings=3, norm=False), draw).to(device) for _ in "ab")
    optim_g = optim.Adam([*to_a.parameters(), *to_b.parameters()], lr=1e-3, betas=(0.5, 0.999))
    optim_d = optim.Adam([*d_a.parameters(), *d_b.parameters()], lr=1e-3, betas=(0.5, 0.999))
    a, b, old_a, old_b = (mg.zeros(BATCH, 3, 32, 32) for _ in range(4))
    pools = Pool(seed), Pool(seed + 1)

    def off(scores: mg.Tensor, target: float) -> mg.Tensor:
        return ((scores - target) ** 2).mean() / 2

    @mg.capture
    def translators():
        fake_a, fake_b = to_a(b), to_b(a)
        fooled = off(d_a(fake_a), 1) + off(d_b(fake_b), 1)
        cycle = l1_loss(to_a(fake_b), a) + l1_loss(to_b(fake_a), b)
        same = l1_loss(to_a(a), a) + l1_loss(to_b(b), b)
        gradients_of(fooled + LAMBDA * (cycle + MU * same), optim_g)
        return fooled, cycle / 2, fake_a.detach(), fake_b.detach()

    @mg.capture
    def critics():
        loss = off(d_a(a), 1) + off(d_a(old_a), 0) + off(d_b(b), 1) + off(d_b(old_b), 0)
        gradients_of(loss, optim_d)
        return loss

    for step in range(1, steps + 1):
        a.assign(next(loaders[0])[0])
        b.assign(next(loaders[1])[0])
        fooled, cycle, fake_a, fake_b = translators()
        optim_g.step()
        for old, pool, fake in ((old_a, pools[0], fake_a), (old_b, pools[1], fake_b)):
            old.assign(pool(fake.to("cpu").numpy()))
        d_loss = critics()
        optim_d.step()
        if step % 50 == 0 or step == steps:
            print(f"step {step:4d}   D {d_loss.item():.3f}   G {fooled.item():.3f}   cycle L1 {cycle.item():.4f}")

    rows = []
    for there, back, (k, other) in ((to_b, to_a, (0, 1)), (to_a, to_b, (1, 0))):
        real, true = images[emoji.pairs[:, k]], images[emoji.pairs[:, other]]
        with mg.no_grad():
            translation = there(mg.Tensor(real).to(device))
            home = back(translation).to("cpu").numpy()
        translation = translation.to("cpu").numpy().clip(-1, 1)
        far, identity = abs(translation - true).mean(), abs(real - true).mean()
        print(f"{names[k]} to {names[other]}: L1 to {len(real)} true pairs {far:.4f}, identity map"
              f" {identity:.4f} ({far / identity - 1:+.1%}); there and back {abs(home - real).mean():.4f}")  # fmt: skip
        rows += [real[:160:16], translation[:160:16], true[:160:16]]
    viz.save_grid(out, np.concatenate(rows), columns=10, scale=2)
    print(f"image, translation, true pair, in both directions: {out}")


if __name__ == "__main__":
    main()
