"""What a normal run looks like: for each curve of a system at its defaults, the band that a sixth run keeps to.

    minigan bands          trains them (tables/normal_runs.py)
    assets/bands.json      what is shipped of it, the first steps of every system

A point of a curve is a row of stats.jsonl, a mean of 25 steps. Its band is Student's prediction interval of 99 % for
one run more: mean ± t s sqrt(1 + 1 / n), the spread s pooled over the point and its neighbours (Hahn & Meeker 1991).
Curves that are positive in all runs are compared by their logarithms, since norms and losses vary by factors. At most
one point in a hundred of a normal run lies outside by chance; a run has left a band where three in a row do, on one
side.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cache
from importlib.resources import files

import numpy as np

from ..functional import sigmoid
from .losses import loss
from .options import CommonOptions

CONFIDENCE, NEIGHBOURS, IN_A_ROW = 0.99, 2, 3
SHOWN = 4
APART = {"seed", "steps", "device", "capture", "parts", "keep"}
"""Options that leave the curves what they are, but for chance."""


@dataclass(frozen=True)
class Band:
    """low and high of one curve at the steps."""

    steps: tuple[int, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class Departure:
    """Where a curve left its band: the first and the last step of it, on which side, and its value and band at the
    first."""

    curve: str
    first: int
    last: int
    side: str
    value: float
    low: float
    high: float

    def text(self) -> str:
        """For a person, as: d_loss above from step 75 to 150 (at first 3.4, normal runs 0.52 to 1.2)."""
        when = f"at step {self.first}" if self.first == self.last else f"from step {self.first} to {self.last}"
        band = f"normal runs {self.low:.3g} to {self.high:.3g}"
        return f"{self.curve} {self.side} {when} (at first {self.value:.3g}, {band})"


def band_of(steps: Sequence[int], values: np.ndarray) -> Band:
    """The band of a curve's values (runs, points). Raises ValueError for fewer than 2 runs, or what is not finite."""
    from scipy.stats import t

    count = len(values)
    if count < 2 or not np.isfinite(values).all():
        raise ValueError(f"bands: at least 2 runs of finite values are needed, got {values.shape}")
    positive = bool((values > 0).all())
    scaled = np.log(values) if positive else values
    variance = scaled.var(0, ddof=1)
    pooled = [variance[max(0, k - NEIGHBOURS) : k + NEIGHBOURS + 1].mean() for k in range(len(steps))]
    reach = t.ppf((1 + CONFIDENCE) / 2, count - 1) * np.sqrt(np.array(pooled) * (1 + 1 / count))
    low, high = scaled.mean(0) - reach, scaled.mean(0) + reach
    ends = (np.exp(low), np.exp(high)) if positive else (low, high)
    return Band(tuple(steps), *(tuple(float(f"{v:.4g}") for v in end) for end in ends))


def bands_of(runs: Sequence[Sequence[Mapping[str, float]]]) -> dict[str, Band]:
    """Curve -> band, of the curves and steps that all runs' rows have."""
    steps = [row["step"] for row in runs[0]]
    curves = [key for key in runs[0][0] if key not in ("step", "seconds")]
    return {
        key: band_of(steps, np.array([[row[key] for row in rows] for rows in runs]))
        for key in curves
        if all(key in row for rows in runs for row in rows)
    }


def departures(rows: Sequence[Mapping[str, float]], bands: Mapping[str, Band]) -> list[Departure]:
    """Where the curves of a run leave their bands for at least `IN_A_ROW` of its rows in a row, or for all of its rows
    where it has fewer; a value that is not finite is outside. By first step."""
    exits = []
    for key, band in bands.items():
        places = {step: k for k, step in enumerate(band.steps)}
        points = [(row["step"], row[key]) for row in rows if key in row and row["step"] in places]
        outside: list[tuple[int, float, str]] = []
        for step, value in [*points, (-1, 0.0)]:
            k = places.get(step, -1)
            side = "" if k < 0 or band.low[k] <= value <= band.high[k] else "below" if value < band.low[k] else "above"
            if outside and side != outside[-1][2]:
                if len(outside) >= min(IN_A_ROW, len(points)):
                    first = places[outside[0][0]]
                    ends = band.low[first], band.high[first]
                    exits.append(Departure(key, outside[0][0], outside[-1][0], outside[0][2], outside[0][1], *ends))
                outside = []
            if side:
                outside.append((step, value, side))
    return sorted(exits, key=lambda departure: (departure.first, departure.curve))


@cache
def shipped() -> dict[str, dict]:
    """System -> "options", "seeds" and "curves" of its five runs."""
    path = files("minigan") / "assets" / "bands.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def of(options: CommonOptions) -> tuple[dict[str, Band], list[str]]:
    """(curve -> band, the options in which this run is another than the normal ones, as "lr 0.01"). No bands where none
    are shipped of the system, or only of other data or sizes of image."""
    entry = shipped().get(options.system)
    if entry is None:
        return {}, []
    defaults = {field.name: field.default for field in fields(options)}  # of options that are newer than the bands
    ours, theirs = asdict(options), defaults | entry["options"]
    different = [f"{key} {value}" for key, value in ours.items() if key not in APART and value != theirs[key]]
    if any(ours[key] != theirs[key] for key in ("data", "size")):
        return {}, different
    bands = {key: Band(tuple(entry["steps"]), *map(tuple, ends)) for key, ends in entry["curves"].items()}
    if options.loss and loss(options.loss).probability is sigmoid:
        for key in bands.keys() & {"d_real", "d_fake"}:
            bands[key] = replace(bands[key], high=tuple(min(1.0, v) for v in bands[key].high))
    return bands, different


def verdict(options: CommonOptions, rows: Sequence[Mapping[str, float]]) -> list[str]:
    """Lines that say where a run left the bands, none where there are no bands or rows to compare."""
    bands, different = of(options)
    if not bands or not rows:
        return []
    compared = [step for step in next(iter(bands.values())).steps if step <= rows[-1]["step"]]
    if not compared:
        return []
    exits = departures(rows, bands)
    ours = f" (of this run: {', '.join(different)})" if different else ""
    head = f"curves up to step {compared[-1]} beside {len(shipped()[options.system]['seeds'])} normal runs{ours}: "
    if not exits:
        return [head + "within their bands"]
    lines = [departure.text() for departure in exits[:SHOWN]]
    more = [f"and {len(exits) - SHOWN} more"] if len(exits) > SHOWN else []
    return [head + "outside of their bands", *(f"  {line}" for line in [*lines, *more])]
