"""Null models: what has learnt nothing and is scored all the same. A trained system's figure counts beside theirs.

    of samples        the mean image, one image over and over, noise of the images' spectrum, images with their pixels
                      shuffled, pixels of many images mixed; copies of training images, as they are, moved by a pixel,
                      blended two by two
    of translations   the image as it is, a blank page, the best constant image, the best shrunk one, the best with
                      thicker strokes, the nearest image of the other domain, noise pasted where an attribute sits
    of points         a blob of the data's mean and spread, one mode, uniform noise in the data's box

Images are (N, C, S, S) in [-1, 1], as a critic sees them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .distances import squared_distances

CHUNK = 256


LEARNT = ("frechet", "coverage")
"""The figures in which samples must beat what knows nothing of the images as wholes."""


@dataclass(frozen=True)
class NullModel:
    """draw(train, count, random): `count` rows (count, ...) for training rows (N, ...). criteria: the figures of
    standing.py that tell it from real images, in each of which a system has to be better."""

    name: str
    what: str
    draw: Callable[[np.ndarray, int, np.random.Generator], np.ndarray]
    criteria: tuple[str, ...] = LEARNT


def mean_image(train: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """The mean of all training images."""
    return np.repeat(train.mean(0, keepdims=True), count, 0)


def one_image(train: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """The training image that is nearest to their mean."""
    distance = np.square(train - train.mean(0)).reshape(len(train), -1).sum(1)
    return np.repeat(train[[distance.argmin()]], count, 0)


def noise(train: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """Gaussian noise about the mean image with the training images' power at every frequency, cut off at -1 and 1."""
    middle = train.mean(0)
    parts = (np.fft.fft2(train[i : i + CHUNK] - middle) for i in range(0, len(train), CHUNK))
    power = sum((np.abs(part) ** 2).sum(0) for part in parts) / len(train)
    white = np.fft.fft2(random.standard_normal((count, 1, *train.shape[2:]))) / train.shape[-1]
    waves = np.fft.ifft2(white * np.sqrt(power)).real
    return np.clip(middle + waves, -1, 1).astype(train.dtype)


