"""Two-dimensional data: mixtures, curves, a user's own scatter, and PacGAN's scores of samples.

    ring   8 Gaussians on the circle of radius 1, standard deviation 0.01   (Lin et al. 2018, PacGAN, section 4.1)
    grid   25 Gaussians at {-4, -2, 0, 2, 4}^2, standard deviation 0.05   (the same)
    moons, roll, spiral   two half circles, the swiss roll, two spiral arms; no modes, so only the distance is scored
    FILE   a user's points: .npz with one array (N, 2), or .csv with two columns

A set's points are float32 (N, 2) in its own units. A sample is of high quality within 3 standard deviations of the
nearest mode: 1 - exp(-9/2) = 98.89 % of perfect samples are. A mode counts as found with one high-quality sample.
"""

from __future__ import annotations

import csv
import difflib
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ...data.archives import arrays

MOST_BYTES = 64 << 20
"""Of a file of points, and of the arrays in it."""

SAMPLES = 2500
"""Samples that the protocol judges."""

CEILING = 1 - float(np.exp(-4.5))
"""The high-quality share of perfect samples: the mass of a two-dimensional Gaussian within 3 standard deviations."""


@dataclass(frozen=True)
class Points:
    """A two-dimensional distribution. `draw(n, rng)` gives n points (n, 2); modes (K, 2) and their standard deviation
    sigma where it is a mixture."""

    name: str
    draw: Callable[[int, np.random.Generator], np.ndarray] = field(repr=False)
    modes: np.ndarray | None = None
    sigma: float = 0.0

    def sample(self, count: int, seed: int) -> np.ndarray:
        """`count` points, float32 (count, 2), a function of the seed."""
        return self.draw(count, np.random.default_rng((seed, 17))).astype(np.float32)


def mixture(name: str, modes: np.ndarray, sigma: float) -> Points:
    """Equal Gaussians of standard deviation sigma at the rows of modes (K, 2)."""

    def draw(count: int, rng: np.random.Generator) -> np.ndarray:
        return modes[rng.integers(len(modes), size=count)] + sigma * rng.standard_normal((count, 2))

    return Points(name, draw, modes, sigma)


def _ring() -> Points:
    angle = 2 * np.pi * np.arange(8) / 8
    return mixture("ring", np.stack([np.cos(angle), np.sin(angle)], 1), 0.01)


def _grid() -> Points:
    side = np.arange(-4.0, 5.0, 2.0)
    return mixture("grid", np.stack(np.meshgrid(side, side), -1).reshape(-1, 2), 0.05)


def _moons(count: int, rng: np.random.Generator) -> np.ndarray:
    """Two interleaved half circles of radius 1, noise 0.05."""
    angle, lower = np.pi * rng.random(count), rng.integers(2, size=count)
    x = np.where(lower, 1 - np.cos(angle), np.cos(angle))
    y = np.where(lower, 0.5 - np.sin(angle), np.sin(angle))
    return np.stack([x, y], 1) + 0.05 * rng.standard_normal((count, 2))


def _roll(count: int, rng: np.random.Generator) -> np.ndarray:
    """(t cos t, t sin t) / 10 for t between 1.5 pi and 4.5 pi, noise 0.025."""
    t = 1.5 * np.pi * (1 + 2 * rng.random(count))
    return np.stack([t * np.cos(t), t * np.sin(t)], 1) / 10 + 0.025 * rng.standard_normal((count, 2))


def _spiral(count: int, rng: np.random.Generator) -> np.ndarray:
    """Two arms, half a turn apart: radius t / 3 pi at angle t, t up to 3 pi with even density along the arm, noise
    0.02."""
    t = 3 * np.pi * np.sqrt(rng.random(count))
    turned = t + np.pi * rng.integers(2, size=count)
    return np.stack([np.cos(turned), np.sin(turned)], 1) * (t / (3 * np.pi))[:, None] + 0.02 * rng.standard_normal(
        (count, 2)
    )


BUILDERS: dict[str, Callable[[], Points]] = {
    "ring": _ring,
    "grid": _grid,
    "moons": lambda: Points("moons", _moons),
    "roll": lambda: Points("roll", _roll),
    "spiral": lambda: Points("spiral", _spiral),
}


def load(name: str) -> Points:
    """A set by name, or a file of points.

    Raises ValueError for an unknown name (with the nearest one) and for a file whose points no GAN can learn.
    """
    if name in BUILDERS:
        return BUILDERS[name]()
    path = Path(name)
    if path.suffix.lower() in READERS or path.exists():
        return scatter(path)
    near = difflib.get_close_matches(name.lower(), BUILDERS, 1, 0.4)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"unknown points {name!r}{hint} (known: {', '.join(BUILDERS)}, or a .npz or .csv file)")


def scatter(path: str | Path) -> Points:
    """A user's points as a distribution: its draws are rows of the file.

    Raises ValueError naming the file for what is not (N, 2) finite numbers, for fewer than two points and for points
    that are all equal; FileNotFoundError if there is no such file.
    """
    path = Path(path)
    reader = READERS.get(path.suffix.lower())
    if not path.is_file():
        raise FileNotFoundError(f"no such file of points: {path}")
    if reader is None:
        raise ValueError(
            f"{path}: points are read from .npz or .csv, not from {path.suffix or 'a file without suffix'}"
        )
    points = reader(path)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"{path}: expected points (N, 2), got an array of shape {points.shape}")
    bad = np.flatnonzero(~np.isfinite(points).all(1))
    if len(bad):
        raise ValueError(
            f"{path}: point {bad[0] + 1} is {tuple(map(float, points[bad[0]]))}; every number must be finite"
        )
    if len(points) < 2:
        raise ValueError(f"{path}: holds {len(points)} point(s); at least 2 are needed to have a distribution")
    if np.abs(points).max() > 1e30:
        raise ValueError(f"{path}: numbers up to {np.abs(points).max():.1e} do not fit float32; rescale the points")
    if not points.std(0).any():
        raise ValueError(
            f"{path}: all {len(points)} points are equal, so they have zero variance; nothing can be learned"
        )
    return Points(path.stem, lambda count, rng: points[rng.integers(len(points), size=count)])


