"""Random numbers: known answers, the bits of single IEEE operations, the distributions."""

import hashlib
from itertools import chain

import numpy as np
import pytest

from minigan import kernels

F = np.float32
MASK = 2**32 - 1


def philox(counter, key):
    """Philox4x32-10 in Python integers, as Salmon et al. 2011 write it."""
    c, k = list(counter), list(key)
    for _ in range(10):
        p, q = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [q >> 32 ^ c[1] ^ k[0], q & MASK, p >> 32 ^ c[3] ^ k[1], p & MASK]
        k = [k[0] + 0x9E3779B9 & MASK, k[1] + 0xBB67AE85 & MASK]
    return c


def log(u):
    """log of float32 numbers in (0, 1], each NumPy operation rounded once, as IEEE 754 has it."""
    bits = u.view(np.int32)
    e = (bits - np.int32(0x3F3504F3)) >> 23
    x = (bits - (e << 23)).view(F) - F(1)
    p = np.full_like(x, F(7.0376836292e-2))
    for coefficient in (
        -1.1514610310e-1,
        1.1676998740e-1,
        -1.2420140846e-1,
        1.4249322787e-1,
        -1.6668057665e-1,
        2.0000714765e-1,
        -2.4999993993e-1,
        3.3333331174e-1,
    ):
        p = p * x + F(coefficient)
    e = e.astype(F)
    z = x * x
    return (x + ((p * x * z + e * F(-2.12194440e-4)) - F(0.5) * z)) + e * F(0.693359375)


def cos_sin(turn):
    """cos and sin of 2 pi turn / 2^24 for integers `turn`, in float32."""
    quarter = (turn + (1 << 21)) >> 22
    x = (turn - (quarter << 22)).astype(F) * F(2 * np.pi / 2**24)
    z = x * x
    s = ((F(-1.9515295891e-4) * z + F(8.3321608736e-3)) * z + F(-1.6666654611e-1)) * z * x + x
    c = (F(2.4433157118e-5) * z + F(-1.3887316255e-3)) * z + F(4.1666645683e-2)
    c = (c * z * z - F(0.5) * z) + F(1)
    s, c = np.where(quarter & 1, c, s), np.where(quarter & 1, s, c)
    return np.where((quarter + 1) & 2, -c, c), np.where(quarter & 2, -s, s)


