"""`minigan bench rules`: what each rule of the CPU kernels brings, on this machine: the figures of kernels/README.md.

The roof (`roof.py`), by loops that are none of minigan's. One layer (64 images 16x16 with 64 channels, 4x4 kernels at
stride 2, 128 channels out), forward, as more and more is done about it; then whole steps, likewise. Rates count the
multiply-adds of the direct sum, so that a way which needs fewer can exceed the peak.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from functools import partial
from statistics import median

import numpy as np

import minigan as mg
from minigan import kernels, nn
from minigan.kernels import fast
from minigan.kernels.fast import gemm, micro, winograd
from minigan.kernels.geometry import ConvGeometry
from minigan.kernels.load import get_num_threads, set_num_threads
from minigan.kernels.work import Now

from . import in_minigan, processor, roof
from .report import head
from .run import Settings, Worker, machine
from .workloads import WORKLOADS, sequential

LAYER = ConvGeometry((64, 64, 16, 16), (128, 64, 4, 4), (2, 2), (1, 1), (1, 1), 1)
ROUNDS = 15


class Prepared(Now):
    """Runs every call once and keeps the list, as a plan does; what is derived from `weights` is made only once."""

    def __init__(self, weights: np.ndarray) -> None:
        self.weights = weights
        self.calls: list[tuple[Callable, tuple]] = []
        self.buffers: list[np.ndarray] = []
        self.keeping = True

    def empty(self, shape, dtype=np.float32):
        self.buffers.append(super().empty(shape, dtype))
        return self.buffers[-1]

    def call(self, function, *arguments):
        function(*arguments)
        if self.keeping:
            self.calls.append((function, arguments))

    def derived(self, key, source, shape, fill):
        self.keeping = not np.may_share_memory(source, self.weights)
        array = super().derived(key, source, shape, fill)
        self.keeping = True
        return array

    def __call__(self) -> None:
        for function, arguments in self.calls:
            function(*arguments)


@contextmanager
def vector(width: str) -> Iterator[None]:
    """The vector width as MINIGAN_VECTOR would set it; "" for the machine's own."""
    before = os.environ.get("MINIGAN_VECTOR")
    os.environ["MINIGAN_VECTOR"] = width
    fast.lanes.cache_clear()
    try:
        yield
    finally:
        os.environ.pop("MINIGAN_VECTOR")
        if before is not None:
            os.environ["MINIGAN_VECTOR"] = before
        fast.lanes.cache_clear()


def interleaved(contestants: dict[str, Callable[[], None]], rounds: int = ROUNDS) -> dict[str, float]:
    """Median seconds of each, taking turns, so that a change of the machine's mood meets them all. Of one thread,
    seconds in which it waits for a core do not count."""
    now = processor.clock(get_num_threads())
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for run in contestants.values():
        run()
    for _ in range(rounds):
        for name, run in contestants.items():
            run()
            start = now()
            run()
            times[name].append(now() - start)
    return {name: median(series) for name, series in times.items()}


def peak() -> float:
    """GFLOP/s of fused multiply-adds alone: the micro-kernel on a row of B and a column of A that never leave the
    first cache, every thread with work."""
    a, b, c = np.ones((1536, 1), np.float32), np.ones((1, 64), np.float32), np.empty((1536, 64), np.float32)
    rows = gemm.Rows(np.arange(1536) * 4, np.arange(1536) * 256, 0)
    steps = np.zeros((4096, 2), np.int64)
    places = np.zeros((4096, 2), np.int64)
    product = gemm.product([rows], [steps], places)
    prepared = Prepared(a)

    def run():
        gemm.multiply(product, a.ctypes.data, gemm.Columns(b, 256), c.ctypes.data, 64, fast.lanes(), prepared)

    run()
    return 2 * c.size * len(steps) / interleaved({"product": prepared})["product"] / 1e9


def roofline(threads: int = 2) -> dict[str, float]:
    """The roof, in GFLOP/s, GHz and GB/s; and what the micro-kernel and BLAS's product of 2048 reach of its peak."""
    set_num_threads(threads)
    limit = roof.measure(threads)
    a = np.ones((2048, 2048), np.float32)
    blas = interleaved({"blas": partial(np.matmul, a, a, out=np.empty_like(a))}, 5)["blas"]
    own = peak() if fast.lanes() else math.nan
    time.sleep(0.5)  # or BLAS's threads spin on beside the next table
    return {
        "multiply-adds, GFLOP/s": limit.peak / 1e9,
        "clock, GHz": limit.clock / 1e9,
        "vectors a cycle, each core": limit.units,
        **{f"{name}, GB/s": rate / 1e9 for name, rate in limit.streams.items()},
        **{f"pass over {size >> 10:,} KiB a thread, GB/s": rate / 1e9 for size, rate in limit.caches.items()},
        "micro-kernel, share of the peak": 1e9 * own / limit.peak,
        "BLAS, product of 2048, share": 2 * 2048**3 / blas / limit.peak,
    }


