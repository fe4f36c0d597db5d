"""`minigan bench --device cuda`: whole training steps on a device, minigan beside PyTorch.

The workloads are those of `workloads.py`. The contestants live in one process, for they share the GPU: minigan eager,
captured with its launches one by one, and captured in CUDA graphs; PyTorch eager, and in channels_last with the fused
Adam, both in float32, and once more in channels_last with TF32 (`device_torch.py`).

The clock is the host's: a burst is several steps, and the host waits for the device before the first and after the
last. So what Python spends on launches counts where the device waits for it. The contestants take turns, a burst each,
in an order that rotates: what drifts drifts for all. A figure is the median of a contestant's bursts.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

from ..backend import device
from ..capture.cuda_graph import Stretch
from . import in_minigan
from .device_torch import give_memory_back, precision
from .run import rotated
from .worker import read
from .workloads import Workload, workload

DEFAULT = ("wgan-gp", "dcgan-32", "toy-4x128")
"""A penalty with its second derivatives, convolutions with batch norm, and a step of many small launches."""


class Way(NamedTuple):
    """One way of computing, as data: its title in the table, the variant of in_minigan or in_torch, and whether in CUDA
    graphs (minigan) or with TF32 (PyTorch)."""

    title: str
    variant: str
    special: bool = False


OWN = {
    "minigan-eager": Way("minigan, eager", "eager"),
    "minigan-captured": Way("minigan, captured", "captured"),
    "minigan-graphs": Way("minigan, captured, CUDA graphs", "captured", True),
}
PEERS = {
    "torch": Way("PyTorch, eager", "eager"),
    "torch-channels-last": Way("PyTorch, channels_last", "channels_last"),
    "torch-channels-last-tf32": Way("PyTorch, channels_last, TF32", "channels_last", True),
}

WARM, BURST_S = 5, 0.2
"""Steps before the clock runs (a captured step is recorded, captured in graphs, launched), and seconds of a burst."""


@dataclass(frozen=True)
class Contestant:
    """One way of computing a step. build: makes the step, a function of no arguments that returns its losses. around:
    the settings under which it is built and run. wait: the host waits for the device."""

    build: Callable[[], Callable[[], list]]
    around: Callable[[], AbstractContextManager]
    wait: Callable[[], object]


class Ready(NamedTuple):
    """A contestant that is warm: its step, the steps of a burst, and the losses of its very first step."""

    step: Callable[[], list]
    count: int
    losses: list[float]


def run(
    name: str,
    workloads: Sequence[str],
    show: Callable[[str], None],
    xp,
    torch=None,
    rounds: int = 7,
    quick: bool = False,
) -> dict:
    """The steps of the workloads on the device `name`, each entry by workload and contestant: {"steps": ms, "failures":
    why a contestant has no time, "losses": of the first step, "graphs": see `in_graphs`}, and by workload
    "loss_difference": see `difference`. quick: small networks, bursts of one step.

    Raises ValueError for a workload that is none.
    """
    works = [workload(each) for each in workloads]
    figures: dict = {"steps": {}, "failures": {}, "losses": {}, "graphs": {}, "loss_difference": {}}
    for work in works:
        entrants = contestants(small(work) if quick else work, name, xp, torch)
        times, failures, ready = take_turns(
            entrants, rounds, 0.0 if quick else BURST_S, lambda what, work=work: show(f"{work.name} on {name}: {what}")
        )
        losses = {entrant: warm.losses for entrant, warm in ready.items()}
        figures["steps"][work.name], figures["failures"][work.name] = times, failures
        figures["losses"][work.name], figures["loss_difference"][work.name] = losses, difference(losses)
        if "minigan-graphs" in ready:
            figures["graphs"][work.name] = in_graphs(ready["minigan-graphs"].step)
        del ready
        give_memory_back(xp, torch)
    return figures


def small(work: Workload) -> Workload:
    """The step with batches of 4, images of 16x16 and narrow layers: to see that it runs."""
    shape = work.shape if work.hidden else (work.shape[0], 16, 16)
    return replace(work, batch=4, base=4, hidden=(8,) * len(work.hidden), shape=shape)


def contestants(work: Workload, name: str, xp, torch=None) -> dict[str, Contestant]:
    """Who takes part, by the name in the figures; PyTorch's where it is given."""

    entrants = {
        own: Contestant(
            partial(in_minigan.build, work, way.variant), partial(_on, name, way.special), xp.cuda.Device().synchronize
        )
        for own, way in OWN.items()
    }
    if torch is None:
        return entrants
    from . import in_torch

    return entrants | {
        peer: Contestant(
            partial(in_torch.build, work, way.variant, "cuda"),
            partial(precision, torch, way.special),
            torch.cuda.synchronize,
        )
        for peer, way in PEERS.items()
    }


