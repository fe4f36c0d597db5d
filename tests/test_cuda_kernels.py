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
FILES = ("act", "conv", "norm", "optim", "pool", "random", "reduce")
TOLERANCE = {np.float32: 2e-5, np.float64: 1e-10}
DTYPES = pytest.mark.parametrize("dtype", TOLERANCE, ids=lambda d: d.__name__)
GEOMETRIES = {
    "one channel in three": ConvGeometry((2, 3, 9, 11), (5, 3, 3, 4), (2, 1), (1, 2), (1, 1), 1),
    "groups and dilation": ConvGeometry((2, 8, 9, 11), (12, 4, 3, 4), (1, 2), (2, 1), (2, 1), 2),
    "more than a tile": ConvGeometry((3, 16, 9, 11), (70, 16, 3, 4), (2, 2), (1, 1), (1, 1), 1),
    "output padding": ConvGeometry((1, 6, 10, 8), (4, 3, 3, 3), (3, 2), (0, 1), (1, 2), 2),
    "all by fours": ConvGeometry((2, 8, 5, 6), (16, 4, 2, 3), (1, 2), (1, 1), (1, 1), 2),
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


@DTYPES
def test_weight_gradient_in_parts(xp, rng, dtype, monkeypatch):
    """A long sum is cut into parts, which are added in order."""
    monkeypatch.setattr(cuda_conv, "tiled", lambda *_: True)
    monkeypatch.setattr(cuda_conv, "PIECE", 40)
    geometry = GEOMETRIES["groups and dilation"]
    x, g = (rng.standard_normal(s).astype(dtype) for s in (geometry.x_shape, geometry.y_shape))
    d = map(xp.asarray, (x, g))
    same(kernels.conv.conv_weight(x, g, geometry), kernels.conv.conv_weight(*d, geometry), TOLERANCE[dtype])


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


def test_max_pooling(xp, rng):
    x = rng.standard_normal((2, 3, 7, 8))
    x[0, 0, 2, 2] = np.nan
    settings = ((3, 2), (2, 1), (1, 0), (1, 2), (4, 6))
    assert (
        kernels.pool.max_pool_index(x, *settings) == kernels.pool.max_pool_index(xp.asarray(x), *settings).get()
    ).all()


# Kernels that are one more form of a loop: the loop they are a form of.
TWINS = {
    "forward_tile": "forward_rows",
    "input_tile": "input_rows",
    "weight_tile": "weight_rows",
    "sum_lines": "sum_pieces",
    "sum_rows": "sum_rows",
}
ALONE = {"uniform", "add_parts", "row_norm"}
RENAMED = {"parts": "dw", "s": "s"}


@pytest.mark.parametrize("file", FILES)
def test_names_and_order_of_arguments_are_the_twins(file):
    twin = getattr(kernels, file)
    for name, parameters in load.signatures(file).items():
        stem = name.removesuffix("_kernel")
        if stem in ALONE:
            continue
        loop = getattr(twin, "_" + TWINS.get(stem, stem))
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
