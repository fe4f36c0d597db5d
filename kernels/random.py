"""Machine room, kernels: random numbers by counter; a value depends on (seed, stream, step, place), nothing else.

Philox4x32-10 (Salmon, Moraes, Dror and Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3")
turns a counter of four 32-bit words, (block, step low, step high, stream), and a key of two, (seed
low, seed high), into four random words. Word i of a draw is word i % 4 of block i // 4, so that a
draw starts with every shorter one and the number of threads cannot show.

    uniform:  (word >> 8) 2^-24, in [0, 1).
    normal:   for each pair of words (Box and Muller 1958), with u = ((first >> 8) + 1) 2^-24 and
              t = 2 pi (second >> 8) 2^-24:  sqrt(-2 log u) cos t, then sqrt(-2 log u) sin t.

log, sin and cos are the polynomials below (coefficients: S. Moshier's Cephes library). They consist
of float32 additions, multiplications and square roots, each rounded on its own as IEEE 754 has it,
and of integer operations. So every machine gets the same bits, a GPU included (__fadd_rn,
__fmul_rn, __fsqrt_rn), as long as nothing here is compiled with fastmath. Against float64, over all
2^24 arguments: log is within 8.1e-8, relative, sin and cos within 9.1e-8, absolute. The largest
normal is sqrt(48 log 2) = 5.77.
"""

import numpy as np
from numba import prange
from numpy.typing import DTypeLike

from minigan.kernels.layout import Array
from minigan.kernels.load import njit
from minigan.kernels.work import poisoned

MULTIPLIER_0, MULTIPLIER_1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
WEYL_0, WEYL_1 = np.uint32(0x9E3779B9), np.uint32(0xBB67AE85)

CHUNK = 8192
"""Philox blocks, of four words each, in a task, and the number above which a second thread pays."""


@njit
def _philox(step_low, step_high, stream, seed_low, seed_high, first, words):
    """words (blocks, 4) from block number `first` on; the arguments before it are uint32."""
    for b in range(words.shape[0]):
        c0, c1, c2, c3 = np.uint32(first + b), step_low, step_high, stream
        k0, k1 = seed_low, seed_high
        for _ in range(10):
            p0 = MULTIPLIER_0 * np.uint64(c0)
            p1 = MULTIPLIER_1 * np.uint64(c2)
            c0 = np.uint32(p1 >> np.uint64(32)) ^ c1 ^ k0
            c2 = np.uint32(p0 >> np.uint64(32)) ^ c3 ^ k1
            c1, c3 = np.uint32(p1), np.uint32(p0)
            k0, k1 = np.uint32(k0 + WEYL_0), np.uint32(k1 + WEYL_1)
        words[b, 0] = c0
        words[b, 1] = c1
        words[b, 2] = c2
        words[b, 3] = c3


