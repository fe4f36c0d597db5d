"""The Laplacian pyramid (Burt & Adelson 1983), and the conditional networks of its levels (Denton et al. 2015).

    down d(x)   blur by (1 3 3 1) / 8 along both axes, keep every other pixel        (N, C, S, S) -> (N, C, S/2, S/2)
    up u(x)     bilinear                                                             (N, C, S, S) -> (N, C, 2 S, 2 S)
    analysis    x_0 = x,  x_{k+1} = d(x_k),  h_k = x_k - u(x_{k+1})                  (the paper's eq. 2)
    synthesis   x_k = u(x_{k+1}) + h_k                                  (eq. 3): exact, whatever d and u are

Both d and u are products with one matrix an axis: with U (2 n, n) the bilinear matrix, u(x) = U x U^T and d(x) = U^T
x U / 4, so d is u's adjoint over 4. A row of U^T / 2 is the binomial 1 3 3 1 over 8, an edge pixel standing for those
outside.

A generator of one level draws the residual h from noise, seeing l = u(x_{k+1}). Its critic is shown l beside l + h: it
judges whether an image is a likely sharpening of that l, not only a likely image.

    level 8     z, label -> 2 b x 4 x 4 -> b x 8 x 8 -> C x 8 x 8, tanh
    level S     l, noise plane, label plane -> b x S x S -> 2 b x S/2 x S/2 -> b x S x S -> h
    critic      l, l + h, label plane -> b x S/2 x S/2 -> 2 b x S/4 x S/4 -> ... x 4 x 4 -> 1

Between the layers stand batch norm and ReLU, leaky in a critic.
b is option `base` at the finest level and twice as many at each coarser one, which so costs no less.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np

from ... import nn
from ...autograd import Tensor, array_of
from ...backend import on
from ...functional import relu, tanh
from ...ops.elementary import clip
from ...ops.index import cat
from ...ops.matmul import matmul
from .dcgan import levels_of

COARSEST = 8


def sizes_of(size: int, what: str = "pyramid") -> tuple[int, ...]:
    """The sizes of a pyramid's images, coarse to fine: 8, 16, ..., size. Raises ValueError for a size that does not
    halve to 8."""
    return tuple(COARSEST << k for k in range(levels_of(size, what)))


@cache
def bilinear(n: int) -> np.ndarray:
    """U (2 n, n): row i holds the weights, 3/4 and 1/4, of the two pixels that output pixel i lies between."""
    at = (np.arange(2 * n) - 0.5) / 2
    near = np.rint(at).astype(int).clip(0, n - 1)
    far = np.where(at > near, near + 1, near - 1).clip(0, n - 1)
    matrix = np.zeros((2 * n, n))
    np.add.at(matrix, (np.arange(2 * n), near), 0.75)
    np.add.at(matrix, (np.arange(2 * n), far), 0.25)
    return matrix


def _product(x: Tensor, matrix: np.ndarray) -> Tensor:
    """M x M^T for images x (N, C, S, S)."""
    rows, columns = (Tensor(on(array_of(x), np.ascontiguousarray(m, x.dtype))) for m in (matrix, matrix.T))
    return matmul(matmul(rows, x), columns)


def up(x: Tensor) -> Tensor:
    """u(x): images (N, C, S, S) at twice the size."""
    _square("up", x, 1)
    return _product(x, bilinear(x.shape[2]))


def down(x: Tensor) -> Tensor:
    """d(x): images (N, C, S, S) at half the size. Raises ValueError for an odd size."""
    _square("down", x, 2)
    return _product(x, bilinear(x.shape[2] // 2).T / 2)


def _square(what: str, x: Tensor, factor: int) -> None:
    if x.ndim != 4 or x.shape[2] != x.shape[3] or x.shape[2] % factor or not x.shape[2]:
        even = "of an even size " if factor == 2 else ""
        raise ValueError(f"{what}: expects square images {even}(N, C, S, S), got {x.shape}")


def analysis(x: Tensor, levels: int) -> tuple[Tensor, list[Tensor]]:
    """(the coarsest image, the residuals h coarse to fine) of images x (N, C, S, S), halved `levels` times.

    Raises ValueError for a size that cannot be halved so often.
    """
    residuals: list[Tensor] = []
    for _ in range(levels):
        coarse = down(x)
        residuals.insert(0, x - up(coarse))
        x = coarse
    return x, residuals


def synthesis(coarsest: Tensor, residuals: Sequence[Tensor]) -> Tensor:
    """The images that `analysis` took apart."""
    x = coarsest
    for residual in residuals:
        x = up(x) + residual
    return x


class CoarseGenerator(nn.Module):
    """Inputs (N, width), latents and labels, to images (N, channels, 8, 8) in (-1, 1)."""

    def __init__(self, width: int, channels: int, base: int) -> None:
        super().__init__()
        self.width = width
        self.main = nn.Sequential(
            nn.ConvTranspose2d(width, 2 * base, 4, bias=False),
            nn.BatchNorm2d(2 * base),
            nn.ReLU(),
            nn.ConvTranspose2d(2 * base, base, 4, 2, 1, bias=False),
            nn.BatchNorm2d(base),
            nn.ReLU(),
            nn.Conv2d(base, channels, 3, 1, 1),
        )

    def forward(self, z: Tensor) -> Tensor:
        """Images for inputs z."""
        return tanh(self.main(z.reshape(len(z), self.width, 1, 1)))


class LabelPlane(nn.Module):
    """One-hot labels (N, classes) as a learnt plane (N, 1, size, size) each."""

    def __init__(self, classes: int, size: int) -> None:
        super().__init__()
        self.size, self.plane = size, nn.Linear(classes, size * size)

    def forward(self, y: Tensor) -> Tensor:
        """The planes of labels y."""
        return self.plane(y).reshape(len(y), 1, self.size, self.size)


class ResidualSketch(nn.Module):
    """l (N, channels, size, size), a plane of noise (N, 1, size, size) and, where there are classes, labels (N,
    classes) to a residual (N, channels, size, size)."""

    def __init__(self, channels: int, size: int, base: int, classes: int = 0) -> None:
        super().__init__()
        self.label = LabelPlane(classes, size) if classes else None
        self.first = nn.Conv2d(channels + 1 + bool(classes), base, 3, 1, 1)
        self.inner = nn.Sequential(
            nn.Conv2d(base, 2 * base, 4, 2, 1, bias=False),
            nn.BatchNorm2d(2 * base),
            nn.ReLU(),
            nn.Conv2d(2 * base, 2 * base, 3, 1, 1, bias=False),
            nn.BatchNorm2d(2 * base),
            nn.ReLU(),
            nn.ConvTranspose2d(2 * base, base, 4, 2, 1, bias=False),
            nn.BatchNorm2d(base),
        )
        self.last = nn.Conv2d(base, channels, 3, 1, 1)

    def forward(self, low: Tensor, noise: Tensor, y: Tensor | None = None) -> Tensor:
        """The residual for the enlarged image `low`."""
        planes = [low, noise] if self.label is None else [low, noise, self.label(y)]
        h = relu(self.first(cat(planes, 1)))
        return self.last(relu(h + self.inner(h)))


class LevelCritic(nn.Module):
    """Images (N, channels, size, size), what they sharpen (the same shape; not at the coarsest level) and labels,
    where there are classes, to one raw number each (N,)."""

    def __init__(
        self, channels: int, size: int, base: int, conditioned: bool = True, classes: int = 0, norm: bool = True
    ) -> None:
        super().__init__()
        self.label = LabelPlane(classes, size) if classes else None
        planes, width = channels * (1 + conditioned) + bool(classes), base
        layers = [nn.Conv2d(planes, base, 4, 2, 1) if conditioned else nn.Conv2d(planes, base, 3, 1, 1)]
        layers += [nn.LeakyReLU(0.2)]
        for _ in range(levels_of(size, "LevelCritic") - conditioned):
            layers += [nn.Conv2d(width, 2 * width, 4, 2, 1, bias=not norm)]
            layers += [nn.BatchNorm2d(2 * width)] if norm else []
            layers += [nn.LeakyReLU(0.2)]
            width *= 2
        self.main = nn.Sequential(*layers, nn.Conv2d(width, 1, 4))

    def forward(self, image: Tensor, *beside: Tensor) -> Tensor:
        """One number per image; beside: what it sharpens, then its label, where the network takes them."""
        planes = [image, *beside]
        if self.label is not None:
            planes[-1] = self.label(planes[-1])
        return self.main(cat(planes, 1) if beside else image).reshape(len(image))


class PyramidGenerator(nn.Module):
    """Inputs (N, width) to images (N, channels, size, size) in [-1, 1]: `latent` numbers, size^2 numbers of noise for
    each finer level, one-hot labels. Its networks are `level_8`, `level_16`, ...; a level's is trained by itself."""

    def __init__(self, latent: int, channels: int, size: int, base: int, classes: int = 0) -> None:
        super().__init__()
        self.sizes, self.latent, self.classes = sizes_of(size, "PyramidGenerator"), latent, classes
        self.level_8 = CoarseGenerator(latent + classes, channels, base * size // COARSEST)
        for side in self.sizes[1:]:
            setattr(self, f"level_{side}", ResidualSketch(channels, side, base * size // side, classes))
        self.noise = latent + sum(side * side for side in self.sizes[1:])
        self.width = self.noise + classes

    def parts(self, inputs: Tensor) -> tuple[Tensor, list[Tensor], Tensor | None]:
        """(what the coarsest level takes, a plane of noise for each finer one, the labels or None)."""
        if inputs.ndim != 2 or inputs.shape[1] != self.width:
            raise ValueError(f"PyramidGenerator: inputs must be (N, {self.width}), got {inputs.shape}")
        z, begin, planes = inputs[:, : self.latent], self.latent, []
        for side in self.sizes[1:]:
            planes.append(inputs[:, begin : begin + side * side].reshape(len(inputs), 1, side, side))
            begin += side * side
        labels = inputs[:, begin:] if self.classes else None
        return z if labels is None else cat([z, labels], 1), planes, labels

    def sharpened(self, low: Tensor, noise: Tensor, y: Tensor | None = None) -> Tensor:
        """l + h for enlarged images `low`, by the network of their level."""
        network = getattr(self, f"level_{low.shape[2]}")
        return low + (network(low, noise) if y is None else network(low, noise, y))

    def stages(self, inputs: Tensor) -> list[Tensor]:
        """The images of every level, coarse to fine, each the sharpening of the one before."""
        z, planes, y = self.parts(inputs)
        images = [self.level_8(z)]
        for noise in planes:
            images.append(clip(self.sharpened(up(images[-1]), noise, y), -1, 1))
        return images

    def forward(self, inputs: Tensor) -> Tensor:
        """The finest images."""
        return self.stages(inputs)[-1]


class PyramidCritic(nn.Module):
    """The critics of all levels: `level_8` of images alone, `level_16`, ... of images beside what they sharpen."""

    def __init__(self, channels: int, size: int, base: int, classes: int = 0, norm: bool = True) -> None:
        super().__init__()
        for side in sizes_of(size, "PyramidCritic"):
            level = LevelCritic(channels, side, base * size // side, side > COARSEST, classes, norm)
            setattr(self, f"level_{side}", level)

    def forward(self, image: Tensor, *beside: Tensor) -> Tensor:
        """One number per image, by the critic of its size; beside: what it sharpens, its label."""
        return getattr(self, f"level_{image.shape[2]}")(image, *beside)
