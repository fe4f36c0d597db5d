"""Machine room, kernels: one of two numbers, element by element, with no branch for a processor to guess.

    out_i = a_i where c_i, else b_i

NumPy's `where` jumps: where the condition has no pattern, every second jump is guessed wrong, and it takes twenty times
as long. `out` may be a or b itself.
"""

import numpy as np
from numba import prange

from minigan.kernels.layout import dense, memory_order, writable
from minigan.kernels.load import njit
from minigan.kernels.work import NOW, Array, Now, poisoned

CHUNK = 32768
"""Elements in a task, and the size above which a second thread pays."""


@njit
def _choose(c, a, b, out):
    """a or b, or both, may be one number for all."""
    if a.size < c.size and b.size < c.size:
        for i in range(c.size):
            out[i] = a[0] if c[i] else b[0]
    elif a.size < c.size:
        for i in range(c.size):
            out[i] = a[0] if c[i] else b[i]
    elif b.size < c.size:
        for i in range(c.size):
            out[i] = a[i] if c[i] else b[0]
    else:
        for i in range(c.size):
            out[i] = a[i] if c[i] else b[i]


@njit(parallel=True)
def _choose_chunks(c, a, b, out):
    for q in prange((c.size + CHUNK - 1) // CHUNK):
        at = slice(q * CHUNK, (q + 1) * CHUNK)
        _choose(c[at], a[at] if a.size == c.size else a, b[at] if b.size == c.size else b, out[at])


def choose(c: Array, a: Array, b: Array, out: Array | None = None, *, work: Now = NOW) -> Array:
    """a where c, bool, holds, else b: arrays of c's shape or of no axes, of one dtype. A result without `out`
    lies in memory as c does."""
    out = poisoned(np.empty_like(c, a.dtype)) if out is None else out
    order = memory_order(out)
    lines = [dense(x, order, work) if x.shape == c.shape else x.reshape(1) for x in (c, a, b)]
    work.call(_choose if c.size <= CHUNK else _choose_chunks, *lines, writable(out, order))
    return out
