"""Ways to add a vector over p ranks and give all of them the sum, as rounds of messages.

A message of n bytes takes a + n b seconds, latency and bandwidth (Hockney 1994); adding n numbers takes n c. In a round
each rank sends at most one message and takes at most one.

    way       rounds                  bytes a rank sends        order of the terms
    slices    2 (p - 1)               (k + 1) N (p - 1) / p     that of the parts: minigan's (`parallel.mpi`)
    chain     p - 1 + ceil(log2 p)    N a round                 that of the parts
    tree      2 ceil(log2 p)          N a round                 depends on p
    ring      2 (p - 1)               2 N (p - 1) / p           depends on p (Patarasuk & Yuan 2009)

N is the vector's bytes, k the parts of a rank: with slices their vectors travel unadded. A tree of another number of
ranks than a power of two may take a round less.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

import numpy as np

WAYS = ("slices", "chain", "tree", "ring")
WIDTH = 8
"""Bytes of a number: sums are taken in float64."""


@dataclass(frozen=True)
class Round:
    """Messages at one time. sources, targets: their ranks; size: of each, in bytes; adds: numbers that each target adds
    afterwards."""

    sources: np.ndarray
    targets: np.ndarray
    size: float
    adds: float = 0.0


def rounds(way: str, ranks: int, numbers: int, parts: int = 1) -> Iterator[Round]:
    """The rounds of a sum of `numbers` numbers over `ranks` ranks with `parts` parts each. Raises ValueError for an
    unknown way."""
    if way not in WAYS:
        raise ValueError(f"no way to add is called {way!r}; there are: {', '.join(WAYS)}")
    every, size, share = np.arange(ranks), WIDTH * numbers, numbers / ranks
    depth = ceil(np.log2(ranks)) if ranks > 1 else 0
    if way == "slices":
        for k in range(1, ranks):
            last = k == ranks - 1
            yield Round(every, (every + k) % ranks, WIDTH * parts * share, (ranks * parts - 1) * share * last)
        for k in range(1, ranks):
            yield Round(every, (every + k) % ranks, WIDTH * share)
    elif way == "ring":
        for k in range(2 * (ranks - 1)):
            yield Round(every, (every + 1) % ranks, WIDTH * share, share * (k < ranks - 1))
    elif way == "chain":
        for k in range(ranks - 1):
            yield Round(every[k : k + 1], every[k + 1 : k + 2], size, parts * numbers)
        yield from _outwards(every[::-1], depth, size)
    else:
        for k in range(depth):  # to rank 0, halving
            sources = every[1 << k :: 1 << (k + 1)]
            yield Round(sources, sources - (1 << k), size, numbers)
        yield from _outwards(every, depth, size)


def _outwards(order: np.ndarray, depth: int, size: float) -> Iterator[Round]:
    """From order[0] to all, twice as many in each round."""
    for k in range(depth):
        sources = order[: min(1 << k, len(order) - (1 << k))]
        yield Round(sources, order[1 << k : (1 << k) + len(sources)], size)


def costs(way: str, ranks: int, numbers: int, parts: int = 1) -> tuple[float, float, float]:
    """(messages one after the other, bytes one after the other, additions one after the other) of a sum that all ranks
    begin at once: the closed forms. What a rank adds of its own parts before is not among them."""
    if ranks == 1:
        return 0, 0.0, 0.0
    size, share, depth = WIDTH * numbers, (ranks - 1) / ranks, ceil(np.log2(ranks))
    if way == "slices":
        return 2 * (ranks - 1), (parts + 1) * size * share, (parts - 1 / ranks) * numbers
    if way == "ring":
        return 2 * (ranks - 1), 2 * size * share, numbers * share
    if way == "chain":
        hops = ranks - 1
        return hops + depth, (hops + depth) * size, hops * parts * numbers
    return 2 * depth, 2 * depth * size, depth * numbers


def run(
    ready: np.ndarray,
    way: str,
    numbers: int,
    latency: float,
    seconds_a_byte: float,
    seconds_an_addition: float,
    parts: int = 1,
) -> np.ndarray:
    """When each rank has the sum, in seconds, where rank i is ready at ready[i]: message by message. A message leaves
    when its source is free, and arrives when its target is."""
    times = np.array(ready, float)
    for step in rounds(way, len(times), numbers, parts):
        sent = times[step.sources] + latency + step.size * seconds_a_byte
        arrival = np.maximum(sent, times[step.targets]) + step.adds * seconds_an_addition
        times[step.sources] = np.maximum(times[step.sources], sent)
        times[step.targets] = np.maximum(times[step.targets], arrival)
    return times
