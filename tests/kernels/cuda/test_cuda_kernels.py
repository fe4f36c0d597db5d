"""The CUDA kernels, run by the simulator, against their Numba twins; names and arguments against the twins'."""

import inspect
import re

import numpy as np
import pytest

from minigan import kernels
from minigan.kernels.cuda import conv as cuda_conv
from minigan.kernels.cuda import load
from minigan.kernels.cuda import random as cuda_random
from minigan.kernels.geometry import ConvGeometry

pytestmark = pytest.mark.usefixtures("few_blocks")
FILES = tuple(sorted(path.stem for path in load.HERE.glob("*.cu")))
TOLERANCE = {np.float32: 2e-5, np.float64: 1e-10}
DTYPES = pytest.mark.parametrize("dtype", TOLERANCE, ids=lambda d: d.__name__)
GEOMETRIES = {
    "one channel in three": ConvGeometry((2, 3, 9, 11), (5, 3, 3, 4), (2, 1), (1, 2), (1, 1), 1),
    "groups and dilation": ConvGeometry((2, 8, 9, 11), (12, 4, 3, 4), (1, 2), (2, 1), (2, 1), 2),
    "more than a tile": ConvGeometry((3, 16, 9, 11), (70, 16, 3, 4), (2, 2), (1, 1), (1, 1), 1),
    "output padding": ConvGeometry((1, 6, 10, 8), (4, 3, 3, 3), (3, 2), (0, 1), (1, 2), 2),
    "all by fours": ConvGeometry((2, 8, 5, 6), (16, 4, 2, 3), (1, 2), (1, 1), (1, 1), 2),
    "taps that some pixels never meet": ConvGeometry((2, 3, 11, 12), (4, 3, 3, 2), (4, 2), (2, 1), (2, 2), 1),
    "one depthwise pixel": ConvGeometry((2, 4, 1, 1), (8, 1, 1, 1), (1, 1), (0, 0), (1, 1), 4),
}


def same(ours, theirs, tolerance):
    """Both finite, of one shape and dtype, and as near as the tolerance, relative to the largest."""
    ours, theirs = (x if isinstance(x, tuple) else (x,) for x in (ours, theirs))
    for a, b in zip(ours, theirs, strict=True):
        b = b.get()
        assert a.shape == b.shape and a.dtype == b.dtype
        assert np.isfinite(b).all()
        assert np.abs(a - b).max(initial=0) <= tolerance * max(np.abs(a).max(initial=0), 1e-30)


@DTYPES
def test_activations(xp, rng, dtype):
    x, g = rng.standard_normal((2, 3, 5, 37, 11)).astype(dtype)
    a, b = xp.asarray(x), xp.asarray(g)
    for name in ("tanh", "exp", "sigmoid"):
        same(getattr(kernels.act, name)(x), getattr(kernels.act, name)(a), TOLERANCE[dtype])
    same(kernels.act.tanh_grad(x, g), kernels.act.tanh_grad(a, b), TOLERANCE[dtype])
    for slope in (0.0, 0.2, 1.0):
        same(kernels.act.leaky_relu(x, slope), kernels.act.leaky_relu(a, slope), TOLERANCE[dtype])
        same(kernels.act.leaky_relu_grad(x, g, slope), kernels.act.leaky_relu_grad(a, b, slope), TOLERANCE[dtype])


@DTYPES
@pytest.mark.parametrize("shape", [(1, 1), (3, 40), (700, 33), (2, 300), (2, 5, 7, 6)], ids=str)
def test_sums(xp, rng, dtype, shape):
    x = rng.standard_normal(shape).astype(dtype) + dtype(1)
    for name in ("channel_sum", "total"):
        same(getattr(kernels.reduce, name)(x), getattr(kernels.reduce, name)(xp.asarray(x)), TOLERANCE[dtype])
    rows = x.reshape(shape[0], -1)
    same(kernels.reduce.row_sum(rows), kernels.reduce.row_sum(xp.asarray(rows)), TOLERANCE[dtype])


