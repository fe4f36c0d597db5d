"""A generator of things of a class, with the class in every layer of the critic but its last (Kang et al. 2017).

    D: minimise  1/2 (D(x, y) - 1)^2 + 1/2 D(G(z, y), y)^2          G: minimise  1/2 (D(G(z, y), y) - 1)^2

Both networks are the paper's table, scaled by `--size` and `--base`: 128 and 64 draw garments of 128 x 128 pixels. The
layers are printed first. Then letters are drawn, a class a column.

Run it:  python -m minigan.examples.96_dvbpr --steps 500
"""

import click
import numpy as np

import minigan as mg
from minigan import data, optim, viz
from minigan.examples._figure import device_option
from minigan.gan.networks.dcgan import dcgan_init_
from minigan.gan.networks.dvbpr import DVBPRCritic, DVBPRGenerator
from minigan.nn.summary import summary

LATENT, BATCH = 32, 32


@click.command()
@click.option("--steps", default=500, show_default=True, help="Steps of each network.")
@click.option("--size", default=32, show_default=True, help="Height and width: 128 is the paper's.")
@click.option(
    "--base", default=12, show_default=True, help="Channels, of which layers have multiples: 64 is the paper's."
)
@click.option("--out", default="dvbpr.png", show_default=True, help="PNG: four letters of each class.")
@click.option("--seed", default=0, show_default=True)
@device_option
def main(steps: int, size: int, base: int, out: str, seed: int, device: str) -> None:
    """Print the layers, train, and print what each side thinks and how unlike two letters of one class are."""
    random, letters = mg.manual_seed(seed), data.load("glyphs")
    classes = len(letters.class_names)
    g = dcgan_init_(DVBPRGenerator(LATENT + classes, 1, size, base), random).to(device)
    d = dcgan_init_(DVBPRCritic(1, classes, size, base), random).to(device)
    optim_g, optim_d = (optim.Adam(n.parameters(), lr=4e-4, betas=(0.5, 0.999)) for n in (g, d))
    batches = data.Loader(letters, BATCH, seed, size=size)
    real, y = mg.zeros(BATCH, 1, size, size), mg.zeros(BATCH, classes)

    def fakes():
        return g(mg.cat([mg.randn(BATCH, LATENT), y], 1))

    @mg.capture
    def train_d():
        with mg.no_grad():
            fake = fakes()
        d_real, d_fake = d(real, y), d(fake, y)
        loss = 0.5 * mg.square(d_real - 1).mean() + 0.5 * mg.square(d_fake).mean()
        optim_d.zero_grad()
        loss.backward(inputs=list(d.parameters()))
        optim_d.step()
        return d_real.detach().mean(), d_fake.detach().mean()

    @mg.capture
    def train_g():
        loss = 0.5 * mg.square(d(fakes(), y) - 1).mean()
        optim_g.zero_grad()
        loss.backward(inputs=list(g.parameters()))
        optim_g.step()
        return loss.detach()

    with mg.no_grad():
        for name, network in (("G", g), ("D", d)):
            rows = summary(network, lambda: d(fakes(), y))
            print(
                f"{name}: "
                + " -> ".join("x".join(map(str, r.shape[1:])) for r in rows if r.parameters > 2 * r.shape[1])
            )

    for step in range(1, steps + 1):
        images, labels = next(batches)
        real.assign(images)
        y.assign(np.eye(classes)[labels])
        outputs, loss = train_d(), train_g()
        if step % 100 == 0 or step == steps:
            a, b = (v.item() for v in outputs)
            print(f"step {step:4d}   D(x, y) {a:.3f}   D(G(z, y), y) {b:.3f}   G loss {loss.item():.3f}", flush=True)

    g.eval()
    asked = np.eye(classes, dtype=np.float32)[np.tile(np.arange(classes), 4)]
    with mg.no_grad():
        images = g(mg.cat([mg.randn(len(asked), LATENT), mg.tensor(asked)], 1)).to("cpu").numpy()
    spread = images.reshape(4, classes, -1).std(0).mean()
    between = images.reshape(4, classes, -1).mean(0).std(0).mean()
    whole = np.concatenate([real.to("cpu").numpy()[:classes], images])
    viz.save_grid(out, whole, columns=classes, scale=1 if size > 32 else 2)
    print(f"pixels differ by {spread:.3f} between letters of one class, by {between:.3f} between classes")
    print(f"a row of real letters, then four of each class, in {out}")


if __name__ == "__main__":
    main()
