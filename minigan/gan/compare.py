"""`minigan scoreboard --images`: every trick beside the plain run that it is a switch of, on images of digits.

All train with the same networks, budget and seeds, at a budget where the judge is sure of two thirds of the plain run's
samples, so that there is something to gain and something to lose. The verdicts rest on the confident share, which is
quality alone, and on the Frechet distance, in which quality and diversity come together: a trick helps or hurts where
Welch's 95 % interval of the difference of the means leaves out zero. Of some sixty such verdicts three are expected to
be chance. A row is a change of the options of `minigan train`; the numbers of a trick are its defaults, not tuned.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .. import data
from .._files import atomic_write, make_folder
from ..backend import Generator
from .losses import nearest
from .metrics import null_models, report
from .metrics.classifier import prepared
from .metrics.judging import judge_of
from .options import CommonOptions
from .systems.switches import SWITCHES
from .systems.table import options_for, trainer_for
from .tables.cells import from_file, side_by_side
from .toy import compare
from .toy.nulls import REALS, Figure
from .train import METRIC_STREAM, TrainingError
from .tricks import ImpossiblePair

SEEDS = (11, 12, 13)
SYSTEM = "lsgan"
BUDGET: dict[str, Any] = {
    "data": "digits",
    "loss": "least-squares",
    "steps": 1500,
    "batch_size": 16,
    "base": 8,
    "latent": 32,
    "lr": 2e-3,
    "average": 0.98,
    "n_critic": 1,
    "critic_norm": False,
}
"""Chosen on seeds 0 to 2 by the validation half of the held-out images; the figures are of others."""

SAMPLES = 2000
COLUMNS = compare.Columns(
    {
        "confident": Figure("confident", 3, 1),
        "present": Figure("classes present", 1, 1),
        "frechet": Figure("Frechet", 1, -1),
    },
    ("confident", "frechet"),
)


@dataclass(frozen=True)
class Trick:
    """what: in words. changes: of the plain run's options, `system` among them."""

    what: str
    changes: dict[str, Any] = field(default_factory=dict)


def _penalty(what: str, name: str) -> Trick:
    return Trick(what, {"gp_weight": 10.0, "penalty": name})


TRICKS: dict[str, Trick] = {
    "plain": Trick("nothing"),
    "two-sided": _penalty("slope 1 between reals and fakes, weight 10", "two-sided"),
    "one-sided": _penalty("slope at most 1 between reals and fakes, weight 10", "one-sided"),
    "zero-centred": _penalty("slope 0 between reals and fakes, weight 10", "zero-centred"),
    "r1": _penalty("slope 0 at reals, weight 10", "r1"),
    "r2": _penalty("slope 0 at fakes, weight 10", "r2"),
    "spectral-norm": Trick("every critic weight over its largest singular value", {"spectral": True}),
    "batch-norm": Trick("batch norm in D", {"critic_norm": True}),
    "smoothing": Trick("reals are labelled 0.9", {"labels": "smooth"}),
    "soft-labels": Trick("reals are labelled 0.7 to 1, fakes 0 to 0.3", {"labels": "soft"}),
    "noisy-labels": Trick("labels are wrong in 5 of 100", {"labels": "noisy"}),
    "instance-noise": Trick("noise of 0.1 on D's images, fading", {"noise": 0.1}),
    "spherical": Trick("latents on a sphere", {"latents": "spherical"}),
    "uniform": Trick("latents uniform in [0, 1]", {"latents": "uniform"}),
    "two-rates": Trick("D learns four times as fast", {"rate_ratio": 4.0}),
    "low-rates": Trick("both learn a quarter as fast", {"lr": BUDGET["lr"] / 4}),
    "sparse": Trick("ReLU and max pooling in D", {"network": "pooling"}),
    "labels": Trick("both are told the class", {"system": "cgan"}),
    **{name: Trick(switch.what, {"trick": name}) for name, switch in SWITCHES.items()},
}


@dataclass(frozen=True)
class Cell:
    """One run of a row."""

    trick: str
    options: CommonOptions

    @property
    def title(self) -> str:
        return f"{self.trick} seed {self.options.seed}"


def options(trick: str, seed: int, **changes: Any) -> CommonOptions:
    """The options of one run. Raises ValueError for an unknown trick, with the nearest, and what options raise."""
    if trick not in TRICKS:
        raise nearest("trick", trick, TRICKS)
    settings = {**BUDGET, **changes, **TRICKS[trick].changes, "seed": seed}
    return options_for(settings.pop("system", SYSTEM), **settings)


def cell(run: Cell, folder: Path) -> dict:
    """The figures of one run, from its file or by running it. A run that diverges is a result too: `diverged` says
    where."""
    return from_file(folder, f"{run.trick}-{run.options.seed}", run.options, figures_of)


