"""Machine room, CUDA: launches of norm.cu, batch norm, with the functions and arguments of `kernels/norm.py`."""

from __future__ import annotations

from minigan.kernels.cuda.load import empty, launch, module_of
from minigan.kernels.cuda.reduce import chunk_rows
from minigan.kernels.layout import channels_last, contiguous, deliver, rows, target, untransposed
from minigan.kernels.work import NOW

SUMS = (3, 5, 8)

WARPS = 8
"""Of a block: channels whose coefficients it makes."""

MAX_CHUNKS = 256


def _sums(x, g, a, mask, slope, work):
    xp, (m, channels), chunk = module_of(x), x.shape, chunk_rows(x.shape[0], MAX_CHUNKS)
    chunks, count = max(1, -(-m // chunk)), SUMS[(g is not None) + (a is not None)]
    s = empty(xp, (chunks, count, channels), "float64", work)
    arrays = (x, *(x if other is None else other for other in (g, a, mask)))
    grid = (-(-channels // 32), chunks)
    launch(xp, "norm", "chunk_sums_kernel", x.dtype, grid, *arrays, slope, s, m, channels, chunk, count, work=work)
    return s


def _write(name, inputs, k, like, out, work):
    """Runs the kernel over elements that writes `out`, of the shape of `like`; k (terms, C)."""
    x, order = inputs[0], channels_last(like.ndim)
    block = target(out, order, x, like.shape, x.dtype, work)
    terms = () if name == "normalise_rows_kernel" else (5 if inputs[2] is not None else 4,)
    arrays = tuple(x if i is None else i for i in inputs)
    result = block.reshape(x.shape)
    launch(module_of(x), "norm", name, x.dtype, x.size, *arrays, k, result, x.size, x.shape[1], *terms, work=work)
    return deliver(untransposed(block, order), out, work)


def _vector(vector, default, like, work):
    xp = module_of(like)
    return xp.full(like.shape[1], default, like.dtype) if vector is None else contiguous(vector, work)


def _or_new(out, like):
    return module_of(like).empty(like.shape[1], like.dtype) if out is None else out


def batch_norm(x, weight, bias, eps, *, slope=1.0, out=None, work=NOW):
    """As `kernels.norm.batch_norm`, on a device."""
    xp, r = module_of(x), rows(x, work)
    y, mean, var = out or (None, None, None)
    mean, var = _or_new(mean, x), _or_new(var, x)
    channels = x.shape[1]
    s = _sums(r, None, None, None, 1, work)
    k = empty(xp, (3, channels), x.dtype, work)
    vectors = (_vector(weight, 1, x, work), _vector(bias, 0, x, work))
    settings = (s, len(r), chunk_rows(len(r), MAX_CHUNKS), *vectors, eps, k, mean, var, channels)
    launch(xp, "norm", "forward_coefficients_kernel", x.dtype, (-(-channels // WARPS),), *settings, work=work)
    return _write("normalise_rows_kernel", (r, slope), k, x, y, work), mean, var


def batch_norm_grad(x, weight, g, eps, need=(True, True, True), *, mask=None, slope=1.0, out=None, work=NOW):
    """As `kernels.norm.batch_norm_grad`, on a device."""
    xp, r, g_rows = module_of(x), rows(x, work), rows(g, work)
    mask_rows, slope = (r, 1) if mask is None else (rows(mask, work), slope)
    dx, dw, db = out or (None, None, None)
    dw, db = _or_new(dw, x), _or_new(db, x)
    channels = x.shape[1]
    s = _sums(r, g_rows, None, mask_rows, slope, work)
    k = empty(xp, (4, channels), x.dtype, work)
    settings = (s, len(r), chunk_rows(len(r), MAX_CHUNKS), _vector(weight, 1, x, work), eps, k, dw, db, channels)
    launch(xp, "norm", "grad_coefficients_kernel", x.dtype, (-(-channels // WARPS),), *settings, work=work)
    dx = _write("combine_rows_kernel", (r, g_rows, None, mask_rows, slope), k, x, dx, work) if need[0] else None
    return dx, dw if need[1] else None, db if need[2] else None


def batch_norm_grad_grad(x, weight, g, ggx, ggw, ggb, eps, need=(True, True, True), *, out=None, work=NOW):
    """As `kernels.norm.batch_norm_grad_grad`, on a device."""
    xp, r, g_rows = module_of(x), rows(x, work), rows(g, work)
    a_rows = None if ggx is None else rows(ggx, work)
    cx, cw, cg = out or (None, None, None)
    cw = _or_new(cw, x)
    channels, extra = x.shape[1], int(ggx is not None)
    s = _sums(r, g_rows, a_rows, r, 1, work)
    kx, kg = (empty(xp, (terms + extra, channels), x.dtype, work) for terms in (4, 3))
    vectors = (_vector(weight, 1, x, work), _vector(ggw, 0, x, work), _vector(ggb, 0, x, work))
    settings = (s, len(r), chunk_rows(len(r), MAX_CHUNKS), *vectors, eps, kx, kg, cw, channels, SUMS[1 + extra])
    launch(xp, "norm", "grad_grad_coefficients_kernel", x.dtype, (-(-channels // WARPS),), *settings, work=work)
    if need[0] and (ggx is not None or ggw is not None):
        cx = _write("combine_rows_kernel", (r, g_rows, a_rows, r, 1), kx, x, cx, work)
    else:
        cx = None
    if need[2] and ggx is not None:
        cg = _write("combine_rows_kernel", (r, a_rows, None, r, 1), kg, x, cg, work)
    elif need[2] and (ggw is not None or ggb is not None):
        cg = _write("normalise_rows_kernel", (r, 1), kg, x, cg, work)
    else:
        cg = None
    return cx, cw if need[1] and ggx is not None else None, cg
