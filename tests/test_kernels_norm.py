"""Batch norm's kernels, to the second derivative: PyTorch's values, in every layout, alike on all threads."""

import numpy as np
import pytest
from kernel_testing import SHAPES, close, layouts, lies_channels_last, normal, on_threads, same_bits

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
