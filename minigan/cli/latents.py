"""`minigan arithmetic`, `ascend`, `search`, `edit` and `entanglement`: what can be done with the latents of a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from .options import DATA, PICTURE, SCALE, SEED, Picture, echo, free


class Number(click.FloatRange):
    """A number in a range. "nan", which lies beyond no end of it, is refused, too."""

    def convert(self, value, param, ctx):
        """The number."""
        number = super().convert(value, param, ctx)
        if number != number:
            self.fail(f"{value} is no number", param, ctx)
        return number


COUNT = click.IntRange(2, 10_000)
STEPS = click.IntRange(1, 100_000)
RATE = Number(0, 10, min_open=True)
WEIGHT = Number(0, 1e6)
TOWARD = "What to ask for: hat=yes, class=7, or your own file.py:function, images to scores. Several are summed."


def register(main: click.Group, command: Callable) -> None:
    """Add the commands; `command` makes a sub-command as minigan/cli/main.py does."""
    command(main, "arithmetic", "Add and subtract groups of latents.", Expression)(arithmetic)
    command(main, "ascend", "Raise a score over the latents.")(ascend)
    command(main, "search", "Walk the latents that meet a condition.")(search)
    command(main, "edit", "Follow colours that you painted over an image.")(edit)
    command(main, "entanglement", "Count the attributes that one latent moves.")(entanglement)


class Expression(click.Command):
    """A command of an expression, which may begin with a minus and is no option then."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """The words of the command line."""
        return super().parse_args(ctx, [f" {word}" if word.startswith("- ") else word for word in args])


def of_a_run(count: int, what: str) -> Callable:
    """The argument RUN and the options that all commands here share."""

    def add(function: Callable) -> Callable:
        options = [
            click.argument("run"),
            click.option("-n", "--count", default=count, show_default=True, type=COUNT, help=what),
            click.option("-o", "--out", type=Picture(), help=f"{PICTURE} By default a new one in the run's folder."),
            click.option("--seed", default=0, show_default=True, type=SEED, help="Seed of the latents."),
            click.option("--scale", default=3, show_default=True, type=SCALE, help="Pixels per pixel."),
            *judging(),
        ]
        for option in reversed(options):
            function = option(function)
        return function

    return add


def judging() -> list[Callable]:
    """The options of whoever reads the images."""
    halves = click.Choice(["validation", "test", "all"])
    return [
        click.option("--split", default="test", show_default=True, type=halves, help="Held-out images to judge by."),
        click.option(
            "--judge", type=click.Path(path_type=Path), help="Folder of another judge, of minigan classifier, to read."
        ),
        click.option("--data", "place", help=DATA),
    ]


def opened(run: str, split: str, judge: Path | None, place: str | None):
    """(trainer, checkpoint, the judges whose scores are raised, those that read the results)."""
    from ..gan.latents import Reader, space_of
    from ..gan.run import load_trainer

    trainer, checkpoint = load_trainer(run, place=place)
    space_of(trainer)  # has it latents at all?
    trainer.split = split
    own = Reader(trainer.yardstick, trainer.options.data)
    if judge is None:
        return trainer, checkpoint, own, own
    if not judge.is_dir():
        raise ValueError(f"--judge {judge}: no such folder; make one with: minigan classifier DATA --out FOLDER")
    return trainer, checkpoint, own, Reader(trainer.yardstick, trainer.options.data, judge)


def shown(study, checkpoint, out: Path | None, name: str, scale: int) -> dict:
    """Write the pictures of a study, print its table, and give the figures."""
    from .. import viz

    out = out or free(checkpoint.path.parent, name)
    viz.save_grids(out, study.grids, scale)
    for line in study.report():
        echo(line)
    echo(f"step {checkpoint.step} of {checkpoint.path.parent}: {out}")
    return {"out": str(out), "step": checkpoint.step, **study.as_dict()}


@of_a_run(100, "Latents of the first term to move.")
@click.argument("text", metavar="EXPRESSION")
@click.option("--strength", default=1.0, show_default=True, type=Number(-100, 100), help="Factor of the sum.")
@click.option(
    "--groups",
    type=click.Choice(["samples", "images"]),
    help="Where groups come from: samples, as judges read them, or codes of training images; images for a run with an"
    " encoder.",
)
def arithmetic(run, text, count, out, seed, scale, split, judge, place, strength, groups) -> dict:
    """Add and subtract groups of latents: `minigan arithmetic RUN "glasses - plain + hat"`. A term is an attribute, a
    value, factor=value, several of these parted by commas, or plain (no attribute at all)."""
    from ..gan.latents.arithmetic import study

    trainer, checkpoint, own, other = opened(run, split, judge, place)
    result = study(trainer, text, count, groups, strength, seed, own, other)
    return shown(result, checkpoint, out, "arithmetic.png", scale)


@of_a_run(100, "Latents to begin from.")
@click.option("--toward", multiple=True, required=True, help=TOWARD)
@click.option(
    "--steps", default=100, show_default=True, type=STEPS, help="Evaluations: half for draws, half for steps."
)
@click.option("--rate", default=0.05, show_default=True, type=RATE, help="Adam's learning rate.")
@click.option("--prior", default=1.0, show_default=True, type=WEIGHT, help="Weight of the latents' prior; 0 for none.")
def ascend(run, toward, count, out, seed, scale, split, judge, place, steps, rate, prior) -> dict:
    """Raise a score over the latents by gradient ascent, beside the best of as many draws."""
    from ..gan.latents import Scale, target
    from ..gan.latents.ascent import study

    trainer, checkpoint, own, other = opened(run, split, judge, place)
    aim = target(toward, trainer, own)
    result = study(trainer, aim, count, steps, rate, prior, seed, Scale(aim.read_by(other), trainer.options.size))
    return shown(result, checkpoint, out, "ascend.png", scale)


@of_a_run(8, "Chains.")
@click.option("--toward", multiple=True, required=True, help=TOWARD)
@click.option("--steps", default=400, show_default=True, type=STEPS, help="Steps of each chain.")
@click.option("--every", default=10, show_default=True, type=STEPS, help="Steps between images that count.")
@click.option("--sigma", default=0.3, show_default=True, type=RATE, help="Noise that the prior's denoiser takes away.")
@click.option("--step", default=0.1, show_default=True, type=RATE, help="Variance of the noise of a step.")
@click.option("--weight", default=1.0, show_default=True, type=WEIGHT, help="Weight of the condition.")
def search(run, toward, count, out, seed, scale, split, judge, place, steps, every, sigma, step, weight) -> dict:
    """Walk the latents whose images meet a condition, by chains behind a learnt prior, beside ascent, which stays where
    it arrives."""
    from ..gan.latents import Scale, target
    from ..gan.latents.search import study

    trainer, checkpoint, own, other = opened(run, split, judge, place)
    aim = target(toward, trainer, own)
    yardstick = Scale(aim.read_by(other), trainer.options.size)
    result = study(trainer, aim, count, steps, every, sigma, step, weight, seed, yardstick)
    return shown(result, checkpoint, out, "search.png", scale)


@of_a_run(16, "Samples to edit, where no IMAGE is named.")
@click.argument("image", required=False, type=click.Path(path_type=Path))
@click.option("--mask", required=True, type=click.Path(path_type=Path), help="PNG: colours, and nothing elsewhere.")
@click.option("--steps", default=150, show_default=True, type=STEPS, help="Steps of the ascent, and draws beside it.")
@click.option("--rate", default=0.05, show_default=True, type=RATE, help="Adam's learning rate.")
@click.option("--keep", default=1.0, show_default=True, type=WEIGHT, help="Weight of what was not painted.")
@click.option("--prior", default=0.1, show_default=True, type=WEIGHT, help="Weight of the latents' prior; 0 for none.")
def edit(run, image, mask, count, out, seed, scale, split, judge, place, steps, rate, keep, prior) -> dict:
    """Find the samples that follow colours painted over samples of a run, or over an IMAGE of your own. The mask is a
    PNG of the run's size or a multiple, transparent where nothing is painted."""
    import numpy as np

    from ..data import to_unit
    from ..data.pixels import decode
    from ..gan.latents.edit import read_paint, study

    trainer, checkpoint, _, other = opened(run, split, judge, place)
    size, channels = trainer.options.size, trainer.info.shape[-1]
    paint, photos = read_paint(mask, size, channels), None
    if image is not None:
        if not image.is_file():
            raise ValueError(f"there is no file {image}")
        try:
            pixels, remarks = decode(image, size, grey=channels == 1)
        except ValueError as error:
            raise ValueError(f"{image}: {error}") from error
        for remark in remarks:
            echo(f"{image}: {remark}")
        photos = to_unit(pixels[None]).astype(np.float32)
    result = study(trainer, paint, photos, count, steps, rate, keep=keep, weight=prior, seed=seed, reader=other)
    return shown(result, checkpoint, out, "edit.png", scale)


