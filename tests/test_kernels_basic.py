"""The kernels other than convolution and product: right in every layout, alike on all threads.

Oracles are NumPy formulas in float64 and PyTorch. A float32 result is held to a few units of its
last place, 1e-6 relative to the largest value, since each kernel either rounds once or accumulates
in float64.
"""

import numpy as np
import pytest

from minigan import kernels

DTYPES = [np.float32, np.float64]
TOLERANCE = {np.float32: 1e-6, np.float64: 1e-13}


def close(actual, expected, dtype, factor=1.0):
    """Finite, and within the dtype's tolerance of the largest expected value."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.dtype == dtype
    assert actual.shape == expected.shape
    assert np.isfinite(actual).all()
    if expected.size:
        limit = factor * TOLERANCE[dtype] * max(1.0, abs(expected).max())
        assert abs(actual.astype(np.float64) - expected).max() <= limit


def normal(shape, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def layouts(x):
    """The same values as x in every kind of memory: C, channels last, Fortran, sliced, reversed."""
    yield x.copy()
    yield np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    yield np.asfortranarray(x)
    wide = np.repeat(x, 2, axis=-1)
    yield wide[..., ::2]
    yield np.ascontiguousarray(x[::-1, ::-1])[::-1, ::-1]


def on_threads(function):
    """The results of function() on 1, 2 and 4 threads."""
    load = kernels.load
    before = load.get_num_threads()
    try:
        for threads in (1, 2, 4):
            load.set_num_threads(threads)
            yield function()
    finally:
        load.set_num_threads(before)


def same_bits(results):
    first, *others = results
    for other in others:
        for a, b in zip(first, other, strict=True):
            assert np.array_equal(a, b, equal_nan=True)


def lies_channels_last(x):
    return np.moveaxis(x, 1, -1).flags.c_contiguous


# --- layout and geometry


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
        assert np.array_equal(layout.from_rows(rows, shape), x)
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
        assert hash(geometry) == hash(kernels.geometry.ConvGeometry(*vars(geometry).values()))


# --- activations

SLOPES = [0.2, 0.0, -0.5, 1.0]

ACTIVATIONS = {
    "tanh": (1, lambda act: act.tanh, np.tanh),
    "tanh_grad": (2, lambda act: act.tanh_grad, lambda y, g: g * (1 - y * y)),
    **{
        f"leaky_relu {slope}": (
            1,
            lambda act, slope=slope: lambda x, out=None: act.leaky_relu(x, slope, out),
            lambda x, slope=slope: np.where(x > 0, x, slope * x),
        )
        for slope in SLOPES
    },
    **{
        f"leaky_relu_grad {slope}": (
            2,
            lambda act, slope=slope: lambda x, g, out=None: act.leaky_relu_grad(x, g, slope, out),
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


def test_activation_in_place():
    x = normal((64, 33))
    expected = np.where(x > 0, x, 0.1 * x)
    assert kernels.act.leaky_relu(x, 0.1, out=x) is x
    assert np.array_equal(x, expected)


# --- sums

SHAPES = [(8, 3, 5, 7), (33, 5), (2, 1, 128, 128), (16, 64, 32, 32), (7, 512), (30, 4, 6), (3, 2, 3, 4, 5)]


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


# --- batch norm

EPS = 1e-5


def batch_norm_case(shape, dtype=np.float64):
    """x, g, a like x, away from mean 0; weight, bias, ggw, ggb of one number a channel."""
    x, g, a = (normal(shape, seed, dtype) for seed in range(3))
    return 3 * x + 5, g, a, *(normal(shape[1], seed, dtype) for seed in range(3, 7))


def torch_batch_norm(x, g, a, weight, bias, ggw, ggb):
    """y; d<y, g> by x, weight, bias; d(<dx, a> + <dw, ggw> + <db, ggb>) by x, weight, g."""
    torch = pytest.importorskip("torch")
    x, g, a, weight, bias, ggw, ggb = (
        torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (x, g, a, weight, bias, ggw, ggb)
    )
    y = torch.nn.functional.batch_norm(x, None, None, weight, bias, True, 0.1, EPS)
    first = torch.autograd.grad(y, (x, weight, bias), g, create_graph=True)
    second = torch.autograd.grad(first, (x, weight, g), (a, ggw, ggb))
    return [v.detach().numpy() for v in (y, *first, *second)]


def our_batch_norm(x, g, a, weight, bias, ggw, ggb):
    norm = kernels.norm
    return [
        norm.batch_norm(x, weight, bias, EPS)[0],
        *norm.batch_norm_grad(x, weight, g, EPS),
        *norm.batch_norm_grad_grad(x, weight, g, a, ggw, ggb, EPS),
    ]


@pytest.mark.parametrize("shape", SHAPES)
def test_batch_norm_and_both_derivatives_are_torchs_in_float64(shape):
    case = batch_norm_case(shape)
    for actual, expected in zip(our_batch_norm(*case), torch_batch_norm(*case), strict=True):
        close(actual, expected, np.float64, factor=10)


@pytest.mark.parametrize("shape", SHAPES)
def test_batch_norm_in_float32(shape):
    """Inputs are rounded to float32 first, so the exact answer is float64's on the same inputs."""
    case = batch_norm_case(shape, np.float32)
    exact = our_batch_norm(*(v.astype(np.float64) for v in case))
    for actual, expected in zip(our_batch_norm(*case), exact, strict=True):
        close(actual, expected, np.float32)


