"""`minigan report`: one HTML page of a run."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import click

from .options import DATA, Destination, echo


def register(main: click.Group, command: Callable) -> None:
    """Add the command; `command` makes a sub-command as minigan/cli/main.py does."""
    command(main, "report", "Write one HTML page that shows a run and its networks.")(report)


@click.argument("run")
@click.option("-o", "--out", type=Destination(), help="Page to write. By default report.html in the run's folder.")
@click.option(
    "--image", "images", multiple=True, type=click.Path(path_type=Path), help="An image of yours; may be repeated."
)
@click.option("--data", "place", help=DATA)
def report(run, out, images, place) -> dict:
    """Write one HTML page of RUN, a run folder, a checkpoint file, or latest: samples over the training, each layer's
    activations and kernels, the gradients that images get, what the judge sees."""
    from ..gan.run import load_trainer

    trainer, checkpoint = load_trainer(run, place=place)
    return written(trainer, checkpoint, out or checkpoint.path.parent / "report.html", images)


def written(trainer, checkpoint, out: Path, images: tuple[Path, ...] = ()) -> dict:
    """Write the page and say so. Raises ValueError for an image that cannot be read, and what `page` raises."""
    from .._files import atomic_write
    from ..data import to_unit
    from ..data.pixels import decode
    from ..report import collect, page

    start, grey = time.perf_counter(), trainer.info.shape[-1] == 1
    own = []
    for path in images:
        if not path.is_file():
            raise ValueError(f"--image {path}: no such file")
        try:
            own.append(to_unit(decode(path, trainer.options.size, "crop", grey)[0][None])[0])
        except ValueError as error:
            raise ValueError(f"--image {path}: {error}") from None
    text = page(collect(trainer, checkpoint, own))
    atomic_write(out, text)
    seconds, size = time.perf_counter() - start, len(text.encode())
    echo(f"{out}: {size / 2**20:.1f} MiB, made in {seconds:.1f} s; a browser opens it")
    return {"out": str(out), "bytes": size, "seconds": round(seconds, 1), "step": checkpoint.step}
