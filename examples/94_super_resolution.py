"""Super-resolution, 8 -> 32: the squared error draws the mean of what is possible, a critic what is likely.

    small: y = mean of each 4 x 4 block of x.     G is fully convolutional, and ends in pixel shuffles.
    D: minimise  -ln D(x) - ln(1 - D(G(y)))
    G: minimise  mean (G(y) - x)^2 + c mean (phi(G(y)) - phi(x))^2 - w ln D(G(y))        Ledig et al. 2017

phi: the first two convolutions of a classifier of real digits, which nothing here trains. The twin has c = w = 0: the
best PSNR that there is, and a blur.

Run it:  python -m minigan.examples.94_super_resolution --steps 1500
"""

import click
import numpy as np

import minigan as mg
from minigan import data, optim, viz
from minigan.examples._figure import device_option
from minigan.functional import avg_pool2d, mse_loss, softplus
from minigan.gan.metrics import classifier
from minigan.gan.metrics.realism import realistic
from minigan.gan.metrics.restoration import KERNELS, enlarged, figures
from minigan.gan.networks.dcgan import DCGANCritic, dcgan_init_
from minigan.gan.networks.upscaler import Upscaler, upscaler_init_

BATCH, SIZE, SCALE, CONTENT, ADVERSARIAL, RATE = 32, 32, 4, 1.0, 0.05, 1e-3


def train(adversarial: bool, steps: int, seed: int, device: str):
    """G trained by all three terms, or by the squared error alone."""
    random, digits = mg.manual_seed(seed), data.load("digits")
    g = upscaler_init_(Upscaler(1, SCALE, 24, 4), random).to(device)
    d = dcgan_init_(DCGANCritic(1, SIZE, 24, norm=True), random).to(device)
    phi = classifier.load("digits")[0].conv[:4].requires_grad_(False).to(device)
    optim_g, optim_d = (optim.Adam(n.parameters(), lr=RATE, betas=(0.5, 0.999)) for n in (g, d))
    batches, x = data.Loader(digits, BATCH, seed, size=SIZE), mg.zeros(BATCH, 1, SIZE, SIZE)

    @mg.capture  # recorded once, then replayed
    def critic_step():
        with mg.no_grad():
            fake = g(avg_pool2d(x, SCALE))
        loss = softplus(-d(x)).mean() + softplus(d(fake)).mean()
        optim_d.zero_grad()
        loss.backward()
        optim_d.step()

    @mg.capture
    def generator_step():
        fake = g(avg_pool2d(x, SCALE))
        error = loss = mse_loss(fake, x)
        if adversarial:
            loss = loss + CONTENT * mse_loss(phi(fake), phi(x)) + ADVERSARIAL * softplus(-d(fake)).mean()
        optim_g.zero_grad()
        loss.backward(inputs=list(g.parameters()))
        optim_g.step()
        return error.detach()

    for step in range(1, steps + 1):
        for optimiser in (optim_g, optim_d):  # the rate falls over the second half
            optimiser.param_groups[0]["lr"] = RATE * min(1, 2 - 2 * (step - 1) / steps)
        x.assign(next(batches)[0])
        if adversarial:
            critic_step()
        error = generator_step()
        if step % 250 == 0 or step == steps:
            print(f"step {step:5d}   mean (G(y) - x)^2 {error.item():.4f}", flush=True)
    return g.eval()


@click.command()
@click.option("--steps", default=1500, show_default=True, help="Steps of both networks.")
@device_option
@click.option("--out", default="super_resolution.png", show_default=True, help="PNG: a way of enlarging a row.")
@click.option("--seed", default=0, show_default=True)
def main(steps: int, device: str, out: str, seed: int) -> None:
    """Train both; print how near held-out digits come to the true ones, and how much they look like digits."""
    networks = {name: train(name == "GAN", steps, seed, device) for name in ("GAN", "squared error")}
    digits = data.load("digits").half("test")
    true = classifier.prepared(digits, digits.held_out, SIZE)
    small = true.reshape(-1, 1, SIZE // SCALE, SCALE, SIZE // SCALE, SCALE).mean((3, 5)).astype(np.float32)
    sets = {name: enlarged(small, SCALE, name) for name in KERNELS}
    with mg.no_grad():
        sets |= {name: g(mg.tensor(small)).to("cpu").numpy().clip(-1, 1) for name, g in networks.items()}
    judge = classifier.load("digits")[0]
    shares = realistic(sets, judge, digits)
    for name, images in sets.items():
        row = figures(images, true)
        right = (classifier.classes(judge, images) == digits.labels[digits.held_out]).mean()
        print(
            f"{name:<14} PSNR {row['psnr']:5.2f} dB   SSIM {row['ssim']:.3f}   gradient energy {row['sharpness']:6.1%}"
            f"   spectrum {row['spectral']:5.2f} dB away   precision {shares[name]:.1%}   named rightly {right:.1%}"
        )
    rows = {"the small digits": enlarged(small, SCALE, "nearest"), **sets, "the true ones": true}
    viz.save_grids(out, {name: images[None, :12] for name, images in rows.items() if name != "nearest"}, scale=2)
    print(f"picture: {out}")


if __name__ == "__main__":
    main()