def test_batch_norm_second_derivative_of_cotangents_with_a_large_mean():
    """Means of 1e3: cw is what <a g> - <a><g> leaves, so a g must not be rounded to float32."""
    x, g, a, weight, *rest = batch_norm_case((64, 4), np.float32)
    case = (x, g + 1000, a + 1000, weight, *rest)
    exact = our_batch_norm(*(v.astype(np.float64) for v in case))
    close(our_batch_norm(*case)[5], exact[5], np.float32)


def test_batch_norm_statistics_of_a_large_mean():
    """Mean 1e4, deviation 1: squares minus the square of the mean would lose the variance."""
    x = (normal((64, 3, 16, 16)) + 1e4).astype(np.float32)
    _, mean, var = kernels.norm.batch_norm(x, None, None, 0.0)
    wide = x.astype(np.float64)
    np.testing.assert_allclose(mean, wide.mean(axis=(0, 2, 3)), rtol=1e-7)
    np.testing.assert_allclose(var, wide.var(axis=(0, 2, 3)), rtol=1e-6)


def test_batch_norm_in_every_layout_mutates_nothing():
    x, g, a, *vectors = batch_norm_case((4, 3, 5, 6))
    expected = our_batch_norm(x, g, a, *vectors)
    for x_view, g_view, a_view in zip(layouts(x), reversed(list(layouts(g))), layouts(a), strict=True):
        results = our_batch_norm(x_view, g_view, a_view, *vectors)
        for actual, wanted in zip(results, expected, strict=True):
            assert np.array_equal(actual, wanted)
            assert actual.ndim == 1 or lies_channels_last(actual)
        assert np.array_equal(x_view, x)
        assert np.array_equal(g_view, g)
        assert np.array_equal(a_view, a)


def test_batch_norm_with_a_broadcast_cotangent():
    x, _, a, weight, bias, ggw, ggb = batch_norm_case((4, 3, 5, 6))
    g = np.broadcast_to(normal((1, 3, 1, 1), 9), x.shape)
    results = (our_batch_norm(x, v, a, weight, bias, ggw, ggb) for v in (g, g.copy()))
    same_bits(results)


@pytest.mark.parametrize("shape", [(16, 64, 32, 32), (300, 7), (63, 3, 31, 31)])
def test_batch_norm_has_the_same_bits_on_any_number_of_threads(shape):
    case = batch_norm_case(shape, np.float32)
    same_bits(on_threads(lambda: our_batch_norm(*case)))


def test_batch_norm_computes_what_is_needed_and_no_more():
    norm = kernels.norm
    x, g, a, weight, _, ggw, ggb = batch_norm_case((4, 3, 5, 6))
    for function, arguments in (
        (norm.batch_norm_grad, (x, weight, g)),
        (norm.batch_norm_grad_grad, (x, weight, g, a, ggw, ggb)),
        (norm.batch_norm_grad_grad, (x, weight, g, None, ggw, None)),
    ):
        full = function(*arguments, EPS)
        for need in np.ndindex(2, 2, 2):
            part = function(*arguments, EPS, tuple(map(bool, need)))
            for wanted, result, whole in zip(need, part, full, strict=True):
                assert (result is None) if not wanted or whole is None else np.array_equal(result, whole)


