"""Products and convolutions that do more before they store, and kernels that are prepared now and run later.

Fused is unfused by bits: a bias or an activation is applied to the same float32 sum that would have been stored. Adding
into `out` rounds in another order, to a few units of the last place. Prepared is immediate by bits: `Later` keeps the
calls and spoils all memory before it runs them, so that nothing can have been read, or left undone, at preparation.
"""

from collections.abc import Callable

import numpy as np
import pytest
from test_kernels_conv import LARGE, ROOMS, room, square, tensors

from minigan.kernels import act, conv, matmul
from minigan.kernels.fast import conv as fast_conv
from minigan.kernels.geometry import ConvGeometry
from minigan.kernels.work import Now

SLOPES = [0.2, 0.0, 1.0]
GEOMETRIES = [
    square(2, 5, 6, 7, 3, 1, 1),
    square(2, 6, 7, 9, 3, 2, 1, groups=3),
    square(3, 4, 9, 20, 1, 2),  # a stride past the kernel: some inputs are the bias alone
    LARGE[0],
    LARGE[1],
    LARGE[3],
    LARGE[4],
    ConvGeometry((2, 40, 12, 10), (72, 40, 4, 4), (2, 2), (1, 1), (1, 1), 1),
    ConvGeometry((0, 3, 5, 5), (4, 3, 3, 3), (1, 1), (1, 1), (1, 1), 1),
]
SIZES = [(1, 1, 1), (3, 5, 7), (64, 100, 17), (13, 600, 130), (100, 33, 1), (25, 2, 64), (4, 0, 3), (0, 3, 4)]


class Later(Now):
    """Keeps calls instead of running them. Its buffers, and `targets`, hold NaN when a run begins."""

    def __init__(self) -> None:
        self.calls, self.buffers = [], []

    def empty(self, shape, dtype=np.float32):
        self.buffers.append(super().empty(shape, dtype))
        self.buffers[-1].fill(np.nan)
        return self.buffers[-1]

    def call(self, function: Callable, *arguments) -> None:
        self.calls.append((function, arguments))

    def run(self) -> None:
        for buffer in self.buffers:
            buffer.fill(np.nan)
        for function, arguments in self.calls:
            function(*arguments)


def names(geometry):
    return f"{geometry.x_shape}-{geometry.w_shape}"


def spoiled(array, value=-0.0, infinite=np.inf):
    """The array with some of the values at which activations are easily wrong."""
    flat = array.copy().reshape(-1)
    for at, special in enumerate((0.0, value, np.nan, infinite, -infinite)):
        flat[at + 1 :: 11] = special
    return flat.reshape(array.shape)


def channels_last(array):
    return np.ascontiguousarray(array.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


@pytest.fixture(params=[fast_conv._input_by_phases, fast_conv._input_by_parts], ids=["phases", "parts"])
def either_way(request, monkeypatch):
    """The input gradient of the fast room, one way and the other."""
    for name in ("_input_by_phases", "_input_by_parts"):
        monkeypatch.setattr(fast_conv, name, request.param)


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize("lanes", ROOMS)
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=names)
def test_activation_of_a_convolution(geometry, lanes, slope):
    x, w, _, y_bias, _ = tensors(geometry)
    x = spoiled(x) if x.size > 100 else x
    with room(lanes), np.errstate(all="ignore"):
        y = conv.conv_forward(x, w, geometry, y_bias)
        fused = conv.conv_forward(x, w, geometry, y_bias, slope=slope)
        assert np.array_equal(fused, act.leaky_relu(y, slope), equal_nan=True)


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize("lanes", ROOMS)
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=names)
def test_activation_and_mask_of_an_input_gradient(geometry, lanes, slope, either_way):
    _, w, g, _, x_bias = tensors(geometry)
    g = spoiled(g) if g.size > 100 else g
    mask = spoiled(np.random.default_rng(1).standard_normal(geometry.x_shape).astype(np.float32))
    with room(lanes), np.errstate(all="ignore"):
        for bias in (None, x_bias):
            dx = conv.conv_input(g, w, geometry, bias)
            fused = conv.conv_input(g, w, geometry, bias, slope=slope)
            assert np.array_equal(fused, act.leaky_relu(dx, slope), equal_nan=True)
            for gate in (mask, channels_last(mask), mask.astype(np.float64)):
                fused = conv.conv_input(g, w, geometry, bias, mask=gate, slope=slope)
                assert np.array_equal(fused, act.leaky_relu_grad(mask, dx, slope), equal_nan=True)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize("lanes", ROOMS)
