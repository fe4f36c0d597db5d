"""Augmentation that gradients pass through: what D is shown, of reals and of samples alike, so that few images last
longer and G does not learn to draw augmented ones (DiffAugment, Zhao et al. 2020; at the same time Karras et al. 2020).

    D minimises  L_D(f(T x), f(T' Gz)),      G minimises  L_G(f(T'' Gz)),      T drawn anew for every image

    colour       brightness x + b, b in [-1/2, 1/2); saturation: each pixel's distance from its grey times [0, 2);
                 contrast: each image's distance from its mean times [1/2, 3/2)
    translation  by up to an eighth of the image, both ways, read between pixels by grid_sample; zeros come in
    cutout       a square of half the side, its middle anywhere in the image, becomes zero

Each is a function of images (N, C, H, W) and of uniform numbers (N, k) on [0, 1), differentiable to any order in the
images: a penalty on the slope at the images themselves, R1 or R2, passes through it. Were the gradient stopped here, G
would learn nothing; were samples shown as they are, it would learn to draw augmented images.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..autograd import Tensor, array_of
from ..backend import Generator, on
from ..creation import rand
from ..ops.basic import cast
from ..ops.index import stack
from ..ops.reduce import mean
from ..ops.shape import reshape
from ..ops.warp import affine_grid, grid_sample
from .losses import nearest


def colour(images: Tensor, numbers: Tensor) -> Tensor:
    """Brightness, saturation (of images with more than one channel) and contrast; numbers (N, 3)."""
    brightness, saturation, contrast = (reshape(numbers[:, i], (-1, 1, 1, 1)) for i in range(3))
    images = images + (brightness - 0.5)
    if images.shape[1] > 1:
        grey = mean(images, 1, keepdim=True)
        images = (images - grey) * (2 * saturation) + grey
    middle = mean(images, (1, 2, 3), keepdim=True)
    return (images - middle) * (contrast + 0.5) + middle


def translation(images: Tensor, numbers: Tensor) -> Tensor:
    """Moved by up to an eighth of their width and height; numbers (N, 2): along x, along y."""
    shift = (numbers - 0.5) * 0.5  # an eighth of 2, the length from edge to edge, either way
    one, zero = shift[:, 0] * 0 + 1, shift[:, 0] * 0
    theta = reshape(stack([one, zero, shift[:, 0], zero, one, shift[:, 1]], 1), (-1, 2, 3))
    return grid_sample(images, affine_grid(theta, images.shape, False), "bilinear", "zeros", False)


def cutout(images: Tensor, numbers: Tensor) -> Tensor:
    """A square of half the height and width becomes zero; numbers (N, 2): its middle's y and x."""
    inside = None
    for axis, size in enumerate(images.shape[2:]):
        places = (np.arange(size) + 0.5) / size
        line = Tensor(
            on(array_of(numbers), places.astype(numbers.dtype).reshape((1, -1, 1) if axis == 0 else (1, 1, -1)))
        )
        near = cast(abs(line - reshape(numbers[:, axis], (-1, 1, 1))) < 0.25, images.dtype)
        inside = near if inside is None else inside * near
    return images * (1 - reshape(inside, (images.shape[0], 1, *images.shape[2:])))


@dataclass(frozen=True)
class Augmentation:
    """One row: apply(images (N, C, H, W), numbers (N, count)), of the images' shape; what it does."""

    name: str
    apply: Callable[[Tensor, Tensor], Tensor]
    count: int
    what: str


AUGMENTATIONS: dict[str, Augmentation] = {
    row.name: row
    for row in (
        Augmentation("colour", colour, 3, "brightness, saturation, contrast"),
        Augmentation("translation", translation, 2, "moved by up to an eighth"),
        Augmentation("cutout", cutout, 2, "a square of half the side is zero"),
    )
}


def augmentations(names: str) -> tuple[Augmentation, ...]:
    """The rows that `names`, parted by commas, says, in its order; none for "". Raises ValueError, with the nearest
    name, for an unknown one and for one that is there twice."""
    parts = [part.strip() for part in names.split(",")] if names else []
    for part in parts:
        if part not in AUGMENTATIONS:
            raise nearest("augmentation", part, AUGMENTATIONS)
    if len(set(parts)) < len(parts):
        raise ValueError(f"augment: {names!r} names an augmentation twice")
    return tuple(AUGMENTATIONS[part] for part in parts)


def augmented(images: Tensor, rows: tuple[Augmentation, ...], random: Generator) -> Tensor:
    """The images (N, C, H, W), each through all of `rows` in turn, by numbers of its own drawn from `random`."""
    for row in rows:
        images = row.apply(images, rand(images.shape[0], row.count, generator=random, dtype=images.dtype))
    return images