@DTYPES
@pytest.mark.parametrize("shape", [(2, 1), (600, 3), (3, 300), (3, 40, 7, 6)], ids=str)
def test_batch_norm(xp, rng, dtype, shape):
    x, g, a = rng.standard_normal((3, *shape)).astype(dtype)
    w, p, q = rng.standard_normal((3, shape[1])).astype(dtype)
    x += dtype(3)
    d = [xp.asarray(array) for array in (x, w, p, q, g, a)]
    norm, tolerance = kernels.norm, TOLERANCE[dtype] * (20 if shape[0] == 2 else 1)
    same(norm.batch_norm(x, w, p, 1e-5, slope=0.2), norm.batch_norm(*d[:3], 1e-5, slope=0.2), tolerance)
    same(norm.batch_norm_grad(x, w, g, 1e-5), norm.batch_norm_grad(d[0], d[1], d[4], 1e-5), tolerance)
    ours = norm.batch_norm_grad_grad(x, w, g, a, p, q, 1e-5)
    same(ours, norm.batch_norm_grad_grad(d[0], d[1], d[4], d[5], d[2], d[3], 1e-5), tolerance)


@DTYPES
@pytest.mark.parametrize("tiles", [False, True], ids=["rows", "tiles"])
@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES)
def test_convolutions(xp, rng, dtype, tiles, geometry, monkeypatch):
    monkeypatch.setattr(cuda_conv, "tiled", lambda *_: tiles)
    shapes = (geometry.x_shape, geometry.w_shape, geometry.y_shape, geometry.x_shape[1:2], geometry.w_shape[:1])
    x, w, g, c, o = (rng.standard_normal(s).astype(dtype) for s in shapes)
    dx, dw, dg, dc, do = map(xp.asarray, (x, w, g, c, o))
    conv, tolerance = kernels.conv, TOLERANCE[dtype]
    same(conv.conv_forward(x, w, geometry, o), conv.conv_forward(dx, dw, geometry, do), tolerance)
    same(conv.conv_forward(x, w, geometry, slope=0.2), conv.conv_forward(dx, dw, geometry, slope=0.2), tolerance)
    masked = conv.conv_input(g, w, geometry, c, mask=x, slope=0.2)
    same(masked, conv.conv_input(dg, dw, geometry, dc, mask=dx, slope=0.2), tolerance)
    same(conv.conv_weight(x, g, geometry), conv.conv_weight(dx, dg, geometry), tolerance)


@pytest.mark.parametrize(("sizes", "classes", "expected"), [
    ((16384, 128, 2048), 1, True),  # a large layer
    ((64, 1, 4096), 1, True),  # a critic's last one: long sums, few of them
    ((4096, 1, 64), 1, True),  # its weights
    ((16384, 1, 256), 4, False),  # an image of one channel: 63 of 64 columns idle
    ((4096, 1, 49), 512, False),  # a depthwise layer: the same, for each of its groups
    ((256, 16, 64), 4, True), ((256, 16, 63), 4, True), ((128, 16, 16), 64, True),  # for all classes together
    ((16, 64, 64), 70_000, False),  # more than a grid has
    ((64, 8, 27), 1, False), ((10**6, 3, 16), 1, False), ((100, 16, 16), 1, False),
])  # fmt: skip
def test_where_tiles_pay(sizes, classes, expected):
    assert cuda_conv.tiled(*sizes, classes) is expected


@pytest.mark.parametrize(("sizes", "expected"), [
    ((1, 1000), (7, 144)), ((1, 127), (1, 128)), ((300, 9999), (1, 10000)), ((2, 10**6), (64, 15632)),
    ((100, 999), (2, 512)),
])  # fmt: skip
def test_parts_of_a_sum(sizes, expected):
    """(blocks, steps) to (splits, steps of each): enough blocks, none short, none too many."""
    splits, piece = cuda_conv._parts(*sizes)
    assert (splits, piece) == expected and (splits - 1) * piece < sizes[1] <= splits * piece and piece % 16 == 0


