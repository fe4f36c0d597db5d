"""Watched arrays: what NumPy and Numba can do with an array, they can, and who touches what is known."""

import numpy as np
import pytest

from minigan.learn import table, watched
from minigan.learn.grading import grade


@pytest.fixture
def uncompiled(monkeypatch):
    monkeypatch.setattr(watched, "compiles", False)


def graded(lines: str) -> list[str]:
    """The grade of column-sums with these lines between its marks."""
    e = table.exercise("column-sums")
    return grade(e, e.file(e.solution.replace(e.answer, lines)))


RIGHT = {
    "the sum of a column": "    for c in prange(x.shape[1]):\n        out[c] = x[:, c].sum()\n",
    "a loop over numbers": "    for c in prange(x.shape[1]):\n        total = 0.0\n"
    "        for v in x[:, c]:\n            total += v\n        out[c] = total\n",
    "rows in slices": "    for c in prange(2):\n        out[2*c:2*c+2] = x[0, 2*c:2*c+2]\n"
    "        for r in range(1, 6):\n            out[2*c:2*c+2] += x[r, 2*c:2*c+2]\n",
    "a prange in a prange": "    out.fill(0.0)\n    for c in prange(x.shape[1]):\n"
    "        for r in prange(x.shape[0]):\n            out[c] += x[r, c]\n",
}


@pytest.mark.parametrize("way", RIGHT)
def test_a_right_way_passes(way, uncompiled):
    assert graded(RIGHT[way]) == []


WRONG = {
    "a row of all columns": (
        "    out.fill(0.0)\n    for r in prange(x.shape[0]):\n        out += x[r]\n",
        "a race: iteration 1 of prange reads out[0], which iteration 0 writes",
    ),
    "no prange": (
        "    for c in range(x.shape[1]):\n        out[c] = x[:, c].sum()\n",
        "column_sums: no loop of it is a prange",
    ),
    "no row": ("    for c in prange(x.shape[1]):\n        out[c] = x[6, c]\n", "axis 0 of x has 6"),
    "an array's other methods": ("    out[:] = x.cumsum()\n", "an array has no .cumsum here"),
}


@pytest.mark.parametrize("way", WRONG)
def test_a_wrong_way_is_told(way, uncompiled):
    lines, words = WRONG[way]
    findings = graded(lines)
    assert findings and words in findings[0]


def test_the_first_reader_counts():
    """Iterations 0 and 1 read an element, then 1 writes it: 0 may read the old number or the new one."""
    race = watched.Race()
    x = watched.Watched(np.zeros(3), "x", race)
    for i in race.prange(2):
        value = x[0]
        if i == 1:
            x[0] = value + 1
    assert race.finding.startswith("a race: iteration 1 of prange writes x[0], which iteration 0 reads")


def test_arithmetic_and_functions_are_numpy_s():
    race = watched.Race()
    a = np.arange(6.0).reshape(2, 3)
    x = watched.Watched(a.copy(), "x", race)
    for value, expected in (
        (x + 1, a + 1),
        (np.sum(x, 0), a.sum(0)),
        (x[0] @ x[1], a[0] @ a[1]),
        (np.dot(x, a.T), a @ a.T),
    ):
        assert np.array_equal(value, expected)
    x[1] *= 2
    assert np.array_equal(x, [[0, 1, 2], [6, 8, 10]]) and x.max() == 10
