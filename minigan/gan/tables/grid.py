"""`minigan grid`: four losses on seven pairs of networks, the robustness grid (Gulrajani et al. 2017, figure 2).

    rows      DCGAN, LSGAN, WGAN with clipped weights, WGAN-GP: the systems of these names
    columns   DCGAN's networks, and these spoilt in one way each; 101 residual layers (networks/variants.py, deep.py)

The claim: "WGAN-GP is the only method that trains in every column". A cell succeeds where each of three figures of
1,000 samples is good enough, beside those of the test half of the held-out images:

    classes      at least 9 of 10 of the classes are present (more than 0.5 % of the samples each)
    confident    the judge is sure of a share of at least half of the real images'
    realistic    precision on features of length 1 (metrics/realism.py) is at least half of the real images'

Each asks for what the others let pass: noise has all classes, one digit over and over is confident and realistic. The
null models go through the same criterion, and the table says which of them pass it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ...backend import Generator
from ..metrics import classifier, null_models
from ..metrics.judging import judge_of
from ..metrics.realism import realistic
from ..metrics.report import CONFIDENT, PRESENT
from ..options import CommonOptions
from ..systems.table import options_for
from ..train import METRIC_STREAM, Trainer
from . import cells, image_cells

ROWS = {"DCGAN": "dcgan", "LSGAN": "lsgan", "WGAN, clipped": "wgan", "WGAN-GP": "wgan-gp"}
"""Title -> system."""

COLUMNS: dict[str, dict] = {
    "baseline": {"network": "dcgan"},
    "G without norm,\nconstant filters": {"network": "constant"},
    "G a perceptron\nof 4 layers": {"network": "mlp-generator"},
    "no norm\nin either": {"network": "bare", "critic_norm": False},
    "gated": {"network": "gated"},
    "tanh": {"network": "tanh"},
    "101 layers": {"network": "resnet101"},
}
"""Title -> options."""

CLASSES, SHARE = 0.9, 0.5
SAMPLES, SEED = 1000, 11
COPIES = ("copies", "moved copies")
"""Null models that meet the criterion as training images do."""


@dataclass(frozen=True)
class Setting:
    """How large a grid is. steps: of rows with one critic step a generator step, and of those with five. deep: the
    share of them that the last column gets. rates: system -> learning rate other than its default."""

    steps: tuple[int, int]
    deep: float
    seeds: int
    changes: dict
    rates: dict = field(default_factory=dict)


SETTINGS = {
    "quick": Setting((2000, 700), 1 / 8, 1, {"base": 16, "batch_size": 32}, {"dcgan": 1e-3, "wgan-gp": 1e-3}),
    "standard": Setting((4_000, 2_000), 1 / 4, 1, {"base": 32, "batch_size": 32}),
    "full": Setting((100_000, 40_000), 1, 3, {"base": 64, "batch_size": 64}),
}
"""quick: about a minute a cell on one thread; standard: an evening on two cores; full: weeks, or a GPU."""


def options(
    size: str, row: str, column: str, seed: int, device: str = "cpu", steps: int | None = None
) -> CommonOptions:
    """The options of one cell. steps: in place of the setting's."""
    setting, name = SETTINGS[size], ROWS[row]
    defaults = options_for(name)
    count = setting.steps[defaults.n_critic > 1] * (setting.deep if column == "101 layers" else 1)
    rate = {"lr": setting.rates[name]} if name in setting.rates else {}
    changes = {**setting.changes, **rate, **COLUMNS[column]}
    return options_for(name, **changes, steps=steps or round(count), seed=seed, device=device)


def name_of(options: CommonOptions) -> str:
    """What a cell's files are called, as wgan-gp-tanh-11."""
    return f"{options.system}-{options.network}-{options.seed}"


def judged(trainer: Trainer) -> dict:
    """ "present", "confident" and "realistic" of a trainer's samples."""
    images = trainer.draw(SAMPLES, Generator(trainer.options.seed, METRIC_STREAM))
    return figures_of(images, trainer.options.data, trainer.options.size)