@DTYPES
@pytest.mark.parametrize("geometry", ["groups and dilation", "output padding", "more than a tile"])
def test_long_sums_in_parts(xp, rng, dtype, geometry, monkeypatch):
    """A long sum is cut into parts, which are added in order; bias and activation come after the last."""
    monkeypatch.setattr(cuda_conv, "tiled", lambda *_: True)
    monkeypatch.setattr(cuda_conv, "PIECE", 10)
    geometry = GEOMETRIES[geometry]
    shapes = (geometry.x_shape, geometry.w_shape, geometry.y_shape, geometry.x_shape[1:2], geometry.w_shape[:1])
    x, w, g, c, o = (rng.standard_normal(s).astype(dtype) for s in shapes)
    dx, dw, dg, dc, do = map(xp.asarray, (x, w, g, c, o))
    conv, tolerance = kernels.conv, TOLERANCE[dtype]
    same(conv.conv_forward(x, w, geometry, o, slope=0.2), conv.conv_forward(dx, dw, geometry, do, slope=0.2), tolerance)
    same(conv.conv_forward(x, w, geometry), conv.conv_forward(dx, dw, geometry), tolerance)
    masked = conv.conv_input(g, w, geometry, c, mask=x, slope=0.2)
    same(masked, conv.conv_input(dg, dw, geometry, dc, mask=dx, slope=0.2), tolerance)
    same(conv.conv_weight(x, g, geometry), conv.conv_weight(dx, dg, geometry), tolerance)


@pytest.mark.parametrize("n", [1, 7, 4097])
@pytest.mark.parametrize("key", [(0, 0, 0), (2**64 - 1, 2**32 - 1, 2**64 - 1), (2**40 + 3, 5, 2**33 + 1)], ids=str)
def test_random_numbers_are_the_same_bits(xp, n, key):
    for name in ("bits", "uniform", "normal"):
        ours = getattr(kernels.random, name)(n, *key)
        assert ours.tobytes() == getattr(cuda_random, name)(xp, n, *key).get()[:n].tobytes()


@DTYPES
@pytest.mark.parametrize(
    ("name", "states", "settings"),
    [
        ("adam", 2, (1e-3, 0.9, 0.99, 1e-2, 3, 0.01, False)),
        ("adam", 2, (1e-3, 0.9, 0.99, 1e-8, 1, 0.01, True)),
        ("rmsprop", 2, (1e-2, 0.9, 1e-2, 0.1, 0.5)),
        ("rmsprop", 1, (1e-2, 0.9, 1e-8, 0.0, 0.0)),
        ("sgd", 1, (0.1, 0.9, 0.1, 0.01, True, False)),
        ("sgd", 1, (0.1, 0.9, 0.1, 0.01, False, True)),
        ("sgd", 0, (0.1, 0.0, 0.0, 0.01, False, True)),
    ],
)
def test_optimisers(xp, rng, dtype, name, states, settings):
    shapes = ((3, 4), (20000,), (1,))
    lists = [[np.abs(rng.standard_normal(s)).astype(dtype) for s in shapes] for _ in range(2 + states)]
    on_device = [[xp.asarray(a) for a in arrays] for arrays in lists]
    for params, grads, *rest in (lists, on_device):
        getattr(kernels.optim.Flat(params, *rest), name)(grads, *settings)
    for ours, theirs in zip(lists, on_device, strict=True):
        same(tuple(ours), tuple(theirs), TOLERANCE[dtype])


@DTYPES
def test_weight_clipping(xp, rng, dtype):
    """One launch over the flat list; what lies inside stays, bit for bit, and NaN stays NaN."""
    ours = [rng.standard_normal(s).astype(dtype) for s in ((3, 4), (40000,), (1,))]
    ours[0][0, 0] = np.nan
    theirs = [xp.asarray(a) for a in ours]
    expected = [np.clip(a, -0.5, 0.5) for a in ours]
    kernels.optim.Flat(ours).clip(0.5)
    flat, before = kernels.optim.Flat(theirs), getattr(xp, "launches", None)
    flat.clip(0.5)
    assert before is None or xp.launches == before + 1
    for a, b, e in zip(ours, theirs, expected, strict=True):
        assert a.tobytes() == b.get().tobytes() == e.tobytes()


