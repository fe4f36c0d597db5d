"""Arithmetic on latents: glasses - plain + hat (Radford et al. 2016, section 6.3.2).

    z' = z - mean of z(plain) + mean of z(hat),      z one of those whose images show glasses and no hat

What a group shares stays in the mean of its latents, and what it does not cancels. So the difference of two means is a
direction that puts a hat on. A random direction of the same length does not: that is the null model.

Run it:  python -m minigan.examples.84_arithmetic
"""

import click
import numpy as np

from minigan import tensor, viz
from minigan.backend import Generator, host
from minigan.examples._latents import generator_of, run_options
from minigan.gan.metrics.distances import share_interval

NAMES = ("glasses", "beard", "hat", "long_hair", "smile")


@click.command()
@click.option("--draws", default=4000, show_default=True, help="Latents that the groups are found among.")
@click.option("--out", default="arithmetic.png", show_default=True, help="PNG: before, after, and the null model.")
@run_options
def main(draws: int, out: str, run: str, steps: int, seed: int) -> None:
    """Draw latents, read their images, add and subtract means; print how many get a hat and keep their glasses."""
    trainer, reader = generator_of(run, steps, seed)
    d = trainer.options.latent

    def drawn(count, stream):
        """(latents with their codes, which of NAMES their images show)"""
        inputs = host(trainer.inputs(count, Generator(seed, stream)).data).copy()
        return inputs, shows(inputs)

    def shows(inputs):
        labels = reader.read(trainer.sample(tensor(inputs)), NAMES)
        return {name: labels[name] == 1 for name in NAMES} | {"plain": np.all([v == 0 for v in labels.values()], 0)}

    z, group = drawn(draws, 100)
    hat, plain = (z[group[name], :d] for name in ("hat", "plain"))
    print(f"{draws} draws: {len(hat)} with a hat, {len(plain)} plain")
    if not (len(hat) and len(plain)):
        return print("a group is empty: the generator has not learnt it yet")
    shift = hat.mean(0) - plain.mean(0)

    z, group = drawn(draws, 101)  # others than the means are of
    z = z[group["glasses"] & ~group["hat"]][:200]
    random = np.random.default_rng(seed).standard_normal((len(z), d))
    random *= np.linalg.norm(shift) / np.linalg.norm(random, axis=1, keepdims=True)
    print(f"{len(z)} latents of glasses without a hat, |z| = {np.linalg.norm(z[:, :d], axis=1).mean():.2f}")

    pictures = {"glasses": trainer.sample(tensor(z))}
    for name, vector in (("glasses - plain + hat", shift), ("a random vector of that length", random)):
        moved = z.copy()
        moved[:, :d] += vector
        seen = shows(moved)
        share = share_interval(int((seen["glasses"] & seen["hat"]).sum()), len(z))
        print(f"{name}, length {np.linalg.norm(shift):.2f}: glasses and a hat in {share.value:.1%}"
              f" [{share.low:.1%}, {share.high:.1%}]")  # fmt: skip
        pictures[name] = trainer.sample(tensor(moved))
    viz.save_grids(out, {title: images[None, :12] for title, images in pictures.items()}, 3)


if __name__ == "__main__":
    main()
