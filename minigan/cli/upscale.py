"""`minigan upscale`: a picture enlarged by a trained super-resolution GAN."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from .options import DATA, DEVICES, PICTURE, Picture, echo, free


def register(main: click.Group, command: Callable) -> None:
    """Add the command; `command` makes a sub-command as minigan/cli/main.py does."""
    command(main, "upscale", "Enlarge a picture with a trained srgan.")(upscale)


@click.argument("run")
@click.argument("image", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=Picture(), help=f"{PICTURE} By default a new upscaled.png in the run's folder.")
@click.option("--data", "place", help=DATA)
@click.option("--device", default="cpu", show_default=True, help=DEVICES)
def upscale(run, image, out, place, device) -> dict:
    """Enlarge a picture of 4 x 4 pixels or more with a trained network. RUN is a run folder of srgan, a checkpoint
    file, or latest; IMAGE is a file in a format that minigan reads (PNG, JPEG, ...). A network of grey images takes
    each colour by itself; transparency is enlarged by bicubic interpolation."""
    from .. import backend, viz
    from .._files import atomic_write
    from ..data.picture import read_picture
    from ..gan.run import load_trainer
    from ..gan.systems.srgan import enlarged_picture

    trainer, checkpoint = load_trainer(run, device=backend.device(device), with_data=False, place=place)
    if not hasattr(trainer, "upscale"):
        raise ValueError(
            f"{checkpoint.path.parent} is a run of {trainer.options.system}; upscale takes runs of srgan:"
            " minigan train srgan"
        )
    picture = read_picture(image)
    for remark in picture.remarks:
        echo(f"{image}: {remark}")
    large = enlarged_picture(trainer, picture)
    out = out or free(checkpoint.path.parent, "upscaled.png")
    atomic_write(out, large.encoded(viz.picture_format(out)))
    sizes = [f"{p.colours.shape[1]} x {p.colours.shape[0]}" for p in (picture, large)]
    echo(f"{image}, {sizes[0]} pixels, as {sizes[1]} by step {checkpoint.step} of {checkpoint.path.parent}, in {out}")
    return {
        "out": str(out),
        "step": checkpoint.step,
        "scale": trainer.options.scale,
        "size": list(large.colours.shape[:2]),
    }
