"""A batch in parts, whose gradients are computed apart and added in their order, so that ranks can share them.

    g = (((g_1 + g_2) + g_3) + ... + g_P) / P          g_p: of the mean loss of part p, batch_size / P images

The sum is taken in this order wherever its terms were computed. A run in P parts therefore has the same bits on one
process, on 2 ranks or on P of them, and goes on with another number. In a part, part p draws from the streams of random
numbers p * APART further on, and takes the p-th of the next P batches of images: nothing has to be sent but sums. What
looks across a batch sees its part only; the buffers that it moves are averaged like gradients. Batch norm alone can be
told to look at all parts (`synchronised`), by sums on its way (ops/across.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..autograd import Tensor, detect_anomaly, no_grad
from ..backend import float64, host, namespace
from ..ops.across import Group
from ..ops.basic import cast
from ..ops.index import stack

if TYPE_CHECKING:
    from .players import HalfStep

APART = 1 << 20
"""Between the numbers of a stream in one part and in the next; a system's own streams have far smaller ones."""
FINE = "the loss or a gradient is not finite, but every op is when run again"


class RankFailure(RuntimeError):
    """Another process of this training failed; the message is its own."""


class Ranks(Protocol):
    """The processes that share a training, this one being number `rank` of `size`."""

    rank: int
    size: int

    def ordered_sum(self, vectors: Sequence[np.ndarray]) -> np.ndarray:
        """The sum of all vectors of all ranks, rank by rank, added one after the other; the same on every rank."""
        ...

    def total(self, vectors: Sequence[np.ndarray]) -> np.ndarray:
        """The same sum of few numbers, in the middle of a pass. Raises RankFailure where a rank has failed."""
        ...

    def agree(self, number: int) -> int:
        """The greatest of the ranks' numbers. Raises RankFailure where one has failed."""
        ...

    def fail(self, message: str) -> None:
        """Tell the others, where they next agree, that this rank ends."""
        ...

    def first(self, messages: Sequence[str]) -> str:
        """The first of all ranks' messages, which every rank gets."""
        ...


class OneProcess:
    """One process that has all parts."""

    rank, size = 0, 1

    def ordered_sum(self, vectors: Sequence[np.ndarray]) -> np.ndarray:
        """The vectors added one after the other."""
        return in_order(vectors)

    def total(self, vectors: Sequence[np.ndarray]) -> np.ndarray:
        """The same."""
        return in_order(vectors)

    def agree(self, number: int) -> int:
        """The number itself."""
        return number

    def fail(self, message: str) -> None:
        """Nobody else has to know."""

    def first(self, messages: Sequence[str]) -> str:
        """The first message."""
        return messages[0]


def in_order(vectors: Sequence[np.ndarray]) -> np.ndarray:
    """The sum of vectors, added one after the other."""
    total = vectors[0].copy()
    for vector in vectors[1:]:
        total += vector
    return total


