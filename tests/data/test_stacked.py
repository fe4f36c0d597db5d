"""Stacked digits: every channel is a digit, the class is the number they spell, and no held-out digit is trained on."""

import numpy as np
import pytest

from minigan import data
from minigan.data.stacked import ROUNDS, stacks


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


@pytest.fixture(scope="module")
def stacked():
    return data.load("stacked")


def rows_of(images: np.ndarray, digits) -> list[int]:
    """For each image (28, 28) the digits that are it."""
    known = {}
    for k, image in enumerate(digits.images[..., 0]):
        known.setdefault(image.tobytes(), []).append(k)
    return [known[np.ascontiguousarray(image).tobytes()][0] for image in images]


def test_channels_are_the_digits_of_the_class(digits, stacked):
    """The hundreds, tens and ones of the class are the labels of the channels, in this order."""
    some = np.concatenate([np.arange(0, 36_000, 1777), np.arange(36_000, 40_000, 777)])
    for channel, unit in enumerate((100, 10, 1)):
        labels = digits.labels[rows_of(stacked.images[some, :, :, channel], digits)]
        np.testing.assert_array_equal(stacked.labels[some] // unit % 10, labels)


def test_channels_are_independent_digits(stacked):
    """No channel repeats another: a hundredth of the stacks has one digit in all three, as of independent ones."""
    hundreds, tens, ones = (stacked.labels[stacked.train] // unit % 10 for unit in (100, 10, 1))
    assert abs(((hundreds == tens) & (tens == ones)).mean() - 0.01) < 0.003
    assert len(np.unique(stacked.labels[stacked.train])) == 1000
    for a, b in ((hundreds, tens), (tens, ones), (hundreds, ones)):
        assert abs((a == b).mean() - 0.1) < 0.01


def test_parts_are_of_the_digits_parts(digits, stacked):
    """Stacks to train on are of training digits, held-out ones of held-out digits."""
    for part in ("train", "held_out"):
        rows = getattr(stacked, part)
        some = rows[:: len(rows) // 40]
        for channel in range(3):
            found = rows_of(stacked.images[some, :, :, channel], digits)
            assert np.isin(found, getattr(digits, part)).all()


def test_each_digit_is_used_alike():
    """ROUNDS times in each channel, in another order each time."""
    rows = stacks(np.arange(7), 0)
    assert rows.shape == (7 * ROUNDS, 3)
    for channel in rows.T:
        assert (np.bincount(channel) == ROUNDS).all()
    orders = {tuple(channel[k : k + 7]) for channel in rows.T for k in range(0, len(rows), 7)}
    assert len(orders) == 3 * ROUNDS and not np.array_equal(rows, stacks(np.arange(7), 1))


def test_a_path_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"'stacked' is made of the digits in the package; leave out path"):
        data.load("stacked", tmp_path)
