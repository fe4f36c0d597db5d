"""`minigan draw`: images of captions, by a trained text2image."""

from __future__ import annotations

from collections.abc import Callable

import click

from .._terminal import printable
from .options import DATA, DEVICES, IMAGES, PICTURE, SCALE, SEED, Picture, echo, free


def register(main: click.Group, command: Callable) -> None:
    """Add the command; `command` makes a sub-command as minigan/cli/main.py does."""
    command(main, "draw", "Draw what captions say, with a trained text2image.")(draw)


@click.argument("run")
@click.argument("captions", nargs=-1, required=True, metavar="CAPTION...")
@click.option("-n", "--count", default=8, show_default=True, type=IMAGES, help="Images of each caption.")
@click.option("-o", "--out", type=Picture(), help=f"{PICTURE} By default a new drawn.png in the run's folder.")
@click.option("--seed", default=0, show_default=True, type=SEED, help="Seed of the latents.")
@click.option("--scale", default=4, show_default=True, type=SCALE, help="Pixels per pixel.")
@click.option("--data", "place", help=DATA)
@click.option("--device", default="cpu", show_default=True, help=DEVICES)
def draw(run, captions, count, out, seed, scale, place, device) -> dict:
    """Draw what each CAPTION says, such as "smiling, red hat, long hair": a row of images below each. RUN is a run
    folder of text2image, a checkpoint file, or latest. A word that is not known is answered with the nearest one."""
    from .. import backend, viz
    from ..data.captions import read
    from ..gan.run import SAMPLE_STREAM, load_trainer

    trainer, checkpoint = load_trainer(run, device=backend.device(device), with_data=False, place=place)
    if not hasattr(trainer, "draw_captions"):
        raise ValueError(
            f"{checkpoint.path.parent} is a run of {trainer.options.system}, which reads no captions; draw takes runs"
            " of text2image"
        )
    claims = {text: read(text) for text in captions}
    texts = [text for text in claims for _ in range(count)]
    images = trainer.draw_captions(texts, backend.Generator(seed, SAMPLE_STREAM))
    out = out or free(checkpoint.path.parent, "drawn.png")
    rows = images.reshape(len(claims), 1, count, *images.shape[1:])
    viz.save_grids(out, {printable(text): row for text, row in zip(claims, rows, strict=True)}, scale)
    for text, claimed in claims.items():
        echo(f"{text!r}: " + ", ".join(f"{fact.replace('_', ' ')} {value}" for fact, value in claimed.items()))
    echo(f"a row of {count} below each caption, by step {checkpoint.step} of {checkpoint.path.parent}, in {out}")
    return {"out": str(out), "step": checkpoint.step, "claims": list(claims.values())}