def shares(threads: int = 2) -> dict[str, float]:
    """GFLOP/s of each of the three convolutions of the critic's inner layers, weights packed once a step."""
    set_num_threads(threads)
    contestants: dict[str, Callable[[], None]] = {}
    flops = {}
    for channels, size in ((64, 16), (128, 8)):
        geometry = ConvGeometry((64, channels, size, size), (2 * channels, channels, 4, 4), (2, 2), (1, 1), (1, 1), 1)
        random = np.random.default_rng(0)
        x, g = (
            random.standard_normal((n, h, w, c)).astype(np.float32).transpose(0, 3, 1, 2)
            for n, c, h, w in (geometry.x_shape, geometry.y_shape)
        )
        w = random.standard_normal(geometry.w_shape).astype(np.float32)
        dx, y, dw = (np.empty_like(array) for array in (x, g, w))
        kinds = {
            "forward": partial(kernels.conv.conv_forward, x, w, geometry, out=y),
            "input gradient": partial(kernels.conv.conv_input, g, w, geometry, out=dx),
            "weight gradient": partial(kernels.conv.conv_weight, x, g, geometry, out=dw),
        }
        for kind, run in kinds.items():
            for way, uses_winograd in (("direct", False), ("Winograd", True)):
                name = f"{channels}-{2 * channels}, {size}x{size}, {kind}, {way}"
                contestants[name] = Prepared(w)
                before = winograd.enabled()
                winograd.set_enabled(uses_winograd)
                run(work=contestants[name])
                winograd.set_enabled(before)
                flops[name] = 2 * np.prod(geometry.y_shape) * np.prod(geometry.w_shape[1:])
    times = interleaved(contestants)
    return {name: float(flops[name] / seconds / 1e9) for name, seconds in times.items()}


