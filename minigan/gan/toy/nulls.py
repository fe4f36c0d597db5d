"""What the figures of points stand beside: the null models of the set, and what real data get.

Modes and quality mislead one by one: uniform noise finds most modes, one mode alone is of perfect quality. A mode is
held if half of its share of the samples is of high quality and there; `coverage` and W1 ask for both at once. A null
model that is as good in one of these two as a generator, within the margin of its figure, beats it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ..metrics.null_models import POINTS
from . import data as toydata

REALS = "real data"


@dataclass(frozen=True)
class Figure:
    """A column: its title, digits, and whether more (1) or less (-1) is better."""

    title: str
    digits: int
    better: int


FIGURES = {
    "modes": Figure("modes", 1, 1),
    "held": Figure("held", 1, 1),
    "high_quality": Figure("high quality", 3, 1),
    "coverage": Figure("coverage", 3, 1),
    "reverse_kl": Figure("reverse KL", 2, -1),
    "w1": Figure("W1", 3, -1),
}
DECIDING = ("coverage", "w1")


def null_scores(points: toydata.Points, count: int = toydata.SAMPLES, seed: int = 0) -> dict[str, dict]:
    """Name -> scores of `count` samples: of real data, and of each null model of `count` training points."""
    train, random = points.sample(count, seed + 201), np.random.default_rng((seed, 202))
    samples = {REALS: points.sample(count, seed + 203)}
    samples |= {row.name: row.draw(train, count, random) for row in POINTS}
    return {name: toydata.scores(x, points, seed, floor=False) for name, x in samples.items()}


def winners(figures: Mapping, nulls: Mapping[str, Mapping], margins: Mapping[str, float] | None = None) -> list[str]:
    """The null models that are no worse than figures minus their margins, as "blob in W1"; any is, where samples are
    not finite. margins: half widths of intervals, 0 by default."""
    better = []
    for name, null in nulls.items():
        for key in DECIDING:
            value, other = figures.get(key), null.get(key)
            if name == REALS or other is None:
                continue
            sign, margin = FIGURES[key].better, (margins or {}).get(key) or 0.0
            if value is None or not sign * value - margin > sign * other:
                better.append(f"{name} in {FIGURES[key].title}")
    return better


def sampling_margins(figures: Mapping) -> dict[str, float]:
    """The half width of a 95 % interval of one run's coverage, a share of its samples."""
    share, count = figures.get("coverage", 0.0), figures["samples"]
    return {"coverage": 1.96 * float(np.sqrt(share * (1 - share) / count))}


def head(width: int = 22) -> str:
    """The line of titles, each with the direction that is good."""
    titles = (f"{f.title} {'^' if f.better > 0 else 'v'}" for f in FIGURES.values())
    return " " * width + "".join(f"{title:>15}" for title in titles)


def line(name: str, figures: Mapping, width: int = 22) -> str:
    """A row under `head`: the figures that there are, infinite ones by name."""
    cells = []
    for key, column in FIGURES.items():
        value = figures.get(key)
        missing = "infinite" if key == "reverse_kl" and "modes" in figures else "-"
        cells.append(missing if value is None or not np.isfinite(value) else f"{value:.{column.digits}f}")
    return f"{name:<{width}}" + "".join(f"{cell:>15}" for cell in cells)


def page(figures: Mapping, nulls: Mapping[str, Mapping], name: str = "this generator") -> str:
    """The figures of one run over those of real data and the null models, and a warning for each that wins."""
    rows = [f"of {figures['samples']:,} samples; ^ more is better, v less", head(), line(name, figures)]
    rows += [line(other, values) for other, values in nulls.items()]
    won = winners(figures, nulls, sampling_margins(figures))
    return "\n".join(rows + [f"warning: a null model is no worse: {who}" for who in won])
