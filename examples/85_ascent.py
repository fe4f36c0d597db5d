"""Gradient ascent in the latents: what a judge would like best (Kang et al. 2017, section 3.3: DVBPR's last step).

    maximise over z   ln p(y | G(z)) + w ln p(|z|),      ln p(|z|) = (d - 1) ln |z| - |z|^2 / 2

y: a hat and a beard, as the judge of attributes reads them; its gradient goes through judge and generator to z. The
prior is the law of a normal z's length, highest at sqrt(d - 1); the density of z would pull to 0, where no z is. Null
model: random search, the best of as many draws.

Run it:  python -m minigan.examples.85_ascent
"""

import click
import numpy as np

import minigan as mg
from minigan import viz
from minigan.backend import Generator
from minigan.examples._latents import generator_of, run_options
from minigan.gan.latents import Scale, target
from minigan.optim import Adam


@click.command()
@click.option("--toward", multiple=True, default=("hat=yes", "beard=yes"), show_default=True, help="What is asked for.")
@click.option("--count", default=100, show_default=True, help="Latents to begin from.")
@click.option("--ascent", default=100, show_default=True, help="Steps of the ascent, and draws of the random search.")
@click.option("--prior", default=1.0, show_default=True, help="Weight w.")
@click.option("--out", default="ascent.png", show_default=True, help="PNG: before, after, and the null model.")
@run_options
def main(toward, count: int, ascent: int, prior: float, out: str, run: str, steps: int, seed: int) -> None:
    """Climb; print score, success and precision beside those of random search."""
    trainer, reader = generator_of(run, steps, seed)
    aim, generator, d = target(toward, trainer, reader), trainer.average.module.eval(), trainer.options.latent
    random = Generator(seed, 100)
    start = trainer.inputs(count, random)
    codes = start[:, d:]  # of a class, say; they stay

    def score(z):
        return aim.score(generator(mg.cat([z, codes], 1) if codes.shape[1] else z))

    z = mg.nn.Parameter(start[:, :d])
    optimiser = Adam([z], 0.05)
    for _ in range(ascent):
        length = mg.sum(mg.square(z), 1)  # |z|^2
        objective = score(z) + prior * ((d - 1) / 2 * mg.log(length) - length / 2)
        (slope,) = mg.grad(mg.sum(objective), z)
        z.grad = -slope
        optimiser.step()

    best, highest = start[:, :d].data.copy(), np.full(count, -np.inf)
    with mg.no_grad():
        for _ in range(ascent):
            fresh = trainer.inputs(count, random)[:, :d]
            values = score(fresh).data
            best[values > highest] = fresh.data[values > highest]
            highest = np.maximum(highest, values)

    scale, pictures = Scale(aim, trainer.options.size), {}
    for name, latents in (("draws", start[:, :d].data), ("ascent", z.data), (f"best of {ascent}", best)):
        pictures[name] = trainer.sample(mg.cat([mg.tensor(latents), codes], 1))
        row = scale.row(pictures[name], latents)
        share = row.reached
        print(f"{name:<12} ln p {row.score.value:7.2f}  reached {share.value:6.1%} [{share.low:.1%}, {share.high:.1%}]"
              f"  precision {row.precision.value:6.1%}  |z|/sqrt d {row.length:.2f}")  # fmt: skip
    viz.save_grids(out, {title: images[None, :12] for title, images in pictures.items()}, 3)


if __name__ == "__main__":
    main()