@pytest.mark.parametrize("sizes", SIZES)
def test_bias_activation_and_mask_of_a_product(sizes, lanes, slope, dtype):
    """The bias is the first term of the sum in both rooms; it stands against a product with one more column."""
    m, k, n = sizes
    draw = np.random.default_rng(0).standard_normal
    a, b, bias, mask = (draw(shape).astype(dtype) for shape in ((m, k), (k, n), n, (m, n)))
    mask = spoiled(mask)
    with room(lanes):
        plain = matmul.matmul(a, b)
        d = matmul.matmul(a, b, bias=bias)
        longer = np.hstack([np.ones((m, 1), dtype), a]), np.vstack([bias[None], b])
        assert abs(d - longer[0].astype(float) @ longer[1]).max(initial=0) <= np.finfo(dtype).eps * (k + 2) * 30
        fused = matmul.matmul(a, b, slope=slope)
        assert np.array_equal(fused, act.leaky_relu(plain, slope))
        fused = matmul.matmul(a, b, bias=bias, slope=slope)
        assert np.array_equal(fused, act.leaky_relu(d, slope))
        for gate in (mask, np.asfortranarray(mask)):
            fused = matmul.matmul(a, b, mask=gate, slope=slope)
            assert np.array_equal(fused, act.leaky_relu_grad(mask, plain, slope))
        stacked = matmul.batched(a[None], b[None], bias=bias, mask=mask[None], slope=slope)
        assert np.array_equal(stacked[0], act.leaky_relu_grad(mask, d, slope))


@pytest.mark.parametrize("lanes", ROOMS)
@pytest.mark.parametrize("sizes", [(40, 16, 32), (40, 33, 64), (30, 100, 17), (300, 77, 80), (20, 1100, 48)])
def test_packing_turns_a_matrix_around(sizes, lanes):
    """b row by row or column by column, whole blocks turned in registers and the rest one by one: the same bits."""
    m, k, n = sizes
    draw = np.random.default_rng(1).standard_normal
    a, b = draw((m, k)).astype(np.float32), draw((k, n)).astype(np.float32)
    with room(lanes):
        product = matmul.matmul(a, np.asfortranarray(b))
        assert np.array_equal(product, matmul.matmul(a, b))
    np.testing.assert_allclose(product, a.astype(float) @ b, rtol=0, atol=1e-6 * k)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("lanes", ROOMS)
def test_adding_into_out(lanes, dtype):
    """To 40 units of the last place of the largest number: the terms, up to 600, are rounded in another order."""
    draw = np.random.default_rng(2).standard_normal
    calls = []
    for geometry in GEOMETRIES:
        x, _, g, *_ = tensors(geometry, dtype)
        calls.append((lambda x=x, g=g, geometry=geometry, **how: conv.conv_weight(x, g, geometry, **how)))
    for m, k, n in SIZES:
        a, b = draw((m, k)).astype(dtype), draw((k, n)).astype(dtype)
        calls.append((lambda a=a, b=b, **how: matmul.matmul(a, b, **how)))
    with room(lanes):
        for call in calls:
            expected = call()
            total = draw(expected.shape).astype(dtype)
            wide = np.repeat(total, 2, axis=-1)[..., ::2]
            for out in (total.copy(), total.copy(order="F"), wide, total.astype(np.float64)):
                assert call(out=out, add=True) is out
                most = abs(expected).max(initial=1)
                assert abs(out - (total + expected)).max(initial=0) <= 40 * np.finfo(dtype).eps * most
            with pytest.raises(ValueError, match="add needs"):
                call(add=True)


def kernels(geometry):
    """name -> (kernel(arrays, out, work), the arrays it reads, the shape of its result)."""
    x, w, g, y_bias, x_bias = tensors(geometry)
    mask = np.random.default_rng(1).standard_normal(geometry.x_shape).astype(np.float32)
    table = {
        "forward": (
            lambda t, out, **how: conv.conv_forward(*t[:2], geometry, *t[2:], out, slope=0.2, **how),
            (x, w, y_bias),
            geometry.y_shape,
        ),
        "forward of nothing more": (
            lambda t, out, **how: conv.conv_forward(*t, geometry, out=out, **how),
            (x, w),
            geometry.y_shape,
        ),
        "input": (
            lambda t, out, **how: conv.conv_input(*t[:2], geometry, t[2], out, slope=0.2, mask=t[3], **how),
            (g, w, x_bias, mask),
            geometry.x_shape,
        ),
        "input, activated": (
            lambda t, out, **how: conv.conv_input(*t, geometry, out=out, slope=0.0, **how),
            (g, w),
            geometry.x_shape,
        ),
        "weight": (lambda t, out, **how: conv.conv_weight(*t, geometry, out, **how), (x, g), geometry.w_shape),
    }
    a, b, gate = (
        np.random.default_rng(2).standard_normal(n).astype(np.float32) for n in ((25, 40), (40, 33), (25, 33))
    )
    for name, left, right in (("product", a, b), ("product, transposed", a.copy(order="F"), b.copy(order="F"))):
        table[name] = (
            lambda t, out, **how: matmul.matmul(*t[:2], out, bias=t[2], mask=t[3], slope=0.2, **how),
            (left, right, b[0].copy(), gate),
            gate.shape,
        )
    return table


