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

import json
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ... import checkpoint
from ..._files import atomic_write, make_folder
from ..tables import cells
from ..train import TrainingError
from . import data as toydata
from .cells import interval, side_by_side
from .nulls import FIGURES, null_scores
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

PUBLISHED_SCORES = (
    # (set, system, modes, its interval, high-quality share, reverse KL): Lin et al. 2018, tables 1 and 2
    ("ring", "GAN", 6.3, 0.5, 0.982, 0.45),
    ("ring", "PacGAN2", 7.9, 0.1, 0.956, 0.07),
    ("grid", "GAN", 17.3, 0.8, 0.948, 0.70),
    ("grid", "PacGAN4", 24.8, 0.2, 0.936, 0.04),
)

FIRST = (("ring", "GAN"), ("ring", "PacGAN2"), ("grid", "PacGAN4"), ("grid", "GAN"))
STEPS, SAVE_EVERY, SEEDS = 50_000, 2_000, (11, 12, 13)


def options(data: str, method: str, seed: int, steps: int = STEPS, device: str = "cpu") -> ToyOptions:
    """The options of one cell."""
    trick, pack = METHODS[method]
    return options_for(data, "non-saturating", trick, **published(pack), steps=steps, seed=seed, device=device)


def name_of(options: ToyOptions) -> str:
    """What a cell's folder is called, as ring-PacGAN2-11."""
    row = (options.trick, options.pack if options.trick == "packing" else 1)
    return f"{options.data}-{next(name for name, other in METHODS.items() if other == row)}-{options.seed}"


def order(seeds: Sequence[int] = SEEDS) -> list[tuple[str, str, int]]:
    """All cells (set, method, seed) in the order in which they are run."""
    rest = [(data, method) for method in METHODS for data in ("ring", "grid") if (data, method) not in FIRST]
    return [(*cell, seed) for cells in (FIRST, rest) for seed in seeds for cell in cells]


def train(options: ToyOptions, folder: Path) -> dict:
    """The figures of one run, which goes on from the state in `folder`, where there is one. ms_per_step: of processor
    time, in this process."""
    trainer = ToyTrainer(options)
    if (state := cells.saved(folder, options)) is not None:
        trainer.state().restore(state.arrays, state.state)
        trainer.steps_done = state.step
    make_folder(folder)
    start, first, diverged = time.process_time(), trainer.steps_done, None
    try:
        for step in trainer.train(SAVE_EVERY):
            arrays, rest = trainer.state().save()
            cells.save(folder, step, arrays, {"options": asdict(options), **rest})
    except TrainingError as error:
        diverged = str(error)
    figures = trainer.figures() | {"diverged": diverged}
    figures["ms_per_step"] = round((time.process_time() - start) / max(trainer.steps_done - first, 1) * 1e3, 2)
    if not np.isfinite(figures["reverse_kl"]):
        figures["reverse_kl"] = None
    return figures


def cell(options: ToyOptions, folder: Path) -> dict:
    """The figures of one cell, from its line or by training it to the end; then its state goes and its line stays."""
    path = folder / "cells.jsonl"
    figures = cells.find(cells.lines(path), options)
    if figures is not None:
        return figures
    state = folder / name_of(options)
    figures = train(options, state)
    cells.append(path, asdict(options), figures)
    shutil.rmtree(state)
    return figures


def run(
    out: str | os.PathLike,
    seeds: Sequence[int] = SEEDS,
    jobs: int = 1,
    show: Callable[[str], None] = lambda _: None,
    steps: int = STEPS,
    device: str = "cpu",
) -> dict:
    """Every cell, in order, each from where it was left; the table as JSON-able figures. The page is drawn even where
    the run is stopped."""
    out = Path(out)
    make_folder(out)
    try:
        with side_by_side(out, jobs, show, cell) as trained:
            trained([options(*row, steps, device) for row in order(seeds)])
    finally:
        figures = table(out, seeds, steps, device)
        atomic_write(out / "protocol.json", json.dumps(figures, indent=1))
        atomic_write(out / "protocol.md", markdown(figures))
    return figures


