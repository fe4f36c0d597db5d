"""Machine room, capture: the random numbers of a recorded run, and who may draw them.

A replay draws the next numbers of minigan's generators, by the ops that drew when it was recorded. Whatever else moves
a generator would be done at each eager call and at no replay: a seed set inside the step, a generator made or copied
there, a number drawn outside of all ops; and any draw of Python's or NumPy's.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import count

import numpy as np

from ..backend import Generator, default_generator
from .refusal import CaptureError, refusal

FOREIGN = (np.random.Generator, np.random.RandomState, random.Random)
MOVES = {
    function.__code__
    for function in (Generator.manual_seed, Generator.load_state_dict, Generator._draw, Generator.permutation)
}
"""Code that sets a generator, which making and copying one runs, and code that draws; that of ops is not reported."""
MOVED = (
    "a random generator is made, seeded, copied or moved inside the step (a layer that is built there draws too),"
    " and every replay would draw on from where it stands; do that outside, and draw with rand, randn and the like"
)


_turn = count()
"""What was first: that a generator was noted, or that an op drew from it."""


class Drawn:
    """Of each generator of minigan's that ops drew from: where the first one began, where the last one left it, and
    the turn of the first."""

    def __init__(self) -> None:
        self.streams: dict[int, tuple[Generator, dict, dict, int]] = {}

    def __iter__(self):
        return iter(self.streams.values())

    def before(self, stream: Generator, refuse: Callable[[CaptureError], None]) -> None:
        """An op is about to draw. Refused if the last one left the generator elsewhere."""
        now = stream.state_dict()
        _, _, left, _ = self.streams.setdefault(id(stream), (stream, now, now, next(_turn)))
        if now != left:
            refuse(refusal(MOVED))

    def after(self, stream: Generator) -> None:
        """It has drawn."""
        _, first, _, turn = self.streams[id(stream)]
        self.streams[id(stream)] = stream, first, stream.state_dict(), turn


class Draws:
    """Where all random numbers stood before the run, as far as the code names them. Another thread may draw meanwhile,
    so that of minigan's generators only those are looked at from which the run's own ops drew."""

    def __init__(self) -> None:
        self._globals = _global_states()
        self._foreign: dict[int, tuple[object, str, str]] = {}
        self._streams: dict[int, tuple[Generator, dict, int]] = {}
        self.note(default_generator, "")

    def note(self, generator: object, path: str) -> None:
        """A generator that stands at `path`; only the first time counts."""
        if isinstance(generator, Generator):
            self._streams.setdefault(id(generator), (generator, generator.state_dict(), next(_turn)))
        else:
            self._foreign.setdefault(id(generator), (generator, _state(generator), path))

    def go_back(self, drawn: Drawn) -> None:
        """Put the generators from which ops drew where they stood."""
        for stream, first, _, turn in drawn:
            stream.load_state_dict(self._before(stream, first, turn))

    def _before(self, stream: Generator, first: dict, turn: int) -> dict:
        """Where a generator stood before the run: as it was noted, unless an op had drawn from it by then."""
        _, before, noted = self._streams.get(id(stream), (stream, first, turn))
        return before if noted < turn else first

    def check(self, drawn: Drawn, refuse: Callable[[CaptureError], None]) -> None:
        """Refuse draws that a replay would not make."""
        for stream, first, left, turn in drawn:
            if first != self._before(stream, first, turn) or stream.state_dict() != left:
                refuse(refusal(MOVED))
        for whose, before, after in zip(("Python", "NumPy"), self._globals, _global_states(), strict=True):
            if before != after:
                refuse(refusal(foreign(whose)))
        for generator, state, path in self._foreign.values():
            if _state(generator) != state:
                refuse(refusal(foreign(f"{path} ({type(generator).__name__})")))


def foreign(whose: str) -> str:
    """What is wrong with such a draw."""
    return (f"a random number of {whose} is drawn inside the step and would be the same at every replay; draw with"
            " minigan (rand, randn, a Generator), or outside")  # fmt: skip


def _global_states() -> tuple:
    return random.getstate(), str(np.random.get_state(legacy=False))


def _state(generator) -> str:
    if isinstance(generator, random.SystemRandom):
        return ""  # of the system, which is asked for it
    return repr(generator.getstate() if isinstance(generator, random.Random) else generator.bit_generator.state
                if isinstance(generator, np.random.Generator) else generator.get_state(legacy=False))  # fmt: skip
