"""Kernels in Numba: loops over indices, sums that keep their digits, and iterations that must not meet."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from ..checks import numbers, true
from ..exercise import Exercise
from ..watched import loops

track = partial(Exercise, track="loops")
NAN = float("nan")


def flat_index(m: Any) -> Iterator[str]:
    x = numbers(2, 3, 4, 5)
    expected = x.transpose(0, 2, 3, 1).copy().ravel()
    inputs = {"x": x, "out": np.full(x.size, NAN)}
    yield from loops(
        m, "to_nhwc", inputs, {"out": expected}, "the last index, c, runs fastest: ((n H + y) W + x) C + c"
    )


def matmul(m: Any) -> Iterator[str]:
    a, b = numbers(3, 4), numbers(4, 2)
    inputs = {"a": a, "b": b, "y": np.full((3, 2), NAN)}
    yield from loops(m, "matmul", inputs, {"y": a @ b}, "y begins as anything: does the sum begin at 0?")


def blocked_sum(m: Any) -> Iterator[str]:
    rng = np.random.default_rng(0)
    x = rng.random(700, np.float32).astype(np.float32)
    for size in (700, 0, 63, 64, 65):
        part = x[:size]
        expected = part.astype(np.float64).sum()
        yield from loops(
            m,
            "total",
            {"x": part},
            {"": expected},
            "each block of 64 by itself, then the blocks' sums; the last may be short",
            1e-6,
        )
    big = np.full(200_000, 0.1, np.float32)
    exact = float(big.astype(np.float64).sum())
    answer = float(m.total(big))
    if abs(answer - exact) > 1e-4 * exact:
        yield f"total of 200,000 times 0.1 in float32: {answer:.6g}, expected {exact:.6g}; one long sum loses digits"
    some = numbers(6400).astype(np.float32)
    blocks = np.cumsum(some.reshape(100, 64), axis=1, dtype=np.float32)[:, -1]  # one number after the other
    expected = np.cumsum(blocks, dtype=np.float32)[-1]
    yield from true(
        np.float32(m.total(some)) == expected,
        "total of 6,400 normal numbers differs in its last digits from blocks of 64 in float32: keep both totals so",
    )


def histogram(m: Any) -> Iterator[str]:
    labels = np.array([0, 1, 1, 2, 0, 1, 3, 3, 1, 0, 2, 1])
    inputs = {"labels": labels, "part": np.full((3, 4), -7), "counts": np.full(4, -7)}
    yield from loops(
        m,
        "histogram",
        inputs,
        {"counts": np.bincount(labels)},
        "each iteration of prange counts into a row of its own",
        0,
    )


def column_sums(m: Any) -> Iterator[str]:
    x = numbers(6, 4)
    yield from loops(
        m,
        "column_sums",
        {"x": x, "out": np.full(4, NAN)},
        {"out": x.sum(0)},
        "an iteration that owns a column owns its sum",
    )


def max_pool(m: Any) -> Iterator[str]:
    x = -np.abs(numbers(2, 7, 6, 2)) - 1
    y = np.stack([[x[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].max((1, 2)) for j in range(3)] for i in range(3)])
    yield from loops(
        m,
        "max_pool",
        {"x": x, "y": np.full((2, 3, 3, 2), NAN)},
        {"y": y.transpose(2, 0, 1, 3)},
        "the largest of 2 x 2 may be negative; an odd last row is left out",
    )


EXERCISES = [
    track(
        "flat-index",
        text="""Where in memory is element (n, c, y, x)?

