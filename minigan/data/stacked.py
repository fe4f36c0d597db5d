"""Stacked digits: three digits are the channels of one image, and the number that they spell is its class, one of 1,000
(Metz et al. 2017, section 3.3.1; Lin et al. 2018, section 4.2).

The published sets draw digits at random. Here each digit is used `ROUNDS` times in each channel, in an order of its
own: classes are as even as those of the digits are, the channels independent, and nothing depends on who makes the set.
"""

from __future__ import annotations

import numpy as np

from minigan import kernels

ROUNDS, CHANNELS, SEED = 4, 3, 0
STREAM = 0x73746163  # "stac"


def stacks(rows: np.ndarray, part: int) -> np.ndarray:
    """Rows of digits (ROUNDS N, 3), a stack each, from the rows (N,) of a part of the digits. part: 0, 1, ..., so that
    each part has orders of its own."""
    orders = [
        kernels.random.permutation(len(rows), SEED, STREAM + part, CHANNELS * turn + channel)
        for turn in range(ROUNDS)
        for channel in range(CHANNELS)
    ]
    return rows[np.stack(orders)].reshape(ROUNDS, CHANNELS, len(rows)).transpose(0, 2, 1).reshape(-1, CHANNELS)
