"""Kernels in CUDA C, run without a GPU: shared memory, barriers, races."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from ..cuda import empty, floats, launch
from ..exercise import Exercise

track = partial(Exercise, track="shared")


def transposed(text: str) -> Iterator[str]:
    x = floats(37, 21)
    inputs = {"x": x, "y": empty(21, 37), "rows": np.int32(37), "columns": np.int32(21)}
    yield from launch(
        text,
        "transpose",
        (2, 3),
        (16, 16),
        inputs,
        {"y": x.T.copy()},
        "blocks run along columns in x and along rows in y; the last ones stand out",
    )


def block_sum(text: str) -> Iterator[str]:
    x = floats(300)
    sums = np.array([x[:128].sum(), x[128:256].sum(), x[256:].sum()])
    inputs = {"x": x, "sums": empty(3), "n": np.int32(300)}
    yield from launch(text, "block_sums", (3,), (128,), inputs, {"sums": sums}, "", 1e-4)


def matmul_tiles(text: str) -> Iterator[str]:
    a, b = floats(19, 23), floats(23, 10)
    sizes = {"m": np.int32(19), "k": np.int32(23), "n": np.int32(10)}
    inputs = {"a": a, "b": b, "y": empty(19, 10), **sizes}
    yield from launch(
        text,
        "matmul",
        (2, 3),
        (8, 8),
        inputs,
        {"y": a @ b},
        "two barriers a tile: after it is filled, and before it is filled again",
        1e-4,
    )


def stencil(text: str) -> Iterator[str]:
    x = floats(100)
    padded = np.pad(x, 2)
    expected = sum(padded[k : k + 100] for k in range(5)) / np.float32(5)
    inputs = {"x": x, "y": empty(100), "n": np.int32(100)}
    yield from launch(
        text, "smooth", (4,), (32,), inputs, {"y": expected}, "the tile holds two more on each side", 1e-5
    )


def shared_histogram(text: str) -> Iterator[str]:
    labels = np.random.default_rng(0).integers(0, 10, 500).astype(np.int32)
    inputs = {"labels": labels, "counts": np.zeros(10, np.int32), "n": np.int32(500)}
    yield from launch(
        text,
        "histogram",
        (3,),
        (64,),
        inputs,
        {"counts": np.bincount(labels, minlength=10)},
        "many threads add to one place: atomicAdd",
        0,
    )


def softmax_rows(text: str) -> Iterator[str]:
    x = floats(3, 50) * 3 + np.float32(100)
    e = np.exp(x - x.max(1, keepdims=True))
    inputs = {"x": x, "y": empty(3, 50), "columns": np.int32(50)}
    yield from launch(
        text,
        "softmax",
        (3,),
        (64,),
        inputs,
        {"y": e / e.sum(1, keepdims=True)},
        "the largest first, or exp overflows",
        1e-5,
    )


EXERCISES = [
    track(
        "transpose-tile",
        text="""How does a transposition read and write neighbours?

y (columns, rows) is the transpose of x (rows, columns). Threads that differ in threadIdx.x should read neighbours and
write neighbours; in a transposition one of both strides. So a block of 16 x 16 reads its tile into shared memory, all
wait, and it writes the tile with the roles of the threads exchanged. The tile is one column wider than needed: so that
a column lies in 16 different banks.

Block (bx, by) reads columns from 16 bx and rows from 16 by. Write both halves, with the barrier between them.""",
        source="""extern "C" __global__ void transpose(const float* x, float* y, int rows, int columns) {
    __shared__ float tile[16][17];
    const int tx = threadIdx.x, ty = threadIdx.y;
    // learn: transpose-tile begin
    int column = blockIdx.x * 16 + tx, row = blockIdx.y * 16 + ty;
    if (row < rows && column < columns) tile[ty][tx] = x[row * columns + column];
    __syncthreads();
    column = blockIdx.y * 16 + tx, row = blockIdx.x * 16 + ty;
    if (row < columns && column < rows) y[row * rows + column] = tile[tx][ty];
    // learn: transpose-tile end
}
""",
        hints=(
            "Reading: row = 16 by + ty, column = 16 bx + tx, tile[ty][tx].",
            "Writing: in y the row is 16 bx + ty, the column 16 by + tx, and the value tile[tx][ty].",
            "__syncthreads() stands outside of every if.",
        ),
        grader=transposed,
        mutants=(
            ("no barrier", "    __syncthreads();\n", ""),
            ("the tile is not turned", "= tile[tx][ty]", "= tile[ty][tx]"),
            (
                "the blocks are not exchanged",
                "column = blockIdx.y * 16 + tx, row = blockIdx.x * 16 + ty",
                "column = blockIdx.x * 16 + tx, row = blockIdx.y * 16 + ty",
            ),
            ("no guard for writing", "if (row < columns && column < rows) y", "y"),
        ),
    ),
    track(
        "block-sum",
        text="""How do 128 threads add up 128 numbers?