@DTYPES
@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((3, 40), (1,)),
        ((2, 3, 700), (2,)),
        ((2, 3, 5, 7), (1, 2, 3)),
        ((2, 40, 5, 7), (2, 3)),
        ((4, 3, 5), (1,)),
        ((2, 3, 4, 5), (0, 2)),
        ((1, 1, 1, 2), (2, 3)),
    ],
    ids=str,
)
def test_layer_and_instance_norm(xp, rng, dtype, shape, axes):
    """In C order and in NHWC memory, with and without a place for the result, and gradient likewise."""
    x, g = rng.standard_normal((2, *shape)).astype(dtype)
    x += dtype(3)
    norm, tolerance = kernels.layernorm, TOLERANCE[dtype] * (20 if x.size < 4 else 1)
    wide = x.astype(np.float64)
    h = (wide - wide.mean(axes, keepdims=True)) / np.sqrt(wide.var(axes, keepdims=True) + 1e-5)
    for lay in (lambda a: a, channels_last):
        a, b = (xp.asarray(t) if lay is not channels_last else _channels_last(xp, t) for t in (x, g))
        y = norm.standardise(lay(x), axes, 1e-5)
        assert np.abs(y - h).max() <= tolerance * 5
        same(y, norm.standardise(a, axes, 1e-5), tolerance)
        dx = norm.standardise_grad(lay(x), lay(g), axes, 1e-5)
        same(dx, norm.standardise_grad(a, b, axes, 1e-5), tolerance)
        ours, theirs = np.empty_like(x), xp.empty(shape, dtype)
        norm.standardise_grad(lay(x), lay(g), axes, 1e-5, ours)
        norm.standardise_grad(a, b, axes, 1e-5, theirs)
        assert np.abs(ours - dx).max() <= tolerance
        same(ours, theirs, tolerance)


def channels_last(x):
    """x (N, C, ...), channels innermost in memory."""
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)


def _channels_last(xp, x):
    """x (N, C, ...) on the device, channels innermost in memory."""
    there = xp.asarray(np.ascontiguousarray(np.moveaxis(x, 1, -1)))
    return there.transpose(0, x.ndim - 1, *range(1, x.ndim - 1))


def test_layer_norm_of_unlike_arrays():
    with pytest.raises(ValueError, match=r"standardise_grad: x is float32 \(2, 3\), g float64 \(2, 3\)"):
        kernels.layernorm.standardise_grad(np.ones((2, 3), np.float32), np.ones((2, 3)), (1,), 1e-5)


@DTYPES
@pytest.mark.parametrize("shape", [(4, 2), (3, 5, 9, 7), (2, 1, 300, 90)], ids=str)
def test_points_between_two_batches(xp, rng, dtype, shape):
    """The real batch in C order, the fake one in NHWC memory, as a generator makes it; and with a place for them."""
    x, fake = rng.standard_normal((2, *shape)).astype(dtype)
    eps = rng.random(shape[0]).astype(dtype)
    device_fake = _channels_last(xp, fake)
    ours = kernels.mix.mix(x, fake, eps)
    mean = eps.reshape(-1, *(1,) * (x.ndim - 1))
    assert np.abs(ours - (mean * x + (1 - mean) * fake)).max() <= TOLERANCE[dtype] * 4
    same(ours, kernels.mix.mix(xp.asarray(x), device_fake, xp.asarray(eps)), TOLERANCE[dtype])
    theirs = xp.empty(shape, dtype)
    kernels.mix.mix(xp.asarray(x), device_fake, xp.asarray(eps), theirs)
    same(kernels.mix.mix(x, fake, eps, np.empty_like(x)), theirs, TOLERANCE[dtype])
    with pytest.raises(ValueError, match=r"mix: x .* must be alike"):
        kernels.mix.mix(x, fake, eps[:-1])


@DTYPES
@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (600, 70)], ids=str)
@pytest.mark.parametrize("slope", [0.0, 0.2, 1.0])
def test_bias_and_activation_in_one_pass(xp, rng, dtype, shape, slope):
    x, mask = rng.standard_normal((2, *shape)).astype(dtype)
    bias = rng.standard_normal(shape[1]).astype(dtype)
    d, m, b = map(xp.asarray, (x, mask, bias))
    bias_act = kernels.bias.bias_act
    plain = kernels.act.leaky_relu(x + bias, slope)
    assert np.array_equal(bias_act(x, bias, slope), plain)
    same(plain, bias_act(d, b, slope), TOLERANCE[dtype])
    masked = kernels.act.leaky_relu_grad(mask, x + bias, slope)
    assert np.array_equal(bias_act(x, bias, slope, mask=mask), masked)
    same(masked, bias_act(d, b, slope, mask=m), TOLERANCE[dtype])
    same(bias_act(x, None, slope, x.copy()), bias_act(d, None, slope, d), TOLERANCE[dtype])
    with pytest.raises(ValueError, match=r"bias_act: bias is .* needs"):
        bias_act(x, np.ones(shape[1] + 1, dtype), slope)


