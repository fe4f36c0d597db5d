"""The grader of kernels in CUDA C: cudasim's check mode, in two orders of threads, and NumPy's numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..cudasim import KernelError, Module
from . import checks
from .sources import PACKAGE

KERNELS = PACKAGE / "kernels"
ORDERS = ("forward", "random")


def floats(*shape: int, seed: int = 0) -> np.ndarray:
    """Normal numbers in float32."""
    return checks.numbers(*shape, seed=seed).astype(np.float32)


def empty(*shape: int) -> np.ndarray:
    """An output that nobody has written yet."""
    return np.full(shape, np.float32(-77))


def launch(
    text: str,
    kernel: str,
    grid: tuple[int, ...],
    block: tuple[int, ...],
    inputs: dict[str, Any],
    results: dict[str, Any],
    thought: str = "",
    tolerance: float = 1e-5,
) -> Iterator[str]:
    """Launch a kernel with the inputs by position, every load and store checked, and compare the results, which are
    expected arrays by the inputs' names."""
    for order in ORDERS:
        arrays = {k: v.copy() if isinstance(v, np.ndarray) else v for k, v in inputs.items()}
        advice = ""  # not where it does not compile
        try:
            module = Module(text, [f"-I{KERNELS}"], check=True, order=order)
            if kernel not in module.kernels:
                yield f"there is no kernel {kernel} any more: the grader calls it by this name"
                return
            advice = checks.and_(thought)
            module.get_function(kernel)(grid, block, tuple(arrays.values()))
        except (KernelError, ValueError, TypeError) as error:
            yield from (f"{line}{advice}" for line in str(error).splitlines()[:2])
            return
        wrong = [
            f
            for name, b in results.items()
            for f in checks.equal(f"{kernel}: {name}", arrays[name], b, thought, tolerance)
        ]
        if wrong:
            yield from wrong
            return
