"""The compiled floor of minigan: arrays in, arrays out, no tensors, no tape.

Every file is one family of kernels: a Numba loop over contiguous arrays that a reader can follow,
and a NumPy-level function around it that takes any strided float32 or float64 array. Sub-modules
load on first use (`kernels.act.tanh(x)` imports `minigan.kernels.act`), so that importing the
package does not import Numba.
"""

import os
from importlib import import_module
from types import ModuleType

# Threads that wait must sleep, not spin. When anything else wants a core (another process, the tests' second worker), a
# spinning OpenMP barrier loses a whole time slice, and a training step was seen to take 30 times as long. The OpenMP
# library reads this when it loads, and whoever loads it first (PyTorch does) decides for all; so it is set here, before
# the first kernel.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


def __getattr__(name: str) -> ModuleType:
    try:
        return import_module(f"{__name__}.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"{__name__}.{name}":
            raise
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
