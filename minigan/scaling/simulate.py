"""A run of many ranks as events: each rank computes, at its own speed; a sum ends a half-step; now and then one fails.

A rank's half-step takes its share of the model's seconds, times a factor that is drawn for it: lognormal with a median
of 1, and `slow` for ranks that are slow always. The sum is message by message (`sums.run`), so a late rank delays those
that wait for it, and not at once all others. Failures are a Poisson process; each throws the run back to its last
checkpoint. Random numbers are those of a seed.

The clock jumps from event to event: the next one is the end of the step or the checkpoint under way, or a failure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import ceil, log2

import numpy as np

from . import sums
from .model import Machine, Work


@dataclass
class Steps:
    """Draws the seconds of one step after the other. spread: of the logarithm of a rank's factor. slow: rank -> how
    many times longer it always takes."""

    machine: Machine
    work: Work
    ranks: int
    batch: int
    way: str = "slices"
    spread: float = 0.0
    slow: Mapping[int, float] = field(default_factory=dict)
    seed: int = 0

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)
        self.factors = np.ones(self.ranks)
        for rank, factor in self.slow.items():
            self.factors[rank] = factor

    def __call__(self) -> float:
        """The seconds until the last rank has ended its step, all having begun it at once."""
        machine, ranks = self.machine, self.ranks
        own = (machine.part + machine.image * self.batch / ranks) / len(self.work.sums)
        word = ceil(log2(ranks)) * machine.latency if ranks > 1 else 0.0
        times = np.zeros(ranks)
        for numbers in self.work.sums:
            drawn = np.exp(self.spread * self.random.standard_normal(ranks)) if self.spread else 1.0
            times = times + own * self.factors * drawn
            times[:] = times.max() + word  # agreed that all are well
            times = sums.run(times, self.way, numbers, machine.latency, machine.byte, machine.addition)
        return float(times.max()) + word


@dataclass(frozen=True)
class Outcome:
    """seconds: of the whole run; failures: how many; lost: seconds of work that was done again; saving: seconds of
    checkpoints; restarting: seconds until a run went on after failures."""

    seconds: float
    failures: int
    lost: float
    saving: float
    restarting: float


def run(
    steps: int,
    step: Callable[[], float],
    interval: float = float("inf"),
    cost: float = 0.0,
    restart: float = 0.0,
    between: float = float("inf"),
    seed: int = 0,
) -> Outcome:
    """A run of so many steps. interval: seconds of work after which a checkpoint of `cost` seconds is written, at the
    end of a step. restart: seconds after a failure. between: mean seconds between failures."""
    random = np.random.default_rng(seed)
    now = lost = saving = restarting = 0.0
    done = saved = failures = 0
    work = 0.0  # seconds of the steps since the last checkpoint
    failure = random.exponential(between) if np.isfinite(between) else float("inf")
    while done < steps:
        due = work >= interval * (1 - 1e-9) and done > saved
        length = cost if due else step()
        if now + length < failure:
            now += length
            if due:
                saving, saved, work = saving + length, done, 0.0
            else:
                done, work = done + 1, work + length
            continue
        lost += work + (failure - now)
        now, done, work, failures = failure, saved, 0.0, failures + 1
        while True:  # a restart may fail, too
            failure = now + random.exponential(between)
            if failure > now + restart:
                break
            restarting, now, failures = restarting + failure - now, failure, failures + 1
        now, restarting = now + restart, restarting + restart
    return Outcome(now, failures, lost, saving, restarting)
