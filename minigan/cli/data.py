"""`minigan data`: list the data sets, fetch and check one by its name, draw a sheet of one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from .options import PICTURE, Picture, echo, free


class _Names(click.Group):
    """A group in which any other word is the name of a data set: `minigan data mnist` is `minigan data get mnist`."""

    def resolve_command(self, ctx: click.Context, args: list[str]):
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            args = ["get", *args]
        return super().resolve_command(ctx, args)


_path = click.option("--path", type=click.Path(path_type=Path), help="Where the set lies; else it is searched for.")
_size = click.option("--size", type=int, help="Height and width that photographs are read at.")
_out = click.option("-o", "--out", type=Picture(), help=PICTURE)


def register(main: click.Group, command: Callable) -> None:
    """Add the commands; `command` makes a sub-command as minigan/cli/main.py does."""
    group = _Names(
        "data",
        help="The data sets: list, show NAME, or NAME itself (mnist, folder:PATH, ...) to fetch and check it.",
        short_help="The data sets: list them, show one, or fetch and check one.",
    )
    main.add_command(group)
    command(group, "list", "List the data sets.")(data_list)
    command(group, "get", "Find or download a data set, and check it.")(data_get)
    command(group, "show", "Draw a labelled sheet of a data set's images.")(data_show)


def data_list() -> list:
    """List the data sets."""
    from .. import data

    rows = []
    for info in data.DATASETS.values():
        height, width, channels = info.shape
        click.echo(
            f"{info.name:<13} {info.count:>7} images {height}x{width}x{channels}  {info.description} ({info.licence})"
        )
        embedded = info.name in data.EMBEDDED
        rows.append(
            {
                "name": info.name,
                "count": info.count,
                "shape": info.shape,
                "licence": info.licence,
                "embedded": embedded,
            }
        )
    click.echo(f"in the package: {', '.join(data.EMBEDDED)}; the others by: minigan data NAME; yours: folder:PATH")
    return rows


@click.argument("name")
@_path
@_size
@_out
@click.option("--no-download", is_flag=True, help="Only look in the places at hand.")
@click.option("--notes", "all_notes", is_flag=True, help="List every image that was skipped or changed.")
def data_get(name, path, size, out, no_download, all_notes) -> dict:
    """Find a data set, download it where it is nowhere at hand, check it, and say what it holds."""
    from .. import data, viz

    _require_one_size(name, size)
    dataset = data.load(name, path, size, fetch=not no_download)
    info = dataset.info
    for note in dataset.notes if all_notes else data.shown(dataset.notes, where="by --notes"):
        echo(note)
    height, width, channels = info.shape
    echo(f"{info.name}: {info.description}")
    echo(
        f"{len(dataset.train):,} images {height}x{width}x{channels} to train on, {len(dataset.held_out):,} held out;"
        f" {info.licence}"
    )
    echo(f"read from {dataset.where}")
    if info.class_names:
        echo(f"classes: {', '.join(info.class_names)}")
    if dataset.pairs is not None:
        echo(f"true pairs held out: {len(dataset.pairs)} of {', '.join(info.pair_names)}")
    if out:
        viz.save_data_sheet(out, dataset)
        echo(f"sheet: {out}")
    return {
        "name": info.name,
        "where": str(dataset.where),
        "shape": info.shape,
        "train": len(dataset.train),
        "held_out": len(dataset.held_out),
        "classes": list(info.class_names),
        "pairs": 0 if dataset.pairs is None else len(dataset.pairs),
        "notes": list(dataset.notes),
    }


@click.argument("name")
@_path
@_size
@_out
def data_show(name, path, size, out) -> dict:
    """Draw a labelled sheet of a data set's images, by default a new NAME.png."""
    from .. import data, viz

    _require_one_size(name, size)
    out = out or free(Path(), f"{data.slug(name)}.png")
    dataset = data.load(name, path, size)
    viz.save_data_sheet(out, dataset)
    echo(f"{dataset.info.description}: {out}")
    return {"out": str(out)}


def _require_one_size(name: str, size: int | None) -> None:
    """Raises ValueError where folder:PATH,size=... and --size contradict each other."""
    from ..data.folder import parse

    folder = parse(name)
    if folder and folder.size and size and folder.size != size:
        raise ValueError(f"{name} says size={folder.size}, and --size is {size}; give it once")
