"""`minigan bench --predict`: how long a training step takes, from what its loops compute and move and what the machine
can do; and on paper, what it would take with more cores.

    on one core    seconds of a loop = start + max(F / peak, B / bandwidth(B)) / share
    on n cores     the same with their peak and bandwidth, times n ceil(tasks / n) / tasks, and the start of n threads

A captured step is a list of such loops (`capture/plan.py`), and its time their sum. F and B are read off the arguments
of each loop (`work_of`), the roof is measured by loops that are none of minigan's (`roof.py`). What a loop reaches of
the roof, and what its call costs, are fitted for each kind of loop on CALIBRATION: steps of other widths and batches
than any workload, on one thread. Nothing is fitted to the steps that are foretold, nor to two threads.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import ceil, log2
from statistics import median, quantiles

import numpy as np

from .._array import fill
from ..capture.memo import Memo
from ..capture.plan import Plan
from ..kernels.fast.gemm import HEIGHT
from ..kernels.load import set_num_threads
from ..profiler.cost import named
from . import in_minigan, processor, roof
from .roof import Roof
from .workloads import Workload, workload

PIECE = 1 << 17
"""Bytes of the arrays that one task of a pass over memory has, more or less."""

CALL = 2e-5
"""Seconds that Python and the beginning of a loop take at most; what is longer is the loop itself."""

ON_PAPER = (16, 64, 128)
SOCKET, SOCKET_CORES = 300e9, 64
"""Assumed of machines that are not there: bytes a second that a socket reads and writes, and its cores."""

CALIBRATION = (
    Workload("conv", "", "wgan-gp", 40, (3, 32, 32), base=48, latent=64, norm=True),
    Workload("conv, no norm", "", "wgan-gp", 24, (3, 32, 32), base=80),
    Workload("conv, logits", "", "non-saturating", 20, (3, 64, 64), base=48, latent=64, norm=True),
    Workload("mlp, wide", "", "wgan-gp", 192, (2,), hidden=(384,) * 3, latent=2),
    Workload("mlp, narrow", "", "wgan-gp", 192, (2,), hidden=(96,) * 3, latent=2),
)


@dataclass(frozen=True)
class Work:
    """What one call of a loop does. kernel: its kind; flops, nbytes: operations, and bytes that it reads and writes at
    least; tasks: pieces that different threads may take; 1 for a loop without threads."""

    kernel: str
    flops: int
    nbytes: int
    tasks: int


def works_of(calls: Sequence[tuple[Callable, tuple]]) -> Iterator[tuple[Callable, tuple, Work]]:
    """(loop, its arguments, its work) of each call, what a memo holds one by one."""
    for function, arguments in calls:
        if isinstance(function, Memo):
            yield from works_of(function.calls)
        else:
            yield function, arguments, work_of(function, arguments)


def work_of(function: Callable, arguments: Sequence) -> Work:
    """The work of one call, from its arguments."""
    name = named(arguments[1] if function is fill else function)[0][0]
    family, variant = getattr(function, "origin", ("", ()))
    if name == "gemm.driver":
        return _product(name, *variant, *arguments)
    if name == "winograd_products.products":
        return _points(name, *variant, *arguments)
    if isinstance(function, partial):
        arguments = [*function.args, *function.keywords.values()]
    arrays = list({id(a): a for a in _arrays(arguments)}.values())
    nbytes = sum(a.nbytes for a in arrays)
    if family in ("gather", "scatter"):
        m, transform, image = arguments[0], arguments[1], arguments[2 if family == "gather" else -1]
        lines = arguments[4].shape[0] if family == "scatter" else arguments[9][0]
        return Work(f"{name} {m},{transform}", 0, nbytes, image.shape[0] * lines)
    return Work(name, 0, nbytes, max(1, nbytes // PIECE) if hasattr(function, "threaded") else 1)


def _arrays(arguments: Sequence) -> Iterator[np.ndarray]:
    for argument in arguments:
        if isinstance(argument, np.ndarray):
            yield argument
        elif isinstance(argument, (list, tuple)):
            yield from _arrays(argument)


def _product(name, lanes, threads, a, row_a, row_c, kinds, steps, cuts, bases, b, step_b, depth, bias, c, columns,
             panels, rounds, segments, segment_step, chunk_ends, group, slope, gate) -> Work:  # fmt: skip
    """Of gemm's driver: tiles of HEIGHT rows and whole vectors, each over the steps of its class."""
    vectors = len(panels)
    counts = (cuts[:, :, 1] - cuts[:, :, 0]).sum(axis=1)[kinds].sum()
    span = np.ptp(row_a) + (np.ptp(steps[:, 0]) if len(steps) else 0) + np.ptp(bases[:, 0]) + 4
    written = 4 * len(kinds) * HEIGHT * columns * segments * (2 if gate else 1)
    tasks = segments * (len(chunk_ends) - 1) * ceil(vectors / group)
    flops = 2 * HEIGHT * lanes * vectors * int(counts)
    return Work(name, flops, int(span) + 4 * lanes * vectors * depth + written, tasks if threads else 1)


