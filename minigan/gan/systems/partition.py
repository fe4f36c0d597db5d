"""A partition of unlabelled images into K sets, by the spectrum of their graph of neighbours.

    W = A + A^T with A_ij = 1 where j is one of the k nearest of i or i itself,  d = W 1
    rows of the K leading eigenvectors of d^-1/2 W d^-1/2, scaled to length 1, by k-means      (Ng, Jordan & Weiss 2001)

The eigenvectors are those of the best relaxed cut, so this has no local optima but k-means' own. Of several k-means the
one is kept whose sets tell most of each other over the graph's edges: the information of alike.py, no labels asked.

Images are compared upright (LeCun et al. 1998, section III.A): with m the mass of a pixel, its distance from the
median of the border, each is centred and sheared by sum(m dx dy) / sum(m dy dy), so that it leans neither way.
"""

from __future__ import annotations

import warnings

import numpy as np

from ...autograd import Tensor
from ...backend import Generator
from .alike import mutual_information, neighbours, read_at

NEAREST = 5
TRIES = 20
CHUNK = 500


def upright(images: np.ndarray) -> np.ndarray:
    """Images (N, C, S, S), each moved so that its mass is in the middle and not slanted; edges are repeated."""
    n, channels, height, width = images.shape
    border = np.concatenate(
        [images[:, :, [0, -1]].reshape(n, channels, -1), images[..., [0, -1]].reshape(n, channels, -1)], 2
    )
    mass = abs(images - np.median(border, 2)[..., None, None]).mean(1).astype(np.float64) + 1e-9
    each = (slice(None), None, None)
    y, x = np.mgrid[:height, :width].astype(np.float64)
    total = mass.sum((1, 2))
    at_x, at_y = (mass * x).sum((1, 2)) / total, (mass * y).sum((1, 2)) / total
    dx, dy = x - at_x[each], y - at_y[each]
    slope = (mass * dx * dy).sum((1, 2)) / (mass * dy * dy).sum((1, 2))
    row = np.broadcast_to(y - (height - 1) / 2, mass.shape)
    column = x - (width - 1) / 2 + slope[each] * row
    return read_at(images, column + at_x[each], row + at_y[each])


def partition(images: np.ndarray, sets: int, random: Generator) -> tuple[np.ndarray, float]:
    """(the set of each image (N,), the information over edges in nats), for images (N, C, S, S).

    Raises ValueError unless there are more images than sets.
    """
    from scipy.cluster.vq import kmeans2
    from scipy.sparse import coo_matrix

    n = len(images)
    if not 1 < sets < n:
        raise ValueError(f"partition: cannot part {n} images into {sets} sets")
    straight = np.concatenate([upright(images[i : i + CHUNK]) for i in range(0, n, CHUNK)])
    near = neighbours(straight, min(NEAREST, n - 1))
    ends = np.arange(n).repeat(near.shape[1]), near.reshape(-1)
    graph = coo_matrix((np.ones(len(ends[0])), ends), (n, n)).tocsr()
    graph = graph + graph.T
    rows = leading(graph, sets, 2 * random.uniform(n) - 1)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True) + 1e-12
    other = ends[0] != ends[1]
    partitions = []
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "One of the clusters is empty")  # it tells little, so it is not kept
        for draw in random.uniform(TRIES):
            label = kmeans2(rows, sets, minit="++", seed=int(draw * 2**31))[1]
            pairs = (Tensor(np.eye(sets)[label[end[other]]]) for end in ends)
            partitions.append((mutual_information(*pairs).item(), label))
    score, label = max(partitions, key=lambda one: one[0])
    return label, score


def leading(graph, count: int, start: np.ndarray) -> np.ndarray:
    """The `count` leading eigenvectors, as columns (N, count), of d^-1/2 W d^-1/2 for a sparse symmetric W (N, N).

    Eigenvalue 1 has one eigenvector for each connected component, d^1/2 within it, which a Lanczos iteration from one
    `start` (N,) could not tell apart: they are written down, the largest components' first, and the others found
    beside them.
    """
    from scipy.sparse import diags
    from scipy.sparse.csgraph import connected_components
    from scipy.sparse.linalg import LinearOperator, eigsh

    degree = np.asarray(graph.sum(1)).reshape(-1)
    scaled = diags(degree**-0.5) @ graph @ diags(degree**-0.5)
    parts, part = connected_components(graph, directed=False)
    largest = np.argsort(-np.bincount(part), kind="stable")[:count]
    eigenvectors = np.sqrt(degree)[:, None] * (part[:, None] == largest)
    eigenvectors /= np.linalg.norm(eigenvectors, axis=0)
    if parts >= count:
        return eigenvectors
    rest = LinearOperator(graph.shape, lambda v: scaled @ v - eigenvectors @ (eigenvectors.T @ v), dtype=np.float64)
    return np.concatenate([eigenvectors, eigsh(rest, count - parts, which="LA", v0=start)[1]], 1)
