"""CycleGAN: one vendor's emoji become another's, learnt without pairs and scored on true ones (Zhu et al. 2017).

    critics:      (D_A(a) - 1)^2 / 2 + D_A(F(b))^2 / 2        and the same for B, with G(a)
    translators:  (D_B(G(a)) - 1)^2 / 2 + (D_A(F(b)) - 1)^2 / 2
                  + lambda (|F(G(a)) - a| + |G(F(b)) - b|)    there and back is the identity
                  + lambda mu (|g(b) - b| + |f(a) - a|)       what is of the domain already stays as it is

G(x) = g(x in a frame): the frame says how large the picture is on its page, and the adversarial loss moves it; F undoes
it (gan/networks/frames.py). Critics see each new translation or, half of the time, one of the last 50 instead.

The distance to the true pairs of the test half stands beside that of what has learnt nothing: the image as it is, the
best constant image, the image at its best size on the validation half.

Run it:  python -m minigan.examples.65_cyclegan --steps 400     (minutes; `minigan train cyclegan` does it properly)
"""

import click
import numpy as np

import minigan as mg
from minigan import data, optim, viz
from minigan.backend import Generator
from minigan.examples._figure import device_option
from minigan.functional import l1_loss
from minigan.gan.metrics import null_models
from minigan.gan.networks.frames import Frame, Painter
from minigan.gan.networks.translators import PatchCritic, init_

BATCH, LAMBDA, MU, KEPT = 4, 1.0, 1.0, 50


def pooled(pool: list[np.ndarray], images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each translation is shown itself, or stays in the pool in place of an earlier one that is shown instead."""
    shown = []
    for image in images.copy():
        pool.append(image)
        place = rng.integers(KEPT) if rng.random() < 0.5 else -1
        shown.append(pool.pop(place) if len(pool) > KEPT else image)
    return np.stack(shown)


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
    """Train, print the distance to the true pairs beside null models', and draw held-out translations."""
    emoji = data.load("emoji")
    images, names = data.to_unit(emoji.images), emoji.class_names
    loaders = [data.Loader(emoji.images[emoji.rows(label=name)], BATCH, seed + k) for k, name in enumerate(names)]
    draw = Generator(seed, 1)
    frame = Frame(32)
    to_a, to_b = (init_(Painter(3, 32, 16, 3, frame, inverse), draw).to(device) for inverse in (True, False))
    d_a, d_b = (init_(PatchCritic(halvings=3, norm=False), draw).to(device) for _ in "ab")
    optim_g = optim.Adam(mg.nn.ModuleList([to_a, to_b]).parameters(), lr=1e-3, betas=(0.5, 0.999))
    optim_d = optim.Adam([*d_a.parameters(), *d_b.parameters()], lr=1e-3, betas=(0.5, 0.999))
    a, b, old_a, old_b = (mg.zeros(BATCH, 3, 32, 32) for _ in range(4))
    pools, rng = ([], []), np.random.default_rng(seed)

    def off(scores: mg.Tensor, target: float) -> mg.Tensor:
        return ((scores - target) ** 2).mean() / 2

    @mg.capture
    def translate():
        fake_a, fake_b = to_a(b), to_b(a)
        fooled = off(d_a(fake_a), 1) + off(d_b(fake_b), 1)
        cycle = l1_loss(to_a(fake_b), a) + l1_loss(to_b(fake_a), b)
        same = l1_loss(to_a.draw(a), a) + l1_loss(to_b.draw(b), b)
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
        fooled, cycle, fake_a, fake_b = translate()
        optim_g.step()
        for old, pool, fake in ((old_a, pools[0], fake_a), (old_b, pools[1], fake_b)):
            old.assign(pooled(pool, fake.to("cpu").numpy(), rng))
        d_loss = critics()
        optim_d.step()
        if step % 50 == 0 or step == steps:
            print(f"step {step:4d}   D {d_loss.item():.3f}   G {fooled.item():.3f}   cycle L1 {cycle.item():.4f}")

    rows, test, trial = [], emoji.half("test").pairs, emoji.half("validation").pairs
    for there, back, (k, other) in ((to_b, to_a, (0, 1)), (to_a, to_b, (1, 0))):
        real, true = images[test[:, k]], images[test[:, other]]
        with mg.no_grad():
            translation = there(mg.Tensor(real).to(device))
            translation, home = (x.to("cpu").numpy() for x in (translation, back(translation)))
        size, _ = null_models.best_shrunk(images[trial[:, k]], images[trial[:, other]])
        nulls = {
            "identity map": real,
            "best constant": null_models.constant(images[emoji.rows(label=names[other])], len(real)),
            f"shrunk to {size:.0%}": null_models.shrunk(real, size),
        }
        text = ", ".join(f"{name} {abs(null - true).mean():.4f}" for name, null in nulls.items())
        far = abs(translation - true).mean()
        print(f"{names[k]} to {names[other]}: L1 to {len(real)} true pairs {far:.4f}, {text};"
              f" there and back {abs(home - real).mean():.4f}")  # fmt: skip
        rows += [real[:80:8], translation[:80:8], true[:80:8]]
    viz.save_grid(out, np.concatenate(rows), columns=10, scale=2)
    print(f"image, translation, true pair, in both directions: {out}")


if __name__ == "__main__":
    main()
