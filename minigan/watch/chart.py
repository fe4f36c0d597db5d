"""Curves in characters. A braille character is a grid of 2 x 4 dots, U+2800 and a bit for each of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
"""The bit of each dot, (4 rows, 2 columns)."""


def chart(steps: Sequence[float], values: Sequence[float], width: int, height: int) -> list[str]:
    """The lines of a curve: `height` of them, `width` characters each, the scale of the values at their left.

    The scale reaches from the 2nd to the 98th hundredth of the values, so that a run's first steps do not flatten all
    others; what lies outside is drawn at the edge. What is not finite is left out. Raises ValueError for fewer than
    16 x 2 characters, or lengths that differ.
    """
    steps, values = np.asarray(steps, float), np.asarray(values, float)
    if steps.shape != values.shape or steps.ndim != 1:
        raise ValueError(f"chart: steps {steps.shape} and values {values.shape} differ")
    if width < 16 or height < 2:
        raise ValueError(f"chart: {width} x {height} characters are too few, take 16 x 2 or more")
    finite = np.isfinite(values)
    if not finite.any():
        return ["no finite value".ljust(width)] + [" " * width] * (height - 1)
    low, high = np.quantile(values[finite], (0.02, 0.98), method="nearest")
    labels = [f"{high:.3g}", f"{low:.3g}"]
    margin = max(map(len, labels)) + 1
    dots = _dots(steps[finite], np.clip(values[finite], low, high), 2 * (width - margin), 4 * height)
    cells = (dots.reshape(height, 4, -1, 2) * DOTS[:, None]).sum((1, 3))
    left = [labels[0]] + [""] * (height - 2) + [labels[1]]
    return [
        f"{label:>{margin - 1}} " + "".join(chr(0x2800 + cell) for cell in row)
        for label, row in zip(left, cells, strict=True)
    ]


def _dots(steps: np.ndarray, values: np.ndarray, columns: int, rows: int) -> np.ndarray:
    """Which dots (rows, columns) are set: the curve from column to column, row 0 at the greatest value."""
    dots = np.zeros((rows, columns), bool)
    column = _scaled(steps, columns)
    row = rows - 1 - _scaled(values, rows)
    for k in range(len(row)):
        before = row[k - 1] if k and column[k] - column[k - 1] <= 1 else row[k]
        dots[min(before, row[k]) : max(before, row[k]) + 1, column[k]] = True
        if k and column[k] - column[k - 1] > 1:
            between = np.arange(column[k - 1], column[k] + 1)
            dots[np.rint(np.interp(between, column[k - 1 : k + 1], row[k - 1 : k + 1])).astype(int), between] = True
    return dots


def _scaled(values: np.ndarray, count: int) -> np.ndarray:
    """Values as whole numbers from 0 to count - 1; in the middle where all are equal."""
    low, reach = values.min(), np.ptp(values)
    if not reach > 0:
        return np.full(len(values), count // 2)
    return np.rint((values - low) / reach * (count - 1)).astype(int)
