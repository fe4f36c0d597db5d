"""The ranks of an MPI job, for `minigan.gan.parts`.

A sum is taken by slices: each rank gets one slice of every rank's vectors, adds these in the order of ranks, and gives
its sum to all (Alltoall, Allgather). The terms are added in one order, whatever the number of ranks, and each number is
sent about twice, as in a ring. The fast sum leaves the order to MPI's Allreduce, whose bits depend on that number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backend import host, namespace, on
from ..gan.parts import RankFailure, in_order

FAILED = 1 << 20
"""Agreed on where a rank has failed; signals have far smaller numbers."""


def slices_of(vectors: Sequence[np.ndarray], size: int) -> np.ndarray:
    """(size, vectors, width): for each rank its slice of each vector, of all but the end equally long, the end padded
    with zeros."""
    xp, length = namespace(vectors[0]), len(vectors[0])
    width = -(-length // size)
    whole, rest = divmod(length, width)
    slices = xp.zeros((size, len(vectors), width))
    for k, vector in enumerate(vectors):
        slices[:whole, k] = vector[: whole * width].reshape(whole, width)
        if rest:
            slices[whole, k, :rest] = vector[whole * width :]
    return slices


class MpiRanks:
    """The processes of MPI.COMM_WORLD, or of `comm`. fast: sums in MPI's own order. Raises ImportError without the
    package mpi4py."""

    def __init__(self, comm: Any = None, fast: bool = False) -> None:
        if comm is None:
            from mpi4py import MPI

            comm = MPI.COMM_WORLD
        self.comm, self.fast = comm, fast
        self.rank, self.size = comm.Get_rank(), comm.Get_size()

    def ordered_sum(self, vectors: Sequence[np.ndarray]) -> np.ndarray:
        """The sum of all vectors of all ranks, which is the same on every rank."""
        if self.fast:
            total = host(in_order(vectors))
            self.comm.Allreduce(total.copy(), total)
            return on(vectors[0], total)
        slices = slices_of([host(vector) for vector in vectors], self.size)
        received, total = np.empty_like(slices), np.empty(slices[:, 0].size)
        self.comm.Alltoall(slices, received)
        self.comm.Allgather(in_order(received.reshape(-1, slices.shape[2])), total)
        return on(vectors[0], total[: len(vectors[0])])

    def total(self, vectors: Sequence[np.ndarray]) -> np.ndarray:
        """The same sum of few numbers, in the middle of a pass: one exchange, which finds a failure, too."""
        every = self.comm.allgather(list(vectors))
        self._failures([n for n in every if isinstance(n, int)])
        return in_order([vector for own in every for vector in own])

    def agree(self, number: int) -> int:
        """The greatest of the ranks' numbers. Raises RankFailure, with its message, where one has failed."""
        numbers = self.comm.allgather(number)
        self._failures([n for n in numbers if n >= FAILED])
        return max(numbers)

    def _failures(self, numbers: Sequence[int]) -> None:
        if numbers:
            raise RankFailure(self.first([""]))

    def fail(self, message: str) -> None:
        """Tell the others, where they next agree, that this rank ends, and why."""
        self.comm.allgather(FAILED)
        self.first([f"rank {self.rank} of {self.size}: {message}"])

    def first(self, messages: Sequence[str]) -> str:
        """The first of all ranks' messages that says something."""
        every = [message for own in self.comm.allgather(list(messages)) for message in own]
        return next((message for message in every if message), "")

    def tell(self, what: Any) -> Any:
        """What rank 0 says, on every rank. Raises RankFailure where rank 0 could not say it: there `what` is an
        exception."""
        message = self.comm.bcast(what, 0)
        if isinstance(message, BaseException):
            raise RankFailure(str(message))
        return message