def figures_of(options: CommonOptions) -> dict:
    """Train, and what the judge says of the samples beside the test half of the held-out images."""
    start, diverged = time.perf_counter(), None
    trainer = trainer_for(options, data.load(options.data, size=options.size))
    try:
        while trainer.steps_done < options.steps:
            trainer.step()
    except TrainingError as error:
        diverged = str(error)
    images = trainer.draw(SAMPLES, Generator(options.seed, METRIC_STREAM))
    seconds = round(time.perf_counter() - start, 1)
    return {**judged(images, options.data), "diverged": diverged, "seconds": seconds}


def judged(images: np.ndarray, name: str) -> dict:
    """The figures of images (N, C, S, S) of a data set."""
    dataset = data.load(name).half("test")
    scores = report.evaluate(images, judge_of(name, dataset.info).model, dataset)
    return {key: getattr(scores, key) for key in COLUMNS.figures}


def null_scores(name: str, count: int = SAMPLES, seed: int = 0) -> dict[str, dict]:
    """Name -> figures: of as many real images, and of each null model that knows nothing."""
    dataset = data.load(name)
    train, random = prepared(dataset, dataset.train), np.random.default_rng(seed)
    samples = {REALS: prepared(dataset, data.evenly_spaced(dataset.half("test").held_out, count))}
    samples |= {
        row.name: row.draw(train, count, random).astype(np.float32)
        for row in null_models.SAMPLES
        if row.criteria == null_models.LEARNT
    }
    return {who: judged(images, name) for who, images in samples.items()}


def run(
    out: str | os.PathLike,
    tricks: Sequence[str] = tuple(TRICKS),
    seeds: Sequence[int] = SEEDS,
    jobs: int = 1,
    show: Callable[[str], None] = lambda _: None,
    **changes: Any,
) -> dict:
    """The plain run and each of `tricks`, resumed from the cells in `out`; the comparison as JSON-able figures. The
    page is written after every row."""
    folder = Path(out)
    make_folder(folder)
    rows, refused = {}, {}
    for name in ["plain", *(name for name in tricks if name != "plain")]:
        try:
            rows[name] = [Cell(name, options(name, seed, **changes)) for seed in seeds]
        except ImpossiblePair as error:
            refused[name] = str(error)
    budget = {**BUDGET, **changes}
    values, record, nulls = dict[str, list[dict]](), dict[str, Any](), null_scores(budget["data"])
    with side_by_side(folder, jobs, show, cell, lambda run: run.title, outcome) as cells:
        for name, runs in rows.items():
            values[name] = cells(runs)
            record = {
                "system": SYSTEM,
                "seeds": list(seeds),
                "budget": budget,
                "seconds": round(sum(f["seconds"] for row in values.values() for f in row), 1),
                "rows": compare.compared(values, COLUMNS),
                "refused": refused,
                "null_models": nulls,
            }
            atomic_write(folder / "images.json", json.dumps(record, indent=1))
            atomic_write(folder / "images.md", markdown(record))
    return record


def outcome(figures: dict) -> str:
    """The figures of a cell in a few words."""
    return f"{figures['confident']:.1%} confident, Frechet {figures['frechet']:.1f}"


def text(record: dict) -> str:
    """The comparison for a person."""
    return compare.text(record, COLUMNS)


def markdown(record: dict) -> str:
    """The page: what was run, every row, what the null models and real images get, what each trick does."""
    budget = ", ".join(f"{key} {value}" for key, value in record["budget"].items())
    verdicts = sum(len(row.get("verdict", ())) for row in record["rows"])
    changes = [[row["trick"], TRICKS[row["trick"]].what] for row in record["rows"] if row["trick"] != "plain"]
    lines = [
        "# Tricks against the plain run, on images",
        "",
        f"`minigan scoreboard --images`: {record['system']}, seeds {', '.join(map(str, record['seeds']))}, {budget}."
        f" Mean and half width of Student's 95 % interval over the seeds; {SAMPLES:,} samples a run, beside the test"
        f" half of the held-out images; ↑ more is better, ↓ less. The runs took {record['seconds']:,.0f} seconds.",
        "",
        "A sample is confident where a classifier that saw real images only gives one class more than 0.9. A trick"
        f" helps or hurts where Welch's 95 % interval of the difference leaves out zero; of {verdicts} verdicts about"
        f" {round(verdicts / 20)} do by chance. A trick's own numbers are its defaults, not tuned.",
        "",
        *compare.page(compare.table(record, COLUMNS)),
        "",
        *compare.page([["trick", "what it changes"], *changes]),
    ]
    return "\n".join(lines) + "\n"
