"""Kernels in CUDA C, run without a GPU: which thread owns which element."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from ..cuda import empty, floats, launch
from ..exercise import Exercise
from ..sources import source

track = partial(Exercise, track="threads")


def index_guard(text: str) -> Iterator[str]:
    x = floats(70)
    inputs = {"x": x, "y": empty(70), "a": np.float32(3), "n": np.int32(70)}
    yield from launch(
        text, "scale", (3,), (32,), inputs, {"y": 3 * x}, "96 threads for 70 elements: which have nothing to do?"
    )


def grid_stride(text: str) -> Iterator[str]:
    x = floats(300)
    inputs = {"x": x, "slope": np.float32(0.2), "y": empty(300), "n": np.int32(300)}
    expected = np.where(x > 0, x, np.float32(0.2) * x)
    for grid, block in (((2,), (32,)), ((5,), (96,))):
        yield from launch(
            text,
            "leaky",
            grid,
            block,
            inputs,
            {"y": expected},
            "thread i owns elements i, i + T, i + 2T, ..., T all threads of the grid",
        )


def warp_sum(text: str) -> Iterator[str]:
    x = floats(6, 45)
    inputs = {"x": x, "y": empty(6), "rows": np.int32(6), "columns": np.int32(45)}
    yield from launch(
        text,
        "row_sums",
        (2,),
        (128,),
        inputs,
        {"y": x.sum(1)},
        "lane l adds columns l, l + 32, ...; then five shuffles by 16, 8, 4, 2, 1",
        1e-4,
    )


def im2col(text: str) -> Iterator[str]:
    x = floats(2, 4, 3, 2)
    expected = np.zeros((2, 3, 2, 2, 2, 2), np.float32)
    for n, oy, ox, ky, kx in np.ndindex(expected.shape[:5]):
        iy, ix = oy - 1 + ky, ox * 2 - 1 + kx
        if 0 <= iy < 4 and 0 <= ix < 3:
            expected[n, oy, ox, ky, kx] = x[n, iy, ix]
    inputs = {"x": x, "columns": empty(*expected.shape), "size": np.int64(expected.size)}
    for k, size in enumerate((4, 3, 2, 3, 2, 2, 2, 1, 2, 1, 1, 1, 1)):
        inputs[f"size {k}"] = np.int32(size)
    yield from launch(
        text,
        "im2col_kernel",
        (2,),
        (32,),
        inputs,
        {"columns": expected},
        "columns is (N, OY, OX, KY, KX, C), the last index fastest",
    )


EXERCISES = [
    track(
        "index-guard",
        text="""Which element is mine?

A kernel runs once for each thread. blockIdx.x, blockDim.x and threadIdx.x say which: thread t of block b is number
b blockDim + t of all. A grid is whole blocks, so some threads at the end have no element. Write y[i] = a x[i] for the
others. The grader launches 96 threads on 70 elements and checks every load and store.""",
        source="""extern "C" __global__ void scale(const float* x, float* y, float a, int n) {
    // learn: index-guard begin
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = a * x[i];
    // learn: index-guard end
}
""",
        hints=("const int i = blockIdx.x * blockDim.x + threadIdx.x;", "if (i < n) ..."),
        grader=index_guard,
        mutants=(
            ("no guard", "if (i < n) y", "y"),
            ("one too many", "i < n", "i <= n"),
            ("each block begins at 0", "blockIdx.x * blockDim.x + threadIdx.x", "threadIdx.x"),
            ("one too few", "i < n", "i < n - 1"),
        ),
    ),
    track(
        "grid-stride",
        text="""What if there are more elements than threads?

Let thread i of all T own elements i, i + T, i + 2 T, ...: a grid of any size does, and neighbours read neighbours.
minigan's elementwise kernels all look so. T is gridDim.x * blockDim.x. Write the loop for leaky-ReLU,
y = x where x > 0, else slope x.""",
        source="""extern "C" __global__ void leaky(const float* x, float slope, float* y, int n) {
    // learn: grid-stride begin
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        y[i] = x[i] > 0 ? x[i] : slope * x[i];
    // learn: grid-stride end
}
""",
        hints=("for (int i = first; i < n; i += T)", "T = gridDim.x * blockDim.x."),
        grader=grid_stride,
        mutants=(
            ("steps of one block", "i += gridDim.x * blockDim.x", "i += blockDim.x"),
            ("no stride", "i += gridDim.x * blockDim.x", "i += n"),
            ("slope on both sides", "x[i] > 0 ? x[i] : slope * x[i]", "slope * x[i]"),
        ),
    ),
    track(
        "warp-sum",
        text="""How do 32 lanes add without shared memory?

__shfl_down_sync(mask, v, k) gives a lane the v of the lane k above it. After v += ... by 16, 8, 4, 2, 1 lane 0 has the
sum of all. The mask 0xffffffff says that all 32 lanes come. Each warp owns a row of x (rows, columns): lane l first
adds columns l, l + 32, ... to v. A warp without a row must not touch memory. Write the sum of each row to y.""",
        source="""extern "C" __global__ void row_sums(const float* x, float* y, int rows, int columns) {
    const int lane = threadIdx.x % 32, row = (blockIdx.x * blockDim.x + threadIdx.x) / 32;
    float v = 0;
    // learn: warp-sum begin
    if (row < rows)
        for (int c = lane; c < columns; c += 32) v += x[row * columns + c];
    for (int k = 16; k > 0; k /= 2) v += __shfl_down_sync(0xffffffffu, v, k);
    if (lane == 0 && row < rows) y[row] = v;
    // learn: warp-sum end
}
""",
        hints=(
            "A loop over c from lane in steps of 32.",
            "for (int k = 16; k > 0; k /= 2) v += __shfl_down_sync(0xffffffffu, v, k);",
            "Only lane 0 has the whole sum.",
        ),
        grader=warp_sum,
        mutants=(
            ("every lane writes", "if (lane == 0 && row < rows)", "if (row < rows)"),
            ("four rounds", "for (int k = 16;", "for (int k = 8;"),
            ("half a mask", "0xffffffffu", "0xffffu"),
            ("no guard", "    if (row < rows)\n        for", "        for"),
        ),
    ),
    track(
        "im2col-kernel",
        text="""Which window, tap and channel is element i?

The twin of the loops in the exercise im2col: here a thread owns elements i, i + T, ... of columns
(N, OY, OX, KY, KX, C), a line in memory, and must find its indices from i alone, by division and rest, the last index
first. iy = oy stride_y - padding_y + ky dilation_y, ix likewise. Write the lines that say what c, kx, ky, window, ox,
oy, iy, ix and inside are.""",
        source=source("kernels/im2col.cu", between=("const int c = ", "const bool inside")),
        hints=(
            "c = i % C; kx = i / C % KX; ky = i / C / KX % KY; window = i / C / KX / KY.",
            "window = (n OY + oy) OX + ox: ox = window % OX, oy = window / OX % OY.",
            "inside: 0 <= iy < height and 0 <= ix < width, written with &&.",
        ),
        grader=im2col,
        mutants=(
            (
                "ky and kx change places",
                "i / channels % size_x), ky = (int)(i / channels / size_x % size_y)",
                "i / channels / size_y % size_x), ky = (int)(i / channels % size_y)",
            ),
            ("no rest for oy", "window / out_x % out_y", "window / out_x"),
            ("below 0 is inside", "iy >= 0 && iy < height", "iy < height"),
            ("the dilation is added", "kx * dilation_x", "kx + dilation_x"),
        ),
    ),
]
