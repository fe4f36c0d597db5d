"""Machine room, kernels: memory that arrays give back stays with the process, for the next arrays.

Op by op, a step allocates and frees the same sizes over and over. The C library of Linux asks the system for every
large block and gives it back at once, so each step waits for thousands of fresh pages, a fifth of its time where the
arrays are large. Told to keep what is freed (`man 3 mallopt`), it hands out the same pages again. Nothing is reused
that anyone can still see: an array's memory is freed with the last view of it, as ever.

The process then stays as large as it once was, up to KEPT. MINIGAN_MALLOC=system in the environment leaves the library
as it is, and so does a setting of its own (GLIBC_TUNABLES, MALLOC_TRIM_THRESHOLD_ and the like).
"""

import ctypes
import os
import sys
from contextlib import suppress

MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1
"""Names of settings in malloc.h."""

LARGEST = 32 << 20
"""Bytes up to which a block comes from the heap: the most that the library takes."""

KEPT = 1 << 30
"""Bytes at the end of the heap that are not given back to the system."""


def keep_freed() -> bool:
    """Tell the C library; whether it took the settings. False on other systems, and where the environment decides."""
    own = any(name.startswith("MALLOC_") for name in os.environ) or "malloc" in os.environ.get("GLIBC_TUNABLES", "")
    if sys.platform != "linux" or own or os.environ.get("MINIGAN_MALLOC") == "system":
        return False
    with suppress(OSError, AttributeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        return bool(mallopt(MMAP_THRESHOLD, LARGEST)) and bool(mallopt(TRIM_THRESHOLD, KEPT))
    return False
