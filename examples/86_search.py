"""Iterative search: chains that ask for a condition and do not stay (Nguyen et al. 2017: PPGN, eq. 5).

    z <- z + e1 (R(z) - z) + e2 d ln p(y | G(z)) / dz + e3 N(0, 1)
    R: a denoiser, learnt by  min E |R(z + sigma eps) - z|^2,  so  R(z) - z = sigma^2 d ln p(z) / dz

With e1 = step / (2 sigma^2), e2 = step / 2, e3 = sqrt(step) this is Langevin's walk: it visits z as often as p(z) p(y |
G(z)) says. Ascent, from the same latents by the same gradient, stops at one image: that is the null model. Coverage
counts the real images of hats that one chain alone came near.

Run it:  python -m minigan.examples.86_search
"""

import click
import numpy as np

import minigan as mg
from minigan import viz
from minigan.backend import Generator, host
from minigan.examples._latents import generator_of, run_options
from minigan.gan.latents import Scale, target
from minigan.optim import Adam

SIGMA, STEP = 0.3, 0.1


@click.command()
@click.option("--toward", default="hat=yes", show_default=True, help="What is asked for.")
@click.option("--chains", default=6, show_default=True, help="How many.")
@click.option("--length", default=300, show_default=True, help="Steps of each; every tenth image counts.")
@click.option("--learning", default=1000, show_default=True, help="Steps in which R is learnt.")
@click.option("--out", default="search.png", show_default=True, help="PNG: each chain a row; the null model.")
@run_options
def main(toward, chains: int, length: int, learning: int, out: str, run: str, steps: int, seed: int) -> None:
    """Learn R, walk, and climb; print success, precision and what a chain alone covers."""
    trainer, reader = generator_of(run, steps, seed)
    aim, generator, d = target([toward], trainer, reader), trainer.average.module.eval(), trainer.options.latent
    random = mg.manual_seed(seed)

    linear, hidden, last = mg.nn.Linear(d, d), mg.nn.Linear(d, 128), mg.nn.Linear(128, d)
    optimiser = Adam([p for layer in (linear, hidden, last) for p in layer.parameters()], 3e-3)

    def denoise(z):
        return linear(z) + last(mg.functional.leaky_relu(hidden(z), 0.1))

    for t in range(learning):
        z = trainer.inputs(128, random)[:, :d]
        optimiser.param_groups[0]["lr"] = 3e-3 * (1 - t / learning)
        loss = mg.mean(mg.square(denoise(z + SIGMA * mg.randn(128, d, generator=random)) - z))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    print(f"R leaves {loss.item():.4f} a latent; the best for a normal z {SIGMA**2 / (1 + SIGMA**2):.4f}")

    start = trainer.inputs(chains, Generator(seed, 100))
    z0, codes = start[:, :d].data, start[:, d:]

    def slope(z):
        z = mg.nn.Parameter(z)
        images = generator(mg.cat([z, codes], 1) if codes.shape[1] else z)
        return mg.grad(mg.sum(aim.score(images)), z)[0].data

    def chain(z):
        with mg.no_grad():
            prior = denoise(mg.tensor(z)).data - z
        noise = np.sqrt(STEP) * host(random.normal(z.shape))
        return z + STEP / (2 * SIGMA**2) * prior + STEP / 2 * slope(z) + noise

    def climb(z):
        return z + STEP / 2 * (slope(z) + ((d - 1) / np.square(z).sum(1, keepdims=True) - 1) * z)  # as in example 85

    scale, pictures = Scale(aim, trainer.options.size), {}
    for name, move in (("chains", chain), ("ascent", climb)):
        z, visits = z0.copy(), []
        for t in range(1, length + 1):
            z = move(z).astype(np.float32)
            if t > length // 5 and t % 10 == 0:
                visits.append(trainer.sample(mg.cat([mg.tensor(z), codes], 1)))
        pictures[name] = np.stack(visits, 1)
        row = scale.groups(pictures[name])
        print(f"{name}: {toward} in {row.reached.value:.1%} of {row.images} images, precision"
              f" {row.precision.value:.1%}; a chain covers {row.coverage.value:.1%} of the real ones"
              f" [{row.coverage.low:.1%}, {row.coverage.high:.1%}]")  # fmt: skip
    viz.save_grids(out, {title: images[:4, :12] for title, images in pictures.items()}, 3)


if __name__ == "__main__":
    main()
