"""Entanglement: how many attributes one latent moves.

    c_jk = share of images whose attribute k differs when latent j goes from -2 to 2, the others kept
    factors_j = (sum_k c_jk)^2 / sum_k c_jk^2          1: an attribute of its own;  K: moves all of K alike

The number of a generator is the mean of factors_j, weighted by how much each latent moves. Null model: the same
generator behind a random rotation of its latents, which draws the same images. Nothing in a GAN's or a VAE's objective
tells a latent from a rotated one but a VAE's posterior, which is normal with independent numbers; so expect no less.

Run it:  python -m minigan.examples.88_entanglement
"""

import click
import numpy as np

from minigan import tensor
from minigan.backend import Generator, host
from minigan.examples._latents import generator_of, run_options


@click.command()
@click.option("--count", default=60, show_default=True, help="Latents to begin from.")
@click.option("--out", default="entanglement.png", show_default=True, help="PNG: what each latent moves, both ways.")
@run_options
def main(count: int, out: str, run: str, steps: int, seed: int) -> None:
    """Move every latent; print the numbers of the generator and of its rotation."""
    trainer, reader = generator_of(run, steps, seed)
    d, names = trainer.options.latent, list(reader.factors)
    inputs = host(trainer.inputs(count, Generator(seed, 100)).data)
    matrix, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((d, d)))

    def values(z):
        """The attributes (count, K) of latents z (count, d)."""
        images = trainer.sample(tensor(np.concatenate([z, inputs[:, d:]], 1).astype(np.float32)))
        return np.stack(list(reader.read(images, names).values()), 1)

    tables = {}
    for name, rotation in (("its own latents", np.eye(d)), ("rotated", matrix)):
        c = np.zeros((d, len(names)))
        for j in range(d):
            low, high = inputs[:, :d].copy(), inputs[:, :d].copy()
            low[:, j], high[:, j] = -2, 2
            c[j] = (values(low @ rotation) != values(high @ rotation)).mean(0)
        squares = np.square(c).sum(1)
        factors = np.divide(c.sum(1) ** 2, squares, out=np.zeros(d), where=squares > 0)
        mean = (factors * c.sum(1)).sum() / max(c.sum(), 1e-9)
        print(f"{name}: {mean:.2f} of {len(names)} factors; a latent moves {c.sum(1).mean():.2f}, the least entangled"
              f" {factors[c.sum(1) > 0].min(initial=len(names)):.2f}")  # fmt: skip
        tables[name] = c[np.argsort(-c.sum(1))][:24]
    draw(out, tables, names)


def draw(out: str, tables: dict, names: list) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), layout="constrained")
    for axis, (name, c) in zip(figure.subplots(1, 2), tables.items(), strict=True):
        axis.imshow(c, vmin=0, vmax=1, cmap="Blues", aspect="auto")
        axis.set_xticks(range(len(names)), names, rotation=60, ha="right")
        axis.set(title=f"{name}: a row each, how often each attribute moves", xlabel="attribute", ylabel="latent")
        axis.title.set_fontsize(9)
    figure.savefig(out, dpi=110)


if __name__ == "__main__":
    main()
