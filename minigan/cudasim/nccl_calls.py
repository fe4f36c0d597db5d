"""Calls of NCCL as the ranks put them into their streams, and what each writes once those of all ranks are there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

DTYPES = "bBiIlLqQefd"
"""NumPy's characters of the types that NCCL knows; complex numbers are left out."""
OPS = {"sum": np.add, "prod": np.multiply, "max": np.maximum, "min": np.minimum}


class CollectiveError(RuntimeError):
    """Calls of NCCL that would hang, or give wrong numbers, on a GPU."""


@dataclass(eq=False)
class Call:
    """One call of a rank. shape: all in which the ranks' calls must agree. peer: of a message. source: a copy of what
    the stream would read; target: the memory that it writes."""

    rank: int
    number: int
    name: str
    shape: tuple
    peer: int | None = None
    source: np.ndarray | None = None
    target: np.ndarray | None = None
    done: bool = False

    def __str__(self) -> str:
        where = "" if self.peer is None else f" {'to' if self.name == 'send' else 'from'} rank {self.peer}"
        details = ", ".join(map(str, self.shape))
        return f"rank {self.rank}, call {self.number}: {self.name}({details}){where}"


@dataclass(eq=False)
class Entry:
    """What a stream holds at one place: a call, or the calls of a group. thread: that issued it."""

    rank: int
    calls: list[Call] = field(default_factory=list)
    thread: int = 0

    @property
    def done(self) -> bool:
        return all(call.done for call in self.calls)

    def next_collective(self) -> Call | None:
        """Its first collective that has not run."""
        return next((c for c in self.calls if not c.done and c.peer is None), None)


def _all_reduce(calls: list[Call]) -> Iterator[np.ndarray]:
    total = _reduced(calls)
    return (total for _ in calls)


def _reduced(calls: list[Call]) -> np.ndarray:
    """From the last rank to the first: NCCL promises no order, so nobody may count on that of the ranks."""
    op, total = OPS[calls[0].shape[2]], calls[-1].source.copy()
    for call in calls[-2::-1]:
        total = op(total, call.source)
    return total


def _reduce(calls: list[Call]) -> list[np.ndarray | None]:
    root = calls[0].shape[3]
    return [_reduced(calls) if call.rank == root else None for call in calls]


def _broadcast(calls: list[Call]) -> list[np.ndarray]:
    return [calls[calls[0].shape[2]].source] * len(calls)


def _reduce_scatter(calls: list[Call]) -> list[np.ndarray]:
    return np.split(_reduced(calls).ravel(), len(calls))


def _all_gather(calls: list[Call]) -> list[np.ndarray]:
    return [np.concatenate([call.source.ravel() for call in calls])] * len(calls)


COLLECTIVES: dict[str, Callable] = {
    "all_reduce": _all_reduce,
    "reduce": _reduce,
    "broadcast": _broadcast,
    "reduce_scatter": _reduce_scatter,
    "all_gather": _all_gather,
    "barrier": lambda calls: [None] * len(calls),
}
