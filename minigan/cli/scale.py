"""`minigan scale`: what more machines would bring, by a model of this one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import click

from .options import PICTURE, SOME, Picture, free


def register(main: click.Group, command: Callable) -> None:
    """Add the command; `command` makes a sub-command as minigan/cli/main.py does."""
    command(main, "scale", "What more ranks would bring: a cost model, stragglers, failures.")(scale)


@click.argument("system", default="wgan-gp")
@click.option("--measure", is_flag=True, help="Take times of SYSTEM on 1, 2 and 4 ranks here first (a minute or two).")
@click.option(
    "--times", type=click.Path(dir_okay=False, path_type=Path), help="Where measured times are kept; scale.json."
)
@click.option("--batch-size", default=64, show_default=True, type=SOME, help="Images a step.")
@click.option("--checkpoint", "cost", default=60.0, show_default=True, type=float, help="Seconds that one takes.")
@click.option("--restart", default=300.0, show_default=True, type=float, help="Seconds after a failure.")
@click.option("--years", default=2.0, show_default=True, type=float, help="Between failures of one machine.")
@click.option("-o", "--out", type=Picture(), help=f"{PICTURE} By default a new scale.png.")
def scale(system, measure, times, batch_size, cost, restart, years, out) -> dict:
    """Say from which batch on 8 to 4,096 ranks pay, by networks and ways to add; what stragglers cost; how often to
    save. Without --measure or --times, from the times that come with minigan (wgan-gp)."""
    from .._files import atomic_write
    from ..scaling import measure as timing
    from ..scaling import picture, tables

    if measure:
        times = times or Path("scale.json")
        taken = timing.take(system, (16, 24, 32, 48, 64, 96, 128), show=lambda line: click.echo(line, err=True))
        atomic_write(times, json.dumps(taken, indent=1))
    measured = tables.load(times or tables.MEASURED)
    if measured["system"] != system:
        raise ValueError(f"these times are of {measured['system']}; take some of {system}: add --measure")
    if not (0 < cost < 1e9 and 0 < years < 1e9 and 0 <= restart < 1e9):
        raise ValueError("--checkpoint and --years must be positive, --restart not negative, and all below a billion")
    machine, work, rows = tables.fitted(measured)
    click.echo(f"{system} on {measured['cores']} cores, load {measured['load']:.1f}: times and model")
    click.echo("\n".join(tables.fit_lines(machine, rows)))
    ranks = tables.ranks_table(machine, work)
    click.echo("\nThe batch from which ranks beat half as many (and at which half of their time is useful)")
    click.echo("\n".join(tables.ranks_lines(ranks)))
    best = {name: tables.quickest(machine.on(name), work, batch_size) for name in tables.NETWORKS}
    words = [f"{name}: {n} ranks, {times:.1f} times as quick as one" for name, (n, times) in best.items()]
    click.echo(f"\nA batch of {batch_size} is quickest with\n" + "\n".join(words))
    slow = tables.stragglers(machine.on("ethernet-100"), work, (1, 8, 64, 512), 16)
    click.echo("\nA step of 16 images a rank, ethernet-100, with stragglers")
    click.echo("\n".join(tables.straggler_lines(slow)))
    saves = tables.checkpoints(years=years, cost=cost, restart=restart)
    click.echo(f"\nHow often to save: {cost:g} s a checkpoint, {restart:g} s a restart, {years:g} years a machine")
    click.echo("\n".join(tables.checkpoint_lines(saves)))
    out = out or free(Path(), "scale.png")
    picture.save(out, machine, work, rows, system, batch_size)
    click.echo(f"\nwritten: {out}")
    return {"out": str(out), "fit": rows, "ranks": ranks, "quickest": best, "stragglers": slow, "checkpoints": saves}
