"""Editing on the manifold: paint a red hat roughly, and get a face that has one (Zhu et al. 2016, eq. 5 and 6).

    z* = argmin over z   |m (G(z) - c)|^2 + k |(1 - m) (G(z) - x0)|^2,      from the z of x0 = G(z)

m is 1 where it was painted, c are the colours; both squares are means. Pasting follows the paint exactly and looks
pasted; the generator cannot draw that, so the nearest it can draw comes out as a hat. Null model: the best of as many
draws.

Run it:  python -m minigan.examples.87_edit
"""

import click
import numpy as np

import minigan as mg
from minigan import viz
from minigan.backend import Generator
from minigan.examples._latents import generator_of, run_options
from minigan.gan.latents import Paint
from minigan.optim import Adam

RED = np.array([0.6, -0.8, -0.8], np.float32)


@click.command()
@click.option("--count", default=32, show_default=True, help="Samples to edit.")
@click.option("--ascent", default=150, show_default=True, help="Steps of each edit, and draws of the random search.")
@click.option("--keep", default=1.0, show_default=True, help="Weight k of what was not painted.")
@click.option("--out", default="edit.png", show_default=True, help="PNG: before, pasted, edited, the null model.")
@run_options
def main(count: int, ascent: int, keep: float, out: str, run: str, steps: int, seed: int) -> None:
    """Follow the paint; print errors inside it, changes outside, beside pasting and random search."""
    trainer, _ = generator_of(run, steps, seed)
    generator, d, size = trainer.average.module.eval(), trainer.options.latent, trainer.options.size
    m = np.zeros((1, size, size), np.float32)
    m[:, : size // 4, size // 5 : -size // 5] = 1  # the top quarter, without the sides
    paint = Paint(RED[:, None, None] * m, m)

    random = Generator(seed, 100)
    start = trainer.inputs(count, random)
    codes, x0 = start[:, d:], trainer.sample(start)
    c, inside, outside = (mg.tensor(x) for x in (paint.colours, m / (3 * m.sum()), (1 - m) / (3 * (1 - m).sum())))

    def errors(z):
        x = generator(mg.cat([z, codes], 1) if codes.shape[1] else z)
        return mg.sum(inside * mg.square(x - c) + keep * outside * mg.square(x - mg.tensor(x0)), (1, 2, 3))

    z = mg.nn.Parameter(start[:, :d])
    optimiser = Adam([z], 0.05)
    for _ in range(ascent):
        (z.grad,) = mg.grad(mg.sum(errors(z)), z)
        optimiser.step()

    best, least = start[:, :d].data.copy(), np.full(count, np.inf)
    with mg.no_grad():
        for _ in range(ascent):
            fresh = trainer.inputs(count, random)[:, :d]
            values = errors(fresh).data
            best[values < least] = fresh.data[values < least]
            least = np.minimum(least, values)

    pictures = {
        "as it was": x0,
        "the paint over it": paint.pasted(x0),
        "the sample that follows": trainer.sample(mg.cat([z.detach(), codes], 1)),
        f"the best of {ascent} draws": trainer.sample(mg.cat([mg.tensor(best), codes], 1)),
    }
    for name, x in pictures.items():
        print(f"{name:<24} error inside {np.median(paint.inside(x)):.4f}, change outside"
              f" {np.median(paint.outside(x, x0)):.4f} (medians of {count})")  # fmt: skip
    viz.save_grids(out, {title: images[None, :12] for title, images in pictures.items()}, 3)


if __name__ == "__main__":
    main()
