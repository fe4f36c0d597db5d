"""Decibels, structural similarity and the null models of an enlargement, by their closed forms."""

import numpy as np
import pytest

from minigan.gan.metrics.restoration import enlarged, figures, psnr, ssim

RNG = np.random.default_rng(2)


def images(*shape):
    return RNG.uniform(-0.8, 0.8, shape)


@pytest.mark.parametrize("error", [0.2, 0.02])
def test_psnr_is_of_images_from_minus_one_to_one(error):
    """An error of e everywhere: 10 log10(2^2 / e^2); of bytes, with their peak of 255, the same. Equal images: 100."""
    x = images(3, 1, 12, 12)
    np.testing.assert_allclose(psnr(x + error, x), 20 * np.log10(2 / error), rtol=1e-12)
    levels = np.square(127.5 * (x + error) - 127.5 * x).mean()
    assert psnr(x + error, x)[0] == pytest.approx(10 * np.log10(255**2 / levels))
    assert np.array_equal(psnr(x, x), np.full(3, 100.0))
    assert psnr(np.full((1, 1, 4, 4), 1.7), np.ones((1, 1, 4, 4)))[0] == 100  # what is beyond white is white


def test_ssim_of_constants_and_of_an_image_and_itself():
    """1; (2 a b + c1) / (a^2 + b^2 + c1) of constants; of x and -x about a mean of 0, near -1."""
    x = images(2, 3, 16, 16)
    np.testing.assert_allclose(ssim(x, x), 1, rtol=1e-12)
    a, b, c1 = 0.5, -0.25, (0.01 * 2) ** 2
    flat = np.ones((1, 1, 12, 12))
    assert ssim(a * flat, b * flat)[0] == pytest.approx((2 * a * b + c1) / (a * a + b * b + c1), rel=1e-9)
    board = 0.9 * (np.indices((1, 1, 16, 16)).sum(0) % 2 * 2.0 - 1)
    assert ssim(board, -board)[0] < -0.98


@pytest.mark.parametrize(("x", "y"), [(200, 90), (-130, 1), (0.5, 2.1)])
def test_other_units_are_refused(x, y):
    for measure in (psnr, ssim):
        with pytest.raises(ValueError, match=r"images must lie in \[-1, 1\], got values from"):
            measure(np.full((1, 1, 12, 12), x), np.full((1, 1, 12, 12), y))


def test_ssim_s_window_is_the_paper_s():
    """Gaussian, sigma 1.5, 11 x 11, inside the image: by the sums themselves at one place."""
    x, y = images(1, 1, 11, 11), images(1, 1, 11, 11)
    at = np.arange(11) - 5
    w = np.exp(-(at[:, None] ** 2 + at**2) / (2 * 1.5**2))
    w /= w.sum()
    mx, my = (w * x).sum(), (w * y).sum()
    sxx, syy, sxy = (w * x * x).sum() - mx**2, (w * y * y).sum() - my**2, (w * x * y).sum() - mx * my
    c1, c2 = 0.02**2, 0.06**2
    expected = (2 * mx * my + c1) * (2 * sxy + c2) / ((mx**2 + my**2 + c1) * (sxx + syy + c2))
    assert ssim(x, y)[0] == pytest.approx(expected, rel=1e-9)


def test_null_models_enlarge():
    """Nearest repeats pixels; the others keep constants and a ramp's middle, and differ."""
    x = images(2, 3, 6, 4)
    assert np.allclose(enlarged(x, 3, "nearest"), x.repeat(3, 2).repeat(3, 3), atol=1e-6)
    for kernel in ("bicubic", "lanczos"):
        large = enlarged(x, 2, kernel)
        assert large.shape == (2, 3, 12, 8) and np.abs(large).max() <= 1
        assert np.allclose(enlarged(np.full((1, 1, 5, 5), 0.3), 2, kernel), 0.3, atol=1e-5)
    assert not np.allclose(enlarged(x, 2, "bicubic"), enlarged(x, 2, "lanczos"))


def test_figures_of_the_true_images_and_of_a_blur():
    x = images(5, 1, 16, 16)
    assert figures(x, x) == {"psnr": 100.0, "ssim": pytest.approx(1), "sharpness": 1.0, "spectral": 0.0}
    blur = figures((x + np.roll(x, 1, 2) + np.roll(x, 1, 3) + np.roll(x, (1, 1), (2, 3))) / 4, x)
    assert blur["sharpness"] < 0.5 and blur["spectral"] > 2 and blur["psnr"] < 20


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (
            lambda: psnr(images(1, 1, 4, 4), images(1, 1, 4, 5)),
            r"psnr: needs two sets .* \(1, 1, 4, 4\) and \(1, 1, 4, 5\)",
        ),
        (lambda: psnr(np.full((1, 1, 4, 4), np.nan), images(1, 1, 4, 4)), "not finite"),
        (lambda: ssim(images(1, 1, 8, 8), images(1, 1, 8, 8)), "smaller than a window of 11 x 11"),
    ],
)
def test_bad_input_is_named(call, told):
    with pytest.raises(ValueError, match=told):
        call()
