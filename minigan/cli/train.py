"""`minigan train` and `minigan systems`: train a system, and what can be trained."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path

import click

from ..gan.options import Options


def register(main: click.Group, command: Callable) -> None:
    """Add the commands; `command` makes a sub-command as minigan/cli/main.py does."""
    command(main, "train", "Train a GAN: wgan-gp, or SYSTEM of `minigan systems`.")(train)
    command(main, "systems", "List the systems: defaults, data sets, options they take.")(systems)


def _system_options(function: Callable) -> Callable:
    """An option of the command for every field of `gan.options.Options`."""
    kinds = {"int": int, "float": float, "str": str}
    for f in reversed(fields(Options)):
        if "help" not in f.metadata:
            continue
        name = f.name.replace("_", "-")
        flag = {"capture": "--capture/--eager"}.get(
            f.name, f"--{name}/--no-{name}" if f.type == "bool" else f"--{name}"
        )
        settings = {} if f.type == "bool" else {"type": kinds[f.type]}
        function = click.option(flag, default=None, help=f.metadata["help"], **settings)(function)
    return function


@click.argument("system", required=False)
@_system_options
@click.option("--out", type=click.Path(path_type=Path), help="Run folder; by default the next number in runs/.")
@click.option(
    "--resume", metavar="latest|DIR|FILE", help="Go on with a run from its newest whole checkpoint, or from FILE."
)
@click.option("-n", "--dry-run", is_flag=True, help="Show the options and the parameter counts, and stop.")
@click.option("--fast-dev-run", is_flag=True, help="Two steps on small batches: does everything work?")
def train(system, out, resume, dry_run, fast_dev_run, **given) -> dict:
    """Train a GAN: SYSTEM is wgan-gp (the default) or another of `minigan systems`."""
    from ..gan.run import Run, Stopped
    from ..gan.systems.table import options_for, trainer_for

    changes = {k: v for k, v in given.items() if v is not None}
    if resume:
        named = [system] * (system is not None) + sorted(changes.keys() - {"steps"}) + ["out"] * (out is not None)
        if named:
            raise ValueError(
                f"--resume takes all options but --steps from the run itself; leave out: {', '.join(named)}"
            )
        run = Run.resume(resume, steps=changes.get("steps"))
    else:
        if fast_dev_run:
            changes = {"steps": 2, "batch_size": 8} | changes
        options = options_for(system or "wgan-gp", **changes)
        if dry_run:
            from .. import data

            trainer = trainer_for(options, data.load(options.data, size=options.size))
            counts = {name: sum(p.data.size for p in m.parameters()) for name, m in trainer.networks().items()}
            figures = {"options": asdict(options), "parameters": counts}
            click.echo(json.dumps(figures, indent=1))
            return figures
        run = Run.create(options, out)
    try:
        return run.train()
    except Stopped as stopped:
        sys.exit(stopped.code)


def systems() -> list:
    """List the systems that `minigan train` knows, with their default data sets and the options they take."""
    from ..gan.systems.table import SYSTEMS

    for row in SYSTEMS.values():
        click.echo(f"{row.name:<10} {row.what} ({row.paper}); data {row.options.data}")
    return [
        {"name": row.name, "what": row.what, "paper": row.paper, "data": row.options.data, "takes": sorted(row.takes)}
        for row in SYSTEMS.values()
    ]
