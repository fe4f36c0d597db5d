"""minigan.cudasim: CUDA C kernels run on the CPU, from the same text that a GPU runs.

    from minigan.cudasim import Module
    module = Module(Path("reduce.cu"), check=True, order="random")
    module.get_function("sum")((4,), (256,), (x, y, np.int32(x.size)))

Fast mode compiles the text with g++ and runs each thread of a block as a fiber, in forward, reverse or random order.
Check mode also checks every load and store, and raises KernelError with a line for each finding, which names the source
line, the kernel, the threads and the block:

    out of bounds       global, shared and local arrays, __device__ and __constant__ ones, null pointers
    races               in shared and global memory, across blocks too, and where a warp is taken to be in step
    uninitialised       shared memory that is read before it is written; locals never set that reach a result
    barriers            divergent, or skipped by a thread that returned
    warp calls          with a wrong mask, or lanes that never come
    misaligned          vector loads and stores
    const               written through all the same
    arithmetic          integer overflow, division by zero, shifts too far

What it does not know it refuses by name and line: textures, cooperative groups, inline PTX, half precision, tensor
cores, dynamic parallelism. What it cannot see: timing, the hardware's memory order beyond barriers, `a * b + c`
contracted to one rounding (here it is two; say fmaf), denormals that CuPy's -ftz=true flushes to zero. Blocks that wait
for each other through atomics and fences are reported as races. Needs only g++.

MINIGAN_CUDASIM=check in the environment turns check mode on everywhere, whatever the program asks for.
"""

from .build import available
from .module import Kernel, Module
from .parameter import Parameter, Pointer
from .source import KernelError

__all__ = ["Kernel", "KernelError", "Module", "Parameter", "Pointer", "available"]