def memories(shape):
    """Results in several kinds of memory."""
    yield np.empty(shape, np.float32)
    yield np.empty(shape[::-1], np.float32).T
    if len(shape) == 4:
        yield channels_last(np.empty(shape, np.float32))
        yield np.empty((*shape[:3], 2 * shape[3]), np.float32)[..., ::2]


@pytest.mark.parametrize("lanes", ROOMS)
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=names)
def test_prepared_now_and_run_later(geometry, lanes):
    """Operands in C order, channels last and float64; nothing is read or written before the run; it can be repeated."""
    with room(lanes):
        for kernel, values, shape in kernels(geometry).values():
            for layout in (lambda a: a, lambda a: channels_last(a) if a.ndim == 4 else a, lambda a: a.astype(float)):
                arrays = [layout(value).copy(order="K") for value in values]
                for out in memories(shape):
                    work = Later()
                    for array in (*arrays, out):
                        array.fill(np.nan)
                    kernel(arrays, out, work=work)
                    assert np.isnan(out).all()
                    for factor in (1, 2):
                        for array, value in zip(arrays, values, strict=True):
                            array[...] = factor * value
                        expected = kernel(arrays, None)
                        out.fill(np.nan)
                        work.run()
                        assert np.array_equal(out, expected.astype(np.float32))


@pytest.mark.parametrize("lanes", ROOMS)
def test_added_later(lanes):
    """Every run adds once more."""
    geometry = square(3, 4, 9, 20, 3, 2)
    x, _, g, *_ = tensors(geometry)
    a, b = g.reshape(-1, 20), g.reshape(-1, 20)[:50].T.copy()
    with room(lanes):
        for kernel, shape in (
            (lambda out, **how: conv.conv_weight(x, g, geometry, out, add=True, **how), geometry.w_shape),
            (lambda out, **how: matmul.matmul(a, b, out, add=True, **how), (len(a), b.shape[1])),
        ):
            out = np.ones(shape, np.float32)
            again, work = out.copy(), Later()
            kernel(out, work=work)
            for _ in range(3):
                kernel(again)
                work.run()
                assert np.array_equal(out, again)


def test_packed_weights_can_be_shared():
    """`derived` is asked with one key for one way of packing, whatever the images are like."""
    keys = []

    class Listening(Now):
        def derived(self, key, source, shape, fill):
            keys.append(key)
            return super().derived(key, source, shape, fill)

    with room(16):
        for size in (6, 8):
            geometry = ConvGeometry((2, 40, size, size), (72, 40, 4, 4), (2, 2), (1, 1), (1, 1), 1)
            x, w, g, *_ = tensors(geometry)
            conv.conv_forward(x, w, geometry, out=np.empty(geometry.y_shape, np.float32), work=Listening())
            fast_conv._input_by_phases(
                channels_last(g).transpose(0, 2, 3, 1), w, geometry, None,
                np.empty((2, size, size, 40), np.float32), 16, Listening(), None, 1.0,
            )  # fmt: skip
    assert keys[:2] == keys[2:]
    assert len(set(keys)) == 2


def test_what_does_not_fit_is_refused():
    a, b = np.ones((3, 4), np.float32), np.ones((4, 5), np.float32)
    with pytest.raises(ValueError, match="bias of shape"):
        matmul.matmul(a, b, bias=np.ones(4, np.float32))
    with pytest.raises(ValueError, match="mask of shape"):
        matmul.matmul(a, b, mask=np.ones((3, 4), np.float32))
    with pytest.raises(ValueError, match="takes no bias"):
        matmul.matmul(a, b, np.zeros((3, 5), np.float32), bias=np.ones(5, np.float32), add=True)
    geometry = square(1, 3, 5, 4, 3)
    _, w, g, *_ = tensors(geometry)
    with pytest.raises(ValueError, match="conv_input: mask has shape"):
        conv.conv_input(g, w, geometry, mask=g)