@njit(parallel=True)
def _philox_chunks(step_low, step_high, stream, seed_low, seed_high, words):
    for q in prange((words.shape[0] + CHUNK - 1) // CHUNK):
        first = q * CHUNK
        part = words[first : first + CHUNK]
        _philox(step_low, step_high, stream, seed_low, seed_high, first, part)


ONE, HALF, MINUS_TWO = np.float32(1), np.float32(0.5), np.float32(-2)
STEP, ANGLE = np.float32(2**-24), np.float32(2 * np.pi / 2**24)

# log(1 + x) = x - x^2/2 + x^3 P(x) for sqrt(1/2) <= 1 + x < sqrt(2)
P0, P1, P2 = np.float32(7.0376836292e-2), np.float32(-1.1514610310e-1), np.float32(1.1676998740e-1)
P3, P4, P5 = np.float32(-1.2420140846e-1), np.float32(1.4249322787e-1), np.float32(-1.6668057665e-1)
P6, P7, P8 = np.float32(2.0000714765e-1), np.float32(-2.4999993993e-1), np.float32(3.3333331174e-1)
LOG2_HIGH, LOG2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
SQRT_HALF_BITS = np.int32(0x3F3504F3)

# sin x = x + x^3 S(x^2), cos x = 1 - x^2/2 + x^4 C(x^2) for |x| <= pi/4
S0, S1, S2 = np.float32(-1.9515295891e-4), np.float32(8.3321608736e-3), np.float32(-1.6666654611e-1)
C0, C1, C2 = np.float32(2.4433157118e-5), np.float32(-1.3887316255e-3), np.float32(4.1666645683e-2)


@njit
def _box_muller(words, out):
    """Flat uint32 words, an even number, to as many float32 normals."""
    for i in range(words.size // 2):
        # u = m 2^e with m in [sqrt(1/2), sqrt(2)), read off the bits of the float
        u = np.float32(np.int32(words[2 * i] >> 8) + 1) * STEP
        bits = np.float32(u).view(np.int32)
        e = (bits - SQRT_HALF_BITS) >> 23
        x = np.int32(bits - (e << 23)).view(np.float32) - ONE
        z = x * x
        p = (((((((P0 * x + P1) * x + P2) * x + P3) * x + P4) * x + P5) * x + P6) * x + P7) * x + P8
        e = np.float32(e)
        log_u = (x + ((p * x * z + e * LOG2_LOW) - HALF * z)) + e * LOG2_HIGH
        radius = np.sqrt(MINUS_TWO * log_u)

        # t is a whole number of quarter turns plus an angle in [-pi/4, pi/4]
        turn = np.int32(words[2 * i + 1] >> 8)
        quarter = (turn + (1 << 21)) >> 22
        x = np.float32(turn - (quarter << 22)) * ANGLE
        z = x * x
        sin = ((S0 * z + S1) * z + S2) * z * x + x
        cos = (((C0 * z + C1) * z + C2) * z * z - HALF * z) + ONE
        odd = quarter & 1
        sin, cos = (cos if odd else sin), (sin if odd else cos)
        out[2 * i] = radius * (-cos if (quarter + 1) & 2 else cos)
        out[2 * i + 1] = radius * (-sin if quarter & 2 else sin)


@njit(parallel=True)
def _box_muller_chunks(words, out):
    for q in prange((words.size + 4 * CHUNK - 1) // (4 * CHUNK)):
        at = slice(q * 4 * CHUNK, (q + 1) * 4 * CHUNK)
        _box_muller(words[at], out[at])


def check(n: int, seed: int, stream: int, step: int) -> None:
    """ValueError unless seed and step are in [0, 2^64), stream in [0, 2^32) and n in [0, 2^34]."""
    for name, value, limit in (
        ("n", n, 2**34 + 1),
        ("seed", seed, 2**64),
        ("stream", stream, 2**32),
        ("step", step, 2**64),
    ):
        if not 0 <= value < limit:
            raise ValueError(f"random: {name} must be in [0, {limit}), got {value}")


def bits(n: int, seed: int, stream: int, step: int) -> Array:
    """The first n words, uint32, of draw number `step` of a stream of a seed; ValueError as `check`."""
    check(n, seed, stream, step)
    words = np.empty(((n + 3) // 4, 4), np.uint32)
    low = 2**32 - 1
    numbers = (step & low, step >> 32, stream, seed & low, seed >> 32)
    key = tuple(np.uint32(number) for number in numbers)
    if len(words) <= CHUNK:
        _philox(*key, 0, words)
    else:
        _philox_chunks(*key, words)
    return words.reshape(-1)[:n]


def uniform(n: int, seed: int, stream: int, step: int, dtype: DTypeLike = np.float32) -> Array:
    """n numbers in [0, 1), multiples of 2^-24; float64 holds the values of float32."""
    words = bits(n, seed, stream, step)
    return np.multiply(words >> 8, STEP, dtype=np.float32).astype(dtype, copy=False)


def normal(n: int, seed: int, stream: int, step: int, dtype: DTypeLike = np.float32) -> Array:
    """n numbers of mean 0 and variance 1; float64 holds the same values as float32."""
    words = bits(n + n % 2, seed, stream, step)
    out = poisoned(np.empty(words.size, np.float32))
    kernel = _box_muller if words.size <= 4 * CHUNK else _box_muller_chunks
    kernel(words, out)
    return out[:n].astype(dtype, copy=False)


def permutation(n: int, seed: int, stream: int, step: int) -> Array:
    """A random order of 0 .. n - 1, int64: stable argsort of keys of 64 bits, low word first."""
    low, high = bits(2 * n, seed, stream, step).reshape(n, 2).T.astype(np.uint64)
    return np.argsort(high << np.uint64(32) | low, kind="stable")
