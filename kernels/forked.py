"""Machine room, kernels: what a forked child has lost. It imports nothing, since `import minigan` loads it.

Threads do not come along into a forked child, but OpenMP's notes about them do, PyTorch's too: a kernel would wait for
them for ever. A child of a process in which they ran therefore runs its kernels on one thread (load.py).
"""

import os
import sys

threads_lost = False


def _after_fork() -> None:
    """In the child."""
    global threads_lost
    load = sys.modules.get("minigan.kernels.load")
    if "torch" in sys.modules or (load is not None and load.pool._is_initialized):
        threads_lost = True
        if load is not None:
            load.run_serially()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
