"""`minigan film`: clips of a trained next-frame predictor, which goes on from its own frames, as an animation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from .options import DATA, DEVICES, SCALE, SEED, Destination, echo, free


class Animation(Destination):
    """A .gif to write."""

    def check(self, path: Path) -> None:
        """Raises ValueError for another ending, and as a destination does."""
        if path.suffix.lower() != ".gif":
            raise ValueError(f"{path}: an animation is written as .gif")
        super().check(path)


def register(main: click.Group, command: Callable) -> None:
    """Add the command; `command` makes a sub-command as minigan/cli/main.py does."""
    command(main, "film", "Animate what a trained nextframe goes on to see.")(film)


@click.argument("run")
@click.option("-o", "--out", type=Animation(), help=".gif to write. By default a new film.gif in the run's folder.")
@click.option("--clips", default=4, show_default=True, type=click.IntRange(1, 32), help="Clips, a column each.")
@click.option("--frames", default=24, show_default=True, type=click.IntRange(3, 1000), help="Frames of each clip.")
@click.option("--seed", default=0, show_default=True, type=SEED, help="Seed of the network's noise.")
@click.option("--scale", default=3, show_default=True, type=SCALE, help="Pixels per pixel.")
@click.option("--data", "place", help=DATA)
@click.option("--device", default="cpu", show_default=True, help=DEVICES)
def film(run, out, clips, frames, seed, scale, place, device) -> dict:
    """Write an animation: above, clips of held-out images as they move; below, the network's own, which is given the
    first two frames and goes on from what it drew. RUN is a run folder of nextframe, a checkpoint file, or latest."""
    import numpy as np

    from .. import backend, viz
    from ..gan.run import SAMPLE_STREAM, load_trainer

    trainer, checkpoint = load_trainer(run, device=backend.device(device), place=place)
    if not hasattr(trainer, "film"):
        raise ValueError(
            f"{checkpoint.path.parent} is a run of {trainer.options.system}; film takes runs of nextframe:"
            " minigan train nextframe"
        )
    true, own = trainer.film(clips, frames, backend.Generator(seed, SAMPLE_STREAM))
    pictures = [
        viz.image_grid(np.concatenate([a, b]), clips, scale)
        for a, b in zip(true.swapaxes(0, 1), own.swapaxes(0, 1), strict=True)
    ]
    out = out or free(checkpoint.path.parent, "film.gif")
    viz.save_gif(out, pictures, last_ms=800, most=frames, width=pictures[0].shape[1])
    echo(
        f"{clips} clips of {frames} frames, true ones above, by step {checkpoint.step} of {checkpoint.path.parent},"
        f" in {out}"
    )
    return {"out": str(out), "step": checkpoint.step, "clips": clips, "frames": frames}