@DTYPES
@pytest.mark.parametrize("add", [False, True], ids=["new", "added"])
def test_products_and_what_comes_after(xp, rng, dtype, add):
    """cuBLAS multiplies; bias, activation or mask follow in one launch; the result may lie across the way."""
    a, b = rng.standard_normal((5, 7)).astype(dtype), rng.standard_normal((7, 3)).astype(dtype)
    bias, mask = rng.standard_normal(3).astype(dtype), rng.standard_normal((5, 3)).astype(dtype)
    total = rng.standard_normal((5, 3)).astype(dtype)
    matmul, (da, db, dbias, dmask) = kernels.matmul.matmul, map(xp.asarray, (a, b, bias, mask))
    extras = (
        ({}, {"slope": 0.2})
        if add
        else ({}, {"bias": "bias"}, {"bias": "bias", "slope": 0.0}, {"mask": "mask", "slope": 0.2})
    )
    for extra in extras:
        ours = {k: {"bias": bias, "mask": mask}.get(v, v) if isinstance(v, str) else v for k, v in extra.items()}
        theirs = {k: {"bias": dbias, "mask": dmask}.get(v, v) if isinstance(v, str) else v for k, v in extra.items()}
        for turned in (False, True):
            mine, other = total.copy(), xp.asarray(total)
            if turned:
                mine, other = np.ascontiguousarray(total.T).T, xp.asarray(np.ascontiguousarray(total.T)).T
            same(matmul(a, b, mine, add=add, **ours), matmul(da, db, other, add=add, **theirs), TOLERANCE[dtype])
        if not add:
            same(matmul(a, b, **ours), matmul(da, db, **theirs), TOLERANCE[dtype])


