"""PyTorch on the GPU that `minigan bench --device cuda` times: whether it is there, its events, and its precision.

minigan multiplies in float32, with 23 bits of mantissa. PyTorch may round the factors of convolutions and of matrix
products to TF32, with 10 bits, which tensor cores multiply; for convolutions it does so by default. Times of the two do
not compare, so `precision` sets which it is.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec


def torch_on(name: str):
    """PyTorch, where it is installed and sees the same kind of device as minigan's `name`; else None."""
    if name != "cuda" or find_spec("torch") is None:
        return None
    import torch

    return torch if torch.cuda.is_available() else None


@contextmanager
def precision(torch, tf32: bool) -> Iterator[None]:
    """Within it PyTorch's convolutions and matrix products may use TF32, or must not; after it, as before."""
    switches = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [switch.allow_tf32 for switch in switches]
    try:
        for switch in switches:
            switch.allow_tf32 = tf32
        yield
    finally:
        for switch, value in zip(switches, before, strict=True):
            switch.allow_tf32 = value


class Events:
    """PyTorch's events by CuPy's names."""

    def __init__(self, torch) -> None:
        self.cuda, self._torch = self, torch

    def Event(self):
        return self._torch.cuda.Event(enable_timing=True)

    def get_elapsed_time(self, start, stop) -> float:
        return start.elapsed_time(stop)


def give_memory_back(xp, torch) -> None:
    """What the pools of CuPy and PyTorch hold without need goes back to the driver; the simulator has no pools."""
    gc.collect()
    if hasattr(xp, "get_default_memory_pool"):
        xp.get_default_memory_pool().free_all_blocks()
    if torch is not None:
        torch.cuda.empty_cache()