@pytest.mark.parametrize("given", list(np.ndindex(2, 2, 2)))
def test_batch_norm_second_derivative_with_absent_cotangents(given):
    """None means zero: the same as zeros in its place; a result that is zero may be None."""
    x, g, a, weight, _, ggw, ggb = batch_norm_case((4, 3, 5, 6))
    function = kernels.norm.batch_norm_grad_grad
    some = [v if present else None for v, present in zip((a, ggw, ggb), given, strict=True)]
    zeros = [v if present else np.zeros_like(v) for v, present in zip((a, ggw, ggb), given, strict=True)]
    for result, expected in zip(function(x, weight, g, *some, EPS), function(x, weight, g, *zeros, EPS), strict=True):
        if result is None:
            assert not expected.any()
        else:
            close(result, expected, np.float64)


def test_batch_norm_without_weight_and_bias():
    norm = kernels.norm
    x, g, a, weight, bias, ggw, ggb = batch_norm_case((4, 3, 5, 6))
    one, zero = np.ones_like(weight), np.zeros_like(bias)
    for none, ones in (
        (norm.batch_norm(x, None, None, EPS), norm.batch_norm(x, one, zero, EPS)),
        (norm.batch_norm_grad(x, None, g, EPS), norm.batch_norm_grad(x, one, g, EPS)),
        (
            norm.batch_norm_grad_grad(x, None, g, a, ggw, ggb, EPS),
            norm.batch_norm_grad_grad(x, one, g, a, ggw, ggb, EPS),
        ),
    ):
        same_bits((none, ones))


@pytest.mark.parametrize("shape", [(0, 3), (0, 3, 2, 2), (2, 0, 4, 4), (2, 3, 0, 4)])
def test_batch_norm_of_nothing(shape):
    case = batch_norm_case(shape, np.float32)
    like_x, like_w = shape, shape[1:2]
    shapes = [like_x, like_x, like_w, like_w, like_x, like_w, like_x]
    for result, expected in zip(our_batch_norm(*case), shapes, strict=True):
        assert result.shape == expected
        assert not result.any()


def test_batch_norm_passes_nan_on_within_its_channel():
    x = normal((8, 2, 4, 4))
    x[0, 0, 0, 0] = np.nan
    y, mean, var = kernels.norm.batch_norm(x, None, None, EPS)
    for result in (y[:, 0], mean[0], var[0]):
        assert np.isnan(result).all()
    for result in (y[:, 1], mean[1], var[1]):
        assert np.isfinite(result).all()


# --- max pooling

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


# --- optimisers

STEPS = 20


def trajectory(update, shape, dtype, states):
    """p after STEPS times update(p, g, states, step), g being the gradient of a fixed quadratic."""
    p, scale = normal(shape, 0, dtype), normal(shape, 1, dtype) ** 2
    memory = [np.zeros_like(p) for _ in range(states)]
    for step in range(1, STEPS + 1):
        update(p, scale * p, memory, step)
    return p


def torch_trajectory(optimiser, shape, dtype, **options):
    torch = pytest.importorskip("torch")
    p = torch.nn.Parameter(torch.from_numpy(normal(shape, 0, dtype)))
    scale = torch.from_numpy(normal(shape, 1, dtype) ** 2)
    optimiser = getattr(torch.optim, optimiser)([p], foreach=False, **options)
    for _ in range(STEPS):
        p.grad = (scale * p).detach()
        optimiser.step()
    return p.detach().numpy()


def sgd(momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False):
    def update(p, g, memory, step):
        buf = memory[0] if memory else None
        kernels.optim.sgd(p, g, buf, 0.1, momentum, dampening, weight_decay, nesterov, step == 1)

    options = {"momentum": momentum, "dampening": dampening, "nesterov": nesterov}
    return update, int(momentum > 0), "SGD", {"lr": 0.1, "weight_decay": weight_decay, **options}