@contextmanager
def _on(name: str, graphs: bool) -> Iterator[None]:
    """minigan on the device, what it captures in CUDA graphs or not; the environment as before afterwards."""
    before = os.environ.get("MINIGAN_CUDA_GRAPHS")
    with device(name), ExitStack() as after:
        if before is None:
            after.callback(os.environ.pop, "MINIGAN_CUDA_GRAPHS", None)
        else:
            after.callback(os.environ.__setitem__, "MINIGAN_CUDA_GRAPHS", before)
        os.environ["MINIGAN_CUDA_GRAPHS"] = "1" if graphs else "0"
        yield


def take_turns(
    entrants: dict[str, Contestant], rounds: int, seconds: float, show: Callable[[str], None]
) -> tuple[dict[str, float | None], dict[str, str], dict[str, Ready]]:
    """Milliseconds a step of each contestant, the median of a burst in each of the rounds; why one failed, which has
    None and is left out from then on, so that the others' times are not lost; and those that came through."""
    bursts: dict[str, list[float]] = {name: [] for name in entrants}
    failures: dict[str, str] = {}
    ready: dict[str, Ready] = {}
    for name, entrant in entrants.items():
        show(f"{name} warms up")
        with _failing(name, failures), entrant.around():
            ready[name] = warm_up(entrant, seconds)
    for number in range(rounds):
        for name in rotated(list(ready), number):
            show(f"round {number + 1} of {rounds}, {name}")
            with _failing(name, failures), entrants[name].around():
                bursts[name].append(burst(ready[name].step, ready[name].count, entrants[name].wait))
        ready = {name: warm for name, warm in ready.items() if name not in failures}
    times = {name: statistics.median(bursts[name]) if name in ready else None for name in entrants}
    return times, failures, ready


@contextmanager
def _failing(name: str, failures: dict[str, str]) -> Iterator[None]:
    """An error within it is entered, by its first line."""
    try:
        yield
    except Exception as error:  # a lack of memory, a driver's or a compiler's word: of any framework, of any type
        failures[name] = f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"


def warm_up(entrant: Contestant, seconds: float) -> Ready:
    """The step after `WARM` runs, and how many fill a burst of so many seconds."""
    step = entrant.build()
    losses = read(step())
    for _ in range(WARM - 1):
        step()
    return Ready(step, max(1, round(1e3 * seconds / burst(step, 1, entrant.wait))), losses)


def burst(step: Callable[[], list], count: int, wait: Callable[[], object]) -> float:
    """Milliseconds a step, of `count` steps in a row; the device has nothing else to do before, and is done after."""
    wait()
    since = time.perf_counter()
    for _ in range(count):
        step()
    wait()
    return 1e3 * (time.perf_counter() - since) / count


def difference(losses: dict[str, list[float]]) -> float | None:
    """The largest |a - b| / max(|a|, |b|) between a loss of minigan's first step and PyTorch's in float32, of all their
    variants; None where one of the two has none."""
    ours = [values for name, values in losses.items() if name in OWN]
    theirs = [values for name, values in losses.items() if name in PEERS and not PEERS[name].special]
    pairs = [pair for one in ours for other in theirs for pair in zip(one, other, strict=True)]
    return max((abs(a - b) / (max(abs(a), abs(b)) or 1.0) for a, b in pairs), default=None)


def in_graphs(step) -> dict:
    """Of a captured step: {"calls": of its plan, "in_graphs": how many of them CUDA graphs hold, "failures": why the
    others of those meant for graphs are not}."""
    calls = [call for call, _ in step.plans[-1].calls]
    stretches = [call for call in calls if isinstance(call, Stretch)]
    return {
        "calls": len(calls) - len(stretches) + sum(len(s.calls) for s in stretches),
        "in_graphs": sum(len(s.calls) for s in stretches if s.graph is not None),
        "failures": sorted({str(s.failure) for s in stretches if s.failure is not None}),
    }


def lines(figures: dict) -> list[str]:
    """The table of the steps: a line each contestant, a column each workload."""
    steps, differences, graphs = (figures[key] for key in ("steps", "loss_difference", "graphs"))
    width = max(14, *map(len, steps))

    def line(title: str, cells: Iterable[str]) -> str:
        return f"{title:<30}" + "".join(f" {cell:>{width}}" for cell in cells)

    table = [line("a training step, ms", steps)]
    for name, way in (OWN | PEERS).items():
        if all(name in times for times in steps.values()):
            times = [steps[work][name] for work in steps]
            table.append(line(way.title, ["failed" if ms is None else f"{ms:.3f}" for ms in times]))
    counts = [graphs.get(work) for work in steps]
    table.append(line("launches in CUDA graphs", [f"{g['in_graphs']} of {g['calls']}" if g else "-" for g in counts]))
    if figures["torch"] is not None:
        apart = [differences[work] for work in steps]
        table.append(line("first losses differ by", ["-" if d is None else f"{d:.1e}" for d in apart]))
        table.append(
            "first losses: minigan's from PyTorch's in float32, the largest difference / the larger of the two"
        )
    for work in steps:
        table += [f"{work}, {name}: {why}" for name, why in figures["failures"][work].items()]
        table += [f"{work}: not in a CUDA graph: {why}" for why in (graphs.get(work) or {"failures": ()})["failures"]]
    return table
