"""Pairs of real images that show the same thing without anyone saying what: an image and a near one, each moved.

A clustering c ~ p(c|x) finds the classes of unlabelled images if it tells as much as it can of one of a pair when the
other is seen:

    I(c; c') = sum_kl P_kl ln (P_kl / (P_k P_l)),    P = 1/N sum_n p(.|x_n) p(.|x'_n)^T, made symmetric
                                                                        (Ji et al. 2019, eq. 2 and 3)

x' is x itself or one of its nearest neighbours in pixel space (as in Shaham et al. 2018), both turned, sheared, scaled
and shifted a little at random. I is at most ln K, reached where all K values are used alike and pairs never part.
"""

from __future__ import annotations

import numpy as np

from ...autograd import Tensor, no_grad
from ...backend import Generator
from ...ops.elementary import log
from ...ops.matmul import matmul
from ...ops.reduce import sum
from ...ops.shape import transpose
from ...ops.warp import grid_sample

TURN, SHEAR, SCALE, SHIFT = 0.26, 0.3, 0.2, 1 / 16
"""The largest moves: radians, a slope, the logarithm of a factor, a share of the side."""
COARSE = 16
TINY = 1e-6


def mutual_information(first: Tensor, second: Tensor) -> Tensor:
    """I(c; c') in nats, a scalar, for rows of probabilities (N, K) of both images of N pairs."""
    if first.ndim != 2 or first.shape != second.shape:
        raise ValueError(f"mutual_information: needs two (N, K) of one shape, got {first.shape} and {second.shape}")
    joint = matmul(transpose(first, 0, 1), second) / first.shape[0]
    joint = (joint + transpose(joint, 0, 1)) / 2
    rows, columns = sum(joint, 1, keepdim=True), sum(joint, 0, keepdim=True)
    return sum(joint * (log(joint + TINY) - log(rows + TINY) - log(columns + TINY)))


def neighbours(images: np.ndarray, count: int, chunk: int = 500) -> np.ndarray:
    """Rows (N, count + 1) of each image itself and its `count` nearest ones, in no order, for images (N, C, S, S).

    Distances are of the images' blocks to 16 x 16, which forgives a shift by a pixel. Raises ValueError for fewer than
    count + 1 images.
    """
    n, channels, side, _ = images.shape
    if not 0 <= count < n:
        raise ValueError(f"neighbours: cannot find {count} others of each of {n} images")
    if side > COARSE and side % COARSE == 0:
        block = side // COARSE
        images = images.reshape(n, channels, COARSE, block, COARSE, block).mean((3, 5))
    flat = np.ascontiguousarray(images.reshape(n, -1), np.float32)
    squares = (flat * flat).sum(1)
    nearest = np.empty((n, count + 1), np.int64)
    for i in range(0, n, chunk):
        part = slice(i, min(i + chunk, n))
        distance = squares - 2 * flat[part] @ flat.T
        distance[np.arange(part.stop - i), np.arange(i, part.stop)] = -np.inf  # itself first, copies or not
        nearest[part] = np.argpartition(distance, count, 1)[:, : count + 1]
    return nearest


def moved(images: np.ndarray, random: Generator) -> np.ndarray:
    """Images (N, C, S, S), each turned, sheared, scaled and shifted by its own small random move; edges are repeated.

    Output pixel p is read at A (p - middle) + middle + shift, between the four pixels around it (bilinear).
    """
    n, _, height, width = images.shape
    draws = 2 * random.uniform((5, n)) - 1
    turn, shear, scale = TURN * draws[0], SHEAR * draws[1], np.exp(SCALE * draws[2])
    cos, sin = np.cos(turn) / scale, np.sin(turn) / scale
    y, x = np.mgrid[:height, :width] - np.array([(height - 1) / 2, (width - 1) / 2])[:, None, None]
    each = (slice(None), None, None)
    at_x = cos[each] * x + (shear - sin)[each] * y + (SHIFT * width * draws[3])[each] + (width - 1) / 2
    at_y = sin[each] * x + cos[each] * y + (SHIFT * height * draws[4])[each] + (height - 1) / 2
    return read_at(images, at_x, at_y)


def read_at(images: np.ndarray, at_x: np.ndarray, at_y: np.ndarray) -> np.ndarray:
    """Images (N, C, H, W) read at columns and rows (N, H, W), bilinear; beyond the edge the edge is repeated."""
    height, width = images.shape[2:]
    points = np.stack([2 * at_x / (width - 1) - 1, 2 * at_y / (height - 1) - 1], -1).astype(images.dtype)
    with no_grad():
        return grid_sample(Tensor(images), Tensor(points), padding_mode="border", align_corners=True).numpy()
