"""Machine room, kernels: points between two batches, one eps a sample, for WGAN-GP's gradient penalty.

    out[n] = fake[n] + eps[n] (x[n] - fake[n]),    x, fake and out (N, ...), eps (N,)

(Gulrajani et al. 2017, algorithm 1, line 6). The result lies in memory as `fake` does, the generator's own order; x,
which comes from a data set, is copied where it lies otherwise.
"""

from math import prod

from numba import prange

from minigan.kernels.layout import contiguous, deliver, memory_order, target, untransposed
from minigan.kernels.load import njit
from minigan.kernels.work import NOW, Array, Now, kernels_of

CHUNK = 32768
"""The number of elements above which a second thread pays."""


@njit
def _mix(x, fake, eps, out):
    """out (N, size) = fake + eps (N,) (x - fake)."""
    for n in range(x.shape[0]):
        for i in range(x.shape[1]):
            out[n, i] = fake[n, i] + eps[n] * (x[n, i] - fake[n, i])


@njit(parallel=True)
def _mix_chunks(x, fake, eps, out):
    for n in prange(x.shape[0]):
        _mix(x[n : n + 1], fake[n : n + 1], eps[n : n + 1], out[n : n + 1])


def check(x, fake, eps) -> None:
    """ValueError unless x and fake are alike and eps is one number of their dtype a sample."""
    if x.shape != fake.shape or eps.shape != x.shape[:1] or len({a.dtype for a in (x, fake, eps)}) > 1:
        raise ValueError(
            f"mix: x {x.dtype} {x.shape} and fake {fake.dtype} {fake.shape} must be alike, and eps of that dtype and of"
            f" shape {x.shape[:1]}, not {eps.dtype} {eps.shape}"
        )


def order_of(like) -> tuple[int, ...]:
    """The axes of an array of any device as they lie in memory, samples first."""
    order = memory_order(like)
    return order if order[0] == 0 else tuple(range(like.ndim))


def mix(x: Array, fake: Array, eps: Array, out: Array | None = None, *, work: Now = NOW) -> Array:
    """fake + eps (x - fake) for x, fake (N, ...) and eps (N,), all of one dtype; ValueError otherwise."""
    check(x, fake, eps)
    if not isinstance(x, Array):
        return kernels_of(x).mix.mix(x, fake, eps, out, work=work)
    order = order_of(fake if out is None else out)
    sizes = [x.shape[axis] for axis in order]
    shape = (sizes[0], prod(sizes[1:]))
    lines = [contiguous(a.transpose(order), work).reshape(shape) for a in (x, fake)]
    block = target(out, order, x, x.shape, x.dtype, work)
    work.call(_mix if x.size <= CHUNK else _mix_chunks, *lines, contiguous(eps, work), block.reshape(shape))
    return deliver(untransposed(block, order), out, work)
