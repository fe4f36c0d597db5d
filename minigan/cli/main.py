"""The `minigan` command: its group, its errors and its exit statuses; the commands are in the files beside.

Each sub-command reads its options, calls the library, and prints; nothing is computed here. A file holds the commands
of one subject, and a function `register` that adds them.

Exit status: 0 done, 1 something failed while running (one line says what), 2 wrong usage, 130 / 143 stopped by Ctrl-C /
SIGTERM.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps

import click

from .. import __version__
from . import check, data, docs, interpolate, judge, ops, toy, train, translate, traverse


@contextmanager
def _one_line_errors() -> Iterator[None]:
    """One line and an exit status for the library's errors: 2 for a wrong value, 1 for what failed while running."""
    from ..backend import DeviceError
    from ..checkpoint import CheckpointError
    from ..cudasim import KernelError
    from ..gan.train import TrainingError

    try:
        yield
    except (CheckpointError, TrainingError, DeviceError, KernelError, OSError, MemoryError) as error:
        raise click.ClickException(str(error) or type(error).__name__) from error
    except (ValueError, TypeError) as error:
        raise click.UsageError(str(error)) from error


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


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="minigan")
def main() -> None:
    """Train, look at and check GANs built from scratch."""


for commands in (train, judge, toy, check, ops, docs, data, interpolate, translate, traverse):
    commands.register(main, _command)
