"""Machine room, CUDA: launches of random.cu, Philox words, uniforms and normals, the bits of `kernels/random.py`."""

from __future__ import annotations

import numpy as np

from minigan.kernels import random as twin
from minigan.kernels.cuda.load import launch


def bits(xp, n: int, seed: int, stream: int, step: int):
    """The first n words, uint32, of draw number `step` of a stream of a seed; ValueError as the twin's."""
    twin.check(n, seed, stream, step)
    blocks = -(-n // 4)
    words = xp.empty((blocks, 4), np.uint32)
    low = 2**32 - 1
    key = (step & low, step >> 32, stream, seed & low, seed >> 32)
    launch(xp, "random", "philox_kernel", np.float32, blocks, *key, words, blocks)
    return words.reshape(-1)


def uniform(xp, n: int, seed: int, stream: int, step: int, dtype=np.float32):
    """n numbers in [0, 1), multiples of 2^-24."""
    out = xp.empty(n, np.float32)
    launch(xp, "random", "uniform_kernel", np.float32, n, bits(xp, n, seed, stream, step), out, n)
    return out.astype(dtype, copy=False)


def normal(xp, n: int, seed: int, stream: int, step: int, dtype=np.float32):
    """n numbers of mean 0 and variance 1."""
    pairs = -(-n // 2)
    out = xp.empty(2 * pairs, np.float32)
    launch(xp, "random", "box_muller_kernel", np.float32, pairs, bits(xp, 2 * pairs, seed, stream, step), out, pairs)
    return out[:n].astype(dtype, copy=False)


def permutation(xp, n: int, seed: int, stream: int, step: int):
    """A random order of 0 .. n - 1, int64, sorted on the CPU and copied."""
    return xp.asarray(twin.permutation(n, seed, stream, step))