def _points(name, lanes, points, a, a_step, row_a, run_a, run_length, step_a, blocks, depths, depth, b, b_step, panels,
            width, c, c_step, row_c, rows, chunk) -> Work:  # fmt: skip
    """Of Winograd's products, one for each point."""
    flops = 2 * points * rows * depth * panels * width * lanes
    return Work(name, flops, a.nbytes + b.nbytes + c.nbytes, points * ceil(rows / chunk))


@dataclass(frozen=True)
class Fit:
    """Of a kind of loop: seconds that a call costs, and the share of the roof that it reaches after that."""

    start: float
    share: float


def fitted(least: Sequence[float], seconds: Sequence[float]) -> Fit:
    """seconds = start + least / share, by least squares of the relative errors; 0 <= start <= CALL, share > 0."""
    from scipy.optimize import lsq_linear

    x, t = np.asarray(least, float), np.asarray(seconds, float)
    columns = np.stack([CALL / t, x / t], axis=1)
    start, inverse = lsq_linear(columns, np.ones_like(t), ([0, 1e-12], [1, np.inf])).x
    return Fit(float(start * CALL), float(1 / inverse))


@dataclass(frozen=True)
class Model:
    """A machine, as the model knows it. roofs: {threads: its roof}; starting: seconds that a loop on two threads waits
    for them; fits: {kind of loop: Fit}."""

    roofs: dict[int, Roof]
    starting: float
    fits: dict[str, Fit]

    def fit(self, kernel: str) -> Fit:
        """The kind's own, else its family's, else the median one."""
        if kernel in self.fits:
            return self.fits[kernel]
        family = [fit for name, fit in self.fits.items() if name.split()[0] == kernel.split()[0]]
        among = family or list(self.fits.values())
        return Fit(median(fit.start for fit in among), median(fit.share for fit in among))

    def seconds(self, work: Work, threads: int) -> float:
        """Of one call."""
        one, fit = self.roof(1), self.fit(work.kernel)
        if work.tasks == 1 or threads == 1:
            return fit.start + one.seconds(work.flops, work.nbytes) / fit.share
        turns = ceil(work.tasks / threads) * threads / work.tasks  # 1 where the tasks come out even
        least = self.roof(threads).seconds(work.flops, work.nbytes) * turns
        least = min(least, one.seconds(work.flops, work.nbytes))
        return fit.start + self.starting * log2(threads) + least / fit.share

    def step(self, works: Sequence[Work], threads: int) -> float:
        """Of a step, the sum of its calls."""
        return sum(self.seconds(work, threads) for work in works)

    def least(self, works: Sequence[Work], threads: int) -> float:
        """Seconds below which the roof lets no step come that computes and moves this."""
        return sum(self.roof(threads).seconds(work.flops, work.nbytes) for work in works)

    def roof(self, threads: int) -> Roof:
        """The measured one, or on paper that of a machine with more of the same cores."""
        return self.roofs.get(threads) or scaled(self.roofs[max(self.roofs)], threads)


def scaled(measured: Roof, threads: int) -> Roof:
    """More of the same cores: arithmetic and caches grow with them, memory up to SOCKET a socket."""
    times = threads / measured.threads
    memory = SOCKET * ceil(threads / SOCKET_CORES)
    streams = {name: min(times * rate, max(memory, rate)) for name, rate in measured.streams.items()}
    caches = {size: times * rate for size, rate in measured.caches.items()}
    largest = max(caches)
    caches[largest] = min(caches[largest], max(memory, measured.caches[largest]))
    return replace(measured, threads=threads, peak=times * measured.peak, streams=streams, caches=caches)


def prepared(work: Workload) -> tuple[Callable, Plan]:
    """A captured step after its first runs, and its plan."""
    step = in_minigan.build(work, "captured")
    for _ in range(3):
        step()
    return step, step.plans[0]


def calibrated(roofs: dict[int, Roof], show: Callable[[str], object], rounds: int = 9) -> Model:
    """The model of this machine. show(line) is told what is being done."""
    seconds: dict[str, list[float]] = {}
    least: dict[str, list[float]] = {}
    set_num_threads(1)
    for work in CALIBRATION:
        show(f"predict: calibration, {work.name}")
        _, plan = prepared(work)
        calls = list(works_of(plan.calls))
        for (_, _, part), taken in zip(calls, call_times(calls, rounds), strict=True):
            seconds.setdefault(part.kernel, []).append(taken)
            least.setdefault(part.kernel, []).append(roofs[1].seconds(part.flops, part.nbytes))
    fits = {kernel: fitted(least[kernel], seconds[kernel]) for kernel in seconds}
    return Model(roofs, starting(), fits)