def shuffled(train: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """Training images, the pixels of each in an order of its own: the right colours in the wrong places."""
    images = copies(train, count, random)
    pixels = images.reshape(*images.shape[:2], -1)
    order = random.permuted(np.broadcast_to(np.arange(pixels.shape[-1]), (count, pixels.shape[-1])), axis=1)
    return np.take_along_axis(pixels, order[:, None], 2).reshape(images.shape)


def mixed(train: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """Each pixel from a training image of its own: every place right by itself, nothing together."""
    source = random.integers(0, len(train), (count, 1, *train.shape[2:]))
    return np.take_along_axis(train, np.broadcast_to(source, (count, *train.shape[1:])), 0)


def copies(train: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """Training images, drawn without looking."""
    return train[random.integers(0, len(train), count)]


def moved(train: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """Training images, each moved by one pixel to one of its eight sides, the border repeated."""
    images, side = copies(train, count, random), train.shape[-1]
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    places = [(y, x) for y in range(3) for x in range(3) if (y, x) != (1, 1)]
    chosen = (places[k] for k in random.integers(0, len(places), count))
    return np.stack([image[:, y : y + side, x : x + side] for image, (y, x) in zip(padded, chosen, strict=True)])


def blends(train: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """Means of two training images."""
    return (copies(train, count, random) + copies(train, count, random)) / 2


SAMPLES = (
    NullModel("mean image", "the mean of the training images", mean_image),
    NullModel("one image", "the training image nearest to that mean, over and over", one_image),
    NullModel("noise", "noise with the images' mean and spectrum", noise),
    NullModel("shuffled", "training images, their pixels shuffled", shuffled),
    NullModel("mixed", "each pixel from another training image", mixed),
    NullModel("copies", "training images", copies, ("copies", "disguised")),
    NullModel("moved copies", "training images, each moved by a pixel", moved, ("disguised",)),
    NullModel("blends", "means of two training images", blends, ("disguised",)),
)


def constant(target: np.ndarray, count: int) -> np.ndarray:
    """The image that is nearest in L1 to all of (N, C, S, S): their median, pixel by pixel."""
    return np.repeat(np.median(target, 0, keepdims=True), count, 0).astype(target.dtype)


def shrunk(images: np.ndarray, share: float, background: float = 1.0) -> np.ndarray:
    """Images drawn `share` as large in the middle of a page of grey level `background`: each pixel is the mean of what
    falls on it. ValueError unless 0 <= share <= 1."""
    if not 0 <= share <= 1:
        raise ValueError(f"shrunk: share must be from 0 to 1, got {share}")
    side = images.shape[-1]
    weight = _overlap(side, share)
    drawn = weight @ images @ weight.T
    cover = np.outer(weight.sum(1), weight.sum(1))
    return (drawn + background * (1 - cover)).astype(images.dtype)


def _overlap(side: int, share: float) -> np.ndarray:
    """(side, side): how much of each pixel of the page each of the image's shrunk pixels covers, along one axis."""
    edges = (np.arange(side + 1) - side / 2) * share + side / 2
    low, high = np.maximum(edges[:-1], np.arange(side)[:, None]), np.minimum(edges[1:], np.arange(1, side + 1)[:, None])
    return np.maximum(high - low, 0)


def best_shrunk(
    images: np.ndarray, target: np.ndarray, background: float = 1.0, steps: int = 20
) -> tuple[float, np.ndarray]:
    """(the share, the images) of the size nearest in L1 to `target`, among `steps` sizes from 1 / steps to 1."""
    shares = [(k + 1) / steps for k in range(steps)]
    best = min(shares, key=lambda share: np.abs(shrunk(images, share, background) - target).mean())
    return best, shrunk(images, best, background)


def thickened(images: np.ndarray, across: int, along: int, share: float, background: float = 1.0) -> np.ndarray:
    """Images whose strokes are thicker: each pixel goes `share` of the way to the value farthest from `background`
    among its neighbours, `across` columns and `along` rows to either side; for share < 0 thinner, towards the value
    nearest to it."""
    ends = _farthest(images, across, along, -background if share > 0 else background)
    return (images + abs(share) * (ends - images)).astype(images.dtype)


def _farthest(images: np.ndarray, across: int, along: int, side: float) -> np.ndarray:
    """The lightest value (side > 0), or the darkest, among each pixel's neighbours."""
    choose = np.maximum if side > 0 else np.minimum
    for axis, reach in ((3, across), (2, along)):
        steps = [
            np.clip(np.arange(images.shape[axis]) + k, 0, images.shape[axis] - 1) for k in range(-reach, reach + 1)
        ]
        images = choose.reduce([images.take(step, axis) for step in steps])
    return images


def best_thickened(
    images: np.ndarray, target: np.ndarray, background: float = 1.0, steps: int = 4
) -> tuple[tuple[int, int, float], np.ndarray]:
    """((across, along, share), the images) of the thickness nearest in L1 to `target`: thicker and thinner by up to one
    pixel to the sides, up and down, or both, in `steps` shares of it each."""
    errors = {}
    for across, along in ((1, 0), (0, 1), (1, 1)):
        for side in (-1, 1):
            change = _farthest(images, across, along, -side * background) - images
            for k in range(1, steps + 1):
                errors[across, along, side * k / steps] = np.abs(images + k / steps * change - target).mean()
    best = min(errors, key=errors.__getitem__)
    return best, thickened(images, *best, background)


def nearest_of(images: np.ndarray, target: np.ndarray) -> np.ndarray:
    """For each image the nearest, in L2, of the other domain's images."""
    flat, others = (x.reshape(len(x), -1).astype(np.float64) for x in (images, target))
    index = np.concatenate(
        [squared_distances(flat[i : i + CHUNK], others).argmin(1) for i in range(0, len(flat), CHUNK)]
    )
    return target[index]


def pasted_noise(images: np.ndarray, rows: slice, random: np.random.Generator) -> np.ndarray:
    """Images with rows `rows` overwritten by uniform noise in [-1, 1]: what paints over the place of an attribute."""
    painted = images.copy()
    painted[:, :, rows] = random.uniform(-1, 1, painted[:, :, rows].shape)
    return painted


def blob(points: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """A Gaussian of the points' mean and standard deviations."""
    return points.mean(0) + points.std(0) * random.standard_normal((count, points.shape[1]))


def one_mode(points: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """The points among the training points that are nearest to the first of them, an eighth of all."""
    distance = np.square(points - points[0]).sum(1)
    near = points[np.argsort(distance, kind="stable")[: max(1, len(points) // 8)]]
    return near[random.integers(0, len(near), count)]


def uniform(points: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """Uniform noise in the points' box."""
    return random.uniform(points.min(0), points.max(0), (count, points.shape[1]))


POINTS = (
    NullModel("blob", "a Gaussian of the data's mean and spread", blob),
    NullModel("one mode", "the eighth of the data that is nearest to one point", one_mode),
    NullModel("uniform", "uniform noise in the data's box", uniform),
)
