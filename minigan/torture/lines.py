"""A line of the torture: a claim, and cases that try to break it.

Case k of a line draws all its choices from np.random.default_rng([seed, k]), so that each can be run again alone. It
returns what happened, in a word or two, and raises Fault where the claim is broken; any other exception is a fault too.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

Case = Callable[[int, np.random.Generator], str]
NOT_HERE = "not reached: "
"""How the outcome of a case begins that this machine has not what it needs for."""
SHOWN = 20
"""Faults of a line that are written down."""


class Fault(Exception):
    """What a line claims not to happen."""


@dataclass(frozen=True)
class Line:
    """name, claim: words. count: cases at full scale. setting: a context in a fresh folder that gives the case."""

    name: str
    claim: str
    count: int
    setting: Callable[[Path], contextlib.AbstractContextManager[Case]]


@dataclass(frozen=True)
class Outcome:
    """What became of a line. tally: outcome -> cases. faults: (number of the case, words), the first of `broken`."""

    line: str
    seed: int
    cases: int
    seconds: float
    broken: int
    tally: dict[str, int]
    faults: list[list] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether the claim stands."""
        return not self.broken

    def words(self) -> str:
        """The figures of the line."""
        counts = ", ".join(f"{count:,} {what}" for what, count in self.tally.items())
        return f"{self.cases:,} cases: {counts or 'none'}" + (f"; {self.broken:,} BROKEN" if self.broken else "")


LINES: dict[str, Line] = {}


def line(name: str, count: int, claim: str) -> Callable:
    """Make a line of a generator function (folder) -> yields its case, once."""

    def register(setting: Callable[[Path], Iterator[Case]]) -> Line:
        LINES[name] = Line(name, claim, count, contextlib.contextmanager(setting))
        return LINES[name]

    return register


def run(line: Line, seed: int, count: int, case: int | None = None) -> Outcome:
    """Run `count` cases of a line, or only number `case`, in a folder of their own. What the cases print is dropped."""
    tally, faults, broken, start = Counter(), [], 0, time.monotonic()
    numbers = range(count) if case is None else [case]
    with (
        tempfile.TemporaryDirectory() as folder,
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()) as printed,
        contextlib.redirect_stderr(printed),
    ):
        warnings.simplefilter("ignore")
        with line.setting(Path(folder)) as act:
            for k in numbers:
                try:
                    tally[act(k, np.random.default_rng([seed, k]))] += 1
                except Exception as error:
                    words = str(error) if isinstance(error, Fault) else f"{type(error).__name__}: {error}"
                    broken += 1
                    if len(faults) < SHOWN:
                        faults.append([k, words.replace("\n", " ")[:400]])
                printed.truncate(0)
    seconds = round(time.monotonic() - start, 1)
    return Outcome(line.name, seed, len(numbers), seconds, broken, dict(sorted(tally.items())), faults)


def require(condition: object, words: str) -> None:
    """Raises Fault unless the condition holds."""
    if not condition:
        raise Fault(words)


def one_line(error: BaseException, kinds: tuple[type[BaseException], ...]) -> str:
    """The message of an error that should be of one of these kinds and say in one line what is wrong; else Fault."""
    text = str(error)
    require(isinstance(error, kinds), f"{type(error).__name__} in place of a clear error: {text[:200]}")
    require(text and "\n" not in text.strip() and len(text) < 2000, f"the error is not one line: {text[:300]!r}")
    return text
