"""How near enlarged images come to the true ones, and how much they look like them: pure functions of arrays.

    psnr   10 log10(peak^2 / mean squared error), in decibels; peak = 2, since images lie in [-1, 1]
    ssim   mean over windows of  (2 m_x m_y + c1)(2 s_xy + c2) / ((m_x^2 + m_y^2 + c1)(s_x^2 + s_y^2 + c2)),
           Gaussian windows of 11 x 11, sigma 1.5, c1 = (0.01 peak)^2, c2 = (0.03 peak)^2     Wang et al. 2004, eq. 13

Both reward the mean of what is possible, a blur; the gradient energy, the spectrum and the judge's precision do not
(Blau & Michaeli 2018: no restoration can be best in both). The null models of an enlargement have learnt nothing:
nearest pixels, bicubic and Lanczos, as Pillow has them."""

from __future__ import annotations

import numpy as np

from .distances import spectral_distance
from .realism import gradient_energy

PEAK, WINDOW, SIGMA = 2.0, 11, 1.5
BEYOND = 2.0
"""An enlarged image goes beyond 1 by less than that, and is cut off; one that goes further has other units."""

MOST = 100.0
"""Decibels of equal images."""
KERNELS = {"nearest": "NEAREST", "bicubic": "BICUBIC", "lanczos": "LANCZOS"}
"""The null models, by Pillow's names."""


def _same(what: str, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64, cut off at -1 and 1. Raises ValueError for other shapes, values that are not finite, and other
    units."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if x.shape != y.shape or x.ndim != 4 or not len(x):
        raise ValueError(f"{what}: needs two sets of images (N, C, H, W) of one shape, got {x.shape} and {y.shape}")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError(f"{what}: images {x.shape} have values that are not finite")
    low, high = min(x.min(), y.min()), max(x.max(), y.max())
    if max(-low, high) > BEYOND:
        raise ValueError(f"{what}: images must lie in [-1, 1], got values from {low:g} to {high:g}")
    return x.clip(-1, 1), y.clip(-1, 1)


def psnr(images: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Decibels (N,) of images (N, C, H, W) in [-1, 1] against the true ones, at most 100."""
    x, y = _same("psnr", images, true)
    error = np.square(x - y).mean((1, 2, 3))
    return 10 * np.log10(PEAK**2 / np.maximum(error, PEAK**2 / 10 ** (MOST / 10)))


def ssim(images: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Structural similarity (N,), at most 1, of images (N, C, H, W) in [-1, 1] and the true ones, channels averaged;
    windows lie inside the image. Raises ValueError for images smaller than a window."""
    x, y = _same("ssim", images, true)
    if min(x.shape[2:]) < WINDOW:
        raise ValueError(f"ssim: images {x.shape} are smaller than a window of {WINDOW} x {WINDOW}")
    c1, c2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2
    mx, my = _windowed(x), _windowed(y)
    sxx, syy, sxy = _windowed(x * x) - mx * mx, _windowed(y * y) - my * my, _windowed(x * y) - mx * my
    values = (2 * mx * my + c1) * (2 * sxy + c2) / ((mx * mx + my * my + c1) * (sxx + syy + c2))
    return values.mean((1, 2, 3))


def _windowed(x: np.ndarray) -> np.ndarray:
    """The Gaussian mean of every window that lies inside: (N, C, H - 10, W - 10)."""
    at = np.arange(WINDOW) - WINDOW // 2
    weights = np.exp(-np.square(at) / (2 * SIGMA**2))
    weights /= weights.sum()
    for axis in (2, 3):
        count = x.shape[axis] - WINDOW + 1
        x = sum(w * x.take(np.arange(k, k + count), axis) for k, w in enumerate(weights))
    return x


def enlarged(images: np.ndarray, scale: int, kernel: str) -> np.ndarray:
    """Images (N, C, H, W) `scale` times as large by a null model of KERNELS, cut off at -1 and 1."""
    from PIL import Image

    n, c, height, width = images.shape
    method = Image.Resampling[KERNELS[kernel]]
    planes = np.ascontiguousarray(images, np.float32).reshape(n * c, height, width)
    large = [np.asarray(Image.fromarray(p).resize((scale * width, scale * height), method)) for p in planes]
    return np.stack(large).reshape(n, c, scale * height, scale * width).clip(-1, 1)


def figures(images: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """PSNR and SSIM against the true images, the gradient energy as a share of theirs, decibels from their spectrum."""
    x, y = _same("figures", images, true)
    return {
        "psnr": float(psnr(x, y).mean()),
        "ssim": float(ssim(x, y).mean()),
        "sharpness": gradient_energy(x) / max(gradient_energy(y), 1e-12),
        "spectral": spectral_distance(x, y),
    }
