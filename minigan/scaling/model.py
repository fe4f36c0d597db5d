"""The seconds of a training step on p ranks, from five constants of a machine.

    T(p, B) = k c0 + c1 B / p + sum over the half-steps of (messages a + bytes b + additions c)

B images a step are divided into parts, k for each rank. c0 is what a part costs besides its images, c1 an image;
messages, bytes and additions are those of the sum of the player's gradients (`sums.costs`), and of a word with which
the ranks agree that all are well. Where more ranks than cores run, all but the messages takes as many times longer, and
each half-step waits for a turn of the processor besides (`turn`).

The constants are fitted to times of whole steps and of sums alone by least squares of relative errors, none negative.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import ceil, log2

import numpy as np

from . import sums


@dataclass(frozen=True)
class Work:
    """What a step of a system adds up. critic, generator: numbers in a sum. n_critic: critic steps a step."""

    critic: int
    generator: int
    n_critic: int

    @property
    def sums(self) -> list[int]:
        """The numbers of each sum of a step."""
        return [self.critic] * self.n_critic + [self.generator]


@dataclass(frozen=True)
class Machine:
    """Seconds: part (c0), image (c1), latency (a), byte (b), addition (c), turn. cores: of one machine, 0 for as many
    as there are ranks."""

    part: float
    image: float
    latency: float
    byte: float
    addition: float
    turn: float = 0.0
    cores: int = 0

    def on(self, network: str) -> Machine:
        """Such machines, a core for each rank, joined by a network of `NETWORKS`."""
        latency, rate = NETWORKS[network]
        return replace(self, latency=latency, byte=1 / rate, turn=0.0, cores=0)


NETWORKS = {"ethernet-10": (30e-6, 1.25e9), "ethernet-100": (10e-6, 12.5e9), "infiniband-400": (1.5e-6, 50e9)}
"""Seconds of latency and bytes a second of common networks: round figures of their makers, nothing measured here."""


def sum_features(ranks: int, numbers: int, parts: int, way: str = "slices", cores: int = 0) -> np.ndarray:
    """How often a sum of one player's gradients has each constant of `Machine`, part and image first."""
    messages, size, additions = sums.costs(way, ranks, numbers, parts)
    if way != "slices" or ranks == 1:
        additions += (parts - 1) * numbers  # a rank's own parts, before
    slower = max(1.0, ranks / cores) if cores else 1.0
    return np.array([0, 0, messages, slower * size, slower * additions, 0], float)


def step_features(
    work: Work, ranks: int, batch: float, parts: int | None = None, way: str = "slices", cores: int = 0
) -> np.ndarray:
    """The same of a step of `batch` images in `parts` parts, one a rank by default."""
    each = (ranks if parts is None else parts) / ranks
    slower = max(1.0, ranks / cores) if cores else 1.0
    word = ceil(log2(ranks)) if ranks > 1 else 0
    words = (len(work.sums) + 1) * word
    turns = len(work.sums) * (slower > 1)
    own = np.array([slower * each, slower * batch / ranks, words, 0, 0, turns], float)
    return own + sum((sum_features(ranks, n, each, way, cores) for n in work.sums), np.zeros(6))


def constants(machine: Machine) -> np.ndarray:
    """The machine's seconds, in the order of the features."""
    return np.array([machine.part, machine.image, machine.latency, machine.byte, machine.addition, machine.turn])


def seconds(machine: Machine, work: Work, ranks: int, batch: float, parts: int | None = None, way="slices") -> float:
    """T(p, B)."""
    return float(step_features(work, ranks, batch, parts, way, machine.cores) @ constants(machine))


def features_of(row: Mapping, work: Work, cores: int) -> np.ndarray:
    """The features of a measurement: {"what": "step", "ranks", "batch", "parts"} or {"what": "sum", "ranks", "numbers",
    "parts"}."""
    if row["what"] == "sum":
        return sum_features(row["ranks"], row["numbers"], row["parts"] // row["ranks"], cores=cores)
    return step_features(work, row["ranks"], row["batch"], row["parts"], cores=cores)


def fit(rows: Sequence[Mapping], work: Work, cores: int) -> Machine:
    """The machine whose times are nearest to those of the rows ("seconds"), in relative errors."""
    from scipy.optimize import nnls

    times = np.array([row["seconds"] for row in rows])
    features = np.array([features_of(row, work, cores) for row in rows]) / times[:, None]
    scale = np.abs(features).max(0)
    scale[scale == 0] = 1  # what no row shows is left at 0
    solution, _ = nnls(features / scale, np.ones(len(rows)))
    return Machine(*map(float, solution / scale), cores=cores)


def errors(machine: Machine, rows: Sequence[Mapping], work: Work) -> list[float]:
    """Of each row, what the model says over what was measured, less 1."""
    return [float(features_of(r, work, machine.cores) @ constants(machine)) / r["seconds"] - 1 for r in rows]


def waiting(machine: Machine, work: Work, ranks: int, way: str = "slices") -> float:
    """The seconds of a step that are not images, on `ranks` ranks with one part each."""
    return seconds(machine, work, ranks, 0, way=way)


def half_efficient(machine: Machine, work: Work, ranks: int, way: str = "slices") -> float:
    """The batch at which `ranks` ranks are half as many times quicker than one rank that takes it whole. T is linear in
    B, so

        B = (p X(p) - 2 X(1)) / c1,    X(p) = T(p, 0).
    """
    return (ranks * waiting(machine, work, ranks, way) - 2 * waiting(machine, work, 1, way)) / machine.image


def worth_doubling(machine: Machine, work: Work, ranks: int, way: str = "slices") -> float:
    """The batch from which `ranks` ranks are quicker than half as many: B = p (X(p) - X(p / 2)) / c1, at least p."""
    more = waiting(machine, work, ranks, way) - waiting(machine, work, ranks // 2, way)
    return max(float(ranks), ranks * more / machine.image)


def as_dict(machine: Machine) -> dict[str, float]:
    """Its constants by name."""
    return asdict(machine)
