"""What a launch in the simulator costs: the call, its threads, and what the threads wait for.

    python -m minigan.cudasim.launch_time

Times a few small kernels from Python, as a program launches them, in fast and in check mode: the processor time of one
launch, and what is left of it a thread once that of a launch of a single thread is taken off. Each figure is the median
of ROUNDS bursts. Time in which other processes had the processor does not count; what they do to its caches does, so
the first line says how busy the machine was.
"""

from __future__ import annotations

import os
import sys
import time
from statistics import median

import numpy as np

from .build import available
from .module import Kernel, Module

SOURCE = """
extern "C" __global__ void empty(float* x) {}
extern "C" __global__ void copy(const float* x, float* y) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    y[i] = x[i];
}
extern "C" __global__ void barrier(float* x) {
    for (int i = 0; i < 10; ++i) __syncthreads();
}
extern "C" __global__ void shuffle(const float* x, float* y) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    float v = x[i];
    for (int step = 16; step > 0; step >>= 1) v += __shfl_down_sync(0xffffffffu, v, step);
    y[i] = v;
}
"""

# Kernel, blocks, threads of a block, what it shows.
CASES = [
    ("empty", 1, 1, "the call alone"),
    ("empty", 1, 256, "256 threads that do nothing"),
    ("empty", 64, 256, "64 such blocks"),
    ("copy", 64, 256, "a load and a store each"),
    ("barrier", 64, 256, "10 times __syncthreads each"),
    ("shuffle", 64, 256, "a sum over each warp, 5 shuffles each"),
]
ROUNDS, BURST = 7, 0.02


def seconds(kernel: Kernel, blocks: int, threads: int) -> tuple[float, float]:
    """Processor time of one launch, median of ROUNDS bursts of at least BURST seconds; and the processor time of all
    bursts as a share of the time that passed."""
    x = np.zeros(blocks * threads, np.float32)
    args = [x if p.const else np.zeros_like(x) for p in kernel.parameters]
    kernel((blocks,), (threads,), args)
    times, began, worked = [], time.perf_counter(), 0.0
    for _ in range(ROUNDS):
        count, now, before = 0, 0.0, time.process_time()
        while not count or now - before < BURST:
            kernel((blocks,), (threads,), args)
            count, now = count + 1, time.process_time()
        times.append((now - before) / count)
        worked += now - before
    return median(times), worked / (time.perf_counter() - began)


def table() -> tuple[list[str], float]:
    """A line for each case, and the smallest share of the processor that any had."""
    lines = [f"{'kernel':<9}{'grid x block':>13}  {'fast: us':>9}{'ns/thread':>11}  {'check: us':>10}{'ns/thread':>11}"]
    modules, single, least = {check: Module(SOURCE, check=check) for check in (False, True)}, {}, 1.0
    for name, blocks, threads, words in CASES:
        line = f"{name:<9}{blocks:>7} x{threads:>4}  "
        for check, module in modules.items():
            took, share = seconds(module.get_function(name), blocks, threads)
            alone = single.setdefault(check, took)
            each = (took - alone) / (blocks * threads) if blocks * threads > 1 else 0
            least = min(least, share)
            line += f"{took * 1e6:>{10 if check else 9}.1f}{each * 1e9:>11.1f}  "
        lines.append(f"{line}{words}")
    return lines, least


def main() -> int:
    """The command."""
    if not available():
        print("minigan.cudasim needs g++, and there is none: install it (apt install g++)", file=sys.stderr)
        return 1
    load = os.getloadavg()[0]
    lines, least = table()
    busy = "idle" if load < 0.3 and least > 0.97 else "NOT idle"
    print(
        f"The machine was {busy}: {os.cpu_count()} cores, load {load:.1f} at the start; the bursts had "
        f"{least:.0%} of a processor or more."
    )
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