In seven rounds, in shared memory: s[t] += s[t + h] for t < h, with h = 64, 32, ..., 1. In each round a thread reads
what another wrote in the round before: all must have finished it. That is a barrier a round, __syncthreads(), and every
thread of the block has to come to it. A warp runs in step no longer: leaving it out for h < 32 is a race. Element i of
x (n,) may lie past the end; let it count as 0. Write sums[block].""",
        source="""extern "C" __global__ void block_sums(const float* x, float* sums, int n) {
    __shared__ float s[128];
    const int t = threadIdx.x, i = blockIdx.x * 128 + t;
    // learn: block-sum begin
    s[t] = i < n ? x[i] : 0.f;
    __syncthreads();
    for (int h = 64; h > 0; h /= 2) {
        if (t < h) s[t] += s[t + h];
        __syncthreads();
    }
    if (t == 0) sums[blockIdx.x] = s[0];
    // learn: block-sum end
}
""",
        hints=(
            "First fill s[t], and wait.",
            "The barrier stands in the loop, but outside of if (t < h).",
            "Thread 0 writes the sum.",
        ),
        grader=block_sum,
        mutants=(
            ("no barrier after filling", "0.f;\n    __syncthreads();", "0.f;"),
            ("no barrier for the last warp", "        __syncthreads();\n", "        if (h > 32) __syncthreads();\n"),
            (
                "a barrier for some",
                "if (t < h) s[t] += s[t + h];\n        __syncthreads();",
                "if (t < h) {\n            s[t] += s[t + h];\n            __syncthreads();\n        }",
            ),
            ("past the end", "i < n ? x[i] : 0.f", "x[i]"),
        ),
    ),
    track(
        "matmul-tiles",
        text="""Why is a matrix product tiled?