@DTYPES
@pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=GEOMETRIES)
def test_windows_as_a_matrix(xp, rng, dtype, geometry):
    """The same bits on the device; and its product with the weights is the convolution, group by group."""
    x, w = (rng.standard_normal(s).astype(dtype) for s in (geometry.x_shape, geometry.w_shape))
    columns = kernels.im2col.im2col(x, geometry)
    assert columns.tobytes() == kernels.im2col.im2col(xp.asarray(x), geometry).get().tobytes()
    batch, outs, out_y, out_x = geometry.y_shape
    groups, channels = geometry.groups, geometry.w_shape[1]
    taps = columns.reshape(len(columns), -1, groups, channels).transpose(2, 0, 1, 3).reshape(groups, len(columns), -1)
    by = w.reshape(groups, outs // groups, channels, -1).transpose(0, 3, 2, 1).reshape(groups, -1, outs // groups)
    y = (taps @ by).transpose(1, 0, 2).reshape(batch, out_y, out_x, outs).transpose(0, 3, 1, 2)
    expected = kernels.conv.conv_forward(x, w, geometry)
    assert np.abs(y - expected).max() <= TOLERANCE[dtype] * np.abs(expected).max()
    with pytest.raises(ValueError, match="im2col: x has shape"):
        kernels.im2col.im2col(x[:, :, :-1], geometry)


def test_max_pooling(xp, rng):
    x = rng.standard_normal((2, 3, 7, 8))
    x[0, 0, 2, 2] = np.nan
    settings = ((3, 2), (2, 1), (1, 0), (1, 2), (4, 6))
    assert (
        kernels.pool.max_pool_index(x, *settings) == kernels.pool.max_pool_index(xp.asarray(x), *settings).get()
    ).all()


@DTYPES
def test_images_read_between_pixels(xp, rng, dtype):
    """sample and spread at points inside, on edges, outside and nowhere; adjoint to each other; with a place for
    them, and samples in any memory."""
    x, g = rng.standard_normal((3, 2, 5, 4)).astype(dtype), rng.standard_normal((3, 2, 3, 7)).astype(dtype)
    py, px = rng.uniform(-2, 6, (3, 3, 7)).astype(dtype), rng.uniform(-2, 5, (3, 3, 7)).astype(dtype)
    py[0, 0], px[0, 0] = (-1, 0, 4, 5, 2, np.nan, np.inf), (0, 3, 4, 1, -1, 1, 1)
    weights = np.maximum(0, 1 - np.abs(py[..., None] - np.arange(5)))[..., :, None]
    weights = np.nan_to_num(weights) * np.maximum(0, 1 - np.abs(px[..., None] - np.arange(4)))[..., None, :]
    y, back = kernels.warp.sample(x, py, px), kernels.warp.spread(g, py, px, (5, 4))
    assert np.abs(y - np.einsum("nopyx,ncyx->ncop", weights, x)).max() <= 8 * TOLERANCE[dtype]
    assert np.abs(back - np.einsum("nopyx,ncop->ncyx", weights, g)).max() <= 8 * TOLERANCE[dtype]
    points = xp.asarray(py), xp.asarray(px)
    same(y, kernels.warp.sample(_channels_last(xp, x), *points), TOLERANCE[dtype])
    same(back, kernels.warp.spread(xp.asarray(g), *points, (5, 4)), TOLERANCE[dtype])
    theirs, ours = xp.empty(y.shape, dtype), np.empty_like(y)
    kernels.warp.sample(xp.asarray(x), *points, theirs)
    same(kernels.warp.sample(x, py, px, ours), theirs, TOLERANCE[dtype])
    with pytest.raises(ValueError, match=r"sample: py and px must be .* of shape \(3, 3, 7\)"):
        kernels.warp.sample(x, py, px[:1])
    with pytest.raises(ValueError, match=r"spread: py and px must be .* of shape \(3, 3, 7\)"):
        kernels.warp.spread(g, py[:1], px, (5, 4))


# Kernels that are one more form of a loop: the loop they are a form of.
TWINS = {
    "forward_tile": "forward_rows",
    "input_tile": "input_rows",
    "weight_tile": "weight_rows",
    "sum_lines": "sum_pieces",
    "sum_rows": "sum_rows",
}
LOOPS = {"conv": "conv_loops", "conv_tiles": "conv_loops"}
"""The file of the loops, where it is not the one of the functions."""
ALONE = {"uniform", "add_parts", "add_pieces"}
RENAMED = {"parts": "dw", "s": "s"}


@pytest.mark.parametrize("file", FILES)
def test_names_and_order_of_arguments_are_the_twins(file):
    twin = getattr(kernels, LOOPS.get(file, file))
    for name, parameters in load.signatures(file).items():
        stem = name.removesuffix("_kernel")
        if stem in ALONE:
            continue
        stem = TWINS.get(stem, stem)
        loop = getattr(twin, "_" + stem, None) or getattr(twin, stem)
        theirs = list(inspect.signature(getattr(loop, "py_func", loop)).parameters)
        ours = [RENAMED.get(n, n) for n, _, pointer in parameters if pointer and n != "table"]
        assert set(ours) <= set(theirs), (
            f"{name}: {set(ours) - set(theirs)} are no arguments of {loop.__name__}{theirs}"
        )
        shared = [n for n in (RENAMED.get(n, n) for n, *_ in parameters) if n in theirs]
        assert shared == [n for n in theirs if n in shared], f"{name}: {shared} come in another order in {theirs}"


@pytest.mark.parametrize("file", FILES)
def test_house_rules_of_the_sources(file):
    text = re.sub(r"//.*", "", (load.HERE / f"{file}.cu").read_text())
    assert re.findall(r"#include (.*)", text) == ['"common.cuh"']
    assert "atomic" not in text and "INFINITY" not in text
    kinds = {kind for parameters in load.signatures(file).values() for _, kind, _ in parameters}
    assert kinds <= {"real", "int", "long long", "double", "float", "unsigned int"}
    assert len(load.signatures(file)) == text.count("__global__")


def test_arguments_are_checked_and_rounded(xp):
    x = xp.zeros(4, np.float32)
    load.launch(xp, "act", "leaky_relu_kernel", np.float32, 4, x, 0.2, x, 4)
    with pytest.raises(ValueError, match="x must be a contiguous array of float32, got float64"):
        load.launch(xp, "act", "leaky_relu_kernel", np.float32, 4, xp.zeros(4), 0.2, x, 4)
    with pytest.raises(ValueError, match="contiguous"):
        load.launch(xp, "act", "leaky_relu_kernel", np.float32, 2, x[::2], 0.2, x, 2)
    with pytest.raises(TypeError, match="3 arguments for 4 parameters"):
        load.launch(xp, "act", "leaky_relu_kernel", np.float32, 4, x, 0.2, x)
