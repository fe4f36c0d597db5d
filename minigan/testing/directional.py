"""Derivatives beside differences along random directions: a few evaluations check an order of any size.

phi_n, as in gradcheck.py, is the derivative of <u_n, phi_(n-1)> by all leaves: inputs, weights, lower cotangents.
Along a random direction d of all leaves at once,

    <phi_n, d>   =   d/dt <u_n, phi_(n-1)(x + t d)>   ~   (8 (F(h) - F(-h)) - (F(2h) - F(-2h))) / 12 h .

One wrong element among many makes both sides differ, but for a chance of zero; which one it is, is then found by
taking the leaves, and halves of the worst leaf, alone. The step shrinks while the sides differ, so that a kink or a
bend within a step is no false alarm; and exactly on a kink, any slope between those of its two sides is right.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from ..backend import host
from .derivatives import Key, backward, cotangents, evaluate
from .subject import Problem

STEPS = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)
TOLERANCE, NOISE = 1e-6, 3e-11
"""Relative to the sum of |slope x direction|, and of |u x phi| divided by the step (in units of rounding)."""
DIRECTIONS = 2
ELEMENTWISE = 64
"""Elements up to which each is taken alone to find the worst."""


class Wrong(NamedTuple):
    """A derivative that differences contradict. leaf: its name. pattern: what all elements of the leaf have in common,
    where something is."""

    order: int
    leaf: str
    element: tuple[int, ...]
    analytic: float
    numeric: float
    pattern: str = ""

    def __str__(self) -> str:
        place = f" at element {self.element}" if self.element else ""
        return (
            f"order-{self.order} derivative by {self.leaf}{place} is {self.analytic:.8g},"
            f" differences say {self.numeric:.8g}{self.pattern}"
        )


class NotFinite(ValueError):
    """A derivative that is inf or nan where the values are numbers."""


Direction = dict[Key, np.ndarray]


class Slope:
    """phi_order at a point, and <u, phi_(order-1)> as a function of how far the point is moved."""

    def __init__(self, problem: Problem, order: int, seed: int) -> None:
        self.problem, self.order, self.seed = problem, order, seed
        self.positions = list(range(len(problem.arrays)))
        start: dict[Key, np.ndarray] = dict(enumerate(problem.arrays))
        before, leaves = self.evaluated(start)
        _require_finite(before, "output" if order == 1 else f"order-{order - 1} derivative")
        self.rows = cotangents(before, order, seed)
        self.by = [*self.positions, *(key for key in leaves if key not in start)]
        self.point = {key: host(leaf.data) for key, leaf in leaves.items()}
        answers = backward(before, [leaves[key] for key in self.by], self.rows, create_graph=False)
        _require_finite(answers, f"order-{order} derivative")
        self.analytic = {
            key: np.zeros(self.point[key].shape) if a is None else np.asarray(host(a.data), np.float64)
            for key, a in zip(self.by, answers, strict=True)
        }
        products = [np.abs(u * host(y.data)).sum() for y, u in zip(before, self.rows, strict=True) if u is not None]
        self.size = float(sum(products))

    def evaluated(self, point: dict[Key, np.ndarray]):
        """phi_(order - 1) on the graph, and its leaves."""
        return evaluate(self.problem.fn, point, self.positions, self.order - 1, self.seed)

    def moved(self, direction: Direction, t: float) -> float:
        """<u, phi_(order-1)(x + t d)>."""
        point = {k: np.asarray(x + t * direction[k]) if k in direction else x for k, x in self.point.items()}
        values = self.evaluated(point)[0]
        pairs = zip(values, self.rows, strict=True)
        return float(sum((u * host(y.data)).sum() for y, u in pairs if u is not None and y is not None))

    def along(self, direction: Direction) -> tuple[float, float, bool]:
        """(the derivative along the direction as the engine says, as differences say, whether they agree)."""
        products = [self.analytic[key] * d for key, d in direction.items()]
        analytic, scale = float(sum(p.sum() for p in products)), float(sum(np.abs(p).sum() for p in products))
        quotients, first = [], None
        for h in STEPS:
            f = {k: self.moved(direction, k * h) for k in (-2, -1, 1, 2)}
            numeric = (8 * (f[1] - f[-1]) - (f[2] - f[-2])) / (12 * h)
            quotients.append(abs(numeric))
            room = TOLERANCE * (scale + abs(numeric)) + NOISE * 1e-5 / h * self.size + 1e-13
            if abs(analytic - numeric) <= room:
                return analytic, numeric, True
            if h == STEPS[2]:
                first = numeric, f, h
        numeric, f, h = first
        if all(b > 5 * a > 0 for a, b in pairwise(quotients)):
            return analytic, numeric, True  # it grows as 1 / h: a jump, exactly here, where there is no derivative
        centre = self.moved(direction, 0.0)
        left, right = (centre - f[-1]) / h, (f[1] - centre) / h
        room = 1e-4 * (scale + abs(left) + abs(right))
        on_a_kink = abs(left - right) > room and min(left, right) - room <= analytic <= max(left, right) + room
        return analytic, numeric, bool(on_a_kink)

    def name(self, key: Key) -> str:
        """A leaf's name."""
        if isinstance(key, int):
            return self.problem.names[key]
        order, position = key
        many = sum(isinstance(k, tuple) and k[0] == order for k in self.by) > 1
        return f"the cotangent of order {order}{f', number {position}' if many else ''}"


