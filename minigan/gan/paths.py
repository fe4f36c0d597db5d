"""Paths between latents: what a generator makes of the points from one latent to another.

A generator eats (N, width): `latent` normal numbers and, behind them, whatever codes or labels the system has. A path
moves the latents along the great circle from the first to the last of a pair (White 2016; `tricks.slerp`), so that
every point on it is as likely in norm as its ends; the codes stay those of the first.
"""

from __future__ import annotations

import numpy as np

from .tricks import slerp


def between(pairs: np.ndarray, latent: int, columns: int) -> np.ndarray:
    """Inputs (R * columns, width) for R rows of `columns` points from pairs (2 R, width): row r from 2 r to 2 r + 1.

    Raises ValueError for an odd number of inputs, fewer than two columns, or inputs narrower than the latents.
    """
    pairs = np.asarray(pairs)
    if pairs.ndim != 2 or len(pairs) % 2 or not len(pairs):
        raise ValueError(f"between: expects inputs in pairs (2 R, width), got {pairs.shape}")
    if columns < 2:
        raise ValueError(f"between: a path has at least its 2 ends, got {columns} columns")
    if not 1 <= latent <= pairs.shape[1]:
        raise ValueError(f"between: {latent} latent numbers do not fit into inputs of width {pairs.shape[1]}")
    made = np.repeat(pairs[::2], columns, axis=0)
    for row, (a, b) in enumerate(zip(pairs[::2, :latent], pairs[1::2, :latent], strict=True)):
        points = [slerp(a.astype(np.float64), b.astype(np.float64), t) for t in np.linspace(0, 1, columns)]
        made[row * columns : (row + 1) * columns, :latent] = points
    return made


def largest_step(images: np.ndarray, columns: int) -> np.ndarray:
    """For each row of images (R * columns, C, H, W): the largest Euclidean distance between neighbours over the length
    of the whole path, 1 / (columns - 1) where all steps are equal and 1 for one jump; 0 where nothing changes."""
    rows = np.asarray(images, np.float64).reshape(-1, columns, images[0].size)
    steps = np.linalg.norm(np.diff(rows, axis=1), axis=2)
    length = steps.sum(1)
    return np.divide(steps.max(1), length, out=np.zeros(len(rows)), where=length > 0)
