"""Is a sample a training image in disguise: moved by a pixel, mirrored, brighter or darker, or two of them blended?

A distance sees none of these, since a line that is moved by its width is as far away as another line. So a sample is
laid over its most similar training images in every way, and counts as one of them where it is more than twice as near
to the nearest as to the next, and as a blend where two of them together leave less than half of what one does:

    left(x; t)    = |x - best a + b t|  / |x - mean x|   = sqrt(1 - corr(x, t)^2)     the largest corr of 18 ways
    left(x; t, u) = |x - best a + b t + c u| / |x - mean x|                         of pairs with b, c > 0
    disguised:      left(x; t1) < left(x; t2) / 2   or   min of left(x; t, u) < min of left(x; t) / 2

(the ratio of the nearest two: Yoon et al. 2023 take 1/3). Held-out images are the yardstick: 0.2 % of digits and of
avatars are disguised, and of sets that repeat themselves 6 % (emoji) and 20 % (glyphs). Of means of two training images
35 to 70 % are found, of images moved to any of eight sides 82 % (digits) and more.
"""

from __future__ import annotations

import numpy as np

CANDIDATES = 64
"""Training images that a sample is laid over: those with which it correlates best in blocks of 4 x 4 pixels."""

FINE, COARSE = 2, 4
TWICE, TINY = 0.5, 1e-6

SAME = 0.01
"""What rounding leaves: an image as near as that is a copy, though the next were as near."""


def directions_of(train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What `disguised` reads of training images (M, C, S, S), S a multiple of 4: their coarse and fine directions."""
    return _directions(train, COARSE), _directions(train, FINE)


def disguised(
    images: np.ndarray, train: np.ndarray, directions: tuple[np.ndarray, np.ndarray] | None = None
) -> np.ndarray:
    """(N,) whether each of images (N, C, S, S) is one of training images (M, C, S, S) in disguise. directions: what
    `directions_of` gives for these, where it is at hand.

    Raises ValueError for other shapes, fewer than three training images, S no multiple of 4, numbers not finite.
    """
    if images.ndim != 4 or images.shape[1:] != train.shape[1:] or images.shape[2] != images.shape[3]:
        raise ValueError(f"disguised: needs images (N, C, S, S) and (M, C, S, S), got {images.shape} and {train.shape}")
    if images.shape[2] % COARSE or len(train) < 3:
        raise ValueError(
            f"disguised: needs a side that is a multiple of {COARSE} and three training images, got {images.shape} and"
            f" {train.shape}"
        )
    if not (np.isfinite(images).all() and np.isfinite(train).all()):
        raise ValueError("disguised: images have values that are not finite")
    coarse, fine = directions_of(train) if directions is None else directions
    mirrored = images[..., ::-1]
    plain, other = (_directions(x, COARSE) @ coarse.T for x in (images, mirrored))
    count = min(CANDIDATES, len(train))
    near, near_plain = (np.argpartition(-x, count - 1, axis=1)[:, :count] for x in (np.maximum(plain, other), plain))
    ways = np.stack([_directions(way, FINE) for x in (images, mirrored) for way in _moved(x)], 1)
    flat = np.abs(ways[:, 0]).max(1) == 0
    copies = [
        _is_one(ways[i] @ fine[near[i]].T) or _is_blend(ways[i, 0], fine[near_plain[i]]) for i in range(len(images))
    ]
    return np.array(copies, bool) & ~flat


def _is_one(correlation: np.ndarray) -> bool:
    """By the correlations (ways, candidates) of a sample with its candidates."""
    first, second = np.sort(_left(correlation.max(0)))[:2]
    return bool(first < max(TWICE * second, SAME))


def _is_blend(x: np.ndarray, candidates: np.ndarray) -> bool:
    """For a direction (P,) and those of its candidates (K, P): by the squares of multiple correlations with those pairs
    of which it has some of each."""
    r, between = candidates @ x, candidates @ candidates.T
    free, first = 1 - between**2, r[:, None] - r * between  # first / free: how much of the first of each pair
    apart = free > 1e-3  # of two images that are as good as one, the fit is noise
    pairs = r[:, None] * first + r * first.T
    best = np.where(apart & (first > 0) & (first.T > 0), pairs / np.where(apart, free, 1), 0).max()
    return bool(_left(np.sqrt(best)) < TWICE * _left(r.max()))


def _left(correlation: np.ndarray) -> np.ndarray:
    return np.sqrt(np.maximum(1 - np.maximum(correlation, 0) ** 2, 0))


def _moved(images: np.ndarray) -> list[np.ndarray]:
    """Images as they are, and moved by a pixel to the eight sides, their borders repeated."""
    side, padded = images.shape[-1], np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    places = sorted(((y, x) for y in range(3) for x in range(3)), key=lambda place: place != (1, 1))
    return [padded[:, :, y : y + side, x : x + side] for y, x in places]


def _directions(images: np.ndarray, block: int) -> np.ndarray:
    """Means of blocks, one row (N, P) an image, less their mean and of length 1; a flat image is 0."""
    rows = sum(images[:, :, k::block] for k in range(block))  # several times as fast as a mean over two axes
    blocks = sum(rows[..., k::block] for k in range(block)).reshape(len(images), -1) / block**2
    blocks = blocks - blocks.mean(1, keepdims=True)
    length = np.linalg.norm(blocks, axis=1, keepdims=True)
    return np.where(length > TINY, blocks / np.maximum(length, TINY), 0)
