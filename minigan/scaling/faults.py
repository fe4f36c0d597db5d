"""How often a run writes a checkpoint, where its machines fail now and then.

A checkpoint takes C seconds, a restart R, and a failure comes after M seconds in the mean, at any moment as likely as
at any other. Work of W seconds with a checkpoint after every t of them takes, in the mean (Daly 2006, equation 13),

    E = W / t  M e^(R / M) (e^((t + C) / M) - 1),

which is least where e^((t + C) / M) (1 - t / M) = 1. To first and to third order in (C / 2M)^(1/2) that is

    t = (2 C M)^(1/2)                                                    Young 1974
    t = (2 C M)^(1/2) (1 + (C / 2M)^(1/2) / 3 + (C / 2M) / 9) - C        Daly 2006, for C < 2M; else t = M

A run on p machines fails p times as often as one.
"""

from __future__ import annotations

from math import exp, expm1, log1p, sqrt


def young(cost: float, between: float) -> float:
    """Young's interval in seconds, of work between two checkpoints. cost: C. between: M."""
    return sqrt(2 * cost * between)


def daly(cost: float, between: float) -> float:
    """Daly's interval."""
    if cost >= 2 * between:
        return between
    x = sqrt(cost / (2 * between))
    return young(cost, between) * (1 + x / 3 + x * x / 9) - cost


def best(cost: float, between: float) -> float:
    """The interval at which the mean time is least, by bisection."""
    low, high = 0.0, between

    def rises(t: float) -> bool:
        return t >= between or (t + cost) / between + log1p(-t / between) < 0

    for _ in range(200):
        middle = (low + high) / 2
        low, high = (low, middle) if rises(middle) else (middle, high)
    return high


def expected(work: float, interval: float, cost: float, restart: float, between: float) -> float:
    """The mean seconds that `work` seconds of work take."""
    return work / interval * between * exp(restart / between) * expm1((interval + cost) / between)
