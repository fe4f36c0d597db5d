"""`minigan scoreboard --protocol`: the published experiment in the plane, cell by cell, to be stopped and gone on with.

A cell is a method on a set with a seed: 50,000 updates of the published networks (networks.py), then 2,500 samples.
Its state is saved every 2,000 updates, so that an interrupted cell loses a minute; a finished one is a line of
`cells.jsonl` in the folder, and the page is drawn from these lines. Cells with published figures come first, seed by
seed.

    z ~ N(0, I), (100 m, 2); a batch is 100 inputs of D, each of m points; the points in their own units
    D:  softplus(-D(x)) + softplus(D(Gz));   G:  softplus(-D(Gz));   both step together, Adam 1e-4, beta1 0.8

These are the settings of the authors' code (github.com/fjxmlzn/PacGAN, synthetic_data_experiments). It runs 400 epochs
of 1,000 updates; 50,000 updates are an eighth of that.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ... import checkpoint
from ..._files import atomic_write
from ..train import TrainingError
from .options import ToyOptions, options_for, published
from .trainer import ToyTrainer

METHODS = {
    "GAN": ("plain", 1),
    "PacGAN2": ("packing", 2),
    "PacGAN3": ("packing", 3),
    "PacGAN4": ("packing", 4),
    "unrolled": ("unrolled", 1),
}
"""Name -> (trick, points in one input of D)."""

FIRST = (("ring", "GAN"), ("ring", "PacGAN2"), ("grid", "PacGAN4"), ("grid", "GAN"))
STEPS, SAVE_EVERY, SEEDS = 50_000, 2_000, (11, 12, 13)


def options(data: str, method: str, seed: int, steps: int = STEPS) -> ToyOptions:
    """The options of one cell."""
    trick, pack = METHODS[method]
    return options_for(data, "non-saturating", trick, **published(pack), steps=steps, seed=seed)


def order(seeds: Sequence[int] = SEEDS) -> list[tuple[str, str, int]]:
    """All cells (set, method, seed) in the order in which they are run."""
    rest = [(data, method) for method in METHODS for data in ("ring", "grid") if (data, method) not in FIRST]
    return [(*cell, seed) for cells in (FIRST, rest) for seed in seeds for cell in cells]


def train(options: ToyOptions, folder: Path, show: Callable[[str], None] = lambda _: None) -> dict:
    """The figures of one run, which goes on from the state in `folder` and leaves none there when it is done.

    `seconds` are those of the process that ended it, times the share of the steps that it did.
    """
    trainer = ToyTrainer(options)
    with suppress(checkpoint.CheckpointError), warnings.catch_warnings(action="ignore"):
        saved = checkpoint.latest(folder)
        if ToyOptions(**saved.state["options"]) == options:
            trainer.state().restore(saved.arrays, saved.state)
            trainer.steps_done = saved.step
    folder.mkdir(parents=True, exist_ok=True)
    start, first, diverged = time.process_time(), trainer.steps_done, None
    try:
        for step in trainer.train(SAVE_EVERY):
            arrays, rest = trainer.state().save()
            path = checkpoint.save(folder, step, arrays, {"options": asdict(options), **rest})
            for old in checkpoint.paths(folder):
                if old != path:
                    old.unlink()
                    old.with_suffix(".safetensors").unlink(missing_ok=True)
            each = (time.process_time() - start) / (step - first)
            show(f"step {step:,}: {each * 1e3:.1f} ms of processor time a step")
    except TrainingError as error:
        diverged = str(error)
    done = max(trainer.steps_done - first, 1)
    figures = trainer.figures() | {"diverged": diverged}
    figures["ms_per_step"] = round((time.process_time() - start) / done * 1e3, 2)
    if not np.isfinite(figures["reverse_kl"]):
        figures["reverse_kl"] = None
    shutil.rmtree(folder)
    return figures


def lines(path: Path) -> list[dict]:
    """The cells of a file of lines; lines that are damaged are passed over."""
    cells = []
    for text in path.read_text().splitlines() if path.exists() else ():
        with suppress(ValueError, KeyError, TypeError):
            cell = json.loads(text)
            if cell["sha256"] == _digest(cell["figures"]):
                cells.append(cell | {"options": asdict(ToyOptions(**cell["options"]))})
    return cells


def _digest(figures: dict) -> str:
    return hashlib.sha256(json.dumps(figures).encode()).hexdigest()


def run(out: str | os.PathLike, seeds: Sequence[int] = SEEDS, steps: int = STEPS, show=lambda _: None) -> list[dict]:
    """Every cell, in order, each from where it was left."""
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    path = out / "cells.jsonl"
    for data, method, seed in order(seeds):
        name, wanted = f"{data}-{method}-{seed}", options(data, method, seed, steps)
        cells = lines(path)
        if any(cell["options"] == asdict(wanted) for cell in cells):
            continue
        figures = train(wanted, out / name, lambda text, name=name: show(f"{name}: {text}"))
        row = {"data": data, "method": method, "seed": seed, "figures": figures, "options": asdict(wanted)}
        cells.append(row | {"sha256": _digest(figures)})
        atomic_write(path, "".join(json.dumps(cell) + "\n" for cell in cells))
        show(f"{name}: {figures['modes']} modes, {figures['high_quality']:.1%} high quality")
    return lines(path)
