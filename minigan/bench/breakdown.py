"""Where a training step of a system spends its time: kernel by kernel, and outside of all kernels.

    minigan bench --system stylegan

The whole is the median of plain steps. The kernels' time is that of steps whose every loop is timed by itself: those
of a captured half-step one by one from its plan, those of the batch, the optimisers and the moving average, and of
half-steps that are not captured, by a tape. Both kinds of steps alternate, so that what drifts drifts for both. What is
left of the whole is Python, the batch's bookkeeping and the looks at the figures.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from statistics import median

from .._array import fill
from ..capture import Captured
from ..capture.plan import Plan
from ..data import load
from ..gan.systems.table import options_for, system, trainer_for
from ..gan.train import Trainer
from ..profiler.cost import named
from ..profiler.tape import Tape

WARM = 3
SHOWN = 12
"""Kernels of the table; the others are one line."""


def breakdown(name: str, rounds: int = 7, status: Callable[[str], object] = lambda line: None) -> dict:
    """The figures of one step of system `name` at its defaults, on the CPU, in seconds.

    Returns {"system", "step": median of `rounds` plain steps, "kernels": {kernel: seconds, the longest first},
    "outside": share of the step that is in no kernel, "captured": whether all half-steps are replayed, "load": the
    machine's load average of the last minute}. Raises ValueError, with the nearest name, for an unknown system.
    """
    system(name)
    status(f"{name}: preparing")
    options = options_for(name, seed=0)
    trainer = trainer_for(options, load(options.data, size=options.size))
    for _ in range(WARM):
        trainer.step()
    _timed_step(trainer)  # a tape compiles what is not captured anew
    plain, tables = [], list[dict[str, float]]()
    for k in range(rounds):
        status(f"{name}: round {k + 1} of {rounds}")
        start = time.perf_counter()
        trainer.step()
        plain.append(time.perf_counter() - start)
        tables.append(_timed_step(trainer))
    times = {kernel: median(table.get(kernel, 0.0) for table in tables) for table in tables for kernel in table}
    whole = median(plain)
    inside = median(sum(table.values()) for table in tables)
    return {
        "system": name,
        "step": whole,
        "kernels": dict(sorted(times.items(), key=lambda item: -item[1])),
        "outside": max(0.0, 1 - inside / whole),
        "captured": all(isinstance(half.player.gradients, Captured) for half in trainer.half_steps()),
        "load": os.getloadavg()[0],
    }


def text(figures: dict) -> str:
    """The table of `breakdown`, for a person."""
    whole, kernels = figures["step"], figures["kernels"]
    lines = [
        f"{figures['system']}: {1000 * whole:.2f} ms a step, "
        f"{'captured' if figures['captured'] else 'not all of it captured'}, load {figures['load']:.1f}",
        f"{'ms':>9} {'share':>6}  kernel",
    ]
    rows = list(kernels.items())
    rows, rest = rows[:SHOWN], rows[SHOWN:]
    if rest:
        rows.append((f"{len(rest)} others", sum(seconds for _, seconds in rest)))
    rows.append(("outside of kernels", figures["outside"] * whole))
    return "\n".join([*lines, *(f"{1000 * s:>9.3f} {100 * s / whole:>5.1f}%  {kernel}" for kernel, s in rows)])


def _timed_step(trainer: Trainer) -> dict[str, float]:
    """One step, as `Trainer.step` takes it: seconds of each kernel."""
    times: dict[str, float] = {}
    for half_step in trainer.half_steps():
        player = half_step.player
        with _tape(times):
            half_step.feed()
        plans = player.gradients.plans if isinstance(player.gradients, Captured) else []
        if plans:
            with _timed(plans, times):
                player.gradients()
        else:
            with _tape(times):
                player.gradients()
        with _tape(times):
            player.move()
    with _tape(times):
        trainer.average.update(trainer.generator)
    trainer.steps_done += 1
    return times


@contextmanager
def _tape(times: dict[str, float]) -> Iterator[None]:
    """Within, each op and each change in place adds its kernel's seconds to `times`."""
    with Tape(tell=lambda row: _add(times, row.kernels[0] if row.kernels else row.op, row.seconds), keep=False):
        yield


@contextmanager
def _timed(plans: list[Plan], times: dict[str, float]) -> Iterator[None]:
    """Within, each loop of the plans adds its seconds to `times`."""
    before = [plan.calls for plan in plans]
    try:
        for plan in plans:
            plan.calls = [(_timer(function, arguments, times), arguments) for function, arguments in plan.calls]
        yield
    finally:
        for plan, calls in zip(plans, before, strict=True):
            plan.calls = calls


def _timer(function: Callable, arguments: Sequence, times: dict[str, float]) -> Callable:
    kernel = named(arguments[1] if function is fill else function)[0][0]

    def run(*arguments: object) -> None:
        start = time.perf_counter()
        function(*arguments)
        _add(times, kernel, time.perf_counter() - start)

    return run


def _add(times: dict[str, float], kernel: str, seconds: float) -> None:
    times[kernel] = times.get(kernel, 0.0) + seconds
