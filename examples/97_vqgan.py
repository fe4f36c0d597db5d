"""A critic inside an autoencoder of discrete codes, and what it buys (Esser et al. 2021; van den Oord et al. 2017).

    z = Enc(x),  e = nearest entries of a codebook,  x' = Dec(z + sg(e - z))          sg stops the gradient
    minimise  mean (x' - x)^2 + mean (sg(z) - e)^2 + 1/4 mean (z - sg(e))^2 - w lambda mean D(x')
    lambda = |gradient of the squared error| / |gradient of -D(x')|, both at the decoder's last layer
    D: minimise  mean max(0, 1 - D(x)) + mean max(0, 1 + D(x'))                      from a third of the steps

The squared error alone returns a digit as the mean of all that its 96 bits may stand for: right, and blurred. The
critic makes it sharp, for a quarter to a third more squared error. Three autoencoders are trained: without it, with
w = 0.8, and with lambda too.

Run it:  python -m minigan.examples.97_vqgan --steps 900
"""

import click
import numpy as np

import minigan as mg
from minigan import data, optim, viz
from minigan.examples._figure import device_option
from minigan.functional import relu
from minigan.gan.metrics.classifier import prepared
from minigan.gan.metrics.realism import gradient_energy
from minigan.gan.networks.dcgan import dcgan_init_
from minigan.gan.networks.quantiser import QuantisedCodec, quantiser_init_
from minigan.gan.networks.translators import PatchCritic

BATCH, SIZE, BASE, W = 64, 32, 16, 0.8
VARIANTS = ("no critic", "fixed weight", "adaptive weight")


def length(loss, weight):
    """The length of a loss's gradient at a weight."""
    return mg.sqrt(mg.square(mg.grad(loss, weight)[0]).sum())


def trained(variant: str, steps: int, seed: int, device: str) -> QuantisedCodec:
    """One of the three autoencoders."""
    random, x = mg.manual_seed(seed), mg.zeros(BATCH, 1, SIZE, SIZE)
    codec = quantiser_init_(QuantisedCodec(1, SIZE, BASE), random).to(device)
    d = dcgan_init_(PatchCritic(1, SIZE, BASE, norm=False), random).to(device)
    optim_g, optim_d = (optim.Adam(n.parameters(), lr=1e-3, betas=(0.5, 0.9)) for n in (codec, d))
    batches = data.Loader(data.load("digits"), BATCH, seed, size=SIZE)

    def losses():
        z = codec.encode(x)
        e = codec.entry(codec.chosen(z))
        back = codec.decode(z + (e - z).detach())
        fit = mg.square(back - x).mean()
        book = mg.square(z.detach() - e).mean() + 0.25 * mg.square(z - e.detach()).mean()
        return fit, book, -d(back).mean()

    @mg.capture
    def train_alone():
        fit, book, _ = losses()
        optim_g.zero_grad()
        (fit + book).backward(inputs=list(codec.parameters()))
        optim_g.step()
        return fit.detach()

    @mg.capture
    def train_with_critic():
        with mg.no_grad():
            back = codec(codec.encode(x))
        loss = relu(1 - d(x)).mean() + relu(1 + d(back)).mean()
        optim_d.zero_grad()
        loss.backward(inputs=list(d.parameters()))
        optim_d.step()
        fit, book, adversarial = losses()
        factor = W
        if variant == "adaptive weight":
            factor = W * length(fit, codec.last) / (length(adversarial, codec.last) + 1e-6)
        optim_g.zero_grad()
        (fit + book + factor * adversarial).backward(inputs=list(codec.parameters()))
        optim_g.step()
        return fit.detach()

    for step in range(1, steps + 1):
        x.assign(next(batches)[0])
        alone = variant == "no critic" or step <= steps // 3
        fit = train_alone() if alone else train_with_critic()
        if step % 300 == 0 or step == steps:
            print(f"{variant:<16} step {step:4d}   squared error {fit.item():.4f}", flush=True)
    return codec.eval()


@click.command()
@click.option("--steps", default=900, show_default=True, help="Steps of each autoencoder.")
@click.option("--out", default="vqgan.png", show_default=True, help="PNG: digits, and how each returns them.")
@click.option("--seed", default=0, show_default=True)
@device_option
def main(steps: int, out: str, seed: int, device: str) -> None:
    """Train all three, and print the error and the sharpness of held-out digits as they come back."""
    digits = data.load("digits")
    held_out = prepared(digits, digits.held_out, SIZE)
    rows = {"held-out digits": held_out}
    for variant in VARIANTS:
        codec = trained(variant, steps, seed, device)
        with mg.no_grad():
            z = codec.encode(mg.tensor(held_out))
            shares = codec.chosen(z).to("cpu").numpy().mean(0)
            back = rows[variant] = codec(z).to("cpu").numpy()
        used = np.exp(-(shares * np.log(np.maximum(shares, 1e-12))).sum())
        sharp = gradient_energy(back) / gradient_energy(held_out)
        print(
            f"{variant:<16} squared error {np.square(back - held_out).mean():.4f}   gradient energy {sharp:.1%} of the"
            f" digits'   codebook perplexity {used:.1f} of 64"
        )
    viz.save_grids(out, {name: images[:16].reshape(1, 16, 1, SIZE, SIZE) for name, images in rows.items()})
    print(f"picture: {out}")


if __name__ == "__main__":
    main()
