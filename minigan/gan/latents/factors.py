"""How many factors of its images one latent of a trained system moves, beside a random rotation of its latents.

    latents   each number of z from -2 to 2, the others as they were (gan/metrics/entanglement.py)
    codes     infogan: the category to the next one, each continuous code from -1 to 1
              cgan, acgan, lapgan by class: the class to the next one
    rotated   the null model: random directions of z instead of its numbers

Factors are the data set's attributes and classes, read by their judges. Digits have no attribute but their class; so
where there is one factor alone, four are measured beside it, in five steps each that training images fill alike:

    ink, the mean grey level;  width, height, the deviations of its ink;  slant, cov(x, y) / var(y) of it
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import singledispatch
from pathlib import Path

import numpy as np

from ..._files import atomic_write
from ...autograd import Tensor
from ...backend import Generator
from ...data import evenly_spaced
from ...viz import BLUE, FAINT, INK, ORANGE, picture_format
from ..metrics.classifier import prepared
from ..metrics.entanglement import Entanglement, entanglement, of_ends, rotated
from ..systems.conditional import ConditionalTrainer
from ..systems.infogan import InfoTrainer
from ..systems.lapgan import PyramidTrainer
from ..train import TRAVERSE_STREAM, Trainer
from .space import draws, space_of
from .targets import Reader

MEASURES = ("ink", "width", "height", "slant")
BINS = 5
Pairs = list[tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Factors:
    """Of one run: kind of latents -> its entanglement; names of the latents of "codes", and of the factors (K,)."""

    kinds: dict[str, Entanglement]
    codes: list[str]
    names: list[str]

    def lines(self) -> list[str]:
        """A line a kind: the number, its interval, and which factor moves most."""
        rows = []
        for kind, e in self.kinds.items():
            low, high = e.interval
            rows.append(
                f"{kind:<9}{e.factors:6.2f} [{low:.2f}, {high:.2f}] of {len(self.names)} factors; each latent moves"
                f" {e.changes.sum(1).mean():.2f}, most often {self.names[int(e.changes.sum(0).argmax())]}"
            )
        for name, number, changes in zip(self.codes, *self._of_codes(), strict=True):
            most = self.names[int(changes.argmax())] if changes.any() else "nothing"
            rows.append(f"  {name}: {number:.2f} factors, most often {most}, in {changes.max():.0%}")
        return rows

    def _of_codes(self) -> tuple[np.ndarray, np.ndarray]:
        codes = self.kinds.get("codes")
        return (codes.per_latent, codes.changes) if codes else (np.empty(0), np.empty((0, 0)))

    def as_dict(self) -> dict:
        """Ready for JSON."""
        return {
            "names": self.names,
            "codes": self.codes,
            "kinds": {
                kind: {"factors": e.factors, "low": e.interval[0], "high": e.interval[1], "changes": e.changes.tolist()}
                for kind, e in self.kinds.items()
            },
        }


def measured(images: np.ndarray, background: float) -> np.ndarray:
    """MEASURES (N, 4) of images (N, C, S, S) in [-1, 1] on a ground of grey level `background` in [-1, 1]."""
    ink = np.abs(images.mean(1, dtype=np.float64) - background) / 2 + 1e-9
    mass = ink.sum((1, 2))
    y, x = np.mgrid[: ink.shape[1], : ink.shape[2]]
    mean_x, mean_y = ((ink * axis).sum((1, 2)) / mass for axis in (x, y))
    dx, dy = x - mean_x[:, None, None], y - mean_y[:, None, None]
    var_x, var_y, both = ((ink * d).sum((1, 2)) / mass for d in (dx * dx, dy * dy, dx * dy))
    return np.stack([ink.mean((1, 2)), np.sqrt(var_x), np.sqrt(var_y), both / np.maximum(var_y, 1e-9)], 1)


def seen_by(reader: Reader, size: int) -> tuple[list[str], Callable[[np.ndarray], np.ndarray]]:
    """(names of the factors, images (N, C, S, S) to their values (N, K)). Raises ValueError without a judge."""
    dataset, names = reader.dataset, list(reader.factors)
    if len(names) > 1:
        return names, lambda images: np.stack(list(reader.read(images, names).values()), 1)
    ground = dataset.info.background / 127.5 - 1
    some = prepared(dataset, evenly_spaced(dataset.train, 1000), size)
    edges = np.quantile(measured(some, ground), np.arange(1, BINS) / BINS, axis=0)

    def values(images: np.ndarray) -> np.ndarray:
        columns = [np.searchsorted(e, m) for e, m in zip(edges.T, measured(images, ground).T, strict=True)]
        return np.stack([*reader.read(images, names).values(), *columns], 1)

    return [*names, *MEASURES], values


@singledispatch
def codes(trainer: Trainer, inputs: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Name -> inputs (N, width) at both ends of what a system has besides latents, from inputs (N, width)."""
    return {}