def box_muller(words):
    first, second = (words >> 8).astype(np.int32).reshape(-1, 2).T
    radius = np.sqrt(F(-2) * log((first + 1).astype(F) * F(2**-24)))
    cos, sin = cos_sin(second)
    return np.stack([radius * cos, radius * sin], axis=1).ravel()


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((MASK, MASK, MASK, MASK), (MASK, MASK), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_known_answers_of_random123(counter, key, words):
    """kat_vectors of the Random123 library, asked of the kernel as one block, far out."""
    block = np.zeros((1, 4), np.uint32)
    numbers = [np.uint32(v) for v in (*counter[1:], *key)]
    kernels.random._philox(*numbers, counter[0], block)
    assert tuple(block[0]) == words
    assert tuple(philox(counter, key)) == words


def test_words_follow_the_counter_of_block_step_and_stream():
    seed, stream, step = 0x0123456789ABCDEF, 0xFEDCBA98, 0x1122334455667788
    words = kernels.random.bits(11, seed, stream, step)
    expected = [philox((b, 0x55667788, 0x11223344, stream), (0x89ABCDEF, 0x01234567)) for b in range(3)]
    assert words.dtype == np.uint32
    assert words.tolist() == list(chain(*expected))[:11]


@pytest.mark.parametrize("n", [2, 6, 1000, 300_001])
def test_normals_are_single_ieee_operations_bit_for_bit(n):
    """Contracted or reassociated arithmetic would differ in a last bit somewhere in 300,000."""
    words = kernels.random.bits(n + n % 2, 3, 1, 4)
    normal = kernels.random.normal(n, 3, 1, 4)
    assert normal.dtype == F
    assert np.array_equal(normal.view(np.uint32), box_muller(words)[:n].view(np.uint32))


def test_error_of_log_sin_and_cos_is_what_the_module_says():
    """Over every one of the 2^24 arguments, against NumPy in float64."""
    assert "log is within 8.1e-8" in " ".join(kernels.random.__doc__.split())
    for low in range(0, 2**24, 2**21):
        k = np.arange(low, low + 2**21, dtype=np.int32)
        exact = np.log((k + 1) * 2.0**-24)
        got = log((k + 1).astype(F) * F(2**-24))
        assert np.all(abs(got - exact) <= 8.1e-8 * abs(exact))
        cos, sin = cos_sin(k)
        angle = k * (2 * np.pi / 2**24)
        assert max(abs(cos - np.cos(angle)).max(), abs(sin - np.sin(angle)).max()) <= 9.1e-8


def test_ends_of_the_range_of_a_normal():
    """Words of all ones and all zeros: the smallest and the largest radius, finite both."""
    words = np.array([MASK, 0, 0, 0, 0, 2**30, 0, 2**31], np.uint32)
    out = np.empty(8, F)
    kernels.random._box_muller(words, out)
    largest = np.sqrt(48 * np.log(2))
    np.testing.assert_allclose(out, [0, 0, largest, 0, 0, largest, -largest, 0], atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("draw", ["bits", "uniform", "normal"])
def test_a_longer_draw_starts_with_the_shorter_on_any_number_of_threads(draw):
    function, load = getattr(kernels.random, draw), kernels.load
    before = load.get_num_threads()
    try:
        load.set_num_threads(1)
        longest = function(200_003, 7, 0, 9)
        for threads in (2, 4):
            load.set_num_threads(threads)
            assert np.array_equal(function(200_003, 7, 0, 9), longest)
    finally:
        load.set_num_threads(before)
    for n in (0, 1, 2, 3, 4, 5, 33_000):
        short = function(n, 7, 0, 9)
        assert short.shape == (n,)
        assert np.array_equal(short, longest[:n])


def test_seed_stream_and_step_each_select_other_numbers():
    draws = {
        kernels.random.bits(4, seed, stream, step).tobytes()
        for seed in (0, 1, 2**32, 2**64 - 1)
        for stream in (0, 1, 2**32 - 1)
        for step in (0, 1, 2**32, 2**64 - 1)
    }
    assert len(draws) == 4 * 3 * 4


def test_uniforms_are_the_top_24_bits():
    words = kernels.random.bits(1000, 1, 2, 3)
    uniform = kernels.random.uniform(1000, 1, 2, 3)
    assert uniform.dtype == F
    assert np.array_equal(uniform, (words >> 8) * 2.0**-24)


@pytest.mark.parametrize("draw", ["uniform", "normal"])
def test_float64_holds_the_float32_values(draw):
    function = getattr(kernels.random, draw)
    single, double = (function(1001, 1, 2, 3, dtype) for dtype in (F, np.float64))
    assert (single.dtype, double.dtype) == (F, np.float64)
    assert np.array_equal(single, double)


def test_distributions():
    """Kolmogorov-Smirnov, moments, tail, correlation of 10^6; limits: p = 1e-4, 4.5 deviations."""
    stats = pytest.importorskip("scipy.stats")
    n = 1_000_000
    uniform = kernels.random.uniform(n, 5, 0, 0, np.float64)
    assert uniform.min() >= 0
    assert uniform.max() < 1
    assert stats.kstest(uniform, "uniform").pvalue > 1e-4
    normal = kernels.random.normal(n, 5, 0, 1, np.float64)
    assert stats.kstest(normal, "norm").pvalue > 1e-4
    error = 4.5 / np.sqrt(n)
    for power, mean, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs((normal**power).mean() - mean) < error * np.sqrt(variance)
    for limit in (2, 3, 4):
        p = 2 * stats.norm.sf(limit)
        assert abs((abs(normal) > limit).mean() - p) < error * np.sqrt(p)
    for lag in (1, 2, 3, 4):
        assert abs((normal[lag:] * normal[:-lag]).mean()) < error
        assert abs((normal[lag:] ** 2 * normal[:-lag] ** 2).mean() - 1) < error * np.sqrt(8)


@pytest.mark.parametrize("n", [0, 1, 2, 1000])
def test_permutation(n):
    order = kernels.random.permutation(n, 1, 0, 0)
    assert order.dtype == np.int64
    assert np.array_equal(np.sort(order), np.arange(n))
    assert np.array_equal(order, kernels.random.permutation(n, 1, 0, 0))


def test_every_permutation_of_four_is_about_as_likely():
    """Chi-squared with 23 degrees of freedom over 4800 draws: above 60 has probability 4e-5."""
    counts: dict[bytes, int] = {}
    for step in range(4800):
        order = kernels.random.permutation(4, 11, 0, step).tobytes()
        counts[order] = counts.get(order, 0) + 1
    assert len(counts) == 24
    assert sum((count - 200) ** 2 / 200 for count in counts.values()) < 60


def test_the_streams_stay_what_they_are():
    """A change here changes every run anyone has recorded."""
    digest = hashlib.sha256()
    for draw in (kernels.random.bits, kernels.random.uniform, kernels.random.normal, kernels.random.permutation):
        digest.update(draw(1001, 2**40 + 1, 3, 2**33 + 5).tobytes())
    assert digest.hexdigest()[:16] == "2b42a1ef5fbc0ca9"


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ((-1, 0, 0, 0), "n"),
        ((2**34 + 1, 0, 0, 0), "n"),
        ((1, -1, 0, 0), "seed"),
        ((1, 2**64, 0, 0), "seed"),
        ((1, 0, 2**32, 0), "stream"),
        ((1, 0, 0, 2**64), "step"),
    ],
)
def test_arguments_out_of_range(arguments, name):
    with pytest.raises(ValueError, match=rf"random: {name} must be in \[0, "):
        kernels.random.bits(*arguments)
