"""`minigan scoreboard --systems`: all systems that need no condition, side by side, at equal time.

Each cell trains one system on one data set for the same processor time of one thread, its networks at their defaults
and its images of 32 x 32. How many steps that is, a probe says before, so that a schedule over the steps ends where the
time does. Then the test half of the held-out images judges, beside real images and the null models.

OUT/DATA-SYSTEM-SEED-*.json   a finished cell (cells.py); an interrupted one starts again
OUT/DATA-SYSTEM-SEED.png      16 of its samples
OUT/systems.md, .json, .png   the tables, and the samples of the first seed
"""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ... import data, viz
from ..._files import atomic_write, make_folder
from ...backend import Generator
from ..metrics import attributes
from ..metrics.judging import judge_of
from ..systems.table import options_for, trainer_for
from ..train import METRIC_STREAM, PREVIEW_STREAM, Trainer, TrainingError
from . import cells

SYSTEMS = ("dcgan", "lsgan", "ebgan", "gan", "wgan", "wgan-gp", "hinge", "vae", "ali", "r3gan", "lapgan", "stylegan")
"""The three of the lectures' page first."""

DATA = ("digits", "avatars", "emoji")
SEEDS = (11, 12, 13)
MINUTES, SIZE, SAMPLES, SHOWN = 2.0, 32, 1000, 16
WARM, PROBE = 3, 10
FIGURES = (
    ("frechet", "Frechet ↓", "{:.1f}"),
    ("recall", "recall ↑", "{:.2f}"),
    ("coverage", "coverage ↑", "{:.2f}"),
)


@dataclass(frozen=True)
class Cell:
    """One system on one data set. minutes: of one thread's processor time."""

    system: str
    data: str
    seed: int
    minutes: float
    size: int = SIZE
    samples: int = SAMPLES

    @property
    def name(self) -> str:
        return f"{data.slug(self.data)}-{self.system}-{self.seed}"


def cell(one: Cell, folder: Path) -> dict:
    """The figures of one cell, from its file or by running it."""
    known = one.data == data.slug(one.data)  # else a folder's images, which may change
    digest = "" if known else data.load(one.data, size=one.size).digest()
    return cells.from_file(folder, one.name, one, lambda cell: _figures(cell, folder), digest)


def steps_within(trainer: Trainer, seconds: float) -> int:
    """How many steps of this trainer's take `seconds` of processor time, at least 1, by the mean of `PROBE` steps after
    `WARM` ones; they are trained."""
    for _ in range(WARM):
        trainer.step()
    start = time.process_time()
    for _ in range(PROBE):
        trainer.step()
    return max(1, round(seconds / ((time.process_time() - start) / PROBE)))


def _figures(one: Cell, folder: Path) -> dict:
    options = options_for(one.system, data=one.data, size=one.size, seed=one.seed)
    dataset = data.load(one.data, size=one.size)
    steps = steps_within(trainer_for(options, dataset), 60 * one.minutes)
    trainer, diverged = trainer_for(replace(options, steps=steps), dataset), None
    start = time.process_time()
    try:
        while trainer.steps_done < steps:
            trainer.step()
    except TrainingError as error:
        diverged = str(error)
    seconds = time.process_time() - start
    viz.save_grid(
        folder / f"{one.name}.png", trainer.draw(SHOWN, Generator(one.seed, PREVIEW_STREAM)), columns=4, scale=1
    )
    seen = trainer.observe_on("test", one.samples, Generator(one.seed, METRIC_STREAM)).figures
    return {
        "steps": trainer.steps_done,
        "seconds": round(seconds, 1),
        "diverged": diverged,
        **{key: float(seen["details"][key]["value"]) for key, _, _ in FIGURES},
        "real": {key: float(seen["details"]["real"][key]["value"]) for key, _, _ in FIGURES},
        "noise": {key: float(seen["null_models"]["noise"][key]["value"]) for key, _, _ in FIGURES},
        "winners": list(seen["winners"]),
    }


def check(names: Sequence[str]) -> None:
    """Raises ValueError where a data set is unknown or has no judge, which says how to get one."""
    for name in names:
        dataset = data.load(name, size=SIZE)
        if dataset.labels is None and dataset.attributes is not None:
            attributes.load_for(dataset)
        else:
            judge_of(name, dataset.info)