def figures_of(images: np.ndarray, data: str, size: int) -> dict:
    """The same of images (N, C, S, S) in [-1, 1], by the judge of a data set."""
    dataset = image_cells.dataset_of(data, size)
    model = judge_of(data, dataset.info).model
    parts = [p for _, p in classifier.judge(model, classifier.shrunk(images))]
    probabilities = np.concatenate(parts)
    shares = np.bincount(probabilities.argmax(1), minlength=len(dataset.class_names)) / len(images)
    return {
        "classes": len(dataset.class_names),
        "present": int((shares > PRESENT).sum()),
        "confident": float((probabilities.max(1) > CONFIDENT).mean()),
        "realistic": realistic({"images": images}, model, dataset.half("test"))["images"],
    }


def failures(figures: Mapping, real: Mapping) -> list[str]:
    """The parts of the criterion that figures do not meet, beside those of real images; none for a success."""
    if figures.get("diverged"):
        return ["diverged"]
    missed = ["classes"] if figures["present"] < CLASSES * figures["classes"] else []
    return missed + [key for key in ("confident", "realistic") if not figures[key] >= SHARE * real[key]]


def cell(options: CommonOptions, out: Path) -> dict:
    """The figures of one cell, from its line or by training it."""
    return image_cells.cell(options, out, name_of(options), judged)


def beside(out: Path, data: str, size: int) -> dict[str, dict]:
    """ "real images", the test half of the held-out ones, and each null model -> figures, from their line or anew."""
    key = {"beside": data, "size": size, "samples": SAMPLES}
    path = out / "beside.jsonl"
    for record in cells.lines(path):
        if record["options"] == key:
            return record["figures"]
    dataset = image_cells.dataset_of(data, size)
    train = classifier.prepared(dataset, dataset.train)
    sets = {"real images": classifier.prepared(dataset, dataset.half("test").held_out)}
    random = np.random.default_rng(0)
    sets |= {row.name: row.draw(train, SAMPLES, random).astype(np.float32) for row in null_models.SAMPLES}
    figures = {name: figures_of(images, data, size) for name, images in sets.items()}
    cells.append(path, key, figures)
    return figures


def table(size: str, out: Path, seeds: Sequence[int], device: str = "cpu", steps: int | None = None) -> dict:
    """What the folder's lines say: for each row and column the seeds that are done, with what each missed."""
    first = options(size, "DCGAN", "baseline", seeds[0], device, steps)
    nulls = beside(out, first.data, first.size)
    real = nulls.pop("real images")
    lines = cells.lines(out / image_cells.LINES)
    entries = []
    for row in ROWS:
        for column in COLUMNS:
            wanted = [options(size, row, column, seed, device, steps) for seed in seeds]
            runs = [(o, figures) for o in wanted if (figures := cells.find(lines, o)) is not None]
            results = [f | {"name": name_of(o), "seed": o.seed, "missed": failures(f, real)} for o, f in runs]
            entries.append({"row": row, "column": column, "steps": wanted[0].steps, "runs": results})
    passed = [name for name, figures in nulls.items() if name not in COPIES and not failures(figures, real)]
    return {
        "setting": size,
        "seeds": list(seeds),
        "entries": entries,
        "real": real,
        "null_models": {name: f | {"missed": failures(f, real)} for name, f in nulls.items()},
        "criterion_passed_by": passed,
        "claim": claim(entries, len(seeds)),
    }


def claim(entries: Sequence[Mapping], seeds: int = 1) -> dict:
    """Row -> columns in which every seed that is done succeeds; and what that says of "only WGAN-GP trains in every
    column", once all `seeds` of every cell are."""
    successes = {
        row: [e["column"] for e in entries if e["row"] == row and e["runs"] and not any(r["missed"] for r in e["runs"])]
        for row in ROWS
    }
    whole = [row for row, columns in successes.items() if len(columns) == len(COLUMNS)]
    if any(len(e["runs"]) < seeds for e in entries):
        verdict = "open: not every cell is done"
    elif whole == ["WGAN-GP"]:
        verdict = "confirmed: WGAN-GP alone trains in every column"
    elif "WGAN-GP" in whole:
        others = ", ".join(row for row in whole if row != "WGAN-GP")
        verdict = f"half confirmed: WGAN-GP trains in every column, but so does {others}"
    else:
        counts = ", ".join(f"{row} {len(columns)}" for row, columns in successes.items())
        verdict = f"not confirmed: WGAN-GP does not train in every column here; columns of {len(COLUMNS)}: {counts}"
    return {"successes": successes, "verdict": verdict}
