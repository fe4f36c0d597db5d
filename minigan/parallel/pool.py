"""Cells of a table on the ranks of an MPI job: the first rank hands them out, the others compute.

A cell is a function of a module and its arguments, as for a pool of processes. What each leaves behind, a line of a
file or a checkpoint, it writes itself, so a job that was ended goes on where it stopped when it is started again.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager

from ..backend import set_num_threads

_pool: Executor | None = None


def pool() -> Executor | None:
    """The other ranks, on the first one within `leading`; None elsewhere."""
    return _pool


@contextmanager
def leading() -> Iterator[None]:
    """On rank 0: within it the others take cells. What is raised here ends them all, after a line that says it."""
    from mpi4py import MPI
    from mpi4py.futures import MPICommExecutor

    global _pool
    with MPICommExecutor(MPI.COMM_WORLD, 0) as _pool:
        try:
            yield
        except BaseException as error:
            interrupted = isinstance(error, KeyboardInterrupt)
            print("stopped by Ctrl-C" if interrupted else f"Error: {error}", file=sys.stderr, flush=True)
            MPI.COMM_WORLD.Abort(130 if interrupted else 1)  # else the cells that they are at would be waited for
        finally:
            _pool = None


def serve() -> None:
    """On the other ranks: compute what rank 0 hands out, a thread each, until it has no more."""
    from mpi4py import MPI
    from mpi4py.futures import MPICommExecutor

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    set_num_threads(1)
    with MPICommExecutor(MPI.COMM_WORLD, 0):
        pass
