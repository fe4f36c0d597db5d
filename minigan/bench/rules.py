"""What each rule of the CPU kernels brings, on this machine: the figures of kernels/README.md.

One layer (64 images 16x16 with 64 channels, 4x4 kernels at stride 2, 128 channels out), forward, as more and more is
done about it; then one whole WGAN-GP critic step, likewise. Rates count the multiply-adds of the direct sum, so that a
way which needs fewer can exceed the peak.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from statistics import median

import numpy as np

from minigan import kernels
from minigan.kernels import fast
from minigan.kernels.fast import gemm, winograd
from minigan.kernels.geometry import ConvGeometry
from minigan.kernels.load import set_num_threads
from minigan.kernels.work import Now

from . import in_minigan
from .workloads import WORKLOADS

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
    """Median seconds of each, taking turns, so that a change of the machine's mood meets them all."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for run in contestants.values():
        run()
    for _ in range(rounds):
        for name, run in contestants.items():
            run()
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
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
    """{"peak": see `peak`, "bandwidth": GB/s of a pass over memory}."""
    set_num_threads(threads)
    big = np.ones(1 << 26, np.float32)
    copy = np.empty_like(big)
    seconds = interleaved({"pass": lambda: kernels.act.leaky_relu(big, 0.5, copy)})["pass"]
    return {"peak": peak() if fast.lanes() else math.nan, "bandwidth": 2 * big.nbytes / seconds / 1e9}


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
            f"plain loops, {threads} threads": under("plain", False),
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


if __name__ == "__main__":
    tables = {
        "roofline": roofline,
        "one layer, GFLOP/s": layer,
        "convolutions, GFLOP/s": shares,
        "critic step, ms": step,
    }
    for title, measure in tables.items():
        print(title)
        for name, value in measure().items():
            print(f"  {name:<45} {value:8.1f}")
