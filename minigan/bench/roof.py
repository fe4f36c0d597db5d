"""The roof of this machine, by loops of its own: no kernel of minigan and no library computes faster.

    arithmetic    s_k = s_k + a b for independent vectors s_k that never leave their registers: the multiply-add units
                  work in every cycle, and nothing else does
    memory        copy b = a, triad c = a + s b (McCalpin 1995, "STREAM") and a sum, each thread on arrays of its own

    roof of F operations on B bytes:    time >= max(F / peak, B / bandwidth)      (Williams, Waterman & Patterson 2009)

A roof is a maximum, so the figure is the best of several rounds: whatever else runs can only slow them; and seconds in
which a thread waits for a core do not count. Two things hold it to reason. The clock is measured by a chain of integer
operations, each of which takes one cycle; peak divided by clock and width is how many vectors the units multiply a
cycle, and must be near a whole number. And BLAS's largest product must stay below.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from math import log2

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..kernels.work import aligned
from .processor import instructions, lanes

ROUNDS, SECONDS = 15, 0.006
"""Rounds, and the length of one."""

SIZES = tuple(1 << bits for bits in (16, 19, 22, 25, 28))
"""Bytes that a pass over memory reads and writes, on each thread: from the first cache to memory."""


@intrinsic(prefer_literal=True)
def chains(typingctx, lanes, count, turns, out):
    """`turns` times: count multiply-adds of vectors that do not wait for each other. At address `out` lie a and b;
    there the sum of the vectors goes."""
    width, number = lanes.literal_value, count.literal_value

    def codegen(context, builder, signature, arguments):
        turns, out = arguments[2:]
        integer, vector = ir.IntType(64), ir.VectorType(ir.FloatType(), width)
        kind = ir.FunctionType(vector, [vector] * 3)
        fma = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.v{width}f32")
        place = builder.inttoptr(out, ir.PointerType())
        second = builder.gep(place, [ir.Constant(integer, 1)], source_etype=vector)
        a, b = (builder.load(at, typ=vector, align=4) for at in (place, second))
        before, loop, after = builder.block, builder.append_basic_block("loop"), builder.append_basic_block("after")
        builder.branch(loop)
        builder.position_at_end(loop)
        turn = builder.phi(integer)
        sums = [builder.phi(vector) for _ in range(number)]
        following = [builder.call(fma, [a, b, s]) for s in sums]
        next_turn = builder.add(turn, ir.Constant(integer, 1))
        builder.cbranch(builder.icmp_signed("<", next_turn, turns), loop, after)
        turn.add_incoming(ir.Constant(integer, 0), before)
        turn.add_incoming(next_turn, loop)
        for k, (s, then) in enumerate(zip(sums, following, strict=True)):
            s.add_incoming(ir.Constant(vector, [1 + 1 / (k + j + 2) for j in range(width)]), before)
            s.add_incoming(then, loop)
        builder.position_at_end(after)
        total = following[0]
        for value in following[1:]:
            total = builder.fadd(total, value)
        builder.store(total, place, align=4)
        return context.get_dummy_value()

    return types.void(lanes, count, types.int64, types.int64), codegen


def count_of(lanes: int) -> int:
    """How many chains keep every unit busy (two or four units, four cycles each) and fit the registers."""
    return 12 if lanes == 8 else 16  # AVX2 has 16 registers, and two hold a and b; others have 32


def _multiplying(lanes: int) -> Callable:
    count = count_of(lanes)

    @numba.njit(nogil=True)
    def run(turns, out):
        chains(lanes, count, turns, out.ctypes.data)

    return run


@numba.njit(nogil=True)
def _cycles(turns, a, b):
    x = np.int64(1)
    for _ in range(turns):  # two operations, each waiting for the one before
        x = (x ^ a) + b
    return x


@numba.njit(nogil=True)
def _copy(turns, a, b, c):
    for _ in range(turns):
        for i in range(a.size):
            b[i] = a[i]


@numba.njit(nogil=True, fastmath={"contract"})
def _triad(turns, a, b, c):
    for _ in range(turns):
        for i in range(a.size):
            c[i] = a[i] + np.float32(0.5) * b[i]


@numba.njit(nogil=True, fastmath={"reassoc", "contract"})
def _sum(turns, a, b, c):
    for _ in range(turns):
        total = np.float32(0)
        for i in range(a.size):
            total += a[i]
        c[0] = total


STREAMS = {"copy": (_copy, 2), "triad": (_triad, 3), "sum": (_sum, 1)}
"""The passes, and how many arrays of equal size each reads and writes."""


def clock() -> float:
    """Cycles a second of one core while it computes."""
    return 2 * _fastest([lambda turns: _cycles(turns, np.int64(0x5DEECE66D), np.int64(11))])


def multiply_adds(threads: int) -> float:
    """Operations a second of all threads together, a multiply-add counted as two; float32."""
    width = lanes()
    run = _multiplying(width)
    sums = [aligned(2 * width) for _ in range(threads)]
    for array in sums:
        array.fill(1e-3)
    return 2 * width * count_of(width) * _fastest([lambda turns, out=out: run(turns, out) for out in sums])


def stream(name: str, nbytes: int, threads: int) -> float:
    """Bytes a second of all threads together; each passes over `nbytes` of its own."""
    run, arrays = STREAMS[name]
    size = nbytes // arrays // 4
    parts = [[aligned(size if k < arrays else 1) for k in range(3)] for _ in range(threads)]
    for part in parts:
        for array in part:
            array.fill(0.5)
    return 4 * size * arrays * _fastest([lambda turns, part=part: run(turns, *part) for part in parts])


def _fastest(runs: list[Callable[[int], object]]) -> float:
    """Turns a second of all runs together, one on each thread, all at once: the best of the rounds. Seconds are those
    in which a thread had a core, of the thread that needed most."""

    def timed(run: Callable[[int], object], turns: int) -> float:
        start = time.thread_time()
        run(turns)
        return time.thread_time() - start

    with ThreadPoolExecutor(len(runs)) as pool:

        def seconds(turns: int) -> float:
            return max(task.result() for task in [pool.submit(timed, run, turns) for run in runs])

        seconds(1)  # compiled, and every page there
        turns = 1
        while (best := min(seconds(turns) for _ in range(ROUNDS))) < SECONDS / 2:
            turns = max(2 * turns, int(turns * min(SECONDS / max(best, 1e-9), 1000)))
        return len(runs) * turns / best


@dataclass(frozen=True)
class Roof:
    """What `threads` threads of a machine can do at most.

    instructions: AVX-512, AVX2, SSE or NEON. lanes: of its vectors. clock: cycles a second. peak: operations a second.
    streams: {pass: bytes a second, on the largest arrays}. caches: {bytes that each thread passes over: bytes a second
    of all, by the fastest of the passes that write}.
    """

    threads: int
    instructions: str
    lanes: int
    clock: float
    peak: float
    streams: dict[str, float]
    caches: dict[int, float]

    @property
    def units(self) -> float:
        """Vectors that a core multiplies and adds in a cycle: near 1 or 2, or there is something wrong."""
        return self.peak / self.threads / (2 * self.lanes * self.clock)

    @property
    def bandwidth(self) -> float:
        """Bytes a second of a pass over memory that reads and writes."""
        return max(self.streams["copy"], self.streams["triad"])

    def moved(self, nbytes: float) -> float:
        """Bytes a second of a pass by all threads over `nbytes` together, from the nearest sizes."""
        sizes = sorted(self.caches)
        places, rates = [log2(size) for size in sizes], [self.caches[size] for size in sizes]
        return float(np.interp(log2(max(nbytes / self.threads, 1)), places, rates))

    def seconds(self, flops: float, nbytes: float) -> float:
        """The least time that these operations on these bytes take."""
        return max(flops / self.peak, nbytes / self.moved(nbytes))

    def as_dict(self) -> dict:
        """The figures, ready for JSON."""
        return {**asdict(self), "units": self.units, "bandwidth": self.bandwidth}


def measure(threads: int) -> Roof:
    """The roof of this machine for that many threads: some five seconds."""
    caches = {size: max(stream(name, size, threads) for name in ("copy", "triad")) for size in SIZES[:-1]}
    streams = {name: stream(name, SIZES[-1], threads) for name in STREAMS}
    caches[SIZES[-1]] = max(streams["copy"], streams["triad"])
    return Roof(threads, instructions(), lanes(), clock(), multiply_adds(threads), streams, caches)
