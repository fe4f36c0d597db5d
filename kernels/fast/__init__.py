"""Machine room, fast kernels: float32 products on a register-blocked micro-kernel, for the shapes where that pays.

    micro.py   one tile of a product in vector registers, as LLVM IR
    gemm.py    packing, blocking and threads: one matrix product for everything
    tables.py  rows and steps that make a convolution such a product without copying windows or borders
    conv.py    the three convolutions on them

`conv.py` and `matmul.py` one floor up ask `lanes_for` and take their plain loops where the answer is 0.
"""

import os
import platform
from functools import cache

import llvmlite.binding
import numba
import numpy as np

SMALLEST = 1 << 16
"""Multiply-adds below which packing costs more than the product itself."""

NARROW = 16
"""Columns below which the plain loops, which run along them, do not get faster."""


@cache
def lanes() -> int:
    """Float32 lanes of a vector register: 16 with AVX-512, 8 with AVX2, 0 where the plain loops do all the work.

    The environment variable MINIGAN_VECTOR (16, 8 or plain) decides instead where it is set; ValueError for any other.
    """
    choice = os.environ.get("MINIGAN_VECTOR", "")
    if choice not in ("", "16", "8", "plain"):
        raise ValueError(f"MINIGAN_VECTOR is {choice!r}; it can be 16, 8 or plain")
    if choice == "plain" or numba.config.DISABLE_JIT:
        return 0
    if choice:
        return int(choice)
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return 0
    features = llvmlite.binding.get_host_cpu_features()
    if features.get("avx512f"):
        return 16
    return 8 if features.get("avx2") and features.get("fma") else 0


def lanes_for(dtype: np.dtype, multiply_adds: int, columns: int) -> int:
    """The vector width for a product of this many multiply-adds, 0 for the plain loops.

    | product                                          | room  | why                                                |
    |--------------------------------------------------|-------|----------------------------------------------------|
    | on a machine without a known vector unit         | plain | the tiles are shaped for AVX-512 and AVX2          |
    | in float64                                       | plain | for checking gradients, which is small work        |
    | under SMALLEST, a narrow one counted as NARROW   | plain | packing would cost more than the product itself    |
    | any other                                        | fast  |                                                    |
    """
    if dtype != np.float32 or multiply_adds * max(1, NARROW // max(1, columns)) < SMALLEST:
        return 0
    return lanes()