Each element of a (m, k) is needed n times. A block computes 8 x 8 elements of y (m, n): for each step of 8 along k its
64 threads load a tile of a and one of b, wait, multiply from shared memory, and wait again before the next tiles
overwrite these. Elements outside count as 0. Thread (tx, ty) owns y[row, column], row = 8 by + ty, column = 8 bx + tx.
Write the loop's body, all threads through every barrier; the store stands there.""",
        source="""extern "C" __global__ void matmul(const float* a, const float* b, float* y, int m, int k, int n) {
    __shared__ float ta[8][8], tb[8][8];
    const int tx = threadIdx.x, ty = threadIdx.y, row = blockIdx.y * 8 + ty, column = blockIdx.x * 8 + tx;
    float sum = 0;
    for (int start = 0; start < k; start += 8) {
        // learn: matmul-tiles begin
        ta[ty][tx] = row < m && start + tx < k ? a[row * k + start + tx] : 0.f;
        tb[ty][tx] = start + ty < k && column < n ? b[(start + ty) * n + column] : 0.f;
        __syncthreads();
        for (int j = 0; j < 8; ++j) sum += ta[ty][j] * tb[j][tx];
        __syncthreads();
        // learn: matmul-tiles end
    }
    if (row < m && column < n) y[row * n + column] = sum;
}
""",
        hints=(
            "ta[ty][tx] = a[row, start + tx], tb[ty][tx] = b[start + ty, column], each guarded.",
            "for (int j = 0; j < 8; ++j) sum += ta[ty][j] * tb[j][tx];",
            "A barrier before the product and one after it.",
        ),
        grader=matmul_tiles,
        mutants=(
            ("no barrier after filling", ": 0.f;\n        __syncthreads();\n        for", ": 0.f;\n        for"),
            ("no barrier before the next tile", "tb[j][tx];\n        __syncthreads();", "tb[j][tx];"),
            ("no guard along k", "row < m && start + tx < k ?", "row < m ?"),
            ("b's tile is turned", "tb[j][tx]", "tb[tx][j]"),
        ),
    ),
    track(
        "stencil",
        text="""What does a block need from its neighbours?

y[i] is the mean of x[i - 2] .. x[i + 2], where what lies outside counts as 0. A block of 32 loads its 32 elements and
two more on each side, the halo, into s[36]: s[j] is x[32 b - 2 + j]. Threads 0 to 3 load a second one. Write the
loading, the barrier and the mean.""",
        source="""extern "C" __global__ void smooth(const float* x, float* y, int n) {
    __shared__ float s[36];
    const int t = threadIdx.x, first = blockIdx.x * 32 - 2;
    // learn: stencil begin
    for (int j = t; j < 36; j += 32) s[j] = first + j >= 0 && first + j < n ? x[first + j] : 0.f;
    __syncthreads();
    if (first + 2 + t < n) y[first + 2 + t] = (s[t] + s[t + 1] + s[t + 2] + s[t + 3] + s[t + 4]) / 5;
    // learn: stencil end
}
""",
        hints=(
            "for (int j = t; j < 36; j += 32) fills all 36.",
            "The element of thread t is number first + 2 + t; its five are s[t] .. s[t + 4].",
        ),
        grader=stencil,
        mutants=(
            ("no halo", "j < 36; j += 32", "j < 32; j += 32"),
            ("no barrier", "    __syncthreads();\n", ""),
            ("the left end", "first + j >= 0 && first + j < n", "first + j < n"),
            (
                "shifted by one",
                "(s[t] + s[t + 1] + s[t + 2] + s[t + 3] + s[t + 4])",
                "(s[t] + s[t + 1] + s[t + 2] + s[t + 3] + s[t + 3])",
            ),
        ),
    ),
    track(
        "shared-histogram",
        text="""How do many threads count into ten places?

Adding reads, adds and writes; two threads at once lose a count. atomicAdd(&place, 1) does it in one go, but ten
places in global memory make all threads queue. So a block counts in shared memory, bins[10], and at the end adds its
bins to counts, atomically again, since other blocks do the same. bins begins as rubbish. Labels are read by a grid-
stride loop.""",
        source="""extern "C" __global__ void histogram(const int* labels, int* counts, int n) {
    __shared__ int bins[10];
    const int t = threadIdx.x;
    // learn: shared-histogram begin
    if (t < 10) bins[t] = 0;
    __syncthreads();
    for (int i = blockIdx.x * blockDim.x + t; i < n; i += gridDim.x * blockDim.x) atomicAdd(&bins[labels[i]], 1);
    __syncthreads();
    if (t < 10) atomicAdd(&counts[t], bins[t]);
    // learn: shared-histogram end
}
""",
        hints=(
            "Who owns bins[t]? Threads 0 to 9, at the start and at the end.",
            "Clear, wait, count, wait, add: two barriers.",
        ),
        grader=shared_histogram,
        mutants=(
            ("a plain sum in shared memory", "atomicAdd(&bins[labels[i]], 1)", "bins[labels[i]] += 1"),
            ("a plain sum at the end", "atomicAdd(&counts[t], bins[t])", "counts[t] += bins[t]"),
            ("bins are not cleared", "    if (t < 10) bins[t] = 0;\n", ""),
            ("no barrier before the end", "1);\n    __syncthreads();", "1);"),
        ),
    ),
    track(
        "softmax-rows",
        text="""How does a block share one number?

Block r makes softmax of row r of x (rows, columns), with 64 threads and at most 64 columns. Largest first, then the sum
of exp(x - largest), each by a tree of rounds in s[64]; what lies outside counts as -3.4e38 for the largest and 0 for
the sum. Between the two trees s is used again: everybody must have read the largest, s[0], before anybody overwrites
it. exp is expf. Write what follows the first tree.""",
        source="""extern "C" __global__ void softmax(const float* x, float* y, int columns) {
    __shared__ float s[64];
    const int t = threadIdx.x;
    const float v = t < columns ? x[blockIdx.x * columns + t] : -3.4e38f;
    s[t] = v;
    __syncthreads();
    for (int h = 32; h > 0; h /= 2) {
        if (t < h) s[t] = fmaxf(s[t], s[t + h]);
        __syncthreads();
    }
    // learn: softmax-rows begin
    const float e = t < columns ? expf(v - s[0]) : 0.f;
    __syncthreads();
    s[t] = e;
    __syncthreads();
    for (int h = 32; h > 0; h /= 2) {
        if (t < h) s[t] += s[t + h];
        __syncthreads();
    }
    if (t < columns) y[blockIdx.x * columns + t] = e / s[0];
    // learn: softmax-rows end
}
""",
        hints=(
            "const float e = expf(v - s[0]); then a barrier, then s[t] = e.",
            "The second tree is the first with +=.",
        ),
        grader=softmax_rows,
        mutants=(
            ("s is overwritten too soon", ": 0.f;\n    __syncthreads();\n    s[t] = e;", ": 0.f;\n    s[t] = e;"),
            ("no barrier before the tree", "s[t] = e;\n    __syncthreads();", "s[t] = e;"),
            ("no largest", "expf(v - s[0])", "expf(v)"),
            ("no guard", "if (t < columns) y", "y"),
        ),
    ),
]