def run(
    out: str | os.PathLike,
    names: Sequence[str] = DATA,
    seeds: Sequence[int] = SEEDS,
    jobs: int = 1,
    show: Callable[[str], None] = lambda _: None,
    minutes: float = MINUTES,
    systems: Sequence[str] = SYSTEMS,
) -> dict:
    """Every cell, resumed from `out`, seed by seed; the tables as JSON-able figures, whose page and picture are written
    after every seed and data set. Raises ValueError where a data set has no judge."""
    check(names)
    folder = Path(out)
    make_folder(folder)
    rows: dict[tuple[str, str], list[dict]] = {}
    record: dict[str, Any] = {}
    with cells.side_by_side(folder, jobs, show, cell, lambda one: one.name, _brief) as trained:
        for seed in seeds:
            for name in names:
                wanted = [Cell(system, name, seed, minutes) for system in systems]
                for one, figures in zip(wanted, trained(wanted), strict=True):
                    rows.setdefault((name, one.system), []).append(
                        {"seed": seed, "sheet": f"{one.name}.png", **figures}
                    )
                record = {
                    "minutes": minutes,
                    "rows": [{"data": d, "system": s, "runs": r} for (d, s), r in rows.items()],
                }
                atomic_write(folder / "systems.json", json.dumps(record, indent=1))
                atomic_write(folder / "systems.md", markdown(record))
                save_matrix(folder / "systems.png", record, folder)
    return record


def _brief(figures: dict) -> str:
    return f"{figures['steps']} steps, Frechet {figures['frechet']:.1f}"


def table(record: Mapping, name: str) -> list[list[str]]:
    """Rows of one data set, the smallest mean Frechet distance first: system, seeds, steps, figures over the seeds with
    Student's interval, and the null models that a run did not beat; then real images and noise."""
    rows = [row for row in record["rows"] if row["data"] == name]
    rows.sort(key=lambda row: cells.interval([run["frechet"] for run in row["runs"]])[0])
    lines = []
    for row in rows:
        runs = row["runs"]
        texts = [_spread([run[key] for run in runs], form) for key, _, form in FIGURES]
        lost = sorted({winner for run in runs for winner in run["winners"]})
        verdict = f"**no**: {', '.join(lost)}" if lost else "yes"
        gone = [f"{run['seed']} at step {run['steps'] + 1}" for run in runs if run["diverged"]]
        verdict += f"; diverged: {', '.join(gone)}" if gone else ""
        lines.append([row["system"], str(len(runs)), f"{min(run['steps'] for run in runs):,}", *texts, verdict])
    first = rows[0]["runs"][0]
    for title, key in (("real images", "real"), ("noise of their spectrum", "noise")):
        lines.append([title, "", "", *(form.format(first[key][figure]) for figure, _, form in FIGURES), ""])
    return lines


def _spread(values: list[float], form: str) -> str:
    mean, half = cells.interval(values)
    return form.format(mean) + ("" if half is None else f"+-{form.format(half)}")


HEAD = ["system", "seeds", "steps", *(title for _, title, _ in FIGURES), "beats every null model"]


def text(record: Mapping) -> str:
    """The tables for a person at a terminal."""
    lines = []
    for name in dict.fromkeys(row["data"] for row in record["rows"]):
        lines += ["", name, *("  ".join(f"{value:<16}" for value in row) for row in [HEAD, *table(record, name)])]
    return "\n".join(lines[1:])


def markdown(record: Mapping, picture: str = "systems.png") -> str:
    """The page. picture: the path of the samples beside it."""
    lines = [
        "# Systems side by side",
        "",
        f"`minigan scoreboard --systems --minutes {record['minutes']:g}`: every system that needs no condition trains"
        " for so many minutes of one thread's processor time, its options at their defaults but for the"
        f" number of steps, images of {SIZE} x {SIZE}. {SAMPLES:,} samples beside the test half of the held-out images,"
        " or as many as there are; a system is named by its smallest mean Frechet distance first, of mean and"
        " half width of Student's 95 % interval where there are several seeds. Distances of different data sets are of"
        " different judges and cannot be compared.",
        "",
        f"![samples of every system]({picture})",
    ]
    for name in dict.fromkeys(row["data"] for row in record["rows"]):
        rows = table(record, name)
        lines += ["", f"## {name}", "", f"| {' | '.join(HEAD)} |", "|" + "---|" * len(HEAD)]
        lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def save_matrix(path: str | os.PathLike, record: Mapping, folder: Path) -> None:
    """A PNG of the first seed's samples: a row a data set, a column a system. folder: of the cells' sheets."""
    from matplotlib.figure import Figure
    from PIL import Image

    names, systems = (list(dict.fromkeys(row[key] for row in record["rows"])) for key in ("data", "system"))
    figure = Figure(figsize=(1.5 * len(systems) + 0.5, 1.75 * len(names) + 0.3), layout="constrained")
    axes = figure.subplots(len(names), len(systems), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for row in record["rows"]:
        axis, run = axes[names.index(row["data"])][systems.index(row["system"])], row["runs"][0]
        axis.set_title(f"{row['system']}\nFrechet {run['frechet']:.0f}", fontsize=8, color=viz.INK)
        if (sheet := folder / run["sheet"]).exists():
            with Image.open(sheet) as image:
                axis.imshow(image.convert("RGB"), interpolation="nearest")
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=110)
    atomic_write(path, file.getvalue())
