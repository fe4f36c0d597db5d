"""`minigan grid`, `modes` and `bands`: tables of systems, cell by cell, to be stopped and gone on with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from .options import DEVICES, FOLDER, STEPS
from .spread import spread


def register(main: click.Group, command: Callable) -> None:
    """Add the commands; `command` makes a sub-command as minigan/cli/main.py does."""
    command(main, "grid", "Say which of four losses train on seven pairs of networks.")(grid)
    command(main, "modes", "How many of 1,000 modes of stacked digits are held.")(modes)
    command(main, "bands", "Bands of normal runs, which a run is compared with.")(bands)


def _seeds(context: click.Context, option: click.Parameter, text: str | None) -> list[int] | None:
    """Seeds as they are written, 11,12,13."""
    if text is None:
        return None
    try:
        return [click.IntRange(0, 2**64 - 1).convert(part, option, context) for part in text.split(",")]
    except click.BadParameter as error:
        raise click.BadParameter("seeds are whole numbers, as 11,12,13", context, option) from error


_SHARED = (
    click.option("--seeds", callback=_seeds, metavar="N,N,...", help="Seeds of the cells; by default from 11 on."),
    spread(2),
    click.option("--steps", type=STEPS, help="Generator steps a cell, in place of the setting's."),
    click.option("--device", default="cpu", show_default=True, help=DEVICES),
)


def _show(line: str) -> None:
    click.echo(line, err=True)


def _shared(function: Callable) -> Callable:
    for option in reversed(_SHARED):
        function = option(function)
    return function


@click.option("--quick", "size", flag_value="quick", default=True, help="About a minute a cell (the default).")
@click.option("--standard", "size", flag_value="standard", help="An evening on two cores.")
@click.option("--full", "size", flag_value="full", help="Wide networks, long runs, three seeds.")
@click.option("--out", type=FOLDER, help="Folder of the cells; grid-SETTING by default.")
@_shared
def grid(size, out, seeds, jobs, steps, device) -> dict:
    """Four losses on seven pairs of networks, and which of the 28 cells train by a stated criterion: the robustness
    grid of WGAN-GP's paper. Call it again to go on with an interrupted one."""
    from .. import backend
    from ..gan.tables import grid_page

    out = out or Path(f"grid-{size}")
    figures = grid_page.run(size, out, jobs, seeds, _show, backend.device(device), steps)
    click.echo(grid_page.text(figures))
    click.echo(f"written: {out / 'grid.md'}, {out / 'grid.png'}")
    return figures


@click.option("--out", default="modes", show_default=True, type=FOLDER, help="Folder of the cells.")
@click.option("--samples", default=25_600, show_default=True, type=click.IntRange(1000, 100_000), help="To be judged.")
@_shared
def modes(out, samples, seeds, jobs, steps, device) -> dict:
    """How many of the 1,000 modes of stacked digits each method holds, with a critic of a quarter of the published
    one's filters (Lin et al. 2018), beside published figures. Call it again to go on with an interrupted one."""
    from .. import backend
    from ..gan.tables import thousand

    figures = thousand.run(out, jobs, seeds, _show, backend.device(device), steps, samples)
    click.echo(thousand.text(figures))
    click.echo(f"written: {out / 'modes.md'}")
    return figures


@click.argument("systems", nargs=-1)
@click.option("--out", default="bands", show_default=True, type=FOLDER, help="Folder of the runs.")
@spread(2)
@click.option("--steps", default=250, show_default=True, type=click.IntRange(25, 10**9), help="Generator steps a run.")
def bands(systems, out, jobs, steps) -> dict:
    """Train five runs of all SYSTEMS of minigan train (or only the named ones) at their defaults, and write the band of
    each curve to OUT/bands.json. Copied to minigan/assets, it is what minigan train compares runs with. Call it again
    to go on with an interrupted one."""
    from ..gan.systems.table import SYSTEMS, system
    from ..gan.tables import normal_runs

    figures = normal_runs.run(
        out, [system(name).name for name in systems] or list(SYSTEMS), jobs=jobs, show=_show, steps=steps
    )
    for name, entry in figures.items():
        click.echo(f"{name:<12} {', '.join(entry['curves'])}")
    click.echo(f"written: {out / 'bands.json'}")
    return figures