def wrong_derivative(problem: Problem, order: int, seed: int = 0) -> tuple[float, Wrong | None]:
    """(the worst error relative to the derivative's size, where it is wrong) of the derivative of one order.

    Raises NotFinite, and what the function itself or a vjp raises.
    """
    slope = Slope(problem, order, seed)
    rng = np.random.default_rng((seed, order))
    worst = 0.0
    every = [
        {key: rng.uniform(-1, 1, slope.point[key].shape) for key in slope.by if slope.point[key].size}
        for _ in range(DIRECTIONS)
    ]
    if order == 1 and len(slope.by) > 1:
        every += [{key: every[0][key]} for key in every[0]]
    for direction in every:
        analytic, numeric, right = slope.along(direction)
        scale = sum(np.abs(slope.analytic[key] * d).sum() for key, d in direction.items())
        worst = max(
            worst, abs(analytic - numeric) / max(scale, abs(numeric), 1e-3 * slope.size, 1e-300) if right else 0
        )
        if not right:
            error = abs(analytic - numeric) / max(abs(numeric), abs(analytic))
            return error, _located(slope, direction)
    return worst, None


def _located(slope: Slope, direction: Direction) -> Wrong:
    """The element that is most wrong along the direction."""
    alone = {key: slope.along({key: d}) for key, d in direction.items()}
    bad = [key for key, (_, _, right) in alone.items() if not right] or list(alone)
    key = max(bad, key=lambda k: abs(alone[k][0] - alone[k][1]))
    shape = slope.point[key].shape
    members = np.arange(slope.point[key].size)
    while len(members) > ELEMENTWISE:
        halves = np.split(members, [len(members) // 2])
        members = max(halves, key=lambda half: _gap(slope, key, direction[key], half))
    pairs = [slope.along({key: _masked(np.ones(shape), [m])}) for m in members]
    at = int(np.argmax([0.0 if right else abs(a - n) for a, n, right in pairs]))
    analytic, numeric, _ = pairs[at]
    element = tuple(int(i) for i in np.unravel_index(int(members[at]), shape)) if shape else ()
    pattern = _pattern(pairs) if len(members) == slope.point[key].size else ""
    return Wrong(slope.order, slope.name(key), element, analytic, numeric, pattern)


def _pattern(pairs: Sequence[tuple[float, float, bool]]) -> str:
    """In words: which of the elements are wrong, and by what they are."""
    bad = [(a, n) for a, n, right in pairs if not right]
    if len(bad) < len(pairs):
        return f" (wrong at {len(bad)} of {len(pairs)} elements)"
    if len(bad) < 2:
        return ""
    if all(a == 0 for a, _ in bad):
        return f" (zero at all {len(bad)} elements)"
    ratios = np.array([a / n if n else np.inf for a, n in bad])
    if np.isfinite(ratios).all() and np.ptp(ratios) < 1e-4 * np.abs(ratios).max():
        return f" ({ratios.mean():.6g} times the right one at all {len(bad)} elements)"
    return f" (wrong at all {len(bad)} elements)"


def _gap(slope: Slope, key: Key, direction: np.ndarray, members: Sequence[int]) -> float:
    analytic, numeric, right = slope.along({key: _masked(direction, members)})
    return 0.0 if right else abs(analytic - numeric)


def _masked(direction: np.ndarray, members: Sequence[int]) -> np.ndarray:
    mask = np.zeros(direction.size)
    mask[members] = direction.ravel()[members]
    return mask.reshape(direction.shape)


def _require_finite(values: Sequence, what: str) -> None:
    for i, y in enumerate(values):
        if y is not None and not np.isfinite(host(y.data)).all():
            raise NotFinite(f"{what} {i} of shape {tuple(y.shape)} is not finite")


def ulps(problem32: Problem, problem64: Callable[[list[np.ndarray]], Problem], orders: Sequence[int], seed: int = 0):
    """For each order, the worst error of float32 results in units of the last place of each result's largest element.

    problem64: the same call in float64 for the arrays that float32 rounded to.
    """
    twin = problem64([a.astype(np.float64) for a in problem32.arrays])
    errors: dict[int, float] = {}
    for order in orders:
        positions = list(range(len(problem32.arrays)))
        values, leaves = evaluate(problem32.fn, dict(enumerate(problem32.arrays)), positions, order, seed)
        point: dict[Key, np.ndarray] = {
            key: host(leaf.data).astype(np.float64) for key, leaf in leaves.items() if isinstance(key, tuple)
        }
        right, _ = evaluate(twin.fn, {**dict(enumerate(twin.arrays)), **point}, positions, order, seed)
        pairs = [
            (host(a.data), host(b.data)) for a, b in zip(values, right, strict=True) if a is not None and b is not None
        ]
        pairs = [(a, b) for a, b in pairs if b.dtype.kind == "f" and b.size]
        largest = max((np.abs(b).max() for _, b in pairs), default=0.0)
        worst = 0.0
        for a, b in pairs:
            scale = max(float(np.abs(b).max()), 1e-3 * float(largest))
            unit = float(np.spacing(np.float32(scale))) if scale else 1.0
            with np.errstate(invalid="ignore"):
                worst = max(worst, float(np.nan_to_num(np.abs(a - b), nan=np.inf).max()) / unit)
        errors[order] = worst
    return errors
