"""`minigan traverse`: what the codes, the classes or the latents of a trained generator do."""

from __future__ import annotations

from collections.abc import Callable

import click

from .options import COLUMNS, DATA, PICTURE, ROWS, SCALE, SEED, Picture, echo, free


def register(main: click.Group, command: Callable) -> None:
    """Add the command; `command` makes a sub-command as minigan/cli/main.py does."""
    command(main, "traverse", "Draw what codes, classes or latents do to the images.")(traverse)


@click.argument("run")
@click.option(
    "-o",
    "--out",
    type=Picture(),
    help=f"{PICTURE} By default a new traverse.png in the run's folder.",
)
@click.option("--rows", default=8, show_default=True, type=ROWS, help="Latents, or directions.")
@click.option("--columns", default=10, show_default=True, type=COLUMNS, help="Values along a continuous walk.")
@click.option("--seed", default=0, show_default=True, type=SEED, help="Seed of the latents and directions.")
@click.option("--scale", default=2, show_default=True, type=SCALE, help="Pixels per pixel.")
@click.option("--data", "place", help=DATA)
def traverse(run, out, rows, columns, seed, scale, place) -> dict:
    """Draw grids along the codes, classes or latents of a trained generator. RUN is a run folder, a checkpoint file, or
    latest."""
    from .. import viz
    from ..gan.latents import traverse as walk
    from ..gan.run import load_trainer

    trainer, checkpoint = load_trainer(run, place=place)
    grids = walk(trainer, rows, columns, seed)
    out = out or free(checkpoint.path.parent, "traverse.png")
    viz.save_grids(out, grids, scale)
    for title in grids:
        echo(title)
    echo(f"step {checkpoint.step} of {checkpoint.path.parent}: {out}")
    return {"out": str(out), "step": checkpoint.step, "grids": list(grids)}
