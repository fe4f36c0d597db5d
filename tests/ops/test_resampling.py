"""Which pixels nearest interpolation reads: floor(i H / H'), in whole numbers, for all sizes up to 129."""

from fractions import Fraction

import numpy as np
import pytest

import minigan as mg
from minigan import functional as F

SIZES = range(1, 130)


def pixels_read(n, axis, **settings):
    """The places along one axis of n pixels that the result shows."""
    shape = (1, 1, n, 1) if axis == 0 else (1, 1, 1, n)
    line = mg.tensor(np.arange(n, dtype=np.float32).reshape(shape))
    return F.interpolate(line, **settings).numpy().reshape(-1).tolist()


@pytest.mark.parametrize(("axis", "sizes"), [(0, SIZES), (1, SIZES[8::12])])
def test_nearest_to_every_size(axis, sizes):
    wrong = [
        (n, m)
        for n in sizes
        for m in sizes
        if pixels_read(n, axis, size=(m, 1) if axis == 0 else (1, m)) != [i * n // m for i in range(m)]
    ]
    assert not wrong


def test_nearest_by_every_factor():
    """Whole factors, and decimal ones, which no float is exactly."""
    for factor in (*map(Fraction, range(1, 42)), *(Fraction(k, 10) for k in range(1, 30))):
        for n in (10, 64, 129):
            pair = (float(factor), 1.0)
            expected = [min(int(i / factor), n - 1) for i in range(int(n * float(factor)))]
            assert pixels_read(n, 0, scale_factor=pair) == expected, (n, factor)
