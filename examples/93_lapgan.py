"""LAPGAN draws coarse to fine: a Laplacian pyramid with a conditional GAN on every level (Denton et al. 2015).

    x_0 = x,  x_{k+1} = d(x_k),  h_k = x_k - u(x_{k+1})          so that  x_k = u(x_{k+1}) + h_k  exactly
    level k, with l = u(x_{k+1}) of a real image:
        D_k: minimise  -ln D_k(x_k, l) - ln(1 - D_k(l + G_k(z_k, l), l))
        G_k: minimise  -ln D_k(l + G_k(z_k, l), l)
    drawing:  x_2 = G_2(z_2),  x_1 = u(x_2) + G_1(z_1, u(x_2)),  x_0 = u(x_1) + G_0(z_0, u(x_1))

No level waits for another: in training each sharpens a real image's coarse version, so one step trains them all.

Run it:  python -m minigan.examples.93_lapgan --steps 1800
"""

import click
import numpy as np

import minigan as mg
from minigan import data, optim, viz
from minigan.examples._figure import device_option
from minigan.examples._judge import by_class
from minigan.functional import softplus
from minigan.gan.metrics.distances import spectral_distance
from minigan.gan.metrics.realism import gradient_energy
from minigan.gan.networks.dcgan import dcgan_init_
from minigan.gan.networks.pyramid import PyramidCritic, PyramidGenerator, analysis, synthesis, up

LATENT, BATCH, BASE, SIZE = 32, 32, 16, 32


@click.command()
@click.option("--steps", default=1800, show_default=True, help="Steps of each network.")
@device_option
@click.option("--out", default="lapgan.png", show_default=True, help="PNG: each sample at 8, 16 and 32 pixels.")
@click.option("--seed", default=0, show_default=True)
def main(steps: int, device: str, out: str, seed: int) -> None:
    """Train all levels at once; print what a classifier of real digits sees, and how each level sharpens."""
    random, digits = mg.manual_seed(seed), data.load("digits")
    g = dcgan_init_(PyramidGenerator(LATENT, 1, SIZE, BASE), random).to(device)
    d = dcgan_init_(PyramidCritic(1, SIZE, BASE), random).to(device)
    optim_g, optim_d = (optim.Adam(n.parameters(), lr=5e-4, betas=(0.5, 0.999)) for n in (g, d))
    average = optim.WeightAverage(g, 0.99)
    batches = data.Loader(digits, BATCH, seed, size=SIZE)
    x = mg.zeros(BATCH, 1, SIZE, SIZE)

    def levels():
        """(real images at 8, 16 and 32; what D sees beside each: nothing, l, l; a sample of each level)."""
        coarsest, residuals = analysis(x, len(g.sizes) - 1)
        reals, lows = [coarsest], []
        for h in residuals:
            lows.append(up(reals[-1]))
            reals.append(lows[-1] + h)
        z, planes, _ = g.parts(mg.randn(BATCH, g.width))
        fakes = [g.level_8(z), *(g.sharpened(low, noise) for low, noise in zip(lows, planes, strict=True))]
        return reals, [[], *([low] for low in lows)], fakes

    @mg.capture  # recorded once, then replayed
    def critic_step():
        with mg.no_grad():
            reals, beside, fakes = levels()
        loss = 0.0
        for real, low, fake in zip(reals, beside, fakes, strict=True):
            loss = loss + softplus(-d(real, *low)).mean() + softplus(d(fake, *low)).mean()
        optim_d.zero_grad()
        loss.backward()
        optim_d.step()
        return loss.detach()

    @mg.capture
    def generator_step():
        _, beside, fakes = levels()
        loss = 0.0
        for low, fake in zip(beside, fakes, strict=True):
            loss = loss + softplus(-d(fake, *low)).mean()
        optim_g.zero_grad()
        loss.backward(inputs=list(g.parameters()))
        optim_g.step()
        return loss.detach()

    images = mg.tensor(np.float64(batches.batch(0)[0]))
    error = (synthesis(*analysis(images, 2)) - images).abs().max().item()
    print(f"real digits, taken apart and put together again, are themselves to {error:.0e}")

    for step in range(1, steps + 1):
        x.assign(next(batches)[0])
        d_loss, g_loss = critic_step(), generator_step()
        average.update(g)
        if step % 100 == 0 or step == steps:
            print(f"step {step:5d}   D loss {d_loss.item():.3f}   G loss {g_loss.item():.3f} of 3 levels", flush=True)

    g = average.module.eval()
    parts = []
    with mg.no_grad():
        for _ in range(10):
            parts.append([image.to("cpu").numpy() for image in g.stages(mg.randn(100, g.width))])
    stages = [np.concatenate(level) for level in zip(*parts, strict=True)]
    print(by_class(stages[-1]))
    rows = digits.held_out[:1000]
    real = data.to_unit(data.resize(digits.images[rows], SIZE))
    enlarged = stages[0]
    for size, images in zip(g.sizes[1:], stages[1:], strict=True):
        enlarged = up(mg.tensor(enlarged)).numpy()
        small = real.reshape(len(real), 1, size, SIZE // size, size, SIZE // size).mean((3, 5))
        before = up(mg.tensor(stages[g.sizes.index(size) - 1])).numpy()
        print(
            f"level {size}: gradient energy {gradient_energy(before):.4f} enlarged, {gradient_energy(images):.4f}"
            f" sharpened, real {gradient_energy(small):.4f}"
        )
    print(
        f"spectrum {spectral_distance(enlarged, real):.2f} dB from real digits' with level 8 alone,"
        f" {spectral_distance(stages[-1], real):.2f} dB with all"
    )
    blocks = [images[:24].repeat(SIZE // images.shape[2], 2).repeat(SIZE // images.shape[2], 3) for images in stages]
    viz.save_grid(out, np.stack(blocks, 1).reshape(-1, 1, SIZE, SIZE), columns=12, scale=2)
    print(f"picture: {out}")


if __name__ == "__main__":
    main()
