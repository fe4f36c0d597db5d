"""Machine room, kernels: the compiled floor of minigan; arrays in, arrays out, no tensors, no tape.

Every file is one family of kernels: a Numba loop over contiguous arrays that a reader can follow,
and a NumPy-level function around it that takes any strided float32 or float64 array. Sub-modules
load on first use (`kernels.act.tanh(x)` imports `minigan.kernels.act`), so that importing the
package does not import Numba.
"""

import os
from importlib import import_module
from types import ModuleType

from minigan.kernels import forked  # noqa: F401 (now: before the first kernel, PyTorch may work and a child be forked)
from minigan.kernels.memory import keep_freed

keep_freed()

# How long a waiting thread spins before it sleeps. For ever, as OpenMP would have it, is fast on an idle machine; but
# when anything else wants a core, each parallel region loses a time slice, and a training step was seen to take 30
# times as long. Not at all costs 70 % on an idle machine, where a step has thousands of short regions. 5,000 turns,
# some ten microseconds, lose little in either. The library reads this when it is loaded, by whoever loads it first
# (PyTorch does, too), so it is set before the first kernel.
if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys():
    os.environ["GOMP_SPINCOUNT"] = "5000"


def family(package: str, name: str) -> ModuleType:
    """The module `name` of `package`; AttributeError if there is none. So whoever looks for a name in all modules that
    are loaded, as pickle does, goes on to the next one."""
    try:
        return import_module(f"{package}.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"{package}.{name}":
            raise
        raise AttributeError(f"module {package!r} has no attribute {name!r}") from None


def __getattr__(name: str) -> ModuleType:
    return family(__name__, name)
