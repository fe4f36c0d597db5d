"""How images that were looked for stand: one row for ours, one for each null model, one for real images.

    score      mean of what was raised, higher for better
    reached    share that meets what was asked for, by the judges
    precision  share within the reach of real images *that meet what was asked for*, on the judge's features of length 1
               (gan/metrics/realism.py), where plain features take the mean image for real
    coverage   share of those real images that have one of ours in reach (Naeem et al. 2020)
    length     mean |z| / sqrt(d): 1 for normal latents

All rows by the same code. Intervals are of 95 %: over the images, or over groups of them (chains), whose figures are
then means. What cannot be had, for want of a judge or of real images, is None.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ..metrics.classifier import prepared
from ..metrics.distances import Interval, bootstrap, radii, share_interval, squared_distances
from ..metrics.realism import directions
from .targets import Target

NEIGHBOURS, FEWEST = 3, 30
"""The balls of real images reach to the third nearest other one. Of fewer than 30 they reach everywhere: then all real
images stand for those that meet what was asked for."""

HEADING = f"{'':<26}          score             reached            precision             coverage  |z|/sqrt d"


@dataclass(frozen=True)
class Row:
    """The figures of one set of images."""

    images: int
    score: Interval
    reached: Interval | None
    precision: Interval | None
    coverage: Interval | None
    length: float | None

    def as_dict(self) -> dict:
        """Ready for JSON."""
        return {k: v._asdict() if isinstance(v, tuple) else v for k, v in vars(self).items()}

    def line(self, name: str) -> str:
        """One line of a table under HEADING."""
        score = f"{self.score.value:8.2f} +- {(self.score.high - self.score.low) / 2:.2f}"
        shares = "".join(
            f"{'-':>21}" if s is None else f"{s.value:.1%} [{s.low:.0%}, {s.high:.0%}]".rjust(21)
            for s in (self.reached, self.precision, self.coverage)
        )
        return f"{name:<26}{score:>15}{shares}{'-' if self.length is None else f'{self.length:.2f}':>12}"


@dataclass(frozen=True)
class Study:
    """What a search came to: rows, ours first; pictures, title -> (rows, columns, C, S, S); lines and figures beside
    the table."""

    rows: Mapping[str, Row]
    grids: Mapping[str, np.ndarray]
    lines: tuple[str, ...] = ()
    figures: Mapping[str, object] = field(default_factory=dict)

    def report(self) -> list[str]:
        """The table and the lines beneath."""
        return [HEADING, *(row.line(name) for name, row in self.rows.items()), *self.lines]

    def as_dict(self) -> dict:
        """Ready for JSON."""
        return {"rows": {name: row.as_dict() for name, row in self.rows.items()}, **self.figures}


class Scale:
    """The real images that meet a target, and figures of others beside them.

    target: its data set's held-out images stand for real ones; its judges read. size: of the images that are judged.
    """

    def __init__(self, target: Target, size: int) -> None:
        self.target, self.size, dataset = target, size, target.reader.dataset
        try:
            self.model, missing = target.reader.features, "the data set has no classes or attributes, so no judge"
        except ValueError as error:
            self.model, missing = None, str(error)
        asked, self.train = target.rows(dataset.held_out), target.rows(dataset.train)
        rows = asked if len(asked) >= FEWEST else dataset.held_out
        self.features = None
        if self.model is not None and len(rows) > NEIGHBOURS:
            self.features = directions(prepared(dataset, rows, size), self.model)
            self.balls = radii(self.features, NEIGHBOURS)
        what = target.text if len(asked) >= FEWEST and target.conditions else "any kind"
        self.line = (
            f"no precision: {missing}"
            if self.model is None
            else (f"precision and coverage: among {len(rows)} held-out real images of {what}")
        )

    def near(self, images: np.ndarray) -> np.ndarray:
        """(real images, N): in whose balls images (N, C, S, S) lie."""
        distances = squared_distances(self.features, directions(images, self.model))
        return distances <= self.balls[:, None]

    def precision(self, images: np.ndarray) -> Interval | None:
        """The share of images (N, C, S, S) that lie in a ball of a real one."""
        return None if self.features is None else share_interval(int(self.near(images).any(0).sum()), len(images))

    def row(self, images: np.ndarray, z: np.ndarray | None = None) -> Row:
        """Of images (N, C, S, S) of latents z (N, d), the interval over images."""
        count, reached, precision, coverage = len(images), self.target.reached(images), None, None
        if self.features is not None:
            near = self.near(images)
            precision = share_interval(int(near.any(0).sum()), count)
            covered = float(near.any(1).mean())
            coverage = bootstrap(lambda columns: near[:, columns].any(1).mean(), count, covered)
        reached = None if reached is None else share_interval(int(reached.sum()), count)
        return Row(count, spread(self.target.values(images)), reached, precision, coverage, length_of(z))

    def groups(self, images: np.ndarray, z: np.ndarray | None = None) -> Row:
        """Of images (G, N, C, S, S) in groups, each figure a mean over groups, the interval over groups."""
        flat = images.reshape(-1, *images.shape[2:])
        shape, reached = images.shape[:2], self.target.reached(flat)
        precision = coverage = None
        if self.features is not None:
            near = self.near(flat).reshape(len(self.features), *shape)
            precision, coverage = share(near.any(0).mean(1)), share(near.any(2).mean(0))
        reached = None if reached is None else share(reached.reshape(shape).mean(1))
        score = spread(self.target.values(flat).reshape(shape).mean(1))
        return Row(len(flat), score, reached, precision, coverage, length_of(z))

    def real(self, count: int) -> np.ndarray | None:
        """Up to `count` training images that meet the target, (N, C, S, S); None where there are none."""
        if not len(self.train):
            return None
        rows = self.train[np.linspace(0, len(self.train) - 1, min(count, len(self.train))).round().astype(int)]
        return prepared(self.target.reader.dataset, rows, self.size)


def spread(values: np.ndarray) -> Interval:
    """The mean of independent values (N,) of either sign, by the normal law; of one value, that alone."""
    mean = float(np.mean(values))
    half = 1.96 * float(np.std(values, ddof=1)) / np.sqrt(len(values)) if len(values) > 1 else 0.0
    return Interval(mean, float(mean - half), float(mean + half))


def share(values: np.ndarray) -> Interval:
    """The same of shares (N,), of which no interval leaves [0, 1]."""
    mean, low, high = spread(values)
    return Interval(mean, max(low, 0.0), min(high, 1.0))


def length_of(z: np.ndarray | None) -> float | None:
    """The mean |z| / sqrt(d) of latents (N, d)."""
    return None if z is None else float(np.linalg.norm(z, axis=1).mean() / np.sqrt(z.shape[1]))