def table(out: Path, seeds: Sequence[int] = SEEDS, steps: int = STEPS, device: str = "cpu") -> dict:
    """What the folder's lines say: a row for each set and method, from the seeds that are done."""
    lines = cells.lines(out / "cells.jsonl")
    rows = []
    for data in ("ring", "grid"):
        for method in METHODS:
            wanted = [options(data, method, seed, steps, device) for seed in seeds]
            done = [cells.find(lines, o) for o in wanted]
            runs = [figures for figures in done if figures is not None]
            row: dict = {"data": data, "method": method, "done": len(runs), "of": len(wanted)}
            still = [name_of(o) for o, figures in zip(wanted, done, strict=True) if figures is None]
            row["open"] = {name: _reached(out / name) for name in still}
            values = {key: [f[key] for f in runs if f.get(key) is not None] for key in FIGURES}
            row |= {key: interval(some) if runs and len(some) == len(runs) else None for key, some in values.items()}
            row["values"], row["diverged"] = values, sum(f["diverged"] is not None for f in runs)
            row["ms_per_step"] = interval([f["ms_per_step"] for f in runs])[0] if runs else None
            rows.append(row)
    nulls = {data: null_scores(toydata.load(data)) for data in ("ring", "grid")}
    nulls = {data: {n: {k: f[k] for k in FIGURES} for n, f in some.items()} for data, some in nulls.items()}
    for row in (row for some in nulls.values() for row in some.values()):
        row["reverse_kl"] = row["reverse_kl"] if np.isfinite(row["reverse_kl"]) else None
    return {"steps": steps, "seeds": list(seeds), "rows": rows, "null_models": nulls, "published": PUBLISHED_SCORES}


def _reached(folder: Path) -> int:
    """The step that an unfinished cell's state was saved at."""
    paths = checkpoint.paths(folder) if folder.is_dir() else []
    return checkpoint.step_of(paths[0]) if paths else 0


TITLES = ("set", "method", "seeds", *(f"{f.title} {'↑' if f.better > 0 else '↓'}" for f in FIGURES.values()))


def _rows(figures: dict) -> list[list[str]]:
    rows = []
    for data in ("ring", "grid"):
        for row in (row for row in figures["rows"] if row["data"] == data):
            begun = [f"step {step:,}" for step in row["open"].values() if step]
            seeds = f"{row['done']} of {row['of']}" + (f" ({', '.join(begun)})" if begun else "")
            cells = [_pm(row[key], f.digits) for key, f in FIGURES.items()] if row["done"] else ["-"] * len(FIGURES)
            rows.append([data, row["method"], seeds, *cells])
            for where, system, modes, half, share, kl in figures["published"]:
                if (where, system) == (data, row["method"]):
                    there = {
                        "modes": f"{modes:.1f}+-{half:.1f}",
                        "high_quality": f"{share:.3f}",
                        "reverse_kl": f"{kl:.2f}",
                    }
                    rows.append([data, f"{system}, published", "10", *(there.get(key, "") for key in FIGURES)])
        for name, row in figures["null_models"][data].items():
            alone = [None if row[key] is None else (row[key], None) for key in FIGURES]
            cells = [_pm(value, f.digits) for value, f in zip(alone, FIGURES.values(), strict=True)]
            rows.append([data, name, "1", *cells])
    return rows


def _pm(value: Sequence | None, digits: int) -> str:
    if value is None:
        return "-"
    return f"{value[0]:.{digits}f}" + ("" if value[1] is None else f"+-{value[1]:.{digits}f}")


def text(figures: dict) -> str:
    """The table for a person."""
    widths = (5, 20, 24, *(14 for _ in FIGURES))
    rows = [TITLES, *_rows(figures)]
    return "\n".join("".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def hours(figures: dict) -> str:
    """What a whole table takes, from the cells that are done."""
    times = [f"{row['method']} {row['ms_per_step']:.0f} ms" for row in figures["rows"] if row["ms_per_step"]]
    return f"Processor time a step, where a cell is done: {', '.join(times)}." if times else "No cell is done yet."


def markdown(figures: dict) -> str:
    """The page."""
    count, whole = sum(row["done"] for row in figures["rows"]), sum(row["of"] for row in figures["rows"])
    lines = [
        "# The published protocol in the plane",
        "",
        f"`minigan scoreboard --protocol`: {figures['steps']:,} updates a cell, {toydata.SAMPLES:,} samples, seeds"
        f" {', '.join(map(str, figures['seeds']))}. {count} of {whole} cells are done; a method none of whose cells is"
        " done has no figures yet, and the command goes on from there. Mean and half width of Student's 95 % interval"
        " over the seeds that are done; ↑ more is better, ↓ less.",
        "",
        "| " + " | ".join(TITLES) + " |",
        "|" + "---|" * len(TITLES),
        *("| " + " | ".join(row) + " |" for row in _rows(figures)),
        "",
        f"{hours(figures)} Modes are counted as published, with one good sample each; a mode is held with half of its"
        " share of good samples. The published intervals are as printed there, of ten runs.",
    ]
    return "\n".join(lines) + "\n"
