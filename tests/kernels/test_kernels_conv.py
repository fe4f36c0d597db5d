"""Convolution and matrix product: right for every geometry, in the plain and in the fast room, alike on all threads.

The oracle is NumPy in float64, a sum over taps of shifted slices, and is itself held against PyTorch once. A result
that adds up n products is off by at most (n + 2) u sum |products| in any order of summation (u half a unit in the last
place; two for the bias and the final rounding): that bound is the tolerance, so it needs no tuning.
"""

from contextlib import contextmanager
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_testing import on_threads

from minigan.kernels import conv, fast, layout, matmul
from minigan.kernels.fast import conv as fast_conv
from minigan.kernels.fast import gemm, tables, winograd
from minigan.kernels.geometry import ConvGeometry

ROOMS = [0, 8, 16]
CHANNELS = st.sampled_from([1, 2, 3, 5, 17, 40])


@contextmanager
def room(lanes):
    """Every float32 product that is not empty runs at this vector width, by direct sums; 0 means the plain loops."""

    def lanes_for(dtype, multiply_adds, columns):
        return lanes if dtype == np.float32 and multiply_adds else 0

    with mock.patch.object(fast, "lanes_for", lanes_for), winograd.disabled():
        yield


@st.composite
def geometries(draw):
    """Drawn from the output, so that windows that end before the input does appear with every leftover."""
    sizes, strides, paddings, dilations, kernels = [], [], [], [], []
    for _ in "yx":
        k, s, d = (draw(st.integers(1, 3)) for _ in range(3))
        out, padding = draw(st.integers(1, 4)), draw(st.integers(0, d * (k - 1)))
        size = s * (out - 1) + d * (k - 1) + 1 - 2 * padding + draw(st.integers(0, max(s, d) - 1))
        sizes.append(max(1, size))
        for values, value in zip((strides, paddings, dilations, kernels), (s, padding, d, k), strict=True):
            values.append(value)
    groups, batch = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    group_in, group_out = draw(CHANNELS), draw(CHANNELS)
    return ConvGeometry(
        (batch, groups * group_in, *sizes),
        (groups * group_out, group_in, *kernels),
        tuple(strides),
        tuple(paddings),
        tuple(dilations),
        groups,
    )