def call_times(calls: Sequence[tuple[Callable, tuple, Work]], rounds: int) -> list[float]:
    """Seconds of each call on one thread, the lower quartile of the rounds; a round is all of them in their order.
    Seconds in which the thread waits for a core do not count."""
    table = []
    for _ in range(rounds):
        row = []
        for function, arguments, _ in calls:
            since = time.thread_time()
            function(*arguments)
            row.append(time.thread_time() - since)
        table.append(row)
    return [quartile(column) for column in zip(*table, strict=True)]


def quartile(times: Sequence[float]) -> float:
    """The lower one."""
    return quantiles(times, n=4, method="inclusive")[0] if len(times) > 1 else times[0]


def starting(rounds: int = 300) -> float:
    """Seconds that two threads take to begin and end one loop together, beyond what one takes to call it."""
    from ..kernels.act import leaky_relu

    x = np.ones(1 << 16, np.float32)  # of two tasks, the smallest that there are
    out, times = np.empty_like(x), {}
    for threads in (1, 2):
        set_num_threads(threads)
        row = []
        for _ in range(rounds):
            since = time.perf_counter()
            leaky_relu(x, 0.5, out)
            row.append(time.perf_counter() - since)
        times[threads] = median(row)
    return max(0.0, times[2] - times[1] / 2)


def step_seconds(step: Callable[[], object], rounds: int, threads: int) -> float:
    """Of a whole step, the lower quartile."""
    now, times = processor.clock(threads), []
    for _ in range(rounds):
        since = now()
        step()
        times.append(now() - since)
    return quartile(times)


def predict(names: Sequence[str], threads: int, rounds: int, show: Callable[[str], object]) -> dict:
    """The model beside what is measured, {"roofs", "fits", "starting_us", "steps"}; steps: {workload: {"calls",
    "gflop", "mib", "threads": {n: {"least_ms", "predicted_ms", "measured_ms"}}, "paper": {cores: predicted ms}}}.
    """
    counts = sorted({1, threads})
    show("predict: the roof")
    roofs = {n: roof.measure(n) for n in counts}
    model = calibrated(roofs, show, rounds)
    steps = {}
    for name in names:
        show(f"predict: {name}")
        step, plan = prepared(workload(name))
        works = [work for _, _, work in works_of(plan.calls)]
        rows = {}
        for n in counts:
            set_num_threads(n)
            step()
            rows[n] = {
                "least_ms": 1e3 * model.least(works, n),
                "predicted_ms": 1e3 * model.step(works, n),
                "measured_ms": 1e3 * step_seconds(step, rounds, n),
            }
        steps[name] = {
            "calls": len(works),
            "gflop": sum(work.flops for work in works) / 1e9,
            "mib": sum(work.nbytes for work in works) / 2**20,
            "threads": rows,
            "paper": {n: 1e3 * model.step(works, n) for n in ON_PAPER},
        }
    fits = {kernel: {"start_us": 1e6 * fit.start, "share": fit.share} for kernel, fit in model.fits.items()}
    return {
        "roofs": {n: r.as_dict() for n, r in roofs.items()},
        "fits": fits,
        "starting_us": 1e6 * model.starting,
        "steps": steps,
    }


def text(figures: dict) -> str:
    """The table of `predict`, for a person."""
    lines = [
        f"threads: {n}; peak {r['peak'] / 1e9:.0f} GFLOP/s, {r['units']:.2f} vectors of {r['lanes']} a cycle; "
        f"memory {r['bandwidth'] / 1e9:.1f} GB/s"
        for n, r in figures["roofs"].items()
    ]
    lines += ["", f"{'ms a step':<14}{'threads':>8}{'roof':>10}{'foretold':>10}{'measured':>10}{'off':>8}"]
    for name, row in figures["steps"].items():
        for n, entry in row["threads"].items():
            least, foretold, measured = entry["least_ms"], entry["predicted_ms"], entry["measured_ms"]
            off = f"{100 * (foretold / measured - 1):+.0f} %"
            lines.append(f"{name:<14}{n:>8}{least:>10.4g}{foretold:>10.4g}{measured:>10.4g}{off:>8}")
    lines += ["", f"{'on paper, ms':<14}" + "".join(f"{n:>8} cores" for n in ON_PAPER)]
    for name, row in figures["steps"].items():
        lines.append(f"{name:<14}" + "".join(f"{ms:>14.3g}" for ms in row["paper"].values()))
    lines.append(f"More of the same cores; {SOCKET / 1e9:.0f} GB/s for each {SOCKET_CORES} of them.")
    return "\n".join(lines)
