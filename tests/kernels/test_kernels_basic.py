"""Layout, geometry, activations, sums and max pooling: right in every layout, alike on all threads, now or prepared.

The oracles are NumPy formulas in float64 and PyTorch.
"""

from dataclasses import replace

import numpy as np
import pytest
from kernel_testing import DTYPES, SHAPES, close, layouts, lies_channels_last, normal, on_threads, same_bits
from scipy import special

from minigan import kernels
from minigan.kernels.work import Now


class Prepared(Now):
    """Keeps the calls instead of running them."""

    def __init__(self) -> None:
        self.calls, self.buffers = [], []

    def empty(self, shape, dtype=np.float32):
        self.buffers.append(super().empty(shape, dtype))
        return self.buffers[-1]

    def call(self, function, *arguments):
        self.calls.append((function, arguments))


def same_when_prepared(kernel, inputs, outs):
    """kernel(*inputs, out=outs, work=) is prepared while all arrays hold NaN, and run twice into memory full of NaN:

    the bits are those of the kernel run now, and nothing but the outputs is written to.
    """
    expected = kernel(*inputs)
    arrays = [x for x in inputs if isinstance(x, np.ndarray)]
    values = [x.copy() for x in arrays]
    targets = outs if isinstance(outs, tuple) else (outs,)
    work = Prepared()
    for x in (*arrays, *targets):
        x[...] = np.nan
    result = kernel(*inputs, out=outs, work=work)
    for _ in range(2):
        for x in (*targets, *work.buffers):
            x[...] = np.nan
        for x, value in zip(arrays, values, strict=True):
            x[...] = value
        for function, arguments in work.calls:
            function(*arguments)
        same_bits([targets, expected if isinstance(expected, tuple) else (expected,)])
        same_bits([arrays, values])
    if not isinstance(outs, tuple):
        assert result is outs
    else:
        assert all(a is b for a, b in zip(result, outs, strict=True))


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (1, 1, 4, 5), (2, 3, 1, 1), (0, 3, 4, 5), (2, 0, 4, 5)])
def test_nhwc_and_rows_hold_the_values_and_copy_only_when_they_must(shape):
    layout = kernels.layout
    for x in layouts(normal(shape)):
        assert np.array_equal(layout.nhwc(x), x.transpose(0, 2, 3, 1))
        assert layout.nhwc(x).flags.c_contiguous
        rows = layout.rows(x)
        assert rows.flags.c_contiguous
        assert rows.shape == (shape[0] * shape[2] * shape[3], shape[1])
        assert np.array_equal(rows.ravel(), x.transpose(0, 2, 3, 1).ravel())
        block = rows.reshape(shape[0], *shape[2:], shape[1])
        assert np.array_equal(layout.untransposed(block, layout.channels_last(4)), x)
    channels_last = layout.empty_nhwc(shape, np.float64)
    assert channels_last.shape == shape
    assert np.shares_memory(layout.nhwc(channels_last), channels_last) == (channels_last.size > 0)
    assert np.shares_memory(layout.rows(channels_last), channels_last) == (channels_last.size > 0)


def test_elementwise_lines_share_one_order_and_dense_memory_is_not_copied():
    layout = kernels.layout
    x, g = normal((2, 2, 3, 4, 5))
    for a in layouts(x):
        for b in layouts(g):
            out, line, a_line, b_line = layout.elementwise(a, b)
            line[:] = a_line - 2 * b_line
            assert np.array_equal(out, x - 2 * g)
    permuted = x.transpose(2, 0, 3, 1)
    assert np.shares_memory(layout.dense(permuted), x)
    assert layout.elementwise(permuted)[0].strides == permuted.strides


def test_elementwise_says_what_does_not_fit():
    layout = kernels.layout
    x = np.zeros((2, 3), np.float32)
    with pytest.raises(ValueError, match=r"operands differ: float32 \(2, 3\) and float32 \(3, 2\)"):
        layout.elementwise(x, np.zeros((3, 2), np.float32))
    with pytest.raises(ValueError, match=r"float32 .* and float64"):
        layout.elementwise(x, np.zeros((2, 3)))
    with pytest.raises(ValueError, match="cannot write into an array of shape"):
        layout.elementwise(x, out=np.zeros((2, 6), np.float32)[:, ::2])