def _read_npz(path: Path) -> np.ndarray:
    members = arrays(path, MOST_BYTES)
    if len(members) != 1 and "points" not in members:
        raise ValueError(
            f"{path}: holds the arrays {', '.join(members)[:200] or 'none'}; keep one, or call it 'points'"
        )
    array = members.get("points", next(iter(members.values()), None))
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{path}: points must be numbers, got dtype {array.dtype}")
    return array.astype(np.float64)


def _read_csv(path: Path) -> np.ndarray:
    """Two columns; a first line of names is passed over."""
    if (size := path.stat().st_size) > MOST_BYTES:
        raise ValueError(f"{path}: {size:,} bytes are more than the {MOST_BYTES:,} that are read")
    numbers = array("d")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            for number, row in enumerate(csv.reader(file), 1):
                if not any(cell.strip() for cell in row):
                    continue
                if len(row) != 2:
                    raise ValueError(f"{path}, line {number}: expected 2 columns, got {len(row)}")
                try:
                    numbers.extend([float(cell) for cell in row])
                except ValueError:
                    if number > 1 or any(map(_is_number, row)):
                        cells = ",".join(cell[:40] for cell in row)
                        raise ValueError(f"{path}, line {number}: {cells!r} is not two numbers") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a text file ({error.reason} at byte {error.start})") from error
    except csv.Error as error:
        raise ValueError(f"{path}: not a file of two columns of numbers ({str(error)[:200]})") from error
    return np.array(numbers, np.float64).reshape(-1, 2)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


READERS: dict[str, Callable[[Path], np.ndarray]] = {".npz": _read_npz, ".csv": _read_csv}


def scores(
    samples: np.ndarray, points: Points, seed: int = 0, floor: bool = True
) -> dict[str, float | int | list[int]]:
    """The protocol's figures for samples (N, 2) in the set's own units; shares are fractions 0..1.

    modes, high_quality, reverse_kl   where the set is a mixture: modes found; share of samples within 3 sigma of their
                                      nearest mode; KL(histogram of the nearest modes of all high-quality samples ||
                                      uniform) in nats, infinite where none is
    held                              modes at which at least half of their share of all samples lies within 3 sigma
    coverage                          the sum over modes of min(share of samples that are good and there, 1 / modes):
                                      what quality and modes come to together, 1 less a total variation
    histogram                         high-quality samples a mode
    w1, w1_floor                      exact distance to as many points of the set, and between two such draws of it, if
                                      `floor`

    Raises ValueError for samples that are not (N, 2).
    """
    samples = np.asarray(samples, np.float64)
    if samples.ndim != 2 or samples.shape[1] != 2 or not len(samples):
        raise ValueError(f"scores: expected samples (N, 2), got {samples.shape}")
    figures: dict[str, float | int | list[int]] = {"samples": len(samples), "finite": bool(np.isfinite(samples).all())}
    if points.modes is not None:
        figures |= mode_scores(samples, points.modes, points.sigma)
    if figures["finite"]:
        count = min(len(samples), W1_SAMPLES)
        real, other = (points.sample(count, seed + k) for k in (101, 102))
        figures["w1"] = wasserstein(samples[:count], real)
        if floor:
            figures["w1_floor"] = wasserstein(other, real)
    return figures


W1_SAMPLES = 1000
"""Points on either side of the exact distance: an assignment of 1,000 takes a tenth of a second."""


def mode_scores(samples: np.ndarray, modes: np.ndarray, sigma: float) -> dict[str, float | int | list[int]]:
    """modes, held, high_quality, coverage, reverse_kl, histogram, as `scores` says, for samples (N, 2) and modes
    (K, 2)."""
    from scipy.spatial import cKDTree

    finite = np.isfinite(samples).all(1)
    distance, nearest = cKDTree(modes).query(np.where(finite[:, None], samples, 0.0))
    good = finite & (distance <= 3 * sigma)
    histogram = np.bincount(nearest[good], minlength=len(modes))
    share = histogram[histogram > 0] / max(histogram.sum(), 1)
    return {
        "modes": int((histogram > 0).sum()),
        "high_quality": float(good.mean()),
        "held": int((histogram >= len(samples) / (2 * len(modes))).sum()),
        "coverage": float(np.minimum(histogram / len(samples), 1 / len(modes)).sum()),
        "reverse_kl": float((share * np.log(share * len(modes))).sum()) if len(share) else float("inf"),
        "histogram": histogram.tolist(),
    }


def wasserstein(a: np.ndarray, b: np.ndarray) -> float:
    """The exact Wasserstein-1 distance between equally many points (N, 2), Euclidean cost: an optimal assignment.

    Raises ValueError where the shapes differ.
    """
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    if np.shape(a) != np.shape(b):
        raise ValueError(f"wasserstein: need equally many points on both sides, got {np.shape(a)} and {np.shape(b)}")
    cost = cdist(a, b)
    return float(cost[linear_sum_assignment(cost)].mean())
