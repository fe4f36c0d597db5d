"""Editing on the manifold of samples: paint roughly, and get the sample that follows (Zhu et al. 2016, eq. 5 and 6).

    z* = argmin over z   s [ |m (G(z) - c)|^2 + k |(1 - m) (G(z) - x0)|^2 ] - w ln p(z),      from the z of x0 = G(z)

m: how much was painted on each pixel, in [0, 1]; c: the colours; both squares are means over the weight they have. So
it is ascent (ascent.py) with minus the squares as its score. A photo's z is found first in the same way, m being 0,
from its code where the system has an encoder, else from the nearest of some draws.

One z in some twenty is caught on its way, so each edit begins twice, from z and from the best of as many draws, and
the better end counts. It counts by its error inside the paint, beside that of pasting (0, and nothing else fits it) and
of the image as it was; by how much changed outside; and by whether the result is still near real images. Null model:
random search, the best of as many draws as the edit looks at images, three times its steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...autograd import Tensor, no_grad
from ...backend import Generator
from ...ops.elementary import square
from ...ops.reduce import sum
from ..train import SAMPLE_STREAM, Trainer
from .ascent import Score, ascend, random_search
from .space import draws, space_of
from .standing import Interval, Scale, spread
from .targets import Reader, Target

HEADING = f"{'':<26}    error inside      change outside             precision"
PIXELS = (1, 2, 3)


@dataclass(frozen=True)
class Paint:
    """colours (C, S, S) in [-1, 1]; weight (1, S, S) in [0, 1], 0 where nothing was painted."""

    colours: np.ndarray
    weight: np.ndarray

    def pasted(self, images: np.ndarray) -> np.ndarray:
        """Images (N, C, S, S) with the colours laid over them."""
        return (images * (1 - self.weight) + self.colours * self.weight).astype(images.dtype)

    def inside(self, images: np.ndarray) -> np.ndarray:
        """The mean squared difference from the colours (N,), by weight; of 4 from black to white."""
        return _mean_square(images - self.colours, self.weight)

    def outside(self, images: np.ndarray, originals: np.ndarray) -> np.ndarray:
        """The mean squared difference from the originals (N,) where nothing was painted; 0 for paint everywhere."""
        return _mean_square(images - originals, 1 - self.weight)

    def score(self, originals: np.ndarray, strength: float, keep: float) -> Score:
        """-s [inside + k outside], for images (N, C, S, S), a tensor, row by row beside the originals."""
        channels = len(self.colours)
        terms = [(self.colours[None], self.weight, strength), (originals, 1 - self.weight, strength * keep)]
        terms = [(Tensor(_f32(x)), Tensor(_f32(m * k / (channels * m.sum())))) for x, m, k in terms if m.any()]

        def score(images: Tensor) -> Tensor:
            total = 0
            for x, m in terms:
                total = total - sum(m * square(images - x), PIXELS)
            return total

        return score


def _mean_square(difference: np.ndarray, weight: np.ndarray) -> np.ndarray:
    total = np.square(difference.astype(np.float64)) * weight
    return total.sum(PIXELS) / max(weight.sum() * difference.shape[1], 1e-12)


def _f32(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x, np.float32)


def read_paint(path: Path, size: int, channels: int) -> Paint:
    """What was painted, from a PNG with transparency, `size` pixels square or a whole multiple of it.

    Raises ValueError, with what would fit, for another size, a picture without transparency, or nothing painted.
    """
    from PIL import Image

    try:
        with Image.open(path, formats=("PNG",)) as file:
            width, height = file.size
            fits = f"paint on {size}x{size} pixels, or a whole multiple of it (16 times at most)"
            if width != height or width % size or width > 16 * size:
                raise _Unfit(f"{path} is {width}x{height}, the run's images are {size}x{size}; {fits}")
            if not (file.mode in ("RGBA", "LA", "PA") or "transparency" in file.info):
                raise _Unfit(
                    f"{path} has no transparency (alpha), so all of it would be painted; paint on a transparent layer"
                    " and leave the rest empty"
                )
            pixels = np.asarray(file.convert("RGBA"), np.float64)
    except _Unfit:
        raise
    except FileNotFoundError:
        raise ValueError(f"there is no file {path}; give a PNG with transparency") from None
    except Exception as error:  # a decoder may raise anything at all
        raise ValueError(
            f"{path} is no PNG that can be read ({type(error).__name__}); give one with transparency"
        ) from error
    block = width // size
    blocks = pixels.reshape(size, block, size, block, 4)
    alpha = blocks[..., 3:] / 255
    weight = alpha.mean((1, 3))
    if not weight.any():
        raise ValueError(f"{path}: nothing is painted, all of it is transparent")
    colours = (blocks[..., :3] * alpha).mean((1, 3)) / np.maximum(weight, 1e-12) / 127.5 - 1
    colours = np.where(weight > 0, colours, 0)
    if channels == 1:
        colours = (colours @ np.array([0.299, 0.587, 0.114]))[..., None]
    return Paint(_f32(colours.transpose(2, 0, 1)), _f32(weight.transpose(2, 0, 1)))


class _Unfit(ValueError):
    """A picture that can be read, and does not fit."""


@dataclass(frozen=True)
class EditRow:
    """The figures of one set of images: error in the paint, change beside it, and whether they look real."""

    images: int
    inside: Interval
    outside: Interval
    precision: Interval | None

    def as_dict(self) -> dict:
        """Ready for JSON."""
        return {k: v._asdict() if isinstance(v, tuple) else v for k, v in vars(self).items()}

    def line(self, name: str) -> str:
        """One line of a table under HEADING."""
        errors = "".join(f"{v.value:.4f} +- {(v.high - v.low) / 2:.4f}".rjust(20) for v in (self.inside, self.outside))
        p = self.precision
        return f"{name:<26}{errors}{'-' if p is None else f'{p.value:.1%} [{p.low:.0%}, {p.high:.0%}]':>22}"


@dataclass(frozen=True)
class EditStudy:
    """The edits, their rows beside null models, and pictures: title -> (rows, columns, C, S, S)."""

    images: np.ndarray
    rows: dict[str, EditRow]
    grids: dict[str, np.ndarray]
    line: str

    def report(self) -> list[str]:
        """The table and the line beneath."""
        return [HEADING, *(row.line(name) for name, row in self.rows.items()), self.line]

    def as_dict(self) -> dict:
        """Ready for JSON."""
        return {"rows": {name: row.as_dict() for name, row in self.rows.items()}}


def inverted(
    trainer: Trainer, photos: np.ndarray, steps: int, rate: float, strength: float, random: Generator
) -> np.ndarray:
    """Inputs (N, width) whose images are near photos (N, C, S, S): ascent from their codes, or from the nearest of 200
    draws."""
    space, nothing = space_of(trainer), Paint(photos[0] * 0, np.zeros((1, *photos.shape[2:]), np.float32))
    near = nothing.score(photos, strength, 1.0)
    start = draws(trainer, len(photos), random)
    if hasattr(trainer, "encode"):
        start[:, : space.latent] = trainer.encode(photos)
    else:
        start = _nearest(trainer, photos, draws(trainer, 200, random))
    return ascend(space, start, near, steps, rate, 0.01)


def _nearest(trainer: Trainer, photos: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    images = trainer.sample(Tensor(inputs))
    return inputs[[int(np.square(images - photo).sum(PIXELS).argmin()) for photo in photos]]


def study(
    trainer: Trainer,
    paint: Paint,
    photos: np.ndarray | None = None,
    count: int = 16,
    steps: int = 150,
    rate: float = 0.05,
    strength: float = 100.0,
    keep: float = 1.0,
    weight: float = 0.1,
    seed: int = 0,
    reader: Reader | None = None,
    show: int = 10,
) -> EditStudy:
    """The paint followed from `count` samples of a trained system, or from photos (N, C, S, S) in [-1, 1], beside the
    images as they were, the paint pasted over them, and random search with as many evaluations.

    strength: s, of both squares; keep: k, of what was not painted; weight: w, of the prior.
    """
    space, random = space_of(trainer), Generator(seed, SAMPLE_STREAM)
    if photos is None:
        start = draws(trainer, count, random)
        originals = trainer.sample(Tensor(start))
    else:
        start, originals = inverted(trainer, photos, steps, rate, strength, random), photos
    score = paint.score(originals, strength, keep)
    best = random_search(space, start, score, lambda n: draws(trainer, n, random), steps)
    ends = [ascend(space, x, score, steps, rate, weight) for x in (start, best)]
    evaluations = 3 * steps  # of the draws and both ascents
    searched = random_search(space, start, score, lambda n: draws(trainer, n, random), evaluations)
    with no_grad():
        scores = [score(space.generator(Tensor(x))).data for x in ends]
    edits = np.where((scores[0] >= scores[1])[:, None], *ends)
    images = {
        "edit": trainer.sample(Tensor(edits)),
        "random search": trainer.sample(Tensor(searched)),
        "pasted": paint.pasted(originals),
        "as it was": originals,
    }
    if photos is not None:
        images["through its latents"] = trainer.sample(Tensor(start))
    reader = reader or Reader(trainer.dataset, trainer.options.data)
    scale = Scale(Target("the paint", score, (), reader), trainer.options.size)
    rows = {name: _row(x, paint, originals, scale) for name, x in images.items()}
    titles = {
        "as it was": "as it was",
        "pasted": "the paint over it",
        "edit": "the sample that follows the paint",
        "random search": f"the best of {evaluations} draws",
    }
    grids = {title: images[name][None, :show] for name, title in titles.items()}
    return EditStudy(images["edit"], rows, grids, scale.line.replace(" and coverage", ""))


def _row(images: np.ndarray, paint: Paint, originals: np.ndarray, scale: Scale) -> EditRow:
    inside, outside = spread(paint.inside(images)), spread(paint.outside(images, originals))
    return EditRow(len(images), inside, outside, scale.precision(images))
