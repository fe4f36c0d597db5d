"""Batch norm's kernels, to the second derivative: PyTorch's values, in every layout, alike on all threads."""

import numpy as np
import pytest
from kernel_testing import SHAPES, close, layouts, lies_channels_last, normal, on_threads, same_bits
from test_kernels_basic import same_when_prepared

from minigan import kernels

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
        for actual, values in zip(results, expected, strict=True):
            assert np.array_equal(actual, values)
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
            for n, result, whole in zip(need, part, full, strict=True):
                assert (result is None) if not n or whole is None else np.array_equal(result, whole)


@pytest.mark.parametrize("there", list(np.ndindex(2, 2, 2)))
def test_batch_norm_second_derivative_with_absent_cotangents(there):
    """None means zero: the same as zeros in its place; a result that is zero may be None."""
    x, g, a, weight, _, ggw, ggb = batch_norm_case((4, 3, 5, 6))
    function = kernels.norm.batch_norm_grad_grad
    some = [v if present else None for v, present in zip((a, ggw, ggb), there, strict=True)]
    zeros = [v if present else np.zeros_like(v) for v, present in zip((a, ggw, ggb), there, strict=True)]
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


ODD = [(8, 3, 5, 7), (33, 5), (63, 3, 31, 31), (5, 200, 3, 3), (0, 3, 2, 2), (2, 0, 4, 4)]


@pytest.mark.parametrize("slope", [0.2, 0.0, -0.5, 1.0])
@pytest.mark.parametrize("shape", ODD)
def test_fused_leaky_relu_is_the_unfused_one_by_bits(shape, slope):
    norm, act = kernels.norm, kernels.act
    x, g, _, weight, bias, *_ = batch_norm_case(shape, np.float32)
    y, *statistics = norm.batch_norm(x, weight, bias, EPS)
    fused = norm.batch_norm(x, weight, bias, EPS, slope=slope)
    same_bits([fused, (act.leaky_relu(y, slope), *statistics)])
    fused = norm.batch_norm_grad(x, weight, g, EPS, mask=y, slope=slope)
    same_bits([fused, norm.batch_norm_grad(x, weight, act.leaky_relu_grad(y, g, slope), EPS)])


@pytest.mark.parametrize("slope", [0.2, 0.0])
def test_fused_leaky_relu_at_the_values_that_are_not_numbers(slope):
    """A mask of NaN, 0 and infinity; g of infinity where a ReLU is closed."""
    norm, act = kernels.norm, kernels.act
    x, g, mask, weight, *_ = batch_norm_case((16, 6), np.float32)
    mask[3, :4] = [np.nan, 0, np.inf, -np.inf]
    g[3, 3] = 1 if slope else np.inf
    fused = norm.batch_norm_grad(x, weight, g, EPS, mask=mask, slope=slope)
    same_bits([fused, norm.batch_norm_grad(x, weight, act.leaky_relu_grad(mask, g, slope), EPS)])
    assert np.isfinite(fused[0]).all()
    x[0, 0] = np.nan
    y = norm.batch_norm(x, weight, None, EPS, slope=slope)[0]
    assert np.isnan(y[:, 0]).all()
    assert np.isfinite(y[:, 1:]).all()


@pytest.mark.parametrize("shape", ODD)
def test_batch_norm_prepared(shape):
    norm = kernels.norm
    x, g, a, weight, bias, ggw, ggb = batch_norm_case(shape, np.float32)
    vectors = [np.empty(shape[1], np.float32) for _ in range(2)]
    views = zip(*(list(layouts(v)) for v in (x, g, a)), strict=True)
    outs = layouts(np.empty(shape, np.float32))
    for (x_view, g_view, a_view), out in zip(views, outs, strict=True):

        def forward(x, weight, bias, **how):
            return norm.batch_norm(x, weight, bias, EPS, slope=0.2, **how)

        def backward(x, weight, g, mask, **how):
            return norm.batch_norm_grad(x, weight, g, EPS, mask=mask, slope=0.2, **how)

        def second(x, weight, g, *cotangents, **how):
            return norm.batch_norm_grad_grad(x, weight, g, *cotangents, EPS, **how)

        same_when_prepared(forward, [x_view, weight, bias], (out, *vectors))
        same_when_prepared(forward, [x_view, None, None], (out, *vectors))
        same_when_prepared(backward, [x_view, weight, g_view, a_view], (out, *vectors))
        same_when_prepared(backward, [x_view, weight, g_view, None], (out, *vectors))
        same_when_prepared(second, [x_view, weight, g_view, a_view, ggw, ggb], (out, vectors[0], np.empty_like(x)))


def test_batch_norm_in_float32_far_from_zero():
    """Mean 100, deviation 1, and each channel's first value an outlier: float64's on the same inputs, to 1e-6."""
    x, g, a, *vectors = batch_norm_case((64, 3, 16, 16), np.float32)
    x = x / 3 + 100
    x[0, :, 0, 0] = 90
    exact = our_batch_norm(*(v.astype(np.float64) for v in (x, g, a, *vectors)))
    for actual, expected in zip(our_batch_norm(x, g, a, *vectors), exact, strict=True):
        close(actual, expected, np.float32)
