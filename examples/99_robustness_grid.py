"""Which losses train on which networks? A corner of the robustness grid (Gulrajani et al. 2017, figure 2).

    rows      DCGAN: minimise -ln D(G(z));   WGAN-GP: a critic whose slope is held at 1
    columns   DCGAN's networks; no batch norm in either; tanh in place of every rectifier
    a cell succeeds where at least 9 of 10 classes are present in 1,000 samples, and both the judge's confident share
    and the realistic share are at least half of those of real digits

What has learnt nothing goes through the same criterion first: one digit over and over is confident and realistic but of
one class, noise is of all classes but neither confident nor realistic. The whole grid is  minigan grid.

Run it:  python -m minigan.examples.99_robustness_grid --steps 600
"""

import tempfile
from pathlib import Path

import click
import numpy as np

from minigan import viz
from minigan.backend import Generator
from minigan.examples._figure import device_option
from minigan.gan.tables import grid, image_cells
from minigan.gan.train import METRIC_STREAM

ROWS = ("DCGAN", "WGAN-GP")
COLUMNS = ("baseline", "no norm\nin either", "tanh")


@click.command()
@click.option("--steps", default=600, show_default=True, help="Generator steps of DCGAN; WGAN-GP has a third.")
@click.option("--out", default="robustness_grid.png", show_default=True, help="PNG: eight samples of each cell.")
@click.option("--seed", default=0, show_default=True)
@device_option
def main(steps: int, out: str, seed: int, device: str) -> None:
    """Print the criterion's figures of null models and of six cells, each with its verdict."""
    rows, sheet = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        nulls = grid.beside(Path(folder), "digits", 32)
        real = nulls.pop("real images")
        rows |= {f"null model: {name}": figures for name, figures in nulls.items()}
        for row in ROWS:
            for column in COLUMNS:
                count = max(1, steps // (3 if row == "WGAN-GP" else 1))
                options = grid.options("quick", row, column, seed, str(device), count)
                trainer, figures = image_cells.trained(options, Path(folder) / "state")
                name = f"{row}, {column}".replace("\n", " ")
                rows[name] = figures | grid.judged(trainer)
                sheet[name] = trainer.draw(8, Generator(seed, METRIC_STREAM))[None]
                print(f"trained: {name}, {figures['steps']} steps", flush=True)
    print(f"{'':<28} classes  confident  realistic   (real {real['confident']:.0%}, {real['realistic']:.0%})")
    for name, figures in rows.items():
        missed = grid.failures(figures, real)
        verdict = "no: " + ", ".join(missed) if missed else "succeeds"
        shares = f"{figures['confident']:>8.1%} {figures['realistic']:>10.1%}"
        print(f"{name:<28} {figures['present']:>4} of 10 {shares}   {verdict}")
    viz.save_grids(out, {name: np.asarray(images) for name, images in sheet.items()})
    print(f"picture: {out}")


if __name__ == "__main__":
    main()
