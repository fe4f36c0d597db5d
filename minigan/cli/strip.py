"""`minigan strip`: a run's samples for the same latents after 100, 1,000, ..., 50,000 steps, a row each."""

from __future__ import annotations

from collections.abc import Callable
from shlex import quote

import click

from .options import PICTURE, SCALE, Picture, echo, free


def register(main: click.Group, command: Callable) -> None:
    """Add the command; `command` makes a sub-command as minigan/cli/main.py does."""
    command(main, "strip", "Draw how a run's samples came about, in one strip.")(strip)


@click.argument("run")
@click.option("-o", "--out", type=Picture(), help=f"{PICTURE} By default a new strip.png in the run's folder.")
@click.option("--columns", default=8, show_default=True, type=click.IntRange(1, 64), help="Images a row.")
@click.option("--scale", default=2, show_default=True, type=SCALE, help="Pixels per pixel.")
def strip(run, out, columns, scale) -> dict:
    """Draw a run's samples, a row each, after 100, 1,000, 2,000, 5,000, 10,000, 20,000 and 50,000 steps: the nearest
    pictures that its folder holds, and the last. RUN is a run folder, a checkpoint file, or latest."""
    from .. import checkpoint, viz
    from ..gan.run import options_of

    saved = checkpoint.resolve(run)
    folder = saved.path.parent
    rows = viz.strip_rows(viz.run_frames(folder))
    if not rows:
        raise ValueError(
            f"{folder} holds no pictures of samples (fakes*.png); train on: minigan train --resume {quote(str(folder))}"
        )
    side = options_of(saved).size
    grids = {caption: viz.grid_cells(path, side)[None, :columns] for caption, path in rows.items()}
    out = out or free(folder, "strip.png")
    viz.save_grids(out, grids, scale)
    echo(f"{', '.join(rows)} of {folder} in {out}")
    return {"out": str(out), "rows": list(rows), "columns": min(g.shape[1] for g in grids.values())}