def test_geometry_gives_the_output_shape_of_torch():
    torch = pytest.importorskip("torch")
    for stride, padding, dilation, groups in [
        ((1, 1), (0, 0), (1, 1), 1),
        ((2, 3), (1, 0), (1, 2), 1),
        ((3, 2), (2, 1), (2, 1), 2),
    ]:
        x_shape, w_shape = (2, 4, 11, 13), (6, 4 // groups, 3, 2)
        geometry = kernels.geometry.ConvGeometry(x_shape, w_shape, stride, padding, dilation, groups)
        y = torch.nn.functional.conv2d(
            torch.zeros(x_shape), torch.zeros(w_shape), None, stride, padding, dilation, groups
        )
        assert geometry.y_shape == tuple(y.shape)
        assert hash(geometry) == hash(replace(geometry))


SLOPES = [0.2, 0.0, -0.5, 1.0]

ACTIVATIONS = {
    "tanh": (1, lambda act: act.tanh, np.tanh),
    "exp": (1, lambda act: act.exp, np.exp),
    "sigmoid": (1, lambda act: act.sigmoid, lambda x: 1 / (1 + np.exp(-x))),
    "erf": (1, lambda act: act.erf, special.erf),
    "expm1": (1, lambda act: act.expm1, np.expm1),
    **{
        f"softplus {beta} {threshold}": (
            1,
            lambda act, beta=beta, threshold=threshold: lambda x, **how: act.softplus(x, beta, threshold, **how),
            lambda x, beta=beta, threshold=threshold: np.where(
                x * beta > threshold, x, np.log1p(np.exp(beta * x)) / beta
            ),
        )
        for beta, threshold in ((1.0, 20.0), (2.5, 0.5), (0.5, np.inf))
    },
    "tanh_grad": (2, lambda act: act.tanh_grad, lambda y, g: g * (1 - y * y)),
    **{
        f"leaky_relu {slope}": (
            1,
            lambda act, slope=slope: lambda x, **how: act.leaky_relu(x, slope, **how),
            lambda x, slope=slope: np.where(x > 0, x, slope * x),
        )
        for slope in SLOPES
    },
    **{
        f"leaky_relu_grad {slope}": (
            2,
            lambda act, slope=slope: lambda x, g, **how: act.leaky_relu_grad(x, g, slope, **how),
            lambda x, g, slope=slope: np.where(x > 0, g, slope * g),
        )
        for slope in SLOPES
    },
}


@pytest.fixture(params=ACTIVATIONS)
def activation(request):
    operands, kernel, formula = ACTIVATIONS[request.param]
    return operands, kernel(kernels.act), formula


@pytest.mark.parametrize("dtype", DTYPES)
def test_activation_in_every_layout(activation, dtype):
    operands, kernel, formula = activation
    values = [normal((3, 4, 5, 6), seed, dtype) for seed in range(operands)]
    expected = formula(*(v.astype(np.float64) for v in values))
    for first in layouts(values[0]):
        for last in layouts(values[-1]):
            arguments = [first, last][:operands]
            before = [a.copy() for a in arguments]
            y = kernel(*arguments)
            close(y, expected, dtype)
            assert all(np.array_equal(a, b) for a, b in zip(arguments, before, strict=True))
            if lies_channels_last(first):
                assert lies_channels_last(y)
            for out in (np.empty_like(y), kernels.layout.empty_nhwc(y.shape, dtype)):
                assert kernel(*arguments, out=out) is out
                assert np.array_equal(out, y)


@pytest.mark.parametrize("shape", [(), (0,), (1,), (0, 3, 2, 2), (5, 7), (300, 301)])
def test_activation_of_any_shape_on_any_number_of_threads(activation, shape):
    operands, kernel, formula = activation
    values = [normal(shape, seed) for seed in range(operands)]
    results = [(kernel(*values),) for _ in range(2)] + list(on_threads(lambda: (kernel(*values),)))
    close(results[0][0], formula(*values), np.float64)
    same_bits(results)


def test_activation_of_a_broadcast_cotangent():
    x, g = normal((2, 3, 4, 5)), np.broadcast_to(np.float64(3), (2, 3, 4, 5))
    close(kernels.act.leaky_relu_grad(x, g, 0.1), np.where(x > 0, 3, 0.3), np.float64)
    close(kernels.act.tanh_grad(g / 6, x), 0.75 * x, np.float64)


@pytest.mark.parametrize("dtype", DTYPES)
def test_relu_and_leaky_relu_at_the_values_that_are_not_numbers(dtype):
    """As torch.relu and F.leaky_relu; at 0 itself the slope of the negative side."""
    act, inf, nan = kernels.act, np.inf, np.nan
    x = np.array([nan, inf, -inf, 0.0, 1.0, -1.0], dtype)
    assert np.array_equal(act.leaky_relu(x, 0.0), [nan, inf, 0, 0, 1, 0], equal_nan=True)
    assert np.array_equal(act.leaky_relu(x, 0.5), [nan, inf, -inf, 0, 1, -0.5], equal_nan=True)
    g = np.full(6, 3, dtype)
    assert np.array_equal(act.leaky_relu_grad(x, g, 0.0), [3, 3, 0, 0, 3, 0])
    assert np.array_equal(act.leaky_relu_grad(x, g, 0.5), [1.5, 3, 1.5, 1.5, 3, 1.5])
    assert np.array_equal(act.leaky_relu_grad(x, np.full(6, inf, dtype), 0.0), [inf, inf, 0, 0, inf, 0])
    assert np.array_equal(act.tanh(x)[:3], [nan, 1, -1], equal_nan=True)


@pytest.mark.parametrize("shape", [(64, 33), (300, 301), (0, 3)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_activation_in_place(activation, shape, dtype):
    """Into any one of its operands."""
    operands, kernel, _ = activation
    values = [normal(shape, seed, dtype) for seed in range(operands)]
    expected = kernel(*values)
    for i in range(operands):
        arguments = [v.copy() for v in values]
        assert kernel(*arguments, out=arguments[i]) is arguments[i]
        assert np.array_equal(arguments[i], expected)


@pytest.mark.parametrize("shape", [(3, 4, 5, 6), (300, 301), (0, 3, 2, 2)])
def test_activation_prepared(activation, shape):
    operands, kernel, _ = activation
    values = [normal(shape, seed, np.float32) for seed in range(operands)]
    for view in layouts(values[-1]):
        for out in list(layouts(np.empty(shape, np.float32)))[:3]:
            same_when_prepared(kernel, [*values[:-1], view], out)


CURVES = {
    "tanh": (np.tanh, 1.8e-7),
    "exp": (np.exp, 9e-8),
    "sigmoid": (lambda x: np.where(x < 0, np.exp(-abs(x)), 1) / (1 + np.exp(-abs(x))), 1.8e-7),
    "erf": (special.erf, 1.8e-7),
    "expm1": (np.expm1, 1.8e-7),
    "log1p": (np.log1p, 1.8e-7),
    "softplus": (lambda x: np.where(x > 20, x, np.maximum(x, 0) + np.log1p(np.exp(-abs(x)))), 1.8e-7),
}


@pytest.mark.parametrize("name", CURVES)
def test_error_of_the_float32_curves_is_what_the_module_says(name):
    """Over every 97th float32 number, against NumPy and SciPy in float64; where the result is below the normal numbers,
    to one unit of what is left."""
    formula, bound = CURVES[name]
    assert f"{bound:.1e}".replace("e-0", "e-").replace(".0e", "e") in kernels.act.__doc__
    for low in range(0, 2**32, 2**28):
        x = np.arange(low, low + 2**28, 97, dtype=np.int64).astype(np.uint32).view(np.float32)
        x = x[np.isfinite(x) & ((x > -1) | (name != "log1p"))]
        with np.errstate(over="ignore"):
            exact = formula(x.astype(np.float64))
        y = getattr(kernels.act, name)(x).astype(np.float64)
        finite = exact < float(np.finfo(np.float32).max) * (1 + 2**-25)
        assert np.all(np.isinf(y[~finite]))
        error = abs(y[finite] - exact[finite])
        assert np.all(error <= np.maximum(bound * abs(exact[finite]), 2.0**-149))


@pytest.mark.parametrize("name", CURVES)
def test_float32_curves_at_the_ends_and_alike_at_every_place(name):
    curve = getattr(kernels.act, name)
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, 100, -200], np.float32)
    odd = [np.nan, 1, -1, 0, 0, 1e-45, 1, -1]
    ends = {
        "tanh": odd,
        "erf": odd,
        "exp": [np.nan, np.inf, 0, 1, 1, 1, np.inf, 0],
        "expm1": [np.nan, np.inf, -1, 0, 0, 1e-45, np.inf, -1],
        "log1p": [np.nan, np.inf, np.nan, 0, 0, 1e-45, np.log1p(100), np.nan],
        "softplus": [np.nan, np.inf, 0, np.log(2), np.log(2), np.log(2), 100, 0],
    }
    expected = ends.get(name, [np.nan, 1, 0, 0.5, 0.5, 0.5, 1, 0])
    assert np.array_equal(curve(x), np.array(expected, np.float32), equal_nan=True)
    assert np.signbit(curve(x)[4]) == (name in ("tanh", "erf", "expm1", "log1p"))
    x = normal(1000, 0, np.float32)
    x = abs(x) if name == "log1p" else x
    assert np.array_equal([curve(x[i : i + 1])[0] for i in range(len(x))], curve(x))


def test_log1p_where_it_ends():
    x = np.array([-1, np.nextafter(np.float32(-1), np.float32(0)), -1.5, 3e38], np.float32)
    np.testing.assert_allclose(kernels.act.log1p(x), [-np.inf, -24 * np.log(2), np.nan, np.log(3e38)], rtol=2e-7)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_channel_sum(shape, dtype):
    x = normal(shape, 0, dtype)
    axes = (0, *range(2, x.ndim))
    expected = x.astype(np.float64).sum(axis=axes)
    for view in layouts(x):
        close(kernels.reduce.channel_sum(view), expected, dtype)
    same_bits(on_threads(lambda: (kernels.reduce.channel_sum(x),)))


@pytest.mark.parametrize("shape", [(0, 3), (0, 3, 2, 2), (2, 0), (2, 3, 0, 4)])
def test_channel_sum_of_nothing_is_zero(shape):
    assert np.array_equal(kernels.reduce.channel_sum(np.empty(shape, np.float32)), np.zeros(shape[1], np.float32))


def test_channel_sum_keeps_what_float32_would_lose():
    """2^24 + 65536 ones: a float32 accumulator would stop at 2^24."""
    x = np.ones((1 << 16, 1), np.float32)
    x[0] = 1 << 24
    assert kernels.reduce.channel_sum(x)[0] == (1 << 24) + 65536


SUMS = {
    "channel_sum": ((SHAPES, (0, 3), (0, 3, 2, 2), (2, 0), (2, 3, 0, 4)), lambda x: x.sum((0, *range(2, x.ndim)))),
    "row_sum": (([(33, 5), (7, 512), (3, 40_001), (1, 1)], (0, 3), (4, 0)), lambda x: x.sum(1)),
    "total": ((SHAPES, (), (0,), (16_385,), (2, 0, 3)), lambda x: x.sum()),
}
SUM_CASES = [(name, shape) for name, (shapes, _) in SUMS.items() for shape in (*shapes[0], *shapes[1:])]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "shape"), SUM_CASES)
def test_sums(name, shape, dtype):
    kernel, x = getattr(kernels.reduce, name), normal(shape, 0, dtype)
    expected = SUMS[name][1](x.astype(np.float64))
    same_bits(on_threads(lambda: (kernel(x),)))
    for view in layouts(x) if x.ndim > 1 else [x]:
        close(kernel(view), expected, dtype)
        same_when_prepared(kernel, [view], np.empty(np.shape(expected), dtype))