x is (N, C, H, W), and `out` a line of N C H W numbers in the order NHWC, channels innermost, as minigan's kernels want
it. Copy every element to its place. The grader's arrays look at every index.""",
        source='''from numba import njit


@njit
def to_nhwc(x, out):
    """out, a line, in the order (N, H, W, C)."""
    batch, channels, height, width = x.shape
    for n in range(batch):
        for c in range(channels):
            for iy in range(height):
                for ix in range(width):
                    # learn: flat-index begin
                    out[((n * height + iy) * width + ix) * channels + c] = x[n, c, iy, ix]
                    # learn: flat-index end
''',
        hints=(
            "Of NHWC the last index runs fastest: neighbours in c are neighbours in memory.",
            "((n H + y) W + x) C + c",
        ),
        grader=flat_index,
        mutants=(
            (
                "NCHW",
                "((n * height + iy) * width + ix) * channels + c",
                "((n * channels + c) * height + iy) * width + ix",
            ),
            ("height for width", "* width + ix", "* height + ix"),
            ("n is forgotten", "(n * height + iy)", "iy"),
        ),
    ),
    track(
        "matmul-loops",
        text="""What does a matrix product cost?

y (m, n) = a (m, k) b (k, n): three loops, 2 m n k operations. y is an output: what it holds at the start is rubbish.
Fill in the loops' body. Sum in a local number, and store once.""",
        source='''from numba import njit


@njit
def matmul(a, b, y):
    """y (m, n) = a (m, k) b (k, n)."""
    for i in range(a.shape[0]):
        for j in range(b.shape[1]):
            # learn: matmul-loops begin
            total = 0.0
            for k in range(a.shape[1]):
                total += a[i, k] * b[k, j]
            y[i, j] = total
            # learn: matmul-loops end
''',
        hints=(
            "The sum over k is of a[i, k] times b[k, j].",
            "total = 0.0; a loop over k; y[i, j] = total.",
        ),
        grader=matmul,
        mutants=(
            ("y is not set to 0", "y[i, j] = total", "y[i, j] += total"),
            ("b is transposed", "b[k, j]", "b[j, k]"),
            ("one product too few", "range(a.shape[1])", "range(a.shape[1] - 1)"),
        ),
    ),
    track(
        "blocked-sum",
        text="""Why does a sum in float32 stop growing?

After a million additions of 0.1 the total is so large that 0.1 falls below its last digit. Sum blocks of 64 numbers
each, and then the blocks' sums: every number joins a small total. Everything stays in float32. Write total(x) for any
length, 0 too. The grader sums 200,000 numbers.""",
        source='''import numpy as np
from numba import njit


@njit
def total(x):
    """The sum of a line of float32 numbers, by blocks of 64."""
    whole = np.float32(0)
    # learn: blocked-sum begin
    for start in range(0, x.shape[0], 64):
        part = np.float32(0)
        for i in range(start, min(start + 64, x.shape[0])):
            part += x[i]
        whole += part
    # learn: blocked-sum end
    return whole
''',
        hints=(
            "Two loops: over the starts of blocks, and inside of one.",
            "range(0, n, 64) gives the starts; min(start + 64, n) the ends.",
        ),
        grader=blocked_sum,
        mutants=(
            ("one long sum", "            part += x[i]\n        whole += part\n", "            whole += x[i]\n"),
            ("past the end", "min(start + 64, x.shape[0])", "start + 64"),
            ("the last block is left out", "range(0, x.shape[0], 64)", "range(0, x.shape[0] - 63, 64)"),
        ),
    ),
    track(
        "column-sums",
        text="""Which loop may run in parallel?

out[c] = the sum over rows of x[r, c]. Put prange on the loop whose iterations never write one place: the one over
columns. An iteration of prange may run at the same time as any other. Write both loops.""",
        source='''from numba import njit, prange


@njit(parallel=True)
def column_sums(x, out):
    """out (C,) = the sums of the columns of x (R, C)."""
    # learn: column-sums begin
    for c in prange(x.shape[1]):
        total = 0.0
        for r in range(x.shape[0]):
            total += x[r, c]
        out[c] = total
    # learn: column-sums end
''',
        hints=(
            "Which loop's iterations write different places?",
            "prange over c outside, range over r inside.",
        ),
        grader=column_sums,
        mutants=(
            (
                "prange over rows",
                """    for c in prange(x.shape[1]):
        total = 0.0
        for r in range(x.shape[0]):
            total += x[r, c]
        out[c] = total
""",
                """    for c in range(x.shape[1]):
        out[c] = 0.0
    for r in prange(x.shape[0]):
        for c in range(x.shape[1]):
            out[c] += x[r, c]
""",
            ),
            ("out is not set to 0", "out[c] = total", "out[c] += total"),
            ("rows for columns", "total += x[r, c]", "total += x[c, r]"),
        ),
    ),
    track(
        "histogram-race",
        text="""Why do two threads lose a count?

counts[label] += 1 reads, adds and writes. Two threads that read the same number both write the same sum. So each
iteration t of prange takes a piece of the labels and counts into a row of its own, part[t]; then the rows are added,
by one thread. part is (T, K), labels (N,), counts (K,); both outputs begin as rubbish. Piece t is labels[t n // T :
(t + 1) n // T].""",
        source='''from numba import njit, prange


@njit(parallel=True)
def histogram(labels, part, counts):
    """counts (K,) of labels (N,); part (T, K) is room to work in."""
    n, pieces = labels.shape[0], part.shape[0]
    # learn: histogram-race begin
    for t in prange(pieces):
        for k in range(part.shape[1]):
            part[t, k] = 0
        for i in range(t * n // pieces, (t + 1) * n // pieces):
            part[t, labels[i]] += 1
    for k in range(counts.shape[0]):
        counts[k] = 0
        for t in range(pieces):
            counts[k] += part[t, k]
    # learn: histogram-race end
''',
        hints=(
            "Clear part[t] inside the iteration that owns it.",
            "After the prange, a plain loop over k adds part[0, k], part[1, k], ...",
        ),
        grader=histogram,
        mutants=(
            ("all count into one row", "part[t, labels[i]] += 1", "part[0, labels[i]] += 1"),
            ("the rows are not cleared", "part[t, k] = 0", "part[t, k] += 0"),
            ("straight into counts", "            part[t, labels[i]] += 1\n", "            counts[labels[i]] += 1\n"),
            (
                "the rows are added in parallel",
                """        counts[k] = 0
        for t in range(pieces):
            counts[k] += part[t, k]
""",
                """        counts[k] = 0
    for t in prange(pieces):
        for k in range(counts.shape[0]):
            counts[k] += part[t, k]
""",
            ),
        ),
    ),
    track(
        "max-pool",
        text="""What is the largest of four negative numbers?

y[n, oy, ox, c] is the largest of the 2 x 2 pixels from (2 oy, 2 ox) on, x (N, H, W, C). An odd last row or column is
left out. Fill in the body. Numba looks at no bounds: x[5] of 5 rows is whatever lies there.""",
        source='''from numba import njit


@njit
def max_pool(x, y):
    """y (N, H // 2, W // 2, C), the largest of each 2 x 2."""
    for n in range(y.shape[0]):
        for oy in range(y.shape[1]):
            for ox in range(y.shape[2]):
                for c in range(y.shape[3]):
                    # learn: max-pool begin
                    best = x[n, 2 * oy, 2 * ox, c]
                    for ky in range(2):
                        for kx in range(2):
                            best = max(best, x[n, 2 * oy + ky, 2 * ox + kx, c])
                    y[n, oy, ox, c] = best
                    # learn: max-pool end
''',
        hints=(
            "The four pixels are (2 oy + ky, 2 ox + kx) for ky, kx = 0, 1.",
            "Begin with the first of the four, not with 0.",
        ),
        grader=max_pool,
        mutants=(
            ("it begins at 0", "best = x[n, 2 * oy, 2 * ox, c]", "best = 0.0"),
            ("3 x 3", "for ky in range(2):", "for ky in range(3):"),
            ("the windows overlap", "x[n, 2 * oy + ky, 2 * ox + kx, c]", "x[n, oy + ky, ox + kx, c]"),
        ),
    ),
]