def layer(threads: int = 2) -> dict[str, float]:
    """GFLOP/s of the layer's forward pass, rule by rule."""
    random = np.random.default_rng(0)
    x = random.standard_normal((64, 16, 16, 64)).astype(np.float32).transpose(0, 3, 1, 2)
    w = random.standard_normal(LAYER.w_shape).astype(np.float32)
    y = np.empty((64, 8, 8, 128), np.float32).transpose(0, 3, 1, 2)

    def forward(work=None):
        kernels.conv.conv_forward(x, w, LAYER, out=y, **({"work": work} if work else {}))

    def im2col():
        padded = np.pad(x.transpose(0, 2, 3, 1), ((0, 0), (1, 1), (1, 1), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (4, 4), (1, 2))[:, ::2, ::2]
        y.transpose(0, 2, 3, 1)[...] = windows.reshape(64 * 64, -1).dot(w.reshape(128, -1).T).reshape(64, 8, 8, 128)

    def under(width: str, uses_winograd: bool, work=None):
        def run():
            with vector(width):
                token = winograd.enabled()
                winograd.set_enabled(uses_winograd)
                try:
                    forward(work)
                finally:
                    winograd.set_enabled(token)

        return run

    prepared = {name: Prepared(w) for name in ("direct", "Winograd")}
    under("", False, prepared["direct"])()
    under("", True, prepared["Winograd"])()
    set_num_threads(1)
    alone = interleaved({"plain loops, one thread": under("plain", False)}, 3)
    set_num_threads(threads)
    # Apart from the others, whose cores the BLAS's own threads would go on spinning on.
    blas = interleaved({"im2col, then NumPy's matrix product": im2col})
    time.sleep(0.5)
    times = interleaved(
        {
            f"plain loops, threads: {threads}": under("plain", False),
            "micro-kernel, 8 lanes": under("8", False),
            "micro-kernel, 16 lanes": under("16", False),
            "weights packed once a step": prepared["direct"],
            "Winograd": under("", True),
            "Winograd, weights transformed once a step": prepared["Winograd"],
        }
    )
    flops = 2 * np.prod(LAYER.y_shape) * np.prod(LAYER.w_shape[1:])
    plain, *fast_ways = times
    names = [*alone, plain, *blas, *fast_ways]
    times |= alone | blas
    return {name: float(flops / times[name] / 1e9) for name in names}


@contextmanager
def masked_stores() -> Iterator[None]:
    """Products prepared within store every vector under a mask, as a tile at the end of a row must. Their loop is
    compiled anew, and kept nowhere."""
    from llvmlite import ir
    from numba.core.caching import NullCache

    whole, driver = micro._Tile.whole, gemm._driver
    micro._Tile.whole = lambda tile: ir.Constant(ir.IntType(1), 0)
    kernel = driver.__wrapped__(fast.lanes(), True)
    kernel.threaded._cache = NullCache()
    gemm._driver = lambda lanes, threads: kernel
    try:
        yield
    finally:
        micro._Tile.whole, gemm._driver = whole, driver


def products(threads: int = 2) -> dict[str, float]:
    """GFLOP/s of matrix products: how A and B lie, whether B is packed each time, how C is stored; and BLAS."""
    set_num_threads(threads)
    contestants: dict[str, Callable[[], None]] = {}
    flops: dict[str, float] = {}
    ways = {
        "B packed each time": (False, False, False),
        "B packed once": (True, False, False),
        "A read down its columns": (True, True, False),
        "every store masked": (True, False, True),
    }
    blas, alive = {}, []  # a prepared call knows addresses only
    for rows, depth, columns in ((256, 128, 128), (256, 512, 512)):
        random = np.random.default_rng(0)
        a, b, turned = (
            random.standard_normal(shape).astype(np.float32)
            for shape in ((rows, depth), (depth, columns), (depth, rows))
        )
        c = np.empty((rows, columns), np.float32)
        alive += [a, b, c, turned]
        shape = f"{rows} x {depth} x {columns}"
        for way, (once, down, masked) in ways.items():
            name = f"{shape}, {way}"
            contestants[name] = Prepared(b if once else np.empty(0, np.float32))
            flops[name] = 2.0 * rows * depth * columns
            with masked_stores() if masked else nullcontext():
                kernels.matmul.matmul(turned.T if down else a, b, c, work=contestants[name])
                contestants[name]()
        blas[f"{shape}, BLAS"] = partial(np.matmul, a, b, out=np.empty_like(c))
        flops[f"{shape}, BLAS"] = 2.0 * rows * depth * columns
    times = interleaved(contestants, 10 * ROUNDS)
    times |= interleaved(blas, 10 * ROUNDS)
    time.sleep(0.5)
    return {name: flops[name] / seconds / 1e9 for name, seconds in times.items()}


def replays(threads: int = 2) -> dict[str, float]:
    """Milliseconds of the DCGAN generator's images, captured: weights packed at each replay, as they are while somebody
    holds an array of theirs, or kept packed."""
    set_num_threads(threads)
    work, times = WORKLOADS["dcgan-32"], {}
    for batch in (1, 64):
        generator = sequential(nn, work.generator).eval()
        z = mg.randn(batch, work.latent, 1, 1)

        def images(generator=generator, z=z):
            with mg.no_grad():
                return generator(z)

        run = mg.capture(images)
        run()
        arrays = [p.data for p in generator.parameters()]
        times |= interleaved({f"batch {batch}, packed at each replay": run}, 9)
        arrays.clear()
        times |= interleaved({f"batch {batch}, kept packed": run}, 9)
    return {name: 1e3 * seconds for name, seconds in times.items()}


def memory(threads: int = 2) -> dict[str, float]:
    """Milliseconds of an eager critic step, in processes of their own: pages of freed arrays given back, and kept."""
    settings = Settings(rounds=5, threads=threads, accept_load=True, processor_time=threads == 1)
    ways = {"given back": {"MINIGAN_MALLOC": "system"}, "kept": {}}
    times: dict[str, list[float]] = {name: [] for name in ways}
    with ExitStack() as stack:
        workers = {name: Worker("minigan-eager", "wgan-gp", settings, **way) for name, way in ways.items()}
        for worker in workers.values():
            stack.callback(worker.close)
        for _ in range(settings.rounds):
            for name, worker in workers.items():
                times[name].append(worker.burst()["ms"])
    return {f"eager, freed memory {name}": median(row) for name, row in times.items()}


def step(threads: int = 2) -> dict[str, float]:
    """Milliseconds of a WGAN-GP critic step, rule by rule."""
    set_num_threads(threads)
    work = WORKLOADS["wgan-gp"]
    steps = {}
    for name, variant, uses_winograd in (
        ("eager, direct", "eager", False),
        ("eager, Winograd", "eager", True),
        ("captured, direct", "captured", False),
        ("captured, Winograd", "captured", True),
    ):
        run = in_minigan.build(work, variant)

        def under(run=run, uses_winograd=uses_winograd):
            winograd.set_enabled(uses_winograd)
            run()

        steps[name] = under
    times = interleaved(steps, 9)
    winograd.set_enabled(True)
    return {name: 1e3 * seconds for name, seconds in times.items()}


TABLES: dict[str, Callable[[int], dict[str, float]]] = {
    "roof": roofline,
    "one layer, GFLOP/s": layer,
    "convolutions, GFLOP/s": shares,
    "products, GFLOP/s": products,
    "critic step, ms": step,
    "eager step, ms": memory,
    "generator, ms": replays,
}


def measure(threads: int, show: Callable[[str], object]) -> dict[str, dict]:
    """All tables, and the machine: {title: {row: figure}}."""
    figures: dict[str, dict] = {"machine": machine(["minigan"], threads)}
    for title, table in TABLES.items():
        show(f"rules: {title}")
        figures[title] = table(threads)
        figures["machine"]["load"].append(processor.load())
    return figures


def text(figures: dict[str, dict]) -> str:
    """The tables, for a person."""
    lines = [head(figures["machine"])]
    for title in TABLES:
        lines += ["", title, *(f"  {name:<50} {value:8.4g}" for name, value in figures[title].items())]
    return "\n".join(lines)


if __name__ == "__main__":
    print(text(measure(2, lambda line: None)))
