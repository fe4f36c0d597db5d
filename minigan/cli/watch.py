"""`minigan watch` and `minigan compare`: curves and samples of a run while it trains; of several runs side by side."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click

from .options import PICTURE, Picture, echo, free

WAYS = ("auto", "kitty", "sixel", "blocks", "characters", "none")
CLEAR = "\x1b[H\x1b[J"
"""To the upper left corner, and nothing below it."""


def register(main: click.Group, command: Callable) -> None:
    """Add the commands; `command` makes a sub-command as minigan/cli/main.py does."""
    command(main, "watch", "Show a run's curves and samples in the terminal, live.")(watch)
    command(main, "compare", "Draw the curves and figures of runs side by side.")(compare)


@click.argument("run", default="latest")
@click.option("--every", default=2.0, show_default=True, type=click.FloatRange(0.1, 3600), help="Seconds.")
@click.option("--once", is_flag=True, help="Show it once; also what is done where the output is no terminal.")
@click.option(
    "--pictures",
    default="auto",
    show_default=True,
    type=click.Choice(WAYS),
    help="How samples are shown: by what the terminal says it can, or as told.",
)
def watch(run, every, once, pictures) -> dict:
    """Show how far RUN is, its curves and its newest samples, until it ends or Ctrl-C. RUN is a run folder, or latest
    of those in runs/. It only reads: the training, in another terminal, goes on."""
    from ..gan.records import run_folder
    from ..watch import graphics, screen, snapshot

    folder = run_folder(run)
    once = once or not sys.stdout.isatty()
    way = graphics() if pictures == "auto" else pictures
    now = None
    while True:
        now = snapshot(folder, now)
        size = shutil.get_terminal_size((100, 40))
        click.echo(("" if once else CLEAR) + screen(now, size.columns, size.lines, way), nl=False)
        if once or now.ended:
            break
        time.sleep(every)
    return {"run": str(folder), "steps": now.steps, "done": now.ended, **(now.rows[-1] if now.rows else {})}


@click.argument("runs", nargs=-1, required=True)
@click.option("-o", "--out", type=Picture(), help=f"{PICTURE} By default a new compare.png in the current folder.")
def compare(runs, out) -> dict:
    """Draw the curves of RUNS above each other, their newest samples below, and print what differs: options, and the
    figures of their ends. Each of RUNS is a run folder."""
    from ..gan.records import run_folder
    from ..report.compare import draw, table

    folders = list({folder.resolve(): folder for folder in map(run_folder, runs)}.values())
    if len(folders) < 2:
        raise ValueError("compare: name at least two run folders")
    rows = table(folders)
    width = max(len(row[0]) for row in rows)
    for name, *values in rows:
        echo(f"{name:<{width}}  " + "  ".join(f"{value:>{VALUE}}" for value in values))
    out = out or free(Path(), "compare.png")
    draw(out, folders)
    echo(out)
    return {"out": str(out), "runs": [str(folder) for folder in folders], "rows": [list(row) for row in rows]}


VALUE = 14
"""Characters of a column."""
