"""Rows printed while a program runs: MINIGAN_DEBUG=1 to 4 in the environment, or `with minigan.profiler.debug(2):`.

1    number, order, milliseconds, op, shapes
2    and the range of the values, and the layer
3    and the equation, the kernels and why, the caller's line
4    and the first numbers of each result
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from . import table
from .tape import Row, Tape

VARIABLE, LEVELS, NUMBERS = "MINIGAN_DEBUG", (1, 2, 3, 4), 8


class Printer:
    """Prints each row at `level` as it is told of it, and keeps none."""

    def __init__(self, level: int, file: TextIO | None = None) -> None:
        if level not in LEVELS:
            raise ValueError(f"debug: level {level!r} is none of {', '.join(map(str, LEVELS))}")
        self.level, self.file = level, file

    def __call__(self, row: Row) -> None:
        """Print it."""
        out = sys.stderr if self.file is None else self.file
        if self.level == 1:
            shapes = f"{table.several(row.shapes, 34)} -> {table.several(row.results, 18)}"
            print(f"{row.number:>6} {row.order} {1000 * row.seconds:>8.3f} ms  {row.op:<18} {shapes}", file=out)
            return
        print(table.line(row), file=out)
        if self.level >= 3:
            print(table.detail(row), file=out)
        if self.level >= 4:
            print(f"{'':>20}  = {row.values}", file=out)


@contextmanager
def debug(level: int = 1, file: TextIO | None = None) -> Iterator[Tape]:
    """Within it every op of this thread is printed as it runs, to `file` or the standard error. Captured functions run
    eagerly. Yields the tape, which keeps no rows. Raises ValueError for a level other than 1 to 4."""
    with _tape(level, file) as tape:
        yield tape


def from_environment() -> None:
    """Begin, for the rest of the program, what MINIGAN_DEBUG says. Raises ValueError for what is no level."""
    words = os.environ.get(VARIABLE, "")
    if words in ("", "0"):
        return
    if words not in map(str, LEVELS):
        raise ValueError(f"{VARIABLE} is {words!r}; it can be {', '.join(map(str, LEVELS))}, or 0 for none")
    _tape(int(words)).__enter__()


def _tape(level: int, file: TextIO | None = None) -> Tape:
    return Tape(tell=Printer(level, file), values=NUMBERS if level >= 4 else 0, keep=False)
