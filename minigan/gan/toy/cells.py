"""Cells of GANs of points (gan/tables/cells.py): a run that is judged and written down as a file of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np

from ..tables import cells
from ..tables.cells import difference, digest, from_file, interval
from ..train import TrainingError
from .options import ToyOptions
from .trainer import ToyTrainer

__all__ = ["cell", "difference", "digest", "interval", "side_by_side"]


def cell(options: ToyOptions, folder: Path) -> dict:
    """The figures of one run, from its file or by running it. A run that diverges is a result too: `diverged` says
    where."""
    return from_file(folder, f"{options.data}-{options.loss}-{options.trick}-{options.seed}", options, _figures)


def _figures(options: ToyOptions) -> dict:
    start, diverged = time.perf_counter(), None
    trainer = ToyTrainer(options)
    try:
        for _ in trainer.train(max(1, options.steps // 10)):
            pass
    except TrainingError as error:
        diverged = str(error)
    figures = trainer.figures() | {"diverged": diverged, "seconds": round(time.perf_counter() - start, 2)}
    if not np.isfinite(figures["reverse_kl"]):
        figures["reverse_kl"] = None
    return figures


def side_by_side(
    folder: Path, jobs: int, show: Callable[[str], None], work: Callable[[ToyOptions, Path], dict]
) -> AbstractContextManager[Callable[[Sequence[ToyOptions]], list[dict]]]:
    """`cells.side_by_side` in the words of points."""
    return cells.side_by_side(folder, jobs, show, work, _named, _brief)


def _named(options: ToyOptions) -> str:
    return f"{options.data} {options.loss} {options.trick} seed {options.seed}"


def _brief(figures: dict) -> str:
    return f"{figures['modes']} modes, {figures['high_quality']:.1%} high quality"
