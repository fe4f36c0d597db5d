"""Cells of GANs of points (gan/tables/cells.py): a run that is judged and written down as a file of its own.

A cell's file has a name that holds everything it depends on, and is written whole, so that an interrupted table goes on
where it stopped.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ..._files import atomic_write, parse_json
from ..tables import cells
from ..tables.cells import difference, digest, interval
from ..train import TrainingError
from .options import ToyOptions
from .trainer import ToyTrainer

__all__ = ["cell", "difference", "digest", "interval", "side_by_side"]


def cell(options: ToyOptions, folder: Path) -> dict:
    """The figures of one run, from its file or by running it. A run that diverges is a result too: `diverged` says
    where."""
    key = json.dumps(asdict(options), sort_keys=True)
    name = (
        f"{options.data}-{options.loss}-{options.trick}-{options.seed}-{hashlib.sha256(key.encode()).hexdigest()[:10]}"
    )
    path = folder / f"{name}.json"
    if path.exists():
        with suppress(OSError, ValueError, KeyError, TypeError):  # no cell of ours, or damaged: run it again
            record = parse_json(path.read_text())
            if record["options"] == asdict(options) and record["sha256"] == digest(record["figures"]):
                return record["figures"]
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
    record = {"options": asdict(options), "figures": figures, "sha256": digest(figures)}
    atomic_write(path, json.dumps(record, indent=1))
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
