"""Machine room, CUDA: launches of reduce.cu, sums, with the functions and arguments of `kernels/reduce.py`."""

from __future__ import annotations

from minigan.kernels.cuda.load import empty, launch, module_of
from minigan.kernels.layout import contiguous, memory_order, rows
from minigan.kernels.work import NOW

PIECE = 16384
"""Elements of a line that one block sums."""

CHUNK_ROWS, MAX_CHUNKS = 256, 64


def chunk_rows(m: int, most: int = MAX_CHUNKS) -> int:
    """Rows of an (M, C) array that one block sums, in at most so many chunks, which follow from the shape alone."""
    return max(CHUNK_ROWS, -(-m // most))


def channel_sum(x, out=None, *, work=NOW):
    """As `kernels.reduce.channel_sum`, on a device."""
    xp, r = module_of(x), rows(x, work)
    m, channels = r.shape
    out = xp.empty(channels, x.dtype) if out is None else out
    chunk = chunk_rows(m)
    chunks = max(1, -(-m // chunk))
    sums = empty(xp, (chunks, channels), "float64", work)
    launch(
        xp, "reduce", "sum_rows_kernel", x.dtype, (-(-channels // 32), chunks), r, sums, m, channels, chunk, work=work
    )
    launch(xp, "reduce", "add_chunks_kernel", x.dtype, channels, sums, out, channels, chunks, work=work)
    return out


def row_sum(x, out=None, *, work=NOW):
    """As `kernels.reduce.row_sum`, on a device."""
    xp, line = module_of(x), contiguous(x, work)
    out = xp.empty(x.shape[0], x.dtype) if out is None else out
    launch(xp, "reduce", "sum_lines_kernel", x.dtype, (x.shape[0],), line, x.shape[1], out, x.size, work=work)
    return out


def total(x, out=None, *, work=NOW):
    """As `kernels.reduce.total`, on a device."""
    xp = module_of(x)
    out = xp.empty((), x.dtype) if out is None else out
    line, one = contiguous(x.transpose(memory_order(x)), work), out.reshape(1)
    if x.size <= PIECE:
        launch(xp, "reduce", "sum_lines_kernel", x.dtype, (1,), line, PIECE, one, x.size, work=work)
        return out
    pieces = -(-x.size // PIECE)
    sums = empty(xp, pieces, "float64", work)
    launch(xp, "reduce", "sum_pieces_kernel", x.dtype, (pieces,), line, PIECE, sums, x.size, work=work)
    launch(xp, "reduce", "add_pieces_kernel", x.dtype, (1,), sums, one, pieces, work=work)
    return out
