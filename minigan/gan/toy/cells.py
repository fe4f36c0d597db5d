"""Cells of GANs of points (gan/tables/cells.py): a run that is judged and written down as a file of its own."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np

from ..tables import cells
from ..tables.cells import difference, digest, from_file, interval
from ..train import TrainingError
from .data import BUILDERS
from .options import ToyOptions
from .trainer import ToyTrainer

__all__ = ["cell", "difference", "digest", "interval", "side_by_side"]


def cell(options: ToyOptions, folder: Path) -> dict:
    """The figures of one run, from its file or by running it. A run that diverges is a result too: `diverged` says
    where."""
    name, file_digest = options.data, ""
    if name not in BUILDERS:  # a file of points, which may change
        path = Path(name)
        name, file_digest = path.stem, hashlib.sha256(path.read_bytes()).hexdigest()
    return from_file(folder, f"{name}-{options.loss}-{options.trick}-{options.seed}", options, _figures, file_digest)


def _figures(options: ToyOptions) -> dict:
    start, diverged = time.perf_counter(), None
    trainer = ToyTrainer(options)
    try:
        for _ in trainer.train(max(1, options.steps // 10)):
            pass
    except TrainingError as error:
        diverged = str(error)
    figures = trainer.figures() | {"diverged": diverged, "seconds": round(time.perf_counter() - start, 2)}
    if not np.isfinite(figures.get("reverse_kl", 0)):
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
    if "modes" not in figures:
        return f"W1 {figures['w1']:.3f}" if "w1" in figures else "samples are not finite"
    return f"{figures['modes']} modes, {figures['high_quality']:.1%} high quality"
