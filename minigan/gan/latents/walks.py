"""What a generator eats, (N, width): `latent` normal numbers and, behind them, whatever codes or labels the system has.

Paths between two latents: the point moves along the great circle from the first to the last (White 2016;
`tricks.slerp`), so that every point on it is as likely in norm as its ends; the codes stay those of the first. Where
latents are uniform in a cube, it moves along the straight line, which does not leave the cube.

Walks along codes, classes, or directions of the latents:

    any latents     z turns on its sphere towards a random u of the same norm, at right angles:  cos(t) z + sin(t) u;
                    uniform ones go straight to another
    cgan, acgan     each row one latent, each column one class
    text2image      each row one caption, each column one latent
    infogan         each row one latent, each column one category; then each row one category, each column one value of
                    a continuous code, with the latent shared (Chen et al. 2016, figure 2)
    stylegan        a grid a resolution: each row's latent in the layers up to it, each column's in the finer ones
                    (Karras et al. 2019, figure 3)

On the sphere, since a standard normal z of many dimensions has norm close to sqrt(d): the generator has seen no other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import singledispatch

import numpy as np

from ...autograd import Tensor
from ...backend import Generator
from ..systems.conditional import ConditionalTrainer
from ..systems.infogan import InfoTrainer
from ..systems.lapgan import PyramidTrainer
from ..systems.stylegan import StyleTrainer
from ..systems.table import system
from ..systems.text2image import SHOWN, TextTrainer
from ..train import TRAVERSE_STREAM, Trainer
from ..tricks import slerp
from .space import law_of

NAMES = 60
"""Characters of class names, parted by commas, that a title has room for."""


def between(pairs: np.ndarray, latent: int, columns: int, law: str = "normal") -> np.ndarray:
    """Inputs (R * columns, width) for R rows of `columns` points from pairs (2 R, width): row r from 2 r to 2 r + 1.
    law: of the latents, as `Space` has it.

    Raises ValueError for an odd number of inputs, fewer than two columns, or inputs narrower than the latents.
    """
    pairs = np.asarray(pairs)
    if pairs.ndim != 2 or len(pairs) % 2 or not len(pairs):
        raise ValueError(f"between: expects inputs in pairs (2 R, width), got {pairs.shape}")
    if columns < 2:
        raise ValueError(f"between: a path has at least its 2 ends, got {columns} columns")
    if not 1 <= latent <= pairs.shape[1]:
        raise ValueError(f"between: {latent} latent numbers do not fit into inputs of width {pairs.shape[1]}")
    inputs = np.repeat(pairs[::2], columns, axis=0)
    for row, (a, b) in enumerate(zip(pairs[::2, :latent], pairs[1::2, :latent], strict=True)):
        way = _straight if law == "uniform" else slerp
        points = [way(a.astype(np.float64), b.astype(np.float64), t) for t in np.linspace(0, 1, columns)]
        inputs[row * columns : (row + 1) * columns, :latent] = points
    return inputs


def _straight(a: np.ndarray, b: np.ndarray, t: float) -> np.ndarray:
    return (1 - t) * a + t * b


def largest_step(images: np.ndarray, columns: int) -> np.ndarray:
    """For each row of images (R * columns, C, H, W): the largest Euclidean distance between neighbours over the length
    of the whole path, 1 / (columns - 1) where all steps are equal and 1 for one jump; 0 where nothing changes."""
    rows = np.asarray(images, np.float64).reshape(-1, columns, images[0].size)
    steps = np.linalg.norm(np.diff(rows, axis=1), axis=2)
    length = steps.sum(1)
    return np.divide(steps.max(1), length, out=np.zeros(len(rows)), where=length > 0)


@dataclass(frozen=True)
class Walk:
    """A grid of inputs, row by row: what they show, the inputs (rows * columns, width), or (rows * columns, layers,
    width) with one for each layer, and how many columns."""

    title: str
    inputs: np.ndarray
    columns: int


@singledispatch
def walks(trainer: Trainer, rows: int, columns: int, random: Generator) -> list[Walk]:
    """The walks of a system. rows, columns: of each grid, where the system leaves them free; at least 1 and 2."""
    ends = trainer.inputs(rows + 1, random).numpy()
    start, towards = ends[:1], ends[1:]
    if (law := law_of(trainer)) == "uniform":
        pairs = np.stack([np.broadcast_to(start, towards.shape), towards], 1).reshape(2 * rows, -1)
        points = between(pairs, trainer.options.latent, columns, law)
        return [Walk("straight from one latent to another, each row to one of its own", points, columns)]
    towards = towards - (towards @ start.T) * start / np.maximum((start * start).sum(), 1e-12)
    towards = towards * np.linalg.norm(start) / np.maximum(np.linalg.norm(towards, axis=1, keepdims=True), 1e-12)
    angles = np.linspace(-math.pi / 2, math.pi / 2, columns)[:, None]
    inputs = np.concatenate([np.cos(angles) * start + np.sin(angles) * u for u in towards])
    return [Walk("one latent turned by -90 to 90 degrees, each row towards another direction", inputs, columns)]


@walks.register
def _(trainer: ConditionalTrainer, rows: int, columns: int, random: Generator) -> list[Walk]:
    each = np.eye(trainer.classes)
    inputs = trainer.inputs(rows, random).numpy().repeat(trainer.classes, 0)
    inputs[:, -trainer.classes :] = np.tile(each, (rows, 1))
    names = ", ".join(trainer.info.class_names)
    columns_are = f"each column one class ({names})" if len(names) <= NAMES else "each column one class"
    return [Walk(f"{columns_are}, each row one latent", inputs, trainer.classes)]


@walks.register
def _(trainer: PyramidTrainer, rows: int, columns: int, random: Generator) -> list[Walk]:
    return walks.dispatch(ConditionalTrainer if trainer.classes else Trainer)(trainer, rows, columns, random)


@walks.register
def _(trainer: InfoTrainer, rows: int, columns: int, random: Generator) -> list[Walk]:
    options = trainer.options
    count, first = options.categories, options.latent
    latents_and_codes = trainer.inputs(rows, random).numpy()
    inputs = latents_and_codes.repeat(count, 0)
    inputs[:, first : first + count] = np.tile(np.eye(count), (rows, 1))
    grids = [Walk("each column one category, each row one latent", inputs, count)]
    for k in range(options.continuous):
        inputs = np.repeat(latents_and_codes[:1], count * columns, 0)
        inputs[:, first : first + count] = np.eye(count).repeat(columns, 0)
        inputs[:, first + count :] = 0
        inputs[:, first + count + k] = np.tile(np.linspace(-1, 1, columns), count)
        grids.append(Walk(f"each row one category, continuous code {k + 1} from -1 to 1", inputs, columns))
    return grids


@walks.register
def _(trainer: TextTrainer, rows: int, columns: int, random: Generator) -> list[Walk]:
    texts = [text for text in np.resize(SHOWN, rows).tolist() for _ in range(columns)]
    inputs, latent = trainer.asking(texts, random).numpy(), trainer.options.latent
    inputs[:, :latent] = np.tile(inputs[:columns, :latent], (rows, 1))
    return [Walk("each row one caption, each column one latent", inputs, columns)]


@walks.register
def _(trainer: StyleTrainer, rows: int, columns: int, random: Generator) -> list[Walk]:
    z, layers = trainer.inputs(max(rows, columns), random).numpy(), len(trainer.generator.layers)
    coarse, fine = z[:rows].repeat(columns, 0), np.tile(z[:columns], (rows, 1))
    grids = []
    for cut in range(1, layers, 2):  # behind the last layer of 4, 8, ... pixels
        inputs = np.stack([coarse if layer < cut else fine for layer in range(layers)], 1)
        title = f"each row's styles up to {4 << cut // 2} pixels with each column's above; unmixed on the diagonal"
        grids.append(Walk(title, inputs, columns))
    return grids


def require_latents(trainer: Trainer) -> None:
    """Raises ValueError for a system without latents to go between."""
    name = trainer.options.system
    if hasattr(trainer, "usage") and ("latent" not in system(name).takes or hasattr(trainer, "translate_as")):
        raise ValueError(f"{name} translates images and has no latents; see: {trainer.usage}")
    if "latent" not in system(name).takes:
        raise ValueError(f"{name} has no latents to go between: its codes are entries of a table")


def traverse(trainer: Trainer, rows: int = 8, columns: int = 10, seed: int = 0) -> dict[str, np.ndarray]:
    """Title -> images (rows, columns, C, H, W) in (-1, 1) along each walk of a trained system.

    Raises ValueError for fewer than 1 row or 2 columns, and for a system without latents.
    """
    if rows < 1 or columns < 2:
        raise ValueError(f"traverse: needs at least 1 row and 2 columns, got {rows} and {columns}")
    require_latents(trainer)
    grids = {}
    for walk in walks(trainer, rows, columns, Generator(seed, TRAVERSE_STREAM)):
        images = trainer.sample(Tensor(walk.inputs.astype(trainer.dtype)))
        grids[walk.title] = images.reshape(-1, walk.columns, *images.shape[1:])
    return grids
