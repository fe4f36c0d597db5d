"""`minigan list`, `sample`, `eval`, `classifier` and `results`: what trained runs are worth."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from .options import DATA, DEVICES, FOLDER, IMAGES, PICTURE, SCALE, SEED, STEPS, Destination, Picture, Seeds, echo, free
from .spread import spread


def register(main: click.Group, command: Callable) -> None:
    """Add the commands; `command` makes a sub-command as minigan/cli/main.py does."""
    command(main, "list", "List the runs in a folder.")(list_)
    command(main, "sample", "Draw images from a trained generator.")(sample)
    command(main, "eval", "Score a trained generator's samples.")(evaluate)
    command(main, "classifier", "Train the classifier that judges samples of DATA.")(train_classifier)
    command(main, "results", "Train every system at its defaults; write the results page.")(results)


_truncation = click.option(
    "--truncation",
    type=click.FloatRange(0, 1),
    help="Of a style-based generator: how far styles are left from their mean, 1 as they are, 0 all alike.",
)


def _truncate(trainer, truncation: float | None) -> None:
    """Draw the trainer's samples truncated. Raises ValueError for a system without styles."""
    if truncation is None:
        return
    if not hasattr(trainer, "truncation"):
        from ..gan.systems.table import SYSTEMS

        names = ", ".join(name for name, row in SYSTEMS.items() if hasattr(row.trainer, "truncation"))
        raise ValueError(f"{trainer.options.system} has no styles; leave out --truncation, which is for: {names}")
    trainer.truncation = truncation


@click.option(
    "--runs", default="runs", show_default=True, type=click.Path(path_type=Path), help="Folder of run folders."
)
def list_(runs) -> list:
    """List the runs in a folder."""
    from ..gan.run import list_runs

    rows = list_runs(runs)
    if not rows:
        echo(f"no runs in {runs}/")
    for r in rows:
        if "problem" in r:
            echo(f"{r['run']:<32} {r['problem']}")
            continue
        score = "" if r["confident"] is None else f"  {r['confident']:.1%} confident"
        echo(f"{r['run']:<32} {r['system']:<8} {r['data']:<8} step {r['steps_done']} of {r['steps']}{score}")
    return rows


@click.argument("run")
@click.option("-n", "--count", default=64, show_default=True, type=IMAGES, help="How many images.")
@click.option("-o", "--out", type=Picture(), help=f"{PICTURE} By default a new sheet.png in the run's folder.")
@click.option("--seed", default=0, show_default=True, type=SEED, help="Seed of the latents.")
@click.option("--scale", default=2, show_default=True, type=SCALE, help="Pixels per pixel.")
@_truncation
@click.option("--data", "place", help=DATA)
@click.option("--device", default="cpu", show_default=True, help=DEVICES)
def sample(run, count, out, seed, scale, truncation, place, device) -> dict:
    """Draw images from a trained generator. RUN is a run folder, a checkpoint file, or latest."""
    from .. import backend, viz
    from ..gan.run import SAMPLE_STREAM, load_trainer

    trainer, checkpoint = load_trainer(run, device=backend.device(device), with_data=False, place=place)
    _truncate(trainer, truncation)
    out = out or free(checkpoint.path.parent, "sheet.png")
    viz.save_grid(out, trainer.draw(count, backend.Generator(seed, SAMPLE_STREAM)), scale=scale)
    echo(f"{count} images from step {checkpoint.step} of {checkpoint.path.parent} in {out}")
    return {"out": str(out), "count": count, "step": checkpoint.step}


