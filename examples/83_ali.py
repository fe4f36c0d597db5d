"""ALI: a critic of pairs gives the generator an inverse; a hole in a digit is filled by both (Dumoulin et al. 2017).

    min_{G, E} max_D  E ln D(x, E(x)) + E ln (1 - D(G(z), z)),     E(x) = m + s eps,  a draw of q(z|x)
    + w E mean (G(E(x)) - x)^2 + v E mean (m(G(z)) - z)^2          what comes back (ALICE, Li et al. 2017)

The critic sees an image and a code. Where it cannot tell an image with its code from a sample with its latent, codes of
images are distributed as latents, and G decodes what E encodes. `--cycle 0 --code 0` is plain ALI.

A hole is filled by the same two networks: x <- known pixels of x, and G(E(x)) in the hole, a few times over.

Run it:  python -m minigan.examples.83_ali --steps 1500
"""

import click
import numpy as np

import minigan as mg
from minigan import data, optim, viz
from minigan.backend import Generator
from minigan.examples._figure import device_option
from minigan.functional import softplus
from minigan.gan.metrics import classifier
from minigan.gan.metrics.distances import squared_distances
from minigan.gan.metrics.judging import reader_of
from minigan.gan.metrics.reconstructions import compare, prior_test
from minigan.gan.networks.dcgan import glorot_init_
from minigan.gan.networks.encoders import PairCritic, codec
from minigan.gan.tricks import spectral_norm_

LATENT, BATCH, BASE, SIZE = 10, 64, 16, 32
HOLE = np.s_[:, :, 13:19]
"""The rows that are lost: a band through the middle."""


@click.command()
@click.option("--steps", default=1500, show_default=True, help="Steps of each player.")
@click.option("--cycle", default=10.0, show_default=True, help="Weight w of images that come back.")
@click.option("--code", default=1.0, show_default=True, help="Weight v of codes that come back.")
@click.option("--out", default="ali.png", show_default=True, help="PNG: reconstructions, filled holes, samples.")
@click.option("--seed", default=0, show_default=True)
@device_option
def main(steps: int, cycle: float, code: float, out: str, seed: int, device: str) -> None:
    """Train; print how held-out digits come back, whether their codes are latents, and how holes are filled."""
    random, digits = mg.manual_seed(seed), data.load("digits")
    both = codec("dcgan", LATENT, 1, SIZE, BASE, random, stochastic=True).to(device)  # G and E, one player
    d = spectral_norm_(glorot_init_(PairCritic(1, LATENT, SIZE, BASE), random), random).to(device)
    optim_b, optim_d = (optim.Adam(n.parameters(), lr=5e-4, betas=(0.5, 0.999)) for n in (both, d))
    average = optim.WeightAverage(both, 0.99)
    batches, x = data.Loader(digits, BATCH, seed, size=SIZE), mg.zeros(BATCH, 1, SIZE, SIZE)

    def encoded():
        m, log_s = both.posterior(x)
        return m + mg.exp(log_s) * mg.randn(BATCH, LATENT)

    @mg.capture
    def train_d():
        with mg.no_grad():
            z = mg.randn(BATCH, LATENT)
            codes, samples = encoded(), both(z)
        loss = softplus(-d(x, codes)).mean() + softplus(d(samples, z)).mean()
        optim_d.zero_grad()
        loss.backward()
        optim_d.step()
        return loss.detach()

    @mg.capture
    def train_both():
        z, codes = mg.randn(BATCH, LATENT), encoded()
        samples = both(z)
        loss = softplus(-d(samples, z)).mean() + softplus(d(x, codes)).mean()
        back = mg.mean(mg.square(both(codes) - x))
        again = mg.mean(mg.square(both.posterior(samples)[0] - z))
        optim_b.zero_grad()
        (loss + cycle * back + code * again).backward(inputs=list(both.parameters()))
        optim_b.step()
        return loss.detach(), back.detach(), again.detach()

    for step in range(1, steps + 1):
        x.assign(next(batches)[0])
        d_loss, parts = train_d(), train_both()
        average.update(both)
        if step % 100 == 0 or step == steps:
            g_loss, back, again = (part.item() for part in parts)
            print(
                f"step {step:4d}   D {d_loss.item():.3f}   G, E {g_loss:.3f}   images back {back:.4f}   codes"
                f" {again:.3f}",
                flush=True,
            )

    network = average.module.eval()
    held_out, train = (classifier.prepared(digits, rows, SIZE) for rows in (digits.held_out, digits.train))
    judge = reader_of("digits", digits)
    labels = judge.labels[digits.held_out], judge.labels[digits.train]

    def through(images: np.ndarray, draw: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """(images as they come back, their codes)."""
        with mg.no_grad():
            m, log_s = network.posterior(mg.tensor(images))
            codes = m + mg.exp(log_s) * mg.randn(*m.shape) if draw else m
            return network(codes).to("cpu").numpy(), codes.to("cpu").numpy()

    back = compare(through(held_out)[0], held_out, train, labels, judge.read)
    print(*back.lines(), sep="\n")
    print(f"codes against the prior: {prior_test(through(held_out, draw=True)[1], Generator(seed, 90))}")

    lost = held_out.copy()
    lost[HOLE] = -1
    whole = lost.copy()
    for _ in range(20):
        whole[HOLE] = through(whole)[0][HOLE]
    mean_image, near, known = lost.copy(), lost.copy(), train.copy()
    known[HOLE] = -1
    mean_image[HOLE] = train.mean(0, keepdims=True)[HOLE]
    flat = [images.reshape(len(images), -1).astype(np.float64) for images in (lost, known)]
    near[HOLE] = train[squared_distances(*flat).argmin(1)][HOLE]
    filled = {"filled": whole, "left black": lost, "of the mean image": mean_image, "of the nearest by the rest": near}
    for name, images in filled.items():
        error = np.square(images[HOLE] - held_out[HOLE]).mean()
        right = (judge.read(images) == labels[0]).mean()
        print(f"hole {name}: squared error in it {error:.3f}, digits named rightly {right:.1%}")
    with mg.no_grad():
        samples = network(mg.randn(32, LATENT)).to("cpu").numpy()
    rows = {
        "held-out digits": held_out,
        "through their codes": through(held_out)[0],
        "with a hole": lost,
        "filled": whole,
        "samples": samples,
    }
    viz.save_grids(out, {name: y[:16].reshape(1, 16, 1, SIZE, SIZE) for name, y in rows.items()}, scale=2)
    print(f"picture: {out}")


if __name__ == "__main__":
    main()
