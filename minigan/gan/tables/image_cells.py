"""A cell of a table of image systems (cells.py): a trainer that goes on from where it was left, and its line.

OUT/cells.jsonl     a line for each finished cell: its options and figures
OUT/NAME/           the state of an unfinished one
OUT/NAME.png        16 samples of a finished one
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

from ... import data, viz
from ..options import CommonOptions
from ..systems.table import trainer_for
from ..train import Trainer, TrainingError
from . import cells

SAVE_EVERY, SHOWN = 100, 16
LINES = "cells.jsonl"


@lru_cache(maxsize=2)
def dataset_of(name: str, size: int) -> data.Dataset:
    """The data set of a cell, read once in a process."""
    return data.load(name, size=size)


def trained(options: CommonOptions, folder: Path) -> tuple[Trainer, dict]:
    """The trainer of these options at their last step, from the state in `folder` where there is one; and "steps" that
    it reached, "diverged", None or why it went no further, and "ms_per_step" of processor time in this process."""
    trainer = trainer_for(options, dataset_of(options.data, options.size))
    if (state := cells.saved(folder, options)) is not None:
        trainer.restore(state.arrays, state.state)
    start, first, diverged = time.process_time(), trainer.steps_done, None
    try:
        while trainer.steps_done < options.steps:
            trainer.step()
            if trainer.steps_done % SAVE_EVERY == 0:
                cells.save(folder, trainer.steps_done, *trainer.state())
    except TrainingError as error:
        diverged = str(error)
    seconds, steps = time.process_time() - start, trainer.steps_done
    return trainer, {
        "steps": steps,
        "diverged": diverged,
        "ms_per_step": round(1e3 * seconds / max(steps - first, 1), 2),
    }


def finished(options: CommonOptions, out: Path) -> dict | None:
    """The figures of a cell that has a line, the last one if there are several."""
    return cells.find(cells.lines(out / LINES), options)


def cell(options: CommonOptions, out: Path, name: str, judged: Callable[[Trainer], dict]) -> dict:
    """The figures of one cell, from its line or by training it to the end and `judged`."""
    figures = finished(options, out)
    if figures is not None:
        return figures
    trainer, figures = trained(options, out / name)
    viz.save_grid(out / f"{name}.png", trainer.preview(SHOWN), columns=4, scale=1)
    figures |= judged(trainer)
    cells.append(out / LINES, asdict(options), figures)
    shutil.rmtree(out / name, ignore_errors=True)
    return figures