@click.argument("run")
@click.option(
    "-n", "--count", type=click.IntRange(2, IMAGES.max), help="How many samples to judge: 5000, of a toy run 2500."
)
@click.option("--seed", default=0, show_default=True, type=SEED, help="Seed of the latents.")
@click.option(
    "--split",
    default="test",
    show_default=True,
    type=click.Choice(["validation", "test", "all"]),
    help="Held-out images to judge by: validation to choose settings, test to report figures.",
)
@_truncation
@click.option("--data", "place", help=DATA)
@click.option("--device", default="cpu", show_default=True, help=f"{DEVICES} Samples are judged on the CPU.")
def evaluate(run, count, seed, split, truncation, place, device) -> dict:
    """Score a trained generator's samples: images with the shipped classifier, points by their modes. RUN is a run
    folder (of train or toy), a checkpoint file, or latest."""
    from .. import backend

    where = backend.device(device)
    if (Path(run) / "figures.json").is_file():
        from ..gan.toy import run as toyrun

        if split != "test":
            raise ValueError(f"a run of points has no held-out images; leave out --split {split}")
        if truncation is not None:
            raise ValueError("a run of points has no styles; leave out --truncation")
        figures = toyrun.evaluate(run, count or 2500, seed)
        echo(toyrun.line(figures))
        return figures
    from ..gan.run import SAMPLE_STREAM, append_metric, load_trainer

    trainer, checkpoint = load_trainer(run, device=where, place=place)
    _truncate(trainer, truncation)
    observation = trainer.observe_on(split, count or 5000, backend.Generator(seed, SAMPLE_STREAM))
    append_metric(checkpoint.path.parent, checkpoint.step, observation, "eval")
    part = "all held-out images" if split == "all" else f"the {split} half of the held-out images"
    echo(f"step {checkpoint.step} of {checkpoint.path.parent}, by {part}:")
    for line in observation.lines:
        echo(line)
    return {"step": checkpoint.step, **observation.figures}


@click.argument("data_name", metavar="DATA")
@click.option("--epochs", default=20, show_default=True, type=STEPS, help="Passes over the training split.")
@click.option("--seed", default=0, show_default=True, type=SEED, help="Seed of the weights, the order and the dropout.")
@click.option("--attributes", "by_attributes", is_flag=True, help="Of attributes; for a set without classes always.")
@click.option("--device", default="cpu", show_default=True, help=DEVICES)
@click.option("--out", type=FOLDER, help="Folder to write to; by default one in the user's cache.")
def train_classifier(data_name, epochs, seed, by_attributes, device, out) -> dict:
    """Train the classifier that judges samples of DATA."""
    from .. import backend, data
    from ..gan.metrics import attributes, classifier

    dataset = data.load(data_name)
    by_attributes |= dataset.labels is None and dataset.attributes is not None
    kind = attributes if by_attributes else classifier
    with backend.device(device):
        model = kind.train(
            dataset, epochs, seed, lambda epoch, value: click.echo(f"epoch {epoch}/{epochs}  loss {value:.4f}")
        )
    folder = classifier.kept(data_name)
    if by_attributes:
        folder = folder.with_name(f"{folder.name}-attributes")
    path = kind.save(model, dataset, out or folder, epochs)
    right = kind.accuracy(model, dataset)
    for name, share in (right if by_attributes else {"class": right}).items():
        echo(f"{name}: {share:.2%} of the {len(dataset.held_out)} held-out images right")
    echo(f"written to {path}")
    return {"held_out_accuracy": right, "out": str(path)}


@click.argument("names", nargs=-1)
@click.option(
    "--seeds", default="11,12,13", show_default=True, type=Seeds(), help="Of each system's runs, parted by commas."
)
@click.option("--steps", type=STEPS, help="Generator steps of every run; by default each system's own.")
@spread(1)
@click.option("--root", default="results", show_default=True, type=FOLDER, help="Of the runs.")
@click.option("--out", default="RESULTS.md", show_default=True, type=Destination(), help="Page; pictures beside it.")
def results(names, seeds, steps, jobs, root, out) -> list:
    """Train every system (or only the rows NAMES) at its defaults, judge it by the test half of the held-out images and
    write the results page. Call it again to go on with an interrupted one."""
    from ..gan import results as page

    table = page.build(page.rows(names), seeds, root, out, click.echo, steps, jobs)
    for row in table:
        for seed, figures in zip(seeds, row["figures"], strict=True):
            if names := page.winners(figures):
                echo(f"red: {row['name']}, seed {seed}: no better than {', '.join(names)}")
    echo(f"{len(table)} rows in {out}")
    return table
