"""`--jobs` and `--ranks`: the cells of a table on processes of this machine, or on the ranks of an MPI job."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps

import click

from .options import SOME


def spread(jobs: int) -> Callable:
    """Add both options to a command that takes `jobs`, of which so many are the default. With --ranks the first rank
    runs the command, and hands out its cells."""

    def add(command: Callable) -> Callable:
        @wraps(command)
        def run(*arguments, ranks=None, **options):
            if ranks is None:
                return command(*arguments, **options)
            return _on_ranks(ranks, lambda: command(*arguments, **options))

        for option in (RANKS, click.option("--jobs", default=jobs, show_default=True, type=SOME, help=JOBS)):
            run = option(run)
        return run

    return add


JOBS = "Cells at a time, a process each."
RANKS = click.option(
    "--ranks", type=click.IntRange(2, 4096), help="The same by MPI: one process hands out cells, the others compute."
)


def _on_ranks(count: int, command: Callable):
    """What the command returns, on the first of `count` ranks. Where there are none yet, they are started; they, and
    all ranks but the first, end in click's Exit."""
    from ..parallel import launch

    if not launch.inside():
        raise click.exceptions.Exit(launch.launch(count, sys.argv[1:], "call it again to go on"))
    from mpi4py import MPI

    from ..parallel import pool

    if (size := MPI.COMM_WORLD.Get_size()) != count:
        raise ValueError(f"--ranks {count}, but this is one of {size} processes that mpiexec or srun started")
    if MPI.COMM_WORLD.Get_rank():
        pool.serve()
        raise click.exceptions.Exit(0)
    with pool.leading():
        return command()
