"""Machine room, CUDA: the device twins of `minigan.kernels`, the same functions on arrays of CuPy or of its stand-in.

Each file here prepares launches of the kernels in the .cu file of its name. Nobody calls them directly: a function of
`minigan.kernels` that is given a device array hands over to its namesake here.
"""

from types import ModuleType

from minigan.kernels import family


def __getattr__(name: str) -> ModuleType:
    return family(__name__, name)