def test_sums_keep_what_float32_would_lose():
    """2^24 + 65535 ones: a float32 accumulator would stop at 2^24."""
    x = np.ones((1, 1 << 16), np.float32)
    x[0, 0] = 1 << 24
    for kernel in (kernels.reduce.row_sum, kernels.reduce.total):
        assert kernel(x) == (1 << 24) + 65536


POOLS = [
    ((4, 5, 8, 10), (2, 2), (2, 2), (0, 0), (1, 1)),
    ((3, 2, 9, 11), (3, 2), (2, 1), (1, 1), (2, 2)),
    ((2, 1, 7, 7), (3, 3), (1, 1), (1, 1), (1, 1)),
    ((16, 32, 16, 16), (2, 2), (2, 2), (0, 0), (1, 1)),
    ((0, 3, 4, 4), (2, 2), (2, 2), (0, 0), (1, 1)),
    ((2, 0, 4, 4), (2, 2), (2, 2), (0, 0), (1, 1)),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "kernel", "stride", "padding", "dilation"), POOLS)
def test_max_pool_index_is_torchs_with_ties_and_nan(shape, kernel, stride, padding, dilation, dtype):
    """Values from {-inf, 0, 1, NaN}, so that most windows hold ties."""
    x = np.random.default_rng(0).choice([-np.inf, 0, 1, np.nan], shape, p=[0.4, 0.3, 0.2, 0.1]).astype(dtype)
    spans = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    out_hw = tuple(
        (size + 2 * p - span - 1) // s + 1 for size, p, span, s in zip(shape[2:], padding, spans, stride, strict=True)
    )
    results = []
    for view in layouts(x):
        before = view.copy()
        results += [(kernels.pool.max_pool_index(view, kernel, stride, padding, dilation, out_hw),)]
        assert np.array_equal(view, before, equal_nan=True)
    arguments = (x, kernel, stride, padding, dilation, out_hw)
    results += on_threads(lambda: (kernels.pool.max_pool_index(*arguments),))
    same_bits(results)
    index = results[0][0]
    assert index.dtype == np.int64
    assert index.shape == (*shape[:2], *out_hw)
    assert lies_channels_last(index)
    if x.size:
        torch = pytest.importorskip("torch")
        expected = torch.nn.functional.max_pool2d(
            torch.from_numpy(x), kernel, stride, padding, dilation, return_indices=True
        )[1]
        assert np.array_equal(index, expected.numpy())


def test_max_pool_window_that_sees_only_padding():
    x = np.zeros((1, 1, 2, 5))
    with pytest.raises(ValueError, match=r"max_pool2d: a window of \(2, 2\).* lies in the padding \(1, 1\)"):
        kernels.pool.max_pool_index(x, (2, 2), (1, 1), (1, 1), (3, 3), (1, 4))