@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option("-n", "--count", default=40, show_default=True, type=COUNT, help="Latents to begin from.")
@click.option("--reach", default=2.0, show_default=True, type=RATE, help="Each latent goes from -reach to reach.")
@click.option("-o", "--out", type=Picture(), help=f"{PICTURE} By default a new one in the first run's folder.")
@click.option("--seed", default=0, show_default=True, type=SEED, help="Seed of the latents and the rotation.")
@click.option("--data", "place", help=DATA)
def entanglement(runs, count, reach, out, seed, place) -> dict:
    """Count how many attributes one latent of each RUN moves, beside random directions, and compare the runs."""
    from ..gan.latents.factors import draw, factors_of

    figures, names, seen, folder = {}, {}, set(), None
    for run in runs:
        trainer, checkpoint, _, other = opened(run, "all", None, place)
        folder = folder or checkpoint.path.parent
        if checkpoint.path.resolve() in seen:
            raise ValueError(f"{run} is named twice")
        seen.add(checkpoint.path.resolve())
        kind = f"{trainer.options.system}, {trainer.options.data}"
        name = f"{kind}: {checkpoint.path.parent.name}"
        if name in names:  # another run of this name, or step of this run
            name = f"{kind}: {checkpoint.path.with_suffix('')}"
        names[name] = factors_of(trainer, count, reach, seed, other)
        echo(f"{name}, step {checkpoint.step}")
        for line in names[name].lines():
            echo(line)
        figures[name] = {"step": checkpoint.step, **names[name].as_dict()}
    out = out or free(folder, "entanglement.png")
    draw(out, names)
    echo(f"{len(names)} run{'s' * (len(names) > 1)}: {out}")
    return {"out": str(out), "runs": figures}
