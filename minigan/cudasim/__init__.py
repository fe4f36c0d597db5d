"""minigan.cudasim: CUDA C kernels run on the CPU, from the same text that a GPU runs.

Fast mode compiles a kernel with g++ and runs each thread of a block as a fiber; check mode also checks every load and
store. Needs only g++.
"""

from .build import available
from .module import Kernel, Module, Parameter, Pointer
from .source import KernelError

__all__ = ["Kernel", "KernelError", "Module", "Parameter", "Pointer", "available"]
