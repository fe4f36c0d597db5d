"""What the tables of examples' laws are made of, and the mathematics that they share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from printed import Figures, Row


@dataclass(frozen=True)
class Law:
    """One run of an example: its rows, and the relations of the numbers that the rows name."""

    rows: list[Row]
    law: Callable[[Figures], None] | None = None
    args: tuple[str, ...] = ()
    slow: bool = False


def normal(x, mu=0.0, sigma=1.0):
    return np.exp(-0.5 * ((x - mu) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))


def integral(f, low=-15.0, high=17.0) -> float:
    """Simpson's rule on 20,001 points."""
    x = np.linspace(low, high, 20_001)
    weights = np.ones(len(x))
    weights[1:-1:2], weights[2:-1:2] = 4, 2
    return float((weights * f(x)).sum() * (x[1] - x[0]) / 3)


def js_of(p, q) -> float:
    def terms(x):
        a, b = p(x), q(x)
        with np.errstate(divide="ignore", invalid="ignore"):
            return sum(np.where(m > 0, m * np.log(2 * m / (a + b)), 0) for m in (a, b)) / 2

    return integral(terms)


def pytest_approx(value: float, rel: float):
    return pytest.approx(value, rel=rel)