@codes.register
def _(trainer: ConditionalTrainer, inputs: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {"class": (inputs, _next(inputs, trainer.options.latent, trainer.classes))}


@codes.register
def _(trainer: PyramidTrainer, inputs: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return codes.dispatch(ConditionalTrainer if trainer.classes else Trainer)(trainer, inputs)


@codes.register
def _(trainer: InfoTrainer, inputs: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    options = trainer.options
    ways = {"category": (inputs, _next(inputs, options.latent, options.categories))}
    for k in range(options.continuous):
        ends = []
        for side in (-1, 1):
            moved = inputs.copy()
            moved[:, options.latent + options.categories + k] = side
            ends.append(moved)
        ways[f"code {k + 1}"] = tuple(ends)
    return ways


def _next(inputs: np.ndarray, first: int, count: int) -> np.ndarray:
    """Inputs whose one-hot columns, `count` from `first` on, name the next value."""
    moved = inputs.copy()
    moved[:, first : first + count] = np.roll(inputs[:, first : first + count], 1, 1)
    return moved


def factors_of(
    trainer: Trainer, count: int = 40, reach: float = 2.0, seed: int = 0, reader: Reader | None = None
) -> Factors:
    """The factors that a latent of a trained system moves, from `count` draws. Raises ValueError for a system without
    latents, a data set without judges, and latents that move nothing."""
    space, inputs = space_of(trainer), draws(trainer, count, Generator(seed, TRAVERSE_STREAM))
    names, values = seen_by(reader or Reader(trainer.dataset, trainer.options.data), trainer.options.size)

    def images_of(y: np.ndarray) -> np.ndarray:
        z = space.project(0.5 + y / np.sqrt(12) if space.law == "uniform" else y)
        return trainer.sample(Tensor(np.concatenate([z, inputs[:, space.latent :]], 1).astype(inputs.dtype)))

    y = np.random.default_rng(seed).standard_normal((count, space.latent))
    ways = codes(trainer, inputs)
    kinds = {"latents": entanglement(images_of, values, y, reach)}
    if space.latent > 1:
        kinds["rotated"] = entanglement(rotated(images_of, space.latent, seed), values, y, reach)
    if ways:
        pairs: Pairs = [tuple(values(trainer.sample(Tensor(x))) for x in ends) for ends in ways.values()]
        kinds["codes"] = of_ends(pairs, count)
    return Factors(kinds, list(ways), names)


def draw(path: Path, runs: Mapping[str, Factors], most: int = 12) -> None:
    """A picture of several runs: how many factors a latent moves, with intervals, and of each run which latents move
    which factors, the codes first, then the latents that move most."""
    from matplotlib.figure import Figure

    count = len(runs)
    figure = Figure(figsize=(max(7.0, 3.4 * count), 7.6), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=(1, 1.4))
    axis, colours = top.subplots(), {"latents": BLUE, "codes": ORANGE, "rotated": FAINT}
    for k, result in enumerate(runs.values()):
        for j, (kind, e) in enumerate(result.kinds.items()):
            spread = [[e.factors - e.interval[0]], [e.interval[1] - e.factors]]
            label = kind if kind not in axis.get_legend_handles_labels()[1] else None
            axis.bar(k + 0.27 * j, e.factors, 0.24, yerr=spread, color=colours[kind], ecolor=INK, label=label)
    axis.set_xticks(np.arange(count) + 0.27, [name.replace(": ", "\n") for name in runs], fontsize=8)
    axis.set(ylabel="factors that one latent moves", title="Factors that one latent moves: 1 where it has its own")
    axis.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    axis.spines[["top", "right"]].set_visible(False)
    for panel, (name, result) in zip(np.atleast_1d(bottom.subplots(1, count)), runs.items(), strict=True):
        e = result.kinds["latents"]
        order = np.argsort(-e.changes.sum(1), kind="stable")[: most - len(result.codes)]
        rows = e.changes[order]
        if result.codes:
            rows = np.concatenate([result.kinds["codes"].changes, rows])
        panel.imshow(rows, vmin=0, vmax=1, cmap="Blues", aspect="auto")
        panel.set_yticks(range(len(rows)), [*result.codes, *(f"z{j + 1}" for j in order)], fontsize=7)
        panel.set_xticks(range(len(result.names)), result.names, rotation=60, ha="right", fontsize=7)
        panel.set_title(f"{name.split(',')[0]}: how often each moves", fontsize=9)
    with io.BytesIO() as file:
        figure.savefig(file, dpi=110, format=picture_format(path).lower())
        atomic_write(path, file.getvalue())
