"""`minigan scoreboard --tricks`: every trick beside the plain run that it is a switch of.

Both train with the same loss, networks, budget and seeds, at a budget where the plain run puts well over 60 % of its
samples on a mode of the ring, so that there is something to gain and something to lose. The verdicts rest on the two
figures in which quality and modes come together, coverage and W1: a trick helps or hurts where Welch's 95 % interval of
the difference of the means leaves out zero. Of some sixty such verdicts three are expected to be chance.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..._files import atomic_write, make_folder
from ..tricks import ImpossiblePair
from . import data as toydata
from .cells import cell, difference, interval, side_by_side
from .nulls import DECIDING, FIGURES, REALS, Figure, null_scores
from .options import ToyOptions, options_for
from .tricks import TRICKS

SEEDS = (11, 12, 13)
BUDGET = {"steps": 3000, "batch_size": 64, "width": 64, "depth": 3, "lr_d": 1e-3, "lr_g": 1e-3}
"""Chosen on seeds 0 to 2, which are not reported."""


@dataclass(frozen=True)
class Columns:
    """Of a table: the figures, and the keys of those that decide."""

    figures: Mapping[str, Figure]
    deciding: tuple[str, ...]


POINTS = Columns(FIGURES, DECIDING)


def options(trick: str, seed: int, data: str = "ring", loss: str = "non-saturating", **changes) -> ToyOptions:
    """The options of one run; two rates and low rates are the trick's own business (tricks.py)."""
    return options_for(data, loss, trick, **{**BUDGET, **changes}, seed=seed)


def run(
    out: str | os.PathLike,
    tricks: Sequence[str] = tuple(TRICKS),
    seeds: Sequence[int] = SEEDS,
    jobs: int = 1,
    show: Callable[[str], None] = lambda _: None,
    data: str = "ring",
    loss: str = "non-saturating",
    **changes,
) -> dict:
    """The plain run and each of `tricks`, resumed from the cells in `out`; the comparison as JSON-able figures."""
    folder = Path(out)
    make_folder(folder)
    names = ["plain", *(name for name in tricks if name != "plain")]
    start, runs, refused = time.perf_counter(), {}, {}
    for name in names:
        try:
            runs[name] = [options(name, seed, data, loss, **changes) for seed in seeds]
        except ImpossiblePair as error:
            refused[name] = str(error)
    with side_by_side(folder, jobs, show, cell) as cells:
        figures = iter(cells([cell for row in runs.values() for cell in row]))
    values = {name: [next(figures) for _ in row] for name, row in runs.items()}
    record = {
        "data": data,
        "loss": loss,
        "seeds": list(seeds),
        "budget": {**BUDGET, **changes},
        "seconds": round(sum(f["seconds"] for row in values.values() for f in row), 1),
        "clock_seconds": round(time.perf_counter() - start, 1),
        "rows": compared(values),
        "refused": refused,
        "null_models": null_scores(toydata.load(data)),
    }
    for row in record["null_models"].values():
        row["reverse_kl"] = row["reverse_kl"] if np.isfinite(row.get("reverse_kl", np.nan)) else None
    atomic_write(folder / "tricks.json", json.dumps(record, indent=1))
    atomic_write(folder / "tricks.md", markdown(record))
    return record


def compared(values: dict[str, list[dict]], columns: Columns = POINTS) -> list[dict]:
    """A row a trick, from trick -> the figures of each seed: means and half widths of each figure, the interval of its
    difference to plain, and the verdict on those that decide."""
    rows = []
    for name, runs in values.items():
        row: dict = {"trick": name, "diverged": sum(f["diverged"] is not None for f in runs)}
        for key in columns.figures:
            row[key] = interval([f[key] for f in runs]) if all(f.get(key) is not None for f in runs) else None
        if name != "plain":
            plain = values["plain"]
            row["differences"] = {key: _difference(key, runs, plain) for key in columns.figures}
            row["verdict"] = {
                key: verdict(row["differences"][key], columns.figures[key].better) for key in columns.deciding
            }
        rows.append(row)
    return rows


