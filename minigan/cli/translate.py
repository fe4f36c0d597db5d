"""`minigan translate`: a user's own images through a trained CycleGAN or StarGAN."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from ..data.folder import FITS, parse
from .options import DATA, PICTURE, SCALE, Picture, echo, free


def register(main: click.Group, command: Callable) -> None:
    """Add the command; `command` makes a sub-command as minigan/cli/main.py does."""
    command(main, "translate", "Translate images with a trained network.")(translate)


@click.argument("run")
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--out",
    type=Picture(),
    help=f"{PICTURE} By default a new translated.png in the run's folder.",
)
@click.option("--to", help="Of cyclegan: the domain to translate to; by default the run's target.")
@click.option("--set", "settings", multiple=True, metavar="ATTRIBUTE=VALUE", help="Of stargan; repeatable.")
@click.option("--fit", type=click.Choice(FITS), help="How to make squares; by default as the run's folder, else pad.")
@click.option("--only", is_flag=True, help="The translations alone, without the images above them.")
@click.option("--scale", default=4, show_default=True, type=SCALE, help="Pixels per pixel.")
@click.option("--data", "place", help=DATA)
@click.option("--device", default="cpu", show_default=True, help="Where to compute: cpu, cuda, cudasim ...")
def translate(run, images, out, to, settings, fit, only, scale, place, device) -> dict:
    """Translate images with a trained network. RUN is a run folder of cyclegan or stargan, a checkpoint file, or
    latest; IMAGE... are files in a format that minigan reads (PNG,
    JPEG, ...)."""
    import numpy as np

    from .. import backend, viz
    from ..data import to_unit

    trainer, checkpoint = _trainer(run, backend.device(device), place)
    changes, spec = _settings(settings), parse(trainer.options.data)
    fit = fit or ("pad" if spec is None else spec.fit)
    usable, pixels, refusals = _read(images, trainer.options.size, fit, trainer.info.shape[-1] == 1)
    if not usable:
        raise OSError("none of the images can be used")
    real = to_unit(np.stack(pixels))
    translations, what = trainer.translate_as(real, to, changes)
    rows = [translations] if only else [real, translations]
    out = out or free(checkpoint.path.parent, "translated.png")
    viz.save_grid(out, np.concatenate(rows), columns=len(usable), scale=scale)
    count = "1 image" if len(usable) == 1 else f"{len(usable)} images"
    echo(f"{count} {what}, by step {checkpoint.step} of {checkpoint.path.parent}, in {out}")
    return {
        "out": str(out),
        "step": checkpoint.step,
        "translated": [str(path) for path in usable],
        "skipped": refusals,
        "what": what,
    }


def _trainer(run: str, device: str, place: str | None):
    """The trainer of the run, without its data set where that is not needed to know what it translates."""
    from ..gan.run import load_trainer

    trainer, checkpoint = load_trainer(run, device=device, with_data=False, place=place)
    if not hasattr(trainer, "translate_as"):
        raise ValueError(
            f"{checkpoint.path.parent} is a run of {trainer.options.system}, which makes images of noise; translate"
            " takes runs of cyclegan and stargan"
        )
    return trainer, checkpoint


def _settings(texts: tuple[str, ...]) -> dict[str, str]:
    settings = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals and value) or name in settings:
            raise ValueError(f"--set {text}: write each attribute once, as in --set hat=yes")
        settings[name] = value
    return settings


def _read(paths: tuple[Path, ...], size: int, fit: str, grey: bool):
    """(paths that can be used, their pixels (S, S, C), path -> why it is skipped); says what is skipped or changed."""
    from ..data.pixels import decode

    usable, pixels, refusals = [], [], {}
    for path in paths:
        try:
            if not path.is_file():
                raise ValueError("a folder" if path.is_dir() else "no such file")
            image, remarks = decode(path, size, fit, grey)
        except ValueError as error:
            refusals[str(path)] = str(error)
            echo(f"{path}: skipped, {error}")
            continue
        usable.append(path)
        pixels.append(image)
        for remark in remarks:
            echo(f"{path}: {remark}")
    return usable, pixels, refusals
