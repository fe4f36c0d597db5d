"""Equal squared error, different judges: a pixel beside the stroke and one away from it are the same to an autoencoder.

    |x - a|^2 = |x - b|^2 = d^2          a: x with one pixel raised by d at its stroke,  b: one away from it

The lecture's remark on the VAE: a stroke that is a pixel longer still is a digit, a lone dot is a fault, and a sum over
pixels treats these the same, as the likelihood of a decoder does whose pixels are independent given z. A judge that
looks at pixels together does not: here the critic of a GAN, beside the same critic before it was trained.

Run it:  python -m minigan.examples.82_equal_error --steps 400
"""

import click
import numpy as np

import minigan as mg
from minigan import data, optim, viz
from minigan.examples._figure import device_option
from minigan.functional import softplus
from minigan.gan.metrics.classifier import prepared
from minigan.gan.metrics.distances import share_interval
from minigan.gan.networks import DCGANCritic, DCGANGenerator, dcgan_init_
from minigan.gan.penalties import penalty
from minigan.gan.systems.vae import gaussian

SIZE, BATCH, LATENT, BASE, D = 32, 32, 32, 8, 1.5


def neighbourhood(images: np.ndarray, reach: int) -> np.ndarray:
    """The largest pixel within `reach` of each, of images (N, S, S)."""
    padded = np.pad(images, ((0, 0), (reach, reach), (reach, reach)), constant_values=-1)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (2 * reach + 1, 2 * reach + 1), (1, 2))
    return windows.max((3, 4))


def raised(images: np.ndarray, places: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Images (N, 1, S, S) with one pixel among `places` (N, S, S) raised by D, a different one in each."""
    order = np.where(places, random.random(places.shape), -1).reshape(len(images), -1).argmax(1)
    result = images.copy().reshape(len(images), -1)
    result[np.arange(len(images)), order] += D
    return result.reshape(images.shape)


@click.command()
@click.option("--steps", default=400, show_default=True, help="Steps of the GAN whose critic judges.")
@click.option("--out", default="equal_error.png", show_default=True, help="PNG: digits, and both changes of each.")
@click.option("--seed", default=0, show_default=True)
@device_option
def main(steps: int, out: str, seed: int, device: str) -> None:
    """Change held-out digits in both ways; print errors, a decoder's likelihoods, and what the critic says."""
    random, digits, rng = mg.manual_seed(seed), data.load("digits"), np.random.default_rng(seed)
    x = prepared(digits, digits.held_out, SIZE)
    dark = x[:, 0] <= 1 - D - 0.5
    at_stroke = dark & (neighbourhood(x[:, 0], 1) > 0.5)
    away = dark & (neighbourhood(x[:, 0], 3) <= -0.99) & (neighbourhood(x[:, 0], 6) > 0.5)
    rows = at_stroke.any((1, 2)) & away.any((1, 2))
    x, a, b = x[rows], raised(x[rows], at_stroke[rows], rng), raised(x[rows], away[rows], rng)
    count = len(x)

    g = dcgan_init_(DCGANGenerator(LATENT, 1, SIZE, BASE), random).to(device)
    d = dcgan_init_(DCGANCritic(1, SIZE, BASE), random).to(device)
    optim_g, optim_d = (optim.Adam(n.parameters(), lr=1e-3, betas=(0.5, 0.999)) for n in (g, d))
    batches, real = data.Loader(digits, BATCH, seed, size=SIZE), mg.zeros(BATCH, 1, SIZE, SIZE)

    @mg.capture
    def train():
        fake = g(mg.randn(BATCH, LATENT))
        slope, _ = penalty("r1")(d, real, fake.detach(), None)
        loss = softplus(-d(real)).mean() + softplus(d(fake.detach())).mean() + slope
        optim_d.zero_grad()
        loss.backward(inputs=list(d.parameters()))
        optim_d.step()
        optim_g.zero_grad()
        softplus(-d(fake)).mean().backward(inputs=list(g.parameters()))
        optim_g.step()
        return loss.detach()

    def judged():
        with mg.no_grad():
            return [d(mg.tensor(y)).to("cpu").numpy() for y in (a, b)]

    untrained = judged()
    for step in range(1, steps + 1):
        real.assign(next(batches)[0])
        loss = train()
        if step % 100 == 0 or step == steps:
            print(f"step {step:4d}   the critic's loss {loss.item():.3f}", flush=True)

    print(f"{count} held-out digits, one pixel raised by {D} at the stroke (a) or 4 to 6 pixels away from it (b)")
    errors = [float(np.square(y.astype(np.float64) - x).sum((1, 2, 3)).mean()) for y in (a, b)]
    print(f"squared error: a {errors[0]:.4f}, b {errors[1]:.4f}")
    fits = [gaussian(mg.tensor(y), mg.tensor(x), 0.3).mean().item() for y in (a, b)]
    print(f"ln N(x; decoder's image, 0.3^2) in nats: a {fits[0]:.2f}, b {fits[1]:.2f}")
    scores = judged()
    for name, (first, second) in (("", scores), ("before it was trained ", untrained)):
        share = share_interval(int((first > second).sum()), count)
        print(f"the GAN's critic {name}finds a the more real in {share.value:.1%} [{share.low:.1%}, {share.high:.1%}]")
    grids = {"digits": x, "a: a pixel at the stroke": a, "b: a pixel away from it": b}
    viz.save_grids(out, {name: y[:16].reshape(1, 16, 1, SIZE, SIZE) for name, y in grids.items()}, scale=3)
    print(f"picture: {out}")


if __name__ == "__main__":
    main()