def _difference(key: str, runs: Sequence[dict], plain: Sequence[dict]) -> list[float] | None:
    sides = [[f.get(key) for f in side] for side in (runs, plain)]
    if min(map(len, sides)) < 2 or any(value is None for side in sides for value in side):
        return None
    return [round(end, 5) for end in difference(*(np.asarray(side, float) for side in sides))]


def verdict(ends: Sequence[float] | None, better: int) -> str:
    """helps, hurts, or no difference seen, by whether the interval (low, high) of the difference leaves out zero."""
    if ends is None or ends[0] <= 0 <= ends[1]:
        return "no difference seen"
    return "helps" if better * ends[0] > 0 else "hurts"


def text(record: dict, columns: Columns = POINTS) -> str:
    """The comparison for a person."""
    rows = table(record, columns)
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def table(record: dict, columns: Columns = POINTS) -> list[list[str]]:
    """Rows of cells: titles, the runs, real data and the null models."""
    arrows, figures, deciding = {1: "↑", -1: "↓"}, columns.figures, columns.deciding
    rows = [
        [
            "trick",
            *(f"{f.title} {arrows[f.better]}" for f in figures.values()),
            *(f"against plain, {figures[key].title}" for key in deciding),
        ]
    ]
    for row in record["rows"]:
        shown = [_pm(row[key], column.digits) for key, column in figures.items()]
        words = [_words(row, key, figures[key].digits) if "verdict" in row else "" for key in deciding]
        if row["diverged"]:
            words[0] += f", {row['diverged']} diverged"
        rows.append([row["trick"], *shown, *words])
    for name, reason in record["refused"].items():
        rows.append([name, *[""] * len(figures), f"refused: {reason}", *[""] * (len(deciding) - 1)])
    for name, values in record["null_models"].items():
        shown = [
            _pm((values[key], None) if values.get(key) is not None else None, c.digits) for key, c in figures.items()
        ]
        rows.append([name, *shown, "the ceiling" if name == REALS else "null model", *[""] * (len(deciding) - 1)])
    return rows


def page(rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table in Markdown, titles first."""
    head, *rest = ("| " + " | ".join(row) + " |" for row in rows)
    return [head, "|" + "---|" * len(rows[0]), *rest]


def _words(row: dict, key: str, digits: int) -> str:
    ends = row["differences"][key]
    return row["verdict"][key] + (f" ({ends[0]:+.{digits}f} to {ends[1]:+.{digits}f})" if ends else "")


def _pm(value: Sequence | None, digits: int) -> str:
    if value is None:
        return "-"
    return f"{value[0]:.{digits}f}" + ("" if value[1] is None else f"+-{value[1]:.{digits}f}")


def markdown(record: dict) -> str:
    """The page: what was run, every row, what the null models and real data get, what each trick does."""
    budget = ", ".join(f"{key} {value}" for key, value in record["budget"].items())
    count = toydata.SAMPLES
    lines = [
        "# Tricks against the plain run",
        "",
        f"`minigan scoreboard --tricks`: {record['loss']} on the {record['data']}, seeds"
        f" {', '.join(map(str, record['seeds']))}, {budget}. Mean and half width of Student's 95 % interval over the"
        f" seeds; {count:,} samples a run; ↑ more is better, ↓ less. The runs took {record['seconds']:,.0f} seconds.",
        "",
        "A mode is found with one good sample (the published count), held with half of its share of them. Coverage is"
        " the sum over modes of min(share of samples that are good and there, 1 / modes). A trick helps or hurts where"
        " Welch's 95 % interval of the difference leaves out zero; of so many, about three do by chance. A trick's own"
        " numbers are its defaults, not tuned.",
        "",
        *page(table(record)),
    ]
    changes = [[row["trick"], TRICKS[row["trick"]].what] for row in record["rows"] if row["trick"] != "plain"]
    lines += ["", *page([["trick", "what it changes"], *changes])]
    return "\n".join(lines) + "\n"
