"""`minigan train` and `minigan systems`: train a system, and what can be trained."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import Field, fields
from functools import partial
from importlib.util import find_spec
from typing import ClassVar

import click

from ..gan.options import GROUPS
from ..gan.systems.table import SYSTEMS, system
from .options import FOLDER, echo

DEFAULT = "wgan-gp"


def register(main: click.Group, command: Callable) -> None:
    """Add the commands; `command` makes a sub-command as minigan/cli/main.py does."""
    command(main, "train", "Train a GAN: wgan-gp, or SYSTEM of `minigan systems`.", TrainCommand)(train)
    command(main, "systems", "List the systems: what each does, its paper and data set.")(systems)


def _declaration(name: str, kind: str) -> str:
    """How an option is written: --batch-size, --spectral/--no-spectral."""
    if name == "capture":
        return "--capture/--eager"
    flag = "--" + name.replace("_", "-")
    return f"{flag}/--no-{flag[2:]}" if kind == "bool" else flag


def _all_options() -> dict[str, Field]:
    """The options of all systems, by name."""
    return {f.name: f for row in SYSTEMS.values() for f in fields(row.options) if "help" in f.metadata}


BARE = "\0"
"""What stands for an option's value where none is given."""


class SystemValue(click.ParamType):
    """An option's value, of the type that it has in the system that is named: `adversarial` is a weight or a word."""

    KINDS: ClassVar = {"int": click.INT, "float": click.FLOAT, "str": click.STRING}

    def __init__(self, option: Field) -> None:
        self.option, self.name = option, self.KINDS[option.type].name

    def convert(self, value, param, ctx):
        row = SYSTEMS.get(ctx.meta["system"])
        own = {f.name: f for f in fields(row.options)} if row else {}
        option = own.get(self.option.name, self.option)
        if value == BARE:
            value = option.metadata.get("bare")
            if value is None:
                self.fail(f"needs a value for {ctx.meta['system']}", param, ctx)
        return self.KINDS[option.type].convert(value, param, ctx)


def _system_options(function: Callable) -> Callable:
    """An option of the command for every option of every system; `options_for` refuses those of another system."""
    bare = {f.name for row in SYSTEMS.values() for f in fields(row.options) if f.metadata.get("bare") is not None}
    for option in reversed(_all_options().values()):
        settings = {} if option.type == "bool" else {"type": SystemValue(option)}
        if option.name in bare:
            settings |= {"is_flag": False, "flag_value": BARE}
        declaration = _declaration(option.name, option.type)
        function = click.option(declaration, default=None, help=option.metadata["help"], **settings)(function)
    return function


class TrainCommand(click.Command):
    """A command whose --help shows the options of the system that is named, by groups, with defaults and choices."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Look for the system's name first, wherever it stands: --help is answered before arguments are read."""
        try:
            values, _, _ = self.make_parser(ctx).parse_args(list(args))
        except click.UsageError:
            values = {}
        name = values.get("system")
        ctx.meta["arguments"] = ["train", *args]
        ctx.meta["system"] = name if isinstance(name, str) else DEFAULT
        return super().parse_args(ctx, args)

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The docstring, and what the system is."""
        super().format_help_text(ctx, formatter)
        row = self._row(ctx)
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(f"{row.name}: {row.what} ({row.paper}). These are its options.")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The system's options by groups, then those of the command itself."""
        options = [f for f in fields(self._row(ctx).options) if "help" in f.metadata]
        for group in GROUPS:
            rows = [f for f in options if f.metadata["group"] == group]
            if not rows:
                continue
            with formatter.section(group):
                formatter.write_dl([(_declaration(f.name, f.type), self._help(ctx, f)) for f in rows])
        own = [p for p in self.get_params(ctx) if isinstance(p, click.Option) and p.name not in _all_options()]
        with formatter.section("This command"):
            formatter.write_dl([p.get_help_record(ctx) for p in own])

    def _help(self, ctx: click.Context, option: Field) -> str:
        value, choices = getattr(self._row(ctx).options, option.name), option.metadata["choices"]
        shown = "" if value == "" else f"  [default: {str(value).lower() if option.type == 'bool' else value}]"
        return option.metadata["help"] + (f" One of: {', '.join(choices)}." if choices else "") + shown

    def _row(self, ctx: click.Context):
        try:
            return system(ctx.meta["system"])
        except ValueError as error:
            raise click.UsageError(str(error), ctx) from error


