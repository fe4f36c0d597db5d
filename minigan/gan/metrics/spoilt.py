"""Images spoilt on purpose, from which a judge of attributes learns what it must not believe.

    overwritten    noise of many kinds, patches, bands, pieces of other images, in rows, rectangles or in the shape of
                   what another image has there
    ghosts         two images one over the other, in part or whole
    drafts         the mean image and random multiples of how others differ from it: a Gaussian of the data's covariance

An attribute sits where colours depend on its value: w_p is the total variation between the colours at pixel p of images
with value v and of the others, its mean over v, kept where it is at least a quarter of its largest, and scaled to a sum
of 1. A mask m (1 where an image is spoilt) leaves it readable where sum_p w_p m_p is below TOUCHED.

Images are (N, C, S, S) in [-1, 1].
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

TOUCHED, LEVELS = 0.1, 4
"""The part of an attribute's place from which on it counts as spoilt; the levels of a colour's channel."""

Fill = Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]


def places(images: np.ndarray, attributes: np.ndarray) -> np.ndarray:
    """Where each attribute sits: weights (A, S, S) that sum to 1, for images and their values (N, A)."""
    count, channels, side, _ = images.shape
    steps = ((images + 1) * (LEVELS / 2)).astype(np.int64).clip(0, LEVELS - 1)
    cells = np.tensordot(LEVELS ** np.arange(channels), steps, (0, 1)).reshape(count, -1)  # (N, S S)
    bins, pixels = LEVELS**channels, side * side
    cells += np.arange(pixels) * bins
    everything = np.bincount(cells.ravel(), minlength=bins * pixels)
    weights = []
    for column in attributes.T:
        share, values = np.zeros(pixels), np.unique(column)
        for value in values:
            has = column == value
            those = np.bincount(cells[has].ravel(), minlength=bins * pixels)
            rest = (everything - those) / max(count - has.sum(), 1)
            share += np.abs(those / has.sum() - rest).reshape(pixels, bins).sum(1) / (2 * len(values))
        share[share < share.max() / 4] = 0
        weights.append(share.reshape(side, side) / max(share.sum(), 1e-12))
    return np.stack(weights)


def spoil(
    images: np.ndarray, attributes: np.ndarray, weights: np.ndarray, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """(the images, each spoilt in one way; whether each attribute is still readable (N, A), 0 or 1).

    attributes: their values (N, A). weights: of `places`. Other images of the batch serve as patches, ghosts, shapes.
    """
    spoilt, readable = images.copy(), np.ones(attributes.shape, images.dtype)
    for i, image in enumerate(images):
        way, k = random.random(), int(random.integers(len(images)))
        if way < 0.1:
            spoilt[i], readable[i] = draft(images, random), 0
            continue
        mask = region(weights, random)
        if way < 0.25:
            spoilt[i] = image + mask * random.uniform(0.25, 0.75) * (images[k] - image)
            readable[i] = (attributes[i] == attributes[k]) | _untouched(mask, weights)
            continue
        if way < 0.5:  # in the shape of what another image has there
            shape = mask * (np.abs(images[k] - image).max(0) > 0.05)
            mask = shape if shape.any() else mask
        fill = FILLS[int(random.integers(len(FILLS)))]
        spoilt[i] = np.where(mask > 0, fill(image, images[int(random.integers(len(images)))], random), image)
        readable[i] = _untouched(mask, weights)
    return spoilt.clip(-1, 1).astype(images.dtype), readable


def _untouched(mask: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return (mask * weights).sum((1, 2)) < TOUCHED


def region(weights: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A mask (S, S) of 0 and 1: whole rows or a rectangle anywhere, the box about an attribute's place or its rows, a
    little more or less of it, or now and then everything."""
    side, way = weights.shape[-1], random.random()
    mask, least, jitter = np.zeros((side, side)), max(1, side // 16), max(2, side // 8)
    if way < 0.06:
        return mask + 1
    if way < 0.5:
        height, width = (int(random.integers(least, most)) for most in (side // 2 + 1, side + 1))
        top, left = int(random.integers(side - height + 1)), int(random.integers(side - width + 1))
        bottom, right = top + height, left + width
    else:
        place = weights[int(random.integers(len(weights)))] > 0
        ys, xs = np.flatnonzero(place.any(1)), np.flatnonzero(place.any(0))
        edges = np.array([ys[0], ys[-1] + 1, xs[0], xs[-1] + 1])
        top, bottom, left, right = edges + random.integers(-jitter, jitter + 1, 4)
    if random.random() < 0.4:
        left, right = 0, side
    top, left = (min(max(0, edge), side - least) for edge in (top, left))
    mask[top : max(bottom, top + least), left : max(right, left + least)] = 1
    return mask


def draft(images: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The mean image and random multiples of how a few images differ from it."""
    few = images[random.integers(0, len(images), int(random.integers(2, 33)))]
    mean = few.mean(0)
    return mean + np.tensordot(random.standard_normal(len(few)), few - mean, 1) / np.sqrt(len(few))


def coarse(random: np.random.Generator, draw: Callable[[tuple[int, ...]], np.ndarray], shape: tuple) -> np.ndarray:
    """draw(shape) in single pixels, or in blocks of 2."""
    channels, side, _ = shape
    block = 1 + int(random.random() < 0.25)
    cells = -(-side // block)
    return draw((channels, cells, cells)).repeat(block, 1).repeat(block, 2)[:, :side, :side]


def _uniform(image, other, random):
    return coarse(random, lambda shape: random.uniform(-1, 1, shape), image.shape)


def _grey(image, other, random):
    return np.broadcast_to(coarse(random, lambda s: random.uniform(-1, 1, s), (1, *image.shape[1:])), image.shape)


def _gaussian(image, other, random):
    middle, spread = random.uniform(-0.7, 0.7, (image.shape[0], 1, 1)), random.uniform(0.03, 0.8)
    return middle + spread * coarse(random, random.standard_normal, image.shape)


def _shaken(image, other, random):
    return image + random.uniform(0.2, 1.0) * coarse(random, random.standard_normal, image.shape)


def _extreme(image, other, random):
    return coarse(random, lambda shape: random.choice([-1.0, 1.0], shape), image.shape)


def _salt(image, other, random):
    chance = random.uniform(0.25, 0.8)
    hit = coarse(random, lambda s: random.random(s) < chance, (1, *image.shape[1:]))
    return np.where(hit, coarse(random, lambda s: random.choice([-1.0, 1.0], s), (1, *image.shape[1:])), image)


def _pixels(image, other, random):
    """Colours of another image, in no order."""
    palette = other.reshape(len(other), -1)
    cells = coarse(random, lambda s: random.integers(0, palette.shape[1], s), (1, *image.shape[1:]))
    return palette[:, cells[0]]


def _few(image, other, random):
    """A few colours of another image, in no order."""
    palette = other.reshape(len(other), -1)
    palette = palette[:, random.integers(0, palette.shape[1], int(random.integers(2, 6)))]
    cells = coarse(random, lambda s: random.integers(0, palette.shape[1], s), (1, *image.shape[1:]))
    return palette[:, cells[0]]


def _blurred(image, other, random):
    noise, reach = random.uniform(-1, 1, image.shape), int(random.integers(1, 4))
    for axis in (1, 2):
        noise = np.mean([np.roll(noise, k, axis) for k in range(-reach, reach + 1)], 0)
    return noise * random.uniform(1, 2 * reach + 1) + random.uniform(-0.5, 0.5, (len(image), 1, 1))


def _flat(image, other, random):
    return np.broadcast_to(random.uniform(-1, 1, (len(image), 1, 1)), image.shape)


def _bands(image, other, random):
    """Rows or columns of one colour each, some of another image's."""
    side, block = image.shape[1], int(random.integers(1, 5))
    lines = random.uniform(-1, 1, (len(image), -(-side // block))).repeat(block, 1)[:, :side]
    lines = lines[:, :, None] if random.random() < 0.5 else lines[:, None, :]
    return np.broadcast_to(lines, image.shape)


def _chequered(image, other, random):
    a, b = random.uniform(-1, 1, (2, len(image), 1, 1))
    block = int(random.integers(1, 5))
    y, x = np.indices(image.shape[1:]) // block
    return np.where((x + y) % 2, a, b)


def _moved(image, other, random):
    """Another image away from its place."""
    quarter = image.shape[1] // 4
    return np.roll(other, random.integers(quarter, 3 * quarter + 1, 2), (1, 2))


def _upturned(image, other, random):
    return other[:, ::-1]


def _negative(image, other, random):
    return -image


def _shuffled(image, other, random):
    """The image's own rows, columns or pixels in another order."""
    way = random.random()
    if way < 0.4:
        return image[:, random.permutation(image.shape[1])]
    if way < 0.7:
        return image[:, :, random.permutation(image.shape[2])]
    return random.permuted(image.reshape(len(image), -1), axis=1).reshape(image.shape)


FILLS: tuple[Fill, ...] = (
    _uniform,
    _uniform,
    _grey,
    _gaussian,
    _shaken,
    _extreme,
    _salt,
    _pixels,
    _pixels,
    _few,
    _blurred,
    _flat,
    _flat,
    _bands,
    _bands,
    _chequered,
    _moved,
    _upturned,
    _negative,
    _shuffled,
)