def rmsprop(momentum=0.0, weight_decay=0.0):
    def update(p, g, memory, step):
        sq, buf = (*memory, None)[:2]
        kernels.optim.rmsprop(p, g, sq, 0.01, 0.9, 1e-8, weight_decay, buf, momentum)

    options = {"lr": 0.01, "alpha": 0.9, "weight_decay": weight_decay, "momentum": momentum}
    return update, 1 + (momentum > 0), "RMSprop", options


def adam(name="Adam", betas=(0.9, 0.999), weight_decay=0.0):
    def update(p, g, memory, step):
        kernels.optim.adam(p, g, *memory, 0.01, *betas, 1e-8, step, weight_decay, name == "AdamW")

    return update, 2, name, {"lr": 0.01, "betas": betas, "weight_decay": weight_decay}


OPTIMISERS = {
    "sgd": sgd(),
    "sgd with decay": sgd(weight_decay=0.1),
    "momentum": sgd(momentum=0.9),
    "momentum, dampened": sgd(momentum=0.9, dampening=0.3, weight_decay=0.1),
    "nesterov": sgd(momentum=0.9, weight_decay=0.1, nesterov=True),
    "rmsprop": rmsprop(),
    "rmsprop with momentum": rmsprop(momentum=0.9, weight_decay=0.1),
    "adam": adam(),
    "adam of a critic": adam(betas=(0.0, 0.9), weight_decay=0.1),
    "adamw": adam("AdamW", weight_decay=0.1),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", OPTIMISERS)
def test_optimiser_follows_torch(name, dtype):
    """Twenty steps; the difference is the rounding of another order of operations, accumulated."""
    update, states, torch_name, options = OPTIMISERS[name]
    ours = trajectory(update, (7, 5, 3, 3), dtype, states)
    theirs = torch_trajectory(torch_name, (7, 5, 3, 3), dtype, **options)
    assert np.isfinite(ours).all()
    assert abs(ours - theirs).max() < {np.float32: 1e-6, np.float64: 1e-12}[dtype]


@pytest.mark.parametrize("name", OPTIMISERS)
def test_optimiser_has_the_same_bits_on_any_number_of_threads_and_in_any_layout(name):
    update, states, *_ = OPTIMISERS[name]
    shape = (30, 20, 10, 9)
    expected = trajectory(update, shape, np.float32, states)
    same_bits(on_threads(lambda: (trajectory(update, shape, np.float32, states),)))

    def scattered(p, g, memory, step):
        """The same update with the parameter channels last and the gradient reversed in memory."""
        if step == 1:
            last = [np.moveaxis(np.ascontiguousarray(np.moveaxis(v, 1, -1)), -1, 1) for v in (p, *memory)]
            held[:] = last
        g = np.ascontiguousarray(g[::-1])[::-1]
        before = g.copy()
        update(held[0], g, held[1:], step)
        assert np.array_equal(g, before)
        p[...] = held[0]

    held: list = []
    assert np.array_equal(trajectory(scattered, shape, np.float32, states), expected)


@pytest.mark.parametrize("name", OPTIMISERS)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2)])
def test_optimiser_of_one_number_and_of_none(name, shape):
    update, states, *_ = OPTIMISERS[name]
    assert trajectory(update, shape, np.float32, states).shape == shape


def test_first_momentum_step_does_not_read_the_buffer():
    p, g = np.ones(3), np.full(3, 2.0)
    buf = np.full(3, np.nan)
    kernels.optim.sgd(p, g, buf, 0.5, 0.9, 0.3, 0.0, False, True)
    assert np.array_equal(buf, g)
    assert np.array_equal(p, np.zeros(3))


def test_optimiser_says_what_does_not_fit():
    p = np.zeros((2, 3), np.float32)
    with pytest.raises(ValueError, match=r"optim: parameter float32 \(2, 3\), .* float64 \(2, 3\)"):
        kernels.optim.sgd(p, np.zeros((2, 3)), None, 0.1, 0, 0, 0, False, True)
    with pytest.raises(ValueError, match=r"\(3, 2\)"):
        kernels.optim.rmsprop(p, p.copy(), np.zeros((3, 2), np.float32), 0.1, 0.9, 1e-8, 0, None, 0)
    with pytest.raises(ValueError, match="cannot write into"):
        kernels.optim.sgd(np.zeros((2, 6), np.float32)[:, ::2], p, None, 0.1, 0, 0, 0, False, True)