@click.argument("system", required=False)
@_system_options
@click.option("--out", type=FOLDER, help="Run folder; by default the next number in runs/.")
@click.option(
    "--resume", metavar="latest|DIR|FILE", help="Go on with a run from its newest whole checkpoint, or from FILE."
)
@click.option(
    "-n",
    "--dry-run",
    is_flag=True,
    help="Show the options, the networks layer by layer, time and memory, and stop.",
)
@click.option(
    "--fast-dev-run",
    is_flag=True,
    help="Two steps on small batches, but for options that are named beside it: does everything work?",
)
@click.option(
    "--report/--no-report", default=None, help="A page of the run at its end; by default after 200 steps or more."
)
@click.option(
    "--log",
    type=click.Choice(("tensorboard",)),
    help="Event files in the run's folder, too; see: tensorboard --logdir.",
)
@click.option(
    "--ranks",
    type=click.IntRange(1, 4096),
    help="Processes that share the parts of each batch (MPI); 4 parts by default.",
)
@click.option("--fast-sum", is_flag=True, help="Add gradients in MPI's own order: quicker, other bits for other ranks.")
def train(system, out, resume, dry_run, fast_dev_run, report, log, ranks, fast_sum, **options) -> dict:
    """Train a GAN: SYSTEM is wgan-gp (the default) or another of `minigan systems`. Each has options of its own: see
    minigan train SYSTEM --help."""
    from minigan.kernels import ahead

    from ..gan import _dry_run
    from ..gan.run import Run, load_trainer
    from ..gan.systems.table import options_for
    from .report import written

    changes = {k: v for k, v in options.items() if v is not None}
    if log and find_spec("tensorboardX") is None:
        raise click.ClickException(
            '--log tensorboard needs the package tensorboardX: pip install "minigan[tensorboard]"'
        )
    if fast_sum and not ranks:
        raise ValueError("--fast-sum is for gradients of several ranks: add --ranks, or leave it out")
    if resume:
        own = {"steps", "keep", "data", "device"}
        further = {"out": out, "dry_run": dry_run, "fast_dev_run": fast_dev_run}
        surplus = [system] * (system is not None) + sorted(changes.keys() - own) + [k for k, v in further.items() if v]
        if surplus:
            raise ValueError(
                "--resume takes all options but --steps, --keep and --device from the run itself, and --data says where"
                f" its folder lies now; leave out: {', '.join(surplus)}"
            )
        new_run = partial(Run.resume, resume, place=changes.pop("data", None), **changes)
    else:
        if fast_dev_run:
            changes = {"steps": 2, "batch_size": 8} | changes
        if ranks:
            changes = {"parts": 4 if 4 % ranks == 0 else ranks} | changes
        config = options_for(system or DEFAULT, **changes)
        if dry_run:
            figures = _dry_run.dry_run(config)
            click.echo(_dry_run.text(config, figures))
            return figures
        new_run = partial(Run.create, config, out)
    if ranks in (None, 1):
        from ..parallel import launch

        if launch.inside() and launch.world() > 1:
            raise ValueError(f"this is one of {launch.world()} processes that mpiexec or srun started: add --ranks")
        ahead.start()
    run = new_run() if ranks in (None, 1) else _first_of(ranks, fast_sum, new_run)
    if log:
        from ..export.tensorboard import EventFiles

        run.listeners.append(EventFiles(run.folder, run.trainer.steps_done))
    figures = run.train()
    if report or (report is None and run.options.steps >= REPORTED):
        try:
            written(*load_trainer(str(run.folder)), run.folder / "report.html")
        except (ValueError, ArithmeticError) as error:  # the run is done all the same
            echo(f"no report.html: {error}")
    return figures


def _first_of(count: int, fast: bool, new_run: Callable):
    """On the first of `count` ranks, the run that they share. Where there are no ranks yet, they are started, with this
    command's own words; they, and all ranks but the first, end in click's Exit."""
    from ..gan.train import TrainingError
    from ..parallel import launch

    if not launch.inside():
        raise click.exceptions.Exit(launch.launch(count, click.get_current_context().meta["arguments"]))
    from ..gan.parts import RankFailure
    from ..parallel.follow import follow, lead
    from ..parallel.mpi import MpiRanks

    launch.take_own_gpu()
    ranks = MpiRanks(fast=fast)
    if ranks.size != count:
        raise ValueError(f"--ranks {count}, but this is one of {ranks.size} processes that mpiexec or srun started")
    if not ranks.rank:
        return lead(ranks, new_run)
    with suppress(RankFailure, TrainingError):  # the first rank says it, and gives the exit status
        follow(ranks)
    raise click.exceptions.Exit(0)


REPORTED = 200
"""Steps from which a run gets a page."""


def systems() -> list:
    """List the systems that `minigan train` knows, with their papers and default data sets; with
    --json also the options that each takes. `minigan train NAME --help` explains those."""
    for row in SYSTEMS.values():
        click.echo(f"{row.name:<10} {row.what} ({row.paper}); data {row.options.data}")
    return [
        {"name": row.name, "what": row.what, "paper": row.paper, "data": row.options.data, "takes": sorted(row.takes)}
        for row in SYSTEMS.values()
    ]
