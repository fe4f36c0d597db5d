"""`minigan interpolate`: walk a trained generator from one latent to another."""

from __future__ import annotations

from collections.abc import Callable

import click

from .options import COLUMNS, DATA, PICTURE, ROWS, SCALE, SEED, Picture, echo, free


def register(main: click.Group, command: Callable) -> None:
    """Add the command; `command` makes a sub-command as minigan/cli/main.py does."""
    command(main, "interpolate", "Draw the way between pairs of latents.")(interpolate)


@click.argument("run")
@click.option(
    "-o",
    "--out",
    type=Picture(),
    help=f"{PICTURE} By default a new interpolate.png in the run's folder.",
)
@click.option("--rows", default=8, show_default=True, type=ROWS, help="Pairs, a row each.")
@click.option("--columns", default=10, show_default=True, type=COLUMNS, help="Points on a path.")
@click.option("--seed", default=0, show_default=True, type=SEED, help="Seed of the pairs.")
@click.option("--scale", default=2, show_default=True, type=SCALE, help="Pixels per pixel.")
@click.option("--data", "place", help=DATA)
@click.option("--device", default="cpu", show_default=True, help="Where to compute.")
def interpolate(run, out, rows, columns, seed, scale, place, device) -> dict:
    """Draw the way between pairs of latents, a row a pair: the latents move on a great circle (uniform ones on a
    straight line), codes and labels stay.
    RUN is a run folder, a checkpoint file, or latest."""
    from .. import backend, viz
    from ..autograd import Tensor
    from ..gan import latents
    from ..gan.run import SAMPLE_STREAM, load_trainer

    trainer, checkpoint = load_trainer(run, device=backend.device(device), with_data=False, place=place)
    options = trainer.options
    latents.require_latents(trainer)
    inputs = trainer.inputs(2 * rows, backend.Generator(seed, SAMPLE_STREAM))
    points = latents.between(backend.host(inputs.data), options.latent, columns, latents.law_of(trainer))
    images = trainer.sample(Tensor(points))
    out = out or free(checkpoint.path.parent, "interpolate.png")
    viz.save_grid(out, images, columns=columns, scale=scale)
    largest = latents.largest_step(images, columns)
    echo(
        f"{rows} pairs of step {checkpoint.step} of {checkpoint.path.parent} in {out}; the largest of {columns - 1}"
        f" steps is {largest.mean():.1%} of a way on average, {largest.max():.1%} at most"
        f" ({1 / (columns - 1):.1%}: all equal)"
    )
    figures = {"rows": rows, "columns": columns, "largest_step": largest.tolist()}
    return {"out": str(out), "step": checkpoint.step, **figures}
