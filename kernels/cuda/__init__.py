"""Machine room, CUDA: the device twins of `minigan.kernels`, the same functions on arrays of CuPy or of its stand-in.

Each file here prepares launches of the kernels in the .cu file of its name. Nobody calls them directly: a function of
`minigan.kernels` that is given a device array hands over to its namesake here.
"""

from importlib import import_module
from types import ModuleType


def __getattr__(family: str) -> ModuleType:
    return import_module(f"{__name__}.{family}")
