"""The ranks of an MPI job with a GPU each: gradients are added in the GPUs' memory by NCCL, all else is said by MPI.

The sum is MPI's (`mpi.MpiRanks`), slice by slice, in the same order and with the same bits as on any number of ranks;
the arrays never come to the host. The calls go to the current stream, after what made the vectors and before what reads
the sum. The fast sum is NCCL's own all_reduce.

No GPU has run this. `cudasim.nccl` is a model of NCCL in which it runs, on N simulated devices.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backend import namespace
from ..gan.parts import in_order
from .mpi import MpiRanks, slices_of


class NcclRanks:
    """The ranks of `control`, whose sums of gradients are taken by `backend`, a communicator of cupyx.distributed; by
    default one of a GPU each, which MPI introduces. Raises ImportError without CuPy, RuntimeError without NCCL."""

    def __init__(self, control: MpiRanks, backend: Any = None) -> None:
        if backend is None:
            from cupyx.distributed import NCCLBackend

            backend = NCCLBackend(control.size, control.rank, use_mpi=True)
        self.control, self.backend = control, backend
        self.rank, self.size = control.rank, control.size
        self.total, self.agree = control.total, control.agree
        self.fail, self.first, self.tell = control.fail, control.first, control.tell

    def ordered_sum(self, vectors: Sequence[np.ndarray]) -> np.ndarray:
        """The sum of all vectors of all ranks, arrays of the GPU, which is the same on every rank."""
        xp = namespace(vectors[0])
        if self.control.fast:
            own = in_order(vectors)
            total = xp.empty_like(own)
            self.backend.all_reduce(own, total)
            return total
        slices = slices_of(vectors, self.size)
        width = slices.shape[2]
        received, total = xp.empty_like(slices), xp.empty(self.size * width)
        self.backend.all_to_all(slices, received)
        self.backend.all_gather(in_order(received.reshape(-1, width)), total, width)
        return total[: len(vectors[0])]


def over(ranks: MpiRanks, device: str) -> MpiRanks | NcclRanks:
    """The ranks as a trainer on a device shares its parts among them: on "cuda" NCCL adds."""
    return NcclRanks(ranks) if device == "cuda" and ranks.size > 1 else ranks
