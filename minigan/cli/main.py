"""The `minigan` command: its group, its errors and its exit statuses; the commands are in the files beside.

Each sub-command reads its options, calls the library, and prints; nothing is computed here. A file holds the commands
of one subject, and a function `register` that adds them.

Exit status: 0 done, 1 something failed while running (one line says what), 2 wrong usage, 130 / 143 stopped by Ctrl-C /
SIGTERM, wherever that was.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps

import click

from .. import __version__, _starting
from .._terminal import printable
from . import (
    check,
    data,
    docs,
    draw,
    export,
    film,
    grid,
    interpolate,
    judge,
    lab,
    latents,
    learn,
    nightly,
    ops,
    report,
    scale,
    strip,
    summary,
    torture,
    toy,
    trace,
    train,
    translate,
    traverse,
    upscale,
    watch,
)


@contextmanager
def _one_line_errors() -> Iterator[None]:
    """One line and an exit status for the library's errors: 2 for a wrong value, 1 for what failed while running."""
    from ..backend import DeviceError
    from ..checkpoint import CheckpointError
    from ..cudasim import KernelError
    from ..gan.train import Stopped, TrainingError

    try:
        yield
    except BrokenPipeError:  # click ends quietly: nobody reads on
        raise
    except Stopped as stopped:  # it has said where, and how to go on
        sys.exit(stopped.code)
    except (CheckpointError, TrainingError, DeviceError, KernelError, OSError, MemoryError) as error:
        raise click.ClickException(printable(str(error) or type(error).__name__)) from error
    except (ValueError, TypeError, OverflowError) as error:
        raise click.UsageError(printable(error)) from error


def _command(group: click.Group, name: str, summary: str, kind: type[click.Command] = click.Command) -> Callable:
    """A sub-command whose figures, if it returns any, are the last line of JSON under --json; `passed: false` exits
    with 1. `summary` is its line in the group's --help: at 80 columns it has to fit whole."""

    def decorate(function: Callable) -> click.Command:
        @click.option("--json", "as_json", is_flag=True, help="Print the figures as one last line of JSON.")
        @wraps(function)
        def run(as_json: bool, **options):
            with _one_line_errors():
                figures = function(**options)
            if as_json:
                click.echo(json.dumps(figures))
            if isinstance(figures, dict) and figures.get("passed") is False:
                sys.exit(1)

        return group.command(name, cls=kind, short_help=summary)(run)

    return decorate


class _Group(click.Group):
    """The command itself: Ctrl-C is one line and status 130 wherever it comes."""

    def main(self, *args, **settings):
        """What the shell calls."""
        _starting.end()
        warnings.formatwarning = lambda message, *place: f"warning: {message}\n"  # of the program, not of its source
        try:
            return super().main(*args, **settings)
        except SystemExit as error:
            launch = sys.modules.get("minigan.parallel.launch")
            if launch is not None and _starting.command:  # a rank, or the process that started ranks
                launch.leave(error.code)
            raise

    def invoke(self, ctx: click.Context):
        """Run the sub-command that the words name."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("stopped by Ctrl-C", err=True)
            ctx.exit(130)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="minigan")
def main() -> None:
    """Train, look at and check GANs built from scratch."""


for commands in (
    train,
    judge,
    toy,
    check,
    trace,
    summary,
    ops,
    docs,
    data,
    interpolate,
    draw,
    translate,
    traverse,
    upscale,
    film,
    latents,
    report,
    scale,
    export,
    nightly,
    torture,
    strip,
    lab,
    watch,
    grid,
    learn,
):
    commands.register(main, _command)
