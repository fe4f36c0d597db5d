"""`minigan bands`: the first steps of five runs of every system at its defaults, and the bands of their curves.

OUT/SYSTEM-SEED-*.json   the rows of a run, means of 25 steps each, as stats.jsonl has them
OUT/bands.json           system -> options, seeds, steps, and of each curve the lower and the upper ends of its band
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ... import data
from ..._files import atomic_write, make_folder
from ..bands import bands_of
from ..records import TICK
from ..systems.table import options_for, trainer_for
from ..train import TrainingError
from . import cells

SEEDS = (21, 22, 23, 24, 25)
STEPS = 250


@dataclass(frozen=True)
class Cell:
    """The first steps of one run at the defaults."""

    system: str
    seed: int
    steps: int

    @property
    def name(self) -> str:
        return f"{self.system}-{self.seed}"


def cell(one: Cell, folder: Path) -> dict:
    """The rows of one run, from its file or by training it."""
    return cells.from_file(folder, one.name, one, _rows)


def _rows(one: Cell) -> dict:
    options = options_for(one.system, seed=one.seed)
    trainer, rows, steps = trainer_for(options, data.load(options.data, size=options.size)), [], list[dict]()
    try:
        while trainer.steps_done < one.steps:
            steps.append(trainer.step())
            if trainer.steps_done % TICK == 0:
                keys = dict.fromkeys(key for step in steps for key in step)
                means = {key: float(np.mean([step[key] for step in steps if key in step])) for key in keys}
                rows.append({"step": trainer.steps_done, **means})
                steps = []
    except TrainingError as error:
        return {"rows": rows, "diverged": str(error)}
    return {"rows": rows, "diverged": None}


def run(
    out: Path,
    systems: Sequence[str],
    seeds: Sequence[int] = SEEDS,
    jobs: int = 1,
    show: Callable[[str], None] = lambda _: None,
    steps: int = STEPS,
) -> dict:
    """Every run, resumed from `out`; OUT/bands.json is written after every system. Raises TrainingError where a run at
    the defaults diverges."""
    make_folder(out)
    record: dict[str, dict] = {}
    with cells.side_by_side(out, jobs, show, cell, lambda one: one.name) as trained:
        for system in systems:
            results = trained([Cell(system, seed, steps) for seed in seeds])
            for seed, figures in zip(seeds, results, strict=True):
                if figures["diverged"]:
                    raise TrainingError(f"bands: {system}, seed {seed}, diverged: {figures['diverged']}")
            bands = bands_of([figures["rows"] for figures in results])
            record[system] = {
                "options": asdict(options_for(system)),
                "seeds": list(seeds),
                "steps": list(next(iter(bands.values())).steps),
                "curves": {key: [band.low, band.high] for key, band in bands.items()},
            }
            atomic_write(out / "bands.json", json.dumps(record, separators=(",", ":")) + "\n")
    return record