class Parts:
    """How a trainer's half-steps are computed: whole, or in `count` parts of which `ranks` gives this process some.

    synchronised: batch norm's statistics are those of all parts. group: the parts as batch norm knows them.
    """

    def __init__(self, count: int = 1, ranks: Ranks | None = None, synchronised: bool = False) -> None:
        self.count, self.synchronised = count, synchronised and count > 1
        self.group = Group(count, lambda vector: self.ranks.total([vector]))
        self.ranks: Ranks = OneProcess()
        self._step, self._batches = -1, dict[int, dict[str, np.ndarray]]()
        self.share(ranks or self.ranks)

    def share(self, ranks: Ranks) -> None:
        """Let `ranks` share the parts. Raises ValueError unless each gets as many."""
        if self.count % ranks.size:
            raise ValueError(
                f"{ranks.size} ranks cannot share {self.count} parts equally; take a number of ranks that divides it,"
                " or a new run with other --parts"
            )
        self.ranks = ranks

    @property
    def own(self) -> range:
        """The parts of this process."""
        each = self.count // self.ranks.size
        return range(self.ranks.rank * each, (self.ranks.rank + 1) * each)

    def gradients(self, trainer: Any, half_step: HalfStep) -> dict[str, float]:
        """Feed the batch and put the gradient of what the player minimises into the .grad of its parameters; returns
        the figures."""
        if self.count == 1:
            half_step.feed()
            return numbers(half_step.player.gradients())
        params = half_step.player.params
        self.group.begin()
        pools = [trainer.memory[name] for name in trainer.pools]
        old = [t.data.copy() for t in pools]
        every = [t for network in trainer.trained().values() for t in network.buffers()]  # counts, too
        buffers = [t for t in every if t.dtype.kind == "f"]
        before = [t.data.copy() for t in every]
        start, vectors, figures = trainer.counters(), [], {}
        for part in self.own:
            for t, array in zip((*every, *pools), (*before, *old), strict=True):
                t.assign(Tensor(array))
            self._feed(trainer, half_step, start, part)
            figures = numbers(half_step.player.gradients())
            slopes = [p.grad for p in params]
            arrays = [*(g.data for g in slopes if g is not None), *(t.data for t in buffers)]
            arrays += [t.data.astype(float64) - was for t, was in zip(pools, old, strict=True)]
            xp = namespace(arrays[0])
            lines = [a.astype(float64).ravel() for a in arrays]
            vectors.append(xp.concatenate([*lines, xp.asarray(list(figures.values()))]))
        trainer.set_counters(_after(start, trainer.counters(), part, self.count))
        self.ranks.agree(0)
        mean = self.ranks.ordered_sum(vectors) / self.count
        slopes = [g for g in slopes if g is not None]
        ends = [0, *accumulate(math.prod(t.shape) for t in (*slopes, *buffers, *pools))]
        arrays, values = [mean[start:end] for start, end in pairwise(ends)], host(mean[ends[-1] :])
        for t, array in zip((*slopes, *buffers), arrays, strict=False):
            t.assign(Tensor(array.reshape(t.shape).astype(t.dtype)))
        for t, was, change in zip(pools, old, arrays[len(slopes) + len(buffers) :], strict=True):
            t.assign(Tensor((was + self.count * change.reshape(t.shape)).astype(t.dtype)))
        figures = dict(zip(figures, values.tolist(), strict=True))
        moved = [p for p in params if p.grad is not None]
        squares = {id(p): float(xp.sum(xp.square(a))) for p, a in zip(moved, arrays, strict=False)}
        for name, key in (("critic", "d_weight_gradient"), ("generator", "g_weight_gradient")):
            if key in figures:  # the length of the sum of the parts' gradients, not the mean of their lengths
                own = trainer.players[name].params
                figures[key] = float(np.sqrt(sum(squares.get(id(p), 0.0) for p in own)))
        for player in half_step.player.players:
            trainer.correct(player.params)
        return figures

    def culprit(self, trainer: Any, half_step: HalfStep) -> str:
        """Run a half-step again, op by op, on the unchanged weights, random numbers and data: the first op that leaves
        the finite numbers."""
        start, messages = trainer.counters(), []
        for part in self.own:
            if self.count > 1:
                self._feed(trainer, half_step, start, part)
            try:
                with detect_anomaly(), self.group.again():
                    half_step.player.gradients()
            except FloatingPointError as error:
                messages.append(str(error))
        return self.ranks.first(messages or [""]) or FINE

    def stop(self, number: int | None) -> int | None:
        """The signal, of any rank, that ends the run before its next step."""
        return self.ranks.agree(number or 0) or None

    @contextmanager
    def together(self) -> Iterator[None]:
        """While the ranks train: one that fails tells the others, who raise RankFailure."""
        try:
            yield
        except RankFailure:
            raise
        except BaseException as error:
            self.ranks.fail(str(error) or type(error).__name__)
            raise

    def _feed(self, trainer: Any, half_step: HalfStep, start: Mapping, part: int) -> None:
        """The batch and the random numbers of a part, where the half-step began at the counters `start`. What an
        earlier half-step of this step fed, a later one finds again."""
        trainer.set_counters(_shifted(start, part))
        if self._step != trainer.steps_done:
            self._step, self._batches = trainer.steps_done, {}
        if len(self.own) > 1:
            for name, array in self._batches.get(part, {}).items():
                trainer.batch[name].assign(Tensor(array))
        half_step.feed()
        if len(self.own) > 1:
            self._batches[part] = {name: t.data.copy() for name, t in trainer.batch.items()}


def numbers(tensors: Mapping[Any, Tensor]) -> dict[Any, float]:
    """The values of tensors of no axes, fetched as one array: a device is waited for once."""
    with no_grad():
        values = host(stack([cast(t, float64) for t in tensors.values()]).data)
    return dict(zip(tensors, values.tolist(), strict=True))


def _shifted(start: Mapping, part: int) -> dict:
    """The counters of random streams and of data at the beginning of a part, where those of the whole batch are
    `start`."""
    counters = {}
    for name, value in start.items():
        if not isinstance(value, Mapping):
            counters[name] = value + part if name == "step" else value
        elif "stream" in value:
            counters[name] = {**value, "stream": value["stream"] + part * APART}
        else:
            counters[name] = _shifted(value, part)
    return counters


def _after(start: Mapping, end: Mapping, part: int, count: int) -> dict:
    """The counters after all of `count` parts, one of which ended at `end`: as many numbers drawn from each stream, as
    many batches taken by each part."""
    counters = {}
    for name, value in start.items():
        if not isinstance(value, Mapping):
            counters[name] = value + count * (end[name] - value - part) if name == "step" else value
        elif "stream" in value:
            counters[name] = {**end[name], "stream": value["stream"]}
        else:
            counters[name] = _after(value, end[name], part, count)
    return counters