def square(batch, channels, size, outs, kernel, stride=1, padding=0, groups=1):
    """A geometry of one kernel size, stride and padding on images of (size, size + 2)."""
    pairs = [(value, value) for value in (stride, padding, 1)]
    x_shape, w_shape = (batch, channels, size, size + 2), (outs, channels // groups, kernel, kernel)
    return ConvGeometry(x_shape, w_shape, *pairs, groups)


LARGE = [
    square(16, 1, 16, 64, 4, 2, 1),  # an image layer: one channel
    square(9, 3, 16, 33, 4, 2, 1),
    square(32, 40, 20, 72, 4, 2, 1),  # several blocks, rounds and panels
    square(20, 70, 4, 1, 4),  # a critic's last layer
    square(5, 90, 4, 100, 4),  # a generator's first layer, as an adjoint
    square(7, 100, 5, 130, 1),  # a matrix product
    square(3, 48, 9, 96, 3, 1, 1, groups=2),
    square(40, 16, 24, 3, 5, 1, 2),  # long sums for few weights: several segments
]


def tensors(geometry, dtype=np.float32, seed=0):
    """x, w, g and the two biases, standard normal."""
    draw = np.random.default_rng(seed).standard_normal
    shapes = (geometry.x_shape, geometry.w_shape, geometry.y_shape, geometry.w_shape[:1], geometry.x_shape[1:2])
    return [draw(shape).astype(dtype) for shape in shapes]


def taps(geometry):
    """For each tap: its (ky, kx) and the slices of the padded input that it meets."""
    _, _, out_y, out_x = geometry.y_shape
    for ky in range(geometry.w_shape[2]):
        for kx in range(geometry.w_shape[3]):
            first_y, first_x = ky * geometry.dilation[0], kx * geometry.dilation[1]
            rows = slice(first_y, first_y + geometry.stride[0] * (out_y - 1) + 1, geometry.stride[0])
            columns = slice(first_x, first_x + geometry.stride[1] * (out_x - 1) + 1, geometry.stride[1])
            yield ky, kx, rows, columns


def oracle(geometry, x, w, g):
    """(y, dx, dw) in float64."""
    x, w, g = (array.astype(np.float64) for array in (x, w, g))
    pad_y, pad_x = geometry.padding
    padded = np.pad(x, ((0, 0), (0, 0), (pad_y, pad_y), (pad_x, pad_x)))
    y, dpadded, dw = np.zeros(geometry.y_shape), np.zeros_like(padded), np.zeros_like(w)
    outs, ins = w.shape[0] // geometry.groups, w.shape[1]
    for group in range(geometry.groups):
        o, c = slice(group * outs, (group + 1) * outs), slice(group * ins, (group + 1) * ins)
        for ky, kx, rows, columns in taps(geometry):
            window = padded[:, c, rows, columns]
            y[:, o] += np.einsum("ncyx,oc->noyx", window, w[o, :, ky, kx], optimize=True)
            dpadded[:, c, rows, columns] += np.einsum("noyx,oc->ncyx", g[:, o], w[o, :, ky, kx], optimize=True)
            dw[o, :, ky, kx] = np.einsum("noyx,ncyx->oc", g[:, o], window, optimize=True)
    _, _, height, width = x.shape
    return y, dpadded[:, :, pad_y : pad_y + height, pad_x : pad_x + width], dw


def depths(geometry):
    """How many products each number of y, dx and dw adds up at most."""
    outs, ins, size_y, size_x = geometry.w_shape
    batch, _, out_y, out_x = geometry.y_shape
    return size_y * size_x * ins, size_y * size_x * outs // geometry.groups, batch * out_y * out_x


def close(actual, expected, absolute, depth, dtype=np.float32):
    """Finite, and within the bound of a sum of `depth` products whose magnitudes add up to `absolute`."""
    assert actual.dtype == dtype
    assert actual.shape == expected.shape
    assert np.isfinite(actual).all()
    assert (abs(actual - expected) <= (depth + 2) * np.finfo(dtype).eps / 2 * absolute).all()


def check_all(geometry, dtype, seed=0):
    """The three kernels, both ways of the fast input gradient, with and without bias, against the oracle."""
    x, w, g, y_bias, x_bias = tensors(geometry, dtype, seed)
    exact = oracle(geometry, x, w, g)
    bounds = oracle(geometry, abs(x), abs(w), abs(g))
    depth = depths(geometry)
    y_bias_shaped, x_bias_shaped = y_bias[:, None, None].astype(float), x_bias[:, None, None].astype(float)
    close(conv.conv_forward(x, w, geometry), exact[0], bounds[0], depth[0], dtype)
    close(conv.conv_weight(x, g, geometry), exact[2], bounds[2], depth[2], dtype)
    y = conv.conv_forward(x, w, geometry, bias=y_bias)
    close(y, exact[0] + y_bias_shaped, bounds[0] + abs(y_bias_shaped), depth[0], dtype)
    close(conv.conv_input(g, w, geometry), exact[1], bounds[1], depth[1], dtype)
    for way in (fast_conv._input_by_phases, fast_conv._input_by_parts):
        names = ("_input_by_phases", "_input_by_parts")
        with mock.patch.multiple(fast_conv, **dict.fromkeys(names, way)):
            dx = conv.conv_input(g, w, geometry, bias=x_bias)
        close(dx, exact[1] + x_bias_shaped, bounds[1] + abs(x_bias_shaped), depth[1], dtype)


@given(geometries(), st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
@pytest.mark.parametrize("lanes", ROOMS)
def test_every_geometry(lanes, geometry, seed):
    with room(lanes):
        check_all(geometry, np.float32, seed)


@given(geometries(), st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_every_geometry_in_float64(geometry, seed):
    check_all(geometry, np.float64, seed)


@pytest.mark.parametrize("lanes", [ROOMS[0], *(pytest.param(room, marks=pytest.mark.slow) for room in ROOMS[1:])])
@pytest.mark.parametrize("geometry", LARGE, ids=lambda geometry: f"{geometry.x_shape}-{geometry.w_shape}")
def test_large(geometry, lanes):
    """Sizes at which sums are cut into blocks, segments and rounds, and columns into several panels."""
    with room(lanes):
        check_all(geometry, np.float32)


def test_oracle_is_torch():
    """Forward and both gradients, and the transposed convolution, whose output_padding is the input's leftover."""
    torch = pytest.importorskip("torch")
    geometry = ConvGeometry((2, 4, 10, 8), (6, 2, 3, 2), (2, 1), (1, 2), (2, 3), 2)
    x, w, g, *_ = tensors(geometry, np.float64)
    y, dx, dw = oracle(geometry, x, w, g)
    tx, tw, tg = (torch.from_numpy(array).requires_grad_() for array in (x, w, g))
    settings = {"stride": geometry.stride, "padding": geometry.padding, "dilation": geometry.dilation, "groups": 2}
    ty = torch.conv2d(tx, tw, **settings)
    ty.backward(tg)
    transposed = torch.conv_transpose2d(tg, tw, output_padding=(1, 0), **settings)
    for ours, theirs in ((y, ty), (dx, tx.grad), (dw, tw.grad), (dx, transposed)):
        np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("lanes", ROOMS)
@pytest.mark.parametrize("geometry", LARGE[:4], ids=lambda geometry: f"{geometry.x_shape}-{geometry.w_shape}")
def test_adjoints(geometry, lanes):
    """<conv(x, w), g> = <x, conv_input(g, w)> = <w, conv_weight(x, g)>.

    To 1e-5 of the product of norms: float32 results, each of relative error below 1e-6 in norm, summed in float64.
    """
    x, w, g, *_ = tensors(geometry)
    with room(lanes):
        pairs = [
            (conv.conv_forward(x, w, geometry), g),
            (conv.conv_input(g, w, geometry), x),
            (conv.conv_weight(x, g, geometry), w),
        ]
    forms = [float((a.astype(float) * b).sum()) for a, b in pairs]
    size = np.linalg.norm(pairs[0][0]) * np.linalg.norm(g)
    assert np.ptp(forms) <= 1e-5 * size


@pytest.mark.parametrize("lanes", ROOMS)
@pytest.mark.parametrize("geometry", LARGE[:6], ids=lambda geometry: f"{geometry.x_shape}-{geometry.w_shape}")
def test_same_bits_on_any_number_of_threads(geometry, lanes):
    x, w, g, y_bias, x_bias = tensors(geometry)

    def results():
        return (
            conv.conv_forward(x, w, geometry, y_bias),
            conv.conv_input(g, w, geometry, x_bias),
            conv.conv_weight(x, g, geometry),
            matmul.matmul(x.reshape(x.shape[0], -1), x.reshape(x.shape[0], -1).T),
        )

    with room(lanes):
        first, *others = on_threads(results)
    for other in others:
        assert all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def layouts(x):
    """The same values in other memory: channels last, Fortran, sliced, reversed, read-only."""
    yield np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    yield np.asfortranarray(x)
    yield np.repeat(x, 2, axis=-1)[..., ::2]
    yield np.ascontiguousarray(x[::-1, ::-1])[::-1, ::-1]
    fixed = x.copy()
    fixed.flags.writeable = False
    yield fixed


@pytest.mark.parametrize("lanes", ROOMS)
def test_any_strides_and_nothing_mutated(lanes):
    geometry = square(2, 6, 7, 9, 3, 2, 1, groups=3)
    x, w, g, *_ = tensors(geometry)
    x[:] = x[:, :1]
    with room(lanes):
        expected = conv.conv_forward(x, w, geometry), conv.conv_input(g, w, geometry), conv.conv_weight(x, g, geometry)
        spread = np.broadcast_to(x[:, :1], x.shape)
        assert np.array_equal(conv.conv_forward(spread, w, geometry), expected[0])
        assert np.array_equal(conv.conv_weight(spread, g, geometry), expected[2])
        for arrays in zip(layouts(x), layouts(w), layouts(g), strict=True):
            copies = [array.copy() for array in arrays]
            ax, aw, ag = arrays
            assert np.array_equal(conv.conv_forward(ax, aw, geometry), expected[0])
            assert np.array_equal(conv.conv_input(ag, aw, geometry), expected[1])
            assert np.array_equal(conv.conv_weight(ax, ag, geometry), expected[2])
            assert all(np.array_equal(a, b) for a, b in zip(arrays, copies, strict=True))


@pytest.mark.parametrize("lanes", ROOMS)
def test_results_lie_as_nhwc_and_out_is_filled(lanes):
    """Into fenced NHWC memory, into C order, into every second element of something larger, into another dtype."""
    geometry = square(2, 5, 6, 7, 3, 1, 1)
    x, w, g, *_ = tensors(geometry)
    calls = [
        (lambda out: conv.conv_forward(x, w, geometry, out=out), geometry.y_shape),
        (lambda out: conv.conv_input(g, w, geometry, out=out), geometry.x_shape),
        (lambda out: conv.conv_weight(x, g, geometry, out=out), geometry.w_shape),
    ]
    with room(lanes):
        for call, shape in calls:
            expected = call(None)
            if shape != geometry.w_shape:
                assert np.shares_memory(layout.nhwc(expected), expected)
            n, c, h, ww = shape
            size = expected.size
            fenced = np.full(size + 64, np.float32(7))
            for out in (
                fenced[32:-32].reshape(n, h, ww, c).transpose(0, 3, 1, 2),
                fenced[32:-32].reshape(shape),
                np.full((n, c, h, 2 * ww), np.float32(7))[..., ::2],
                np.empty(shape),
            ):
                assert call(out) is out
                assert np.array_equal(out, expected)
            assert (fenced[:32] == 7).all() and (fenced[-32:] == 7).all()
            with pytest.raises(ValueError, match="out has shape"):
                call(np.empty((*shape[:3], shape[3] + 1), np.float32))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_empty_batch(dtype):
    geometry = square(0, 3, 5, 4, 3, 1, 1)
    x, w, g, y_bias, x_bias = tensors(geometry, dtype)
    assert conv.conv_forward(x, w, geometry, y_bias).shape == geometry.y_shape
    assert conv.conv_input(g, w, geometry, x_bias).shape == geometry.x_shape
    dw = conv.conv_weight(x, g, geometry)
    assert dw.dtype == dtype and dw.shape == w.shape and not dw.any()


@pytest.mark.parametrize("lanes", ROOMS)
def test_mixed_dtypes_meet_in_the_wider(lanes):
    geometry = square(2, 3, 5, 4, 3)
    x, w, g, *_ = tensors(geometry)
    half = x.astype(np.float16)
    with room(lanes):
        for narrow, wide in ((half, w), (x, w.astype(np.float64))):
            expected = conv.conv_forward(narrow.astype(wide.dtype), wide, geometry)
            assert np.array_equal(conv.conv_forward(narrow, wide, geometry), expected)
            assert expected.dtype == wide.dtype
        expected = conv.conv_weight(half.astype(np.float32), g, geometry)
        assert np.array_equal(conv.conv_weight(half, g, geometry), expected)
        assert np.array_equal(matmul.matmul(half[0, 0], x[0, 0].T), half[0, 0].astype(np.float32) @ x[0, 0].T)


def test_shapes_that_do_not_fit_are_refused():
    geometry = square(1, 3, 5, 4, 3)
    x, w, g, y_bias, _ = tensors(geometry)
    with pytest.raises(ValueError, match="conv_forward: x has shape"):
        conv.conv_forward(x[:, :2], w, geometry)
    with pytest.raises(ValueError, match="conv_forward: bias has shape"):
        conv.conv_forward(x, w, geometry, bias=y_bias[:1])
    with pytest.raises(ValueError, match="conv_weight: g has shape"):
        conv.conv_weight(x, g[..., 1:], geometry)
    with pytest.raises(ValueError, match="matmul: shapes"):
        matmul.matmul(x[0, 0], x[0, 0])


def strided(a):
    """A matrix in other memory: Fortran, every second column, reversed."""
    yield a
    yield np.asfortranarray(a)
    yield np.repeat(a, 2, axis=1)[:, ::2]
    yield np.ascontiguousarray(a[::-1, ::-1])[::-1, ::-1]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("lanes", ROOMS)
@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (3, 5, 7), (64, 100, 17), (13, 600, 130), (100, 33, 1), (25, 257, 64), (0, 3, 4), (3, 4, 0)]
)
def test_matmul(shape, lanes, dtype):
    m, k, n = shape
    draw = np.random.default_rng(0).standard_normal
    a, b = draw((m, k)).astype(dtype), draw((k, n)).astype(dtype)
    exact, bound = a.astype(float) @ b.astype(float), abs(a).astype(float) @ abs(b).astype(float)
    with room(lanes):
        expected = matmul.matmul(a, b)
        close(expected, exact, bound, 2 * k, dtype)  # the oracle, float64 too, is off by as much
        for left, right in zip(strided(a), strided(b), strict=True):
            assert np.array_equal(matmul.matmul(left, right), expected)
        for out in (np.empty((m, n), dtype), np.empty((m, 2 * n), dtype)[:, ::2], np.empty((n, m), dtype).T):
            assert matmul.matmul(a, b, out=out) is out
            assert np.array_equal(out, expected)
        stacked = matmul.batched(np.stack([a, a + 1]), np.stack([b, b]))
        assert np.array_equal(stacked[0], expected)
        assert np.array_equal(stacked[1], matmul.matmul(a + 1, b))


@pytest.mark.parametrize("lanes", ROOMS)
def test_matmul_along_a_repeated_axis_and_of_nothing(lanes):
    a = np.broadcast_to(np.arange(6, dtype=np.float32)[:, None], (6, 40))
    b = np.ones((40, 20), np.float32)
    with room(lanes):
        assert np.array_equal(matmul.matmul(a, b), np.repeat(40 * a[:, :1], 20, axis=1))
        assert np.array_equal(matmul.matmul(a[:, :0], b[:0]), np.zeros((6, 20)))


def test_choice_of_room(monkeypatch):
    """MINIGAN_VECTOR decides the vector width; float64 and small products stay plain, narrow ones count for more."""
    for value, lanes in (("16", 16), ("8", 8), ("plain", 0)):
        monkeypatch.setenv("MINIGAN_VECTOR", value)
        fast.lanes.cache_clear()
        assert fast.lanes_for(np.dtype(np.float32), 1 << 24, 64) == lanes
    monkeypatch.setenv("MINIGAN_VECTOR", "8")
    fast.lanes.cache_clear()
    assert fast.lanes_for(np.dtype(np.float64), 1 << 24, 64) == 0
    assert fast.lanes_for(np.dtype(np.float32), fast.SMALLEST - 1, 64) == 0
    assert fast.lanes_for(np.dtype(np.float32), fast.SMALLEST // 16, 1) == 8
    assert fast.lanes_for(np.dtype(np.float32), 0, 0) == 0
    monkeypatch.setenv("MINIGAN_VECTOR", "512")
    fast.lanes.cache_clear()
    with pytest.raises(ValueError, match="MINIGAN_VECTOR is '512'"):
        fast.lanes()
    fast.lanes.cache_clear()


@pytest.mark.parametrize("count", [1, 2, 7, 33, 1000])
def test_chunks_share_the_work(count):
    """The phases of an input gradient, whose border rows have shorter sums: chunks follow each other without a gap, and
    none takes longer than an equal share and one tile."""
    geometry = ConvGeometry((32, 24, 8, 8), (40, 24, 4, 4), (2, 2), (1, 1), (1, 1), 1)
    product = tables.phases(geometry)
    ends = gemm._chunks(product, count)
    assert ends[0] == 0 and ends[-1] == product.kinds.size and (np.diff(ends) > 0).all() and len(ends) <= count + 1
    steps = ((product.cuts[:, :, 1] - product.cuts[:, :, 0]).sum(axis=1) + gemm.STORED)[product.kinds]
    work = np.add.reduceat(steps, ends[:-1])
    assert work.max() <= steps.sum() / count + steps.max()
