"""The parts of a batch that one process has, side by side through a step, where each needs the others' sums.

Batch norm over the whole batch (`--sync-norm`) asks for a sum over all parts in the middle of a pass. A process with
one part waits there for the other processes. One with several parts gives each a trainer of its own, in a thread of its
own, and the threads take turns: one runs to where it needs a sum, then the next, and so on, and from the last one the
turn goes back to the first, which adds them up. Never do two run at once, so nothing depends on their speeds. All
trainers take the same steps and stay equal to the bit; the first one is the run's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextvars import copy_context
from functools import wraps
from itertools import chain
from typing import Any

import numpy as np

from ..backend import float64, get_num_threads, set_num_threads
from .parts import Ranks


class Turns:
    """Functions that run in turn, from one meeting to the next."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.turns = [threading.Semaphore(0) for _ in range(count)]
        self.values: list[Any] = [None] * count
        self.result: Any = None

    def meet(self, number: int, value: Any, combine: Callable[[list], Any]) -> Any:
        """combine(the values that all functions bring to this meeting), on each of them. What it raises, or an
        exception that one of them brings, is raised in all."""
        self.values[number] = value
        self.turns[(number + 1) % self.count].release()
        self._wait(number)
        if number == 0:  # the thread that began: MPI may know no other
            failure = next((v for v in self.values if isinstance(v, BaseException)), None)
            try:
                self.result = failure or combine(self.values)
            except BaseException as error:
                self.result = error
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result

    def _wait(self, number: int) -> None:
        """Until it is this function's turn; an interrupt is raised then, since before it would be another's."""
        interrupt = None
        while True:
            try:
                self.turns[number].acquire()
                break
            except KeyboardInterrupt as error:
                interrupt = error
        if interrupt is not None:
            raise interrupt

    def run(self, functions: Sequence[Callable[[], Any]]) -> Any:
        """What the first one returns, which runs in this thread. Raises what the first one to fail has raised."""
        threads_of_kernels = get_num_threads()

        def other(number: int) -> None:
            self.turns[number].acquire()
            set_num_threads(threads_of_kernels)
            try:
                self._one(number, functions[number])
            except BaseException as error:  # the first function raises it in its own thread
                if error is not self.result:
                    raise
            finally:
                if number < self.count - 1:
                    self.turns[number + 1].release()

        threads = [threading.Thread(target=copy_context().run, args=(other, k)) for k in range(1, self.count)]
        for thread in threads:
            thread.start()
        try:
            return self._one(0, functions[0])
        finally:
            self.turns[1].release()
            for thread in threads:
                thread.join()

    def _one(self, number: int, function: Callable[[], Any]) -> Any:
        try:
            result = function()
        except BaseException as error:
            if error is not self.result:
                self.meet(number, error, list)
            raise
        self.meet(number, None, list)
        return result


class Seat:
    """One of the functions that run in turn, as a rank: those of this process, times the processes of `outer`."""

    def __init__(self, turns: Turns, number: int, outer: Ranks) -> None:
        self.turns, self.number, self.outer = turns, number, outer
        self.rank, self.size = outer.rank * turns.count + number, outer.size * turns.count

    def ordered_sum(self, vectors: Sequence[np.ndarray]) -> np.ndarray:
        """As of `outer`, of this process's vectors in their order."""
        return self._meet(vectors, lambda every: self.outer.ordered_sum(list(chain(*every))))

    def total(self, vectors: Sequence[np.ndarray]) -> np.ndarray:
        """The same of few numbers."""
        return self._meet(vectors, lambda every: self.outer.total(list(chain(*every))))

    def agree(self, number: int) -> int:
        """The greatest number of all."""
        return self._meet(number, lambda every: self.outer.agree(max(every)))

    def fail(self, message: str) -> None:
        """Nothing to tell: an exception ends the turns of all, and the process tells the others."""

    def first(self, messages: Sequence[str]) -> str:
        """The first message of all that says something."""
        return self._meet(messages, lambda every: self.outer.first(list(chain(*every))))

    def _meet(self, value: Any, combine: Callable[[list], Any]) -> Any:
        return self.turns.meet(self.number, value, combine)


class Lockstep:
    """The trainers of a process's parts: the run's own, and one beside it for each further part."""

    def __init__(self, trainer: Any) -> None:
        self.trainer = trainer
        arrays, rest = trainer.state()
        self.others = [type(trainer)(trainer.run_options, trainer.dataset) for _ in trainer.parts.own[1:]]
        for other in self.others:
            if trainer.dtype == float64:
                other.double()
            other.restore(arrays, rest)

    def step(self, first: Callable[[], Any]) -> Any:
        """One step of all, `first` being that of the run's own trainer; returns what it returns."""
        parts, turns = self.trainer.parts, Turns(1 + len(self.others))
        seats = [Seat(turns, k, parts.ranks) for k in range(turns.count)]
        for other, seat in zip(self.others, seats[1:], strict=True):
            other.parts.share(seat)
        outer = parts.ranks
        parts.ranks = seats[0]
        try:
            return turns.run([first, *(other.step for other in self.others)])
        finally:
            parts.ranks = outer


def side_by_side(step: Callable) -> Callable:
    """A trainer's step, with the steps of its other parts' trainers beside it where they need one another."""

    @wraps(step)
    def run(self: Any) -> Any:
        if not (self.parts.synchronised and len(self.parts.own) > 1):
            return step(self)
        if self.lockstep is None:
            self.lockstep = Lockstep(self)
        return self.lockstep.step(lambda: step(self))

    return run
