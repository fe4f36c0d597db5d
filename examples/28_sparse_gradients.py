"""Sparse gradients: ReLU and max pooling in D let no gradient through at most places; leaky ReLU and strides do.

    max pooling: 3 of 4 places get exactly 0, ReLU: all with x < 0;    G learns from dD/dx alone (Chintala et al. 2016)

Run it:  python -m minigan.examples.28_sparse_gradients --steps 400
"""

import itertools

import click
import numpy as np

import minigan as mg
from minigan import data, nn, optim
from minigan.examples._figure import device_option, panels, save
from minigan.gan.losses import loss
from minigan.gan.metrics import classifier
from minigan.gan.metrics import report as metrics
from minigan.gan.networks import DCGANGenerator, dcgan_init_

LATENT, BATCH, BASE = 32, 64, 16


def layers(kind: str, inputs: int, outputs: int) -> list[nn.Module]:
    """One halving of the image."""
    if kind == "sparse":
        return [nn.Conv2d(inputs, outputs, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(2)]
    return [nn.Conv2d(inputs, outputs, 4, 2, 1), nn.LeakyReLU(0.2)]


@click.command()
@click.option("--steps", default=400, show_default=True, help="Updates of each player.")
@click.option("--seeds", default=2, show_default=True)
@device_option
@click.option("--out", default="sparse_gradients.png", show_default=True)
def main(steps: int, seeds: int, device: str, out: str) -> None:
    """Train on digits with either D; print how much of each convolution's gradient is exactly zero, and the scores."""
    figure, axes = panels(2, 5)
    judge, digits = classifier.load("digits")[0], data.load("digits")
    for axis, kind in zip(axes, ("sparse", "leaky and strides"), strict=True):
        zeros, scores = [], []
        for seed in range(seeds):
            random, row = mg.manual_seed(seed), loss("non-saturating")
            widths = (1, BASE, 2 * BASE, 4 * BASE)
            stages = [nn.Sequential(*layers(kind, a, b)) for a, b in itertools.pairwise(widths)]
            d = nn.Sequential(*stages, nn.Flatten(), nn.Linear(4 * BASE * 16, 1)).to(device)
            g = dcgan_init_(DCGANGenerator(LATENT, 1, 32, BASE), random).to(device)
            adams = optim.Adam(g.parameters(), 5e-4, (0.5, 0.999)), optim.Adam(d.parameters(), 5e-4, (0.5, 0.999))
            batches, real = data.Loader(digits, BATCH, seed, size=32), mg.zeros(BATCH, 1, 32, 32)

            @mg.capture
            def step(g=g, d=d, row=row, adams=adams, real=real):
                fake = g(mg.randn(BATCH, LATENT))
                adams[1].zero_grad()
                row.discriminator(d(real), d(fake.detach())).backward()
                adams[1].step()
                adams[0].zero_grad()
                row.generator(d(fake)).backward(inputs=list(g.parameters()))
                adams[0].step()

            for _ in range(steps):
                real.assign(next(batches)[0])
                step()
            h, maps = g(mg.randn(BATCH, LATENT)).detach().requires_grad_(), []
            for (
                stage
            ) in stages:  # the gradient that each convolution is given to pass on towards the image, that is to G
                maps.append(stage[0](h))
                h = nn.Sequential(*list(stage)[1:])(maps[-1])
            slopes = mg.grad(row.generator(list(d)[-1](h.flatten(1))), maps)
            zeros.append([(s.numpy() == 0).mean() for s in slopes])
            g.eval()
            with mg.no_grad():
                images = np.concatenate([g(mg.randn(100, LATENT)).numpy() for _ in range(10)])
            _, sure = zip(*classifier.judge(judge, images), strict=True)
            scores.append((metrics.classifier_score(np.concatenate(sure)), (np.concatenate(sure).max(1) > 0.9).mean()))
        shares = "  ".join(f"{share:.0%}" for share in np.mean(zeros, axis=0))
        score, confident = np.mean(scores, axis=0)
        print(f"{kind:18} exact zeros in the gradient of each convolution's output: {shares};"
              f" classifier score {score:.2f} of 10, confident {confident:.0%}")  # fmt: skip
        axis.imshow(images[:64, 0].reshape(8, 8, 32, 32).swapaxes(1, 2).reshape(256, 256), cmap="gray")
        axis.set_title(f"D {kind}: classifier score {score:.2f}")
        axis.axis("off")
    save(figure, out)


if __name__ == "__main__":
    main()
