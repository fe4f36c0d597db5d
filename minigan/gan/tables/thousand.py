"""`minigan modes`: the modes of stacked digits that each method holds (Lin et al. 2018, table 4; Metz et al. 2017).

    data       `stacked`: 1,000 classes, three digits each
    networks   DCGAN's; G of 64, 32, 16 filters, D of 2, 4, 8: a quarter of the 8, 16, 32 of the published critic
    judged     by the digits' classifier on each channel: modes, modes of confident samples, reverse KL

Where a critic of a quarter collapses, as the recipe of today's does, a row has one of the generator's width beside it.

A method is a system with options; packs of three have a batch that they divide. Cells are kept as lines, and go on
where they were stopped (image_cells.py).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ..._files import atomic_write, make_folder
from ...backend import Generator
from ...backend import device as check_device
from ..metrics.judging import judge_of
from ..metrics.modes import PUBLISHED, observe_modes
from ..options import CommonOptions
from ..systems.table import SYSTEMS, options_for
from ..train import METRIC_STREAM, Trainer
from . import cells, image_cells

SMALL = {"data": "stacked", "base": 16, "critic_base": 2}
STEPS, SEEDS = 3000, (11, 12, 13)

METHODS: dict[str, tuple[str, dict]] = {
    "DCGAN": ("dcgan", {}),
    "LSGAN": ("lsgan", {}),
    "WGAN-GP": ("wgan-gp", {"steps": 1000}),
    "PacDCGAN2": ("dcgan", {"trick": "packing=2"}),
    "PacDCGAN3": ("dcgan", {"trick": "packing=3", "batch_size": 63}),
    "PacDCGAN4": ("dcgan", {"trick": "packing=4"}),
    "unrolled, 5 steps": ("dcgan", {"trick": "unrolled=5"}),
    "minibatch discrimination": ("dcgan", {"trick": "minibatch"}),
    "recipe of today": ("r3gan", {}),
    "recipe of today, whole critic": ("r3gan", {"critic_base": 16, "steps": 6000}),
}
"""Name -> (system, options beside `SMALL`)."""


def options(method: str, seed: int, device: str = "cpu", steps: int | None = None) -> CommonOptions:
    """The options of one cell."""
    name, changes = METHODS[method]
    small = {key: value for key, value in SMALL.items() if key in SYSTEMS[name].takes}
    settings = {"steps": STEPS, **small, **changes, "seed": seed, "device": device}
    return options_for(name, **(settings if steps is None else settings | {"steps": steps}))


def name_of(options: CommonOptions) -> str:
    """What a cell's files are called, as dcgan-packing2-11."""
    trick = getattr(options, "trick", "").replace("=", "")
    whole = "whole" if getattr(options, "critic_base", 0) > SMALL["critic_base"] else ""
    return "-".join(filter(None, [options.system, whole, trick, str(options.seed)]))


class _Judged:
    """What is judged of a cell's trainer: so many samples. An object, so that a process of its own can take it."""

    def __init__(self, samples: int) -> None:
        self.samples = samples

    def __call__(self, options: CommonOptions, out: Path) -> dict:
        return image_cells.cell(options, out / f"{self.samples}", name_of(options), self._figures)

    def _figures(self, trainer: Trainer) -> dict:
        images = trainer.draw(self.samples, Generator(trainer.options.seed, METRIC_STREAM))
        model = judge_of(trainer.options.data, trainer.info).model
        return observe_modes(images, model, trainer.dataset)[0]["modes"]


def run(
    out: str | os.PathLike,
    jobs: int = 1,
    seeds: Sequence[int] | None = None,
    show: Callable[[str], None] = lambda _: None,
    device: str = "cpu",
    steps: int | None = None,
    samples: int = 25_600,
) -> dict:
    """Every method, seed by seed, resumed from `out`; the table as JSON-able figures. The page
    is made of the cells that are done even where the run is stopped. Raises ValueError for an unknown device."""
    check_device(device)
    out, seeds = Path(out), list(seeds or SEEDS)
    make_folder(out / f"{samples}")
    wanted = [options(method, seed, device, steps) for seed in seeds for method in METHODS]
    try:
        with cells.side_by_side(out, jobs, show, _Judged(samples), name_of, _brief) as trained:
            trained(wanted)
    finally:
        figures = table(out, seeds, device, steps, samples)
        atomic_write(out / "modes.json", json.dumps(figures, indent=1))
        atomic_write(out / "modes.md", markdown(figures))
    return figures


def _brief(figures: dict) -> str:
    return f"{figures['modes']} modes, {figures['sure']} of them sure, reverse KL {figures['reverse_kl']:.2f}"


def table(out: Path, seeds: Sequence[int], device: str, steps: int | None, samples: int) -> dict:
    """What the folder's lines say: for each method the mean and interval over the seeds that are done."""
    lines = cells.lines(out / f"{samples}" / image_cells.LINES)
    rows = {}
    for method in METHODS:
        wanted = [options(method, seed, device, steps) for seed in seeds]
        runs = [figures for o in wanted if (figures := cells.find(lines, o)) is not None]
        row = {"done": len(runs), "steps": wanted[0].steps, "published": PUBLISHED.get(method)}
        row |= {key: cells.interval([run[key] for run in runs]) if runs else None for key in FIGURES}
        rows[method] = row | {"diverged": sum(run["diverged"] is not None for run in runs)}
    real = lines[0]["figures"]["real"] if lines else None
    return {"samples": samples, "seeds": list(seeds), "rows": rows, "real": real}


FIGURES = {"modes": ("modes ↑", 1), "sure": ("sure ↑", 1), "reverse_kl": ("reverse KL ↓", 2)}
"""Key -> title, digits."""


def _lines(figures: Mapping) -> list[list[str]]:
    rows = []
    for method, row in figures["rows"].items():
        if not row["done"]:
            cell = ["not done", *[""] * (len(FIGURES) - 1)]
        else:
            cell = [_pm(row[key], digits) for key, (_, digits) in FIGURES.items()]
            cell[0] += f", {row['diverged']} diverged" if row["diverged"] else ""
        published = "" if row["published"] is None else f"{row['published']}"
        rows.append([method, f"{row['done']}", *cell, published])
    if (real := figures["real"]) is not None:
        rows.append(["real classes", "", f"{real['modes']['value']:.1f}", "", f"{real['reverse_kl']['value']:.2f}", ""])
    return rows


def _pm(value: Sequence, digits: int) -> str:
    return f"{value[0]:.{digits}f}" + ("" if value[1] is None else f"+-{value[1]:.{digits}f}")


TITLES = ("method", "seeds", *(title for title, _ in FIGURES.values()), "modes, published")


def text(figures: Mapping) -> str:
    """The table for a person."""
    widths = (32, 7, 34, 14, 16, 18)
    rows = [TITLES, *_lines(figures)]
    return "\n".join("".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def markdown(figures: Mapping) -> str:
    """The page."""
    lines = [
        "# A thousand modes",
        "",
        f"`minigan modes`: stacked digits, {figures['samples']:,} samples a cell, seeds"
        f" {', '.join(map(str, figures['seeds']))}; mean and half width of Student's 95 % interval. Of as many draws of"
        " the real classes, each image right, the last row holds so many. Published by Lin et al. 2018, whose runs are"
        " longer.",
        "",
        "| " + " | ".join(TITLES) + " |",
        "|" + "---|" * len(TITLES),
        *("| " + " | ".join(row) + " |" for row in _lines(figures)),
    ]
    return "\n".join(lines) + "\n"
