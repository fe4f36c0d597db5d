"""`minigan scoreboard`: losses x tricks on the ring, the best pairs on the grid, seeds, beside published numbers.

Every cell (cells.py) is one training run of a printed, fixed number of generator steps, judged by PacGAN's protocol
(data.py), beside null models and real data (nulls.py). The best pairs are those of the highest coverage on the ring;
beside them the grid has the published pair, plain and packing. Intervals are Student's 95 % of the mean over seeds. An
impossible pair is shown with its reason (gan/tricks.py) and not run.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ..._files import atomic_write, make_folder
from ...backend import device as check_device
from ..losses import LOSSES
from ..tricks import ImpossiblePair
from . import data as toydata
from .cells import cell, difference, interval, side_by_side
from .nulls import DECIDING, FIGURES, REALS, null_scores, winners
from .options import PUBLISHED, options_for, published
from .protocol import PUBLISHED_SCORES

TRICKS = ("plain", "gp", "spectral-norm", "packing", "unrolled", "minibatch")
SIX = ("minimax", "non-saturating", "least-squares", "hinge", "wasserstein", "f-pearson")


@dataclass(frozen=True)
class Setting:
    """How long a scoreboard is: losses, seeds, generator steps a cell, pairs that go to the grid, changed options."""

    losses: tuple[str, ...]
    seeds: int
    steps: int
    best: int
    changes: dict


SMALL = {"batch_size": 128, "width": 96, "depth": 3, "unroll": 3}
SETTINGS = {
    "quick": Setting(SIX, 2, 1000, 2, {"batch_size": 64, "width": 32, "depth": 2, "unroll": 3}),
    "standard": Setting(SIX, 3, 4000, 6, SMALL),
    "full": Setting(tuple(LOSSES), 10, 50_000, 6, PUBLISHED),
}
"""quick: some five minutes on two cores; standard: within an hour; full: the published protocol, overnight or more."""

CLAIMS = (
    # (losses, trick, than which, figure, better is, published in)
    (("minimax", "non-saturating"), "packing", "plain", "modes", 1, "Lin et al. 2018"),
    (("minimax", "non-saturating"), "packing", "plain", "reverse_kl", -1, "Lin et al. 2018"),
    (("minimax", "non-saturating"), "unrolled", "plain", "modes", 1, "Metz et al. 2017"),
    (("minimax", "non-saturating"), "minibatch", "plain", "modes", 1, "Salimans et al. 2016"),
    (("wasserstein",), "gp", "plain", "modes", 1, "Gulrajani et al. 2017"),
    (("wasserstein",), "gp", "plain", "high_quality", 1, "Gulrajani et al. 2017"),
)
"""Published orderings. The Wasserstein loss's plain is weight clipping."""


def run(
    size: str,
    out: str | os.PathLike,
    device: str = "cpu",
    show: Callable[[str], None] = lambda _: None,
    jobs: int = 1,
    **changes,
) -> dict:
    """All cells of a setting ("quick", "standard", "full"), resumed from `out`; the table as JSON-able figures.

    jobs: cells run at a time; above 1 in processes of one thread each. changes override the setting's options and, by
    the names steps, seeds, losses, best, the setting itself. Raises ValueError for an unknown setting or device.
    """
    if size not in SETTINGS:
        raise ValueError(f"scoreboard: unknown setting {size!r}; known: {', '.join(SETTINGS)}")
    check_device(device)
    setting = SETTINGS[size]
    fields = {k: changes.pop(k, None) for k in ("steps", "seeds", "losses", "best")}
    fields = {k: v for k, v in fields.items() if v is not None}
    setting = Setting(**{**asdict(setting), **fields, "changes": {**setting.changes, **changes, "device": device}})
    folder = Path(out)
    make_folder(folder)
    show(f"{setting.steps:,} generator steps a cell, {setting.seeds} seeds, on {', '.join(setting.losses)}")
    start = time.perf_counter()
    with side_by_side(folder, jobs, show, cell) as cells:
        ring = _rows("ring", [(a, b) for a in setting.losses for b in TRICKS], setting, cells)
        ran = [r for r in ring if r["refused"] is None]
        ranked = sorted(ran, key=lambda r: -r["coverage"][0])
        pairs = [(r["loss"], r["trick"]) for r in ranked[: setting.best]]
        published = [("non-saturating", trick) for trick in ("plain", "packing") if "non-saturating" in setting.losses]
        grid = _rows("grid", list(dict.fromkeys(pairs + published)), setting, cells)
    nulls = {data: null_scores(toydata.load(data)) for data in ("ring", "grid")}
    for row in ring + grid:
        if row["refused"] is None:
            row["beaten_by"] = _winners(row, nulls[row["data"]])
    figures = {
        "setting": size,
        "steps": setting.steps,
        "seeds": setting.seeds,
        "options": setting.changes,
        "seconds": round(time.perf_counter() - start, 1),
        "cell_seconds": round(sum(r["seconds"] for r in ring + grid if r["refused"] is None), 1),
        "rows": ring + grid,
        "orderings": orderings(ring + grid),
        "published": [list(row) for row in PUBLISHED_SCORES],
        "null_models": {d: {n: {k: f[k] for k in FIGURES} for n, f in rows.items()} for d, rows in nulls.items()},
    }
    atomic_write(folder / "scoreboard.json", json.dumps(figures, indent=1))
    atomic_write(folder / "scoreboard.txt", text(figures) + "\n")
    atomic_write(folder / "scoreboard.md", markdown(figures))
    return figures


def _rows(data: str, pairs: Sequence[tuple[str, str]], setting: Setting, cells: Callable) -> list[dict]:
    rows, runs = [], []
    for loss, trick in pairs:
        # The published packs: 2 on the ring, 4 on the grid.
        more = {}
        if trick == "packing":
            count = 4 if data == "grid" else 2
            more = published(count) if setting.changes.get("nets") == "published" else {"pack": count}
        changes = {**setting.changes, **more, "steps": setting.steps}
        row = {"data": data, "loss": loss, "trick": trick, "refused": None}
        try:
            runs += [options_for(data, loss, trick, **changes, seed=seed) for seed in range(setting.seeds)]
        except ImpossiblePair as error:
            row["refused"] = str(error)
        rows.append(row)
    results = iter(cells(runs))
    for row in rows:
        if row["refused"] is None:
            figures = [next(results) for _ in range(setting.seeds)]
            row["values"] = {name: [f[name] for f in figures if f.get(name) is not None] for name in FIGURES}
            row |= {name: interval(v) if len(v) == _seeds(row) else None for name, v in row["values"].items()}
            row["diverged"] = [f["diverged"] for f in figures if f["diverged"]]
            row["seconds"] = round(sum(f["seconds"] for f in figures), 2)
    return rows


def _winners(row: dict, nulls: dict[str, dict]) -> list[str]:
    """The null models that are no worse than the row's means less the half widths of their intervals."""
    figures, margins = ({key: (row[key] or (None, None))[i] for key in DECIDING} for i in (0, 1))
    return winners(figures, nulls, margins)


def orderings(rows: list[dict]) -> list[dict]:
    """The published orderings, tried on these rows: reproduced or reversed where the 95 % interval of the difference of
    the means leaves out zero, else not separated.

    The interval is Welch's, for unlike variances; where neither trick's seeds differ among themselves, any difference
    counts.
    """
    by_name = {(r["data"], r["loss"], r["trick"]): r for r in rows if r["refused"] is None}
    verdicts = []
    for data in ("ring", "grid"):
        for losses, trick, other, figure, better, source in CLAIMS:
            for loss in losses:
                pair = [by_name.get((data, loss, name)) for name in (trick, other)]
                if None in pair or any(len(r["values"][figure]) < max(2, _seeds(r)) for r in pair):
                    continue
                low, high = difference(*(np.asarray(r["values"][figure], float) for r in pair))
                verdict = "not separated" if low <= 0 <= high else "reproduced" if better * low > 0 else "reversed"
                claim = f"{trick}: {'more' if better > 0 else 'less'} {FIGURES[figure].title} than {other}"
                verdicts.append({"data": data, "loss": loss, "claim": claim, "source": source, "verdict": verdict,
                              "difference": [round(low, 5), round(high, 5)]})  # fmt: skip
    return verdicts


def _seeds(row: dict) -> int:
    """How many runs a row is of; a figure that is infinite in one of them has fewer values."""
    return max(map(len, row["values"].values()))


def text(figures: dict) -> str:
    """The table for a person."""
    lines = [
        f"{figures['steps']:,} generator steps a cell, {figures['seeds']} seeds, mean +- Student's 95 % interval,"
        f" {toydata.SAMPLES:,} samples a cell; ^ more is better, v less",
        f"{'':<5} {'loss':<18} {'trick':<14}"
        + "".join(f"{f.title + (' ^' if f.better > 0 else ' v'):>17}" for f in FIGURES.values()),
    ]
    for r in figures["rows"]:
        head = f"{r['data']:<5} {r['loss']:<18} {r['trick']:<14}"
        if r["refused"]:
            lines.append(f"{head} refused: {r['refused']}")
            continue
        diverged = f"  {len(r['diverged'])} diverged" if r["diverged"] else ""
        red = f"  red: no better than {', '.join(r['beaten_by'])}" if r["beaten_by"] else ""
        lines.append(head + "".join(f"{_pm(r[k], f.digits):>17}" for k, f in FIGURES.items()) + diverged + red)
    for data, rows in figures["null_models"].items():
        for name, row in rows.items():
            cells = (_pm(_alone(row[k]), f.digits) for k, f in FIGURES.items())
            lines.append(f"{data:<5} {name:<33}" + "".join(f"{cell:>17}" for cell in cells))
    lines.append("published (Lin et al. 2018): modes, high quality, reverse KL")
    for data, system, modes, half, share, kl in figures["published"]:
        lines.append(f"{data:<5} {system:<33} {modes:>16.1f}+-{half:<4.1f} {share:>15.3f} {kl:>14.2f}")
    lines.append("published orderings:")
    lines += [
        f"{o['data']:<5} {o['loss']:<18} {o['claim']} ({o['source']}): {o['verdict']}" for o in figures["orderings"]
    ]
    return "\n".join(lines)


def markdown(figures: dict) -> str:
    """The table as a page of Markdown: what was run, every row, the null models, the published numbers, the orderings
    and verdicts. A row that a null model beats is in bold, with that model's name."""
    changes = ", ".join(f"{k} {v}" for k, v in figures["options"].items())
    lines = [
        f"# Scoreboard, setting {figures['setting']}",
        "",
        f"`minigan scoreboard --{figures['setting']}`: {figures['steps']:,} generator steps a cell, {figures['seeds']}"
        f" seeds, {changes}. Mean and half width of Student's 95 % interval over the seeds; {toydata.SAMPLES:,}"
        f" samples a cell; ↑ more is better, ↓ less. The cells took {figures['cell_seconds']:,.0f} seconds by the"
        " clock, each on one thread.",
        "",
        "Modes are counted as published, with one good sample each: noise finds most of them. A mode is held with half"
        " of its share of good samples. Coverage, the sum over modes of min(share of samples that are good and there,"
        " 1 / modes), and W1 ask for quality and modes at once: a row in which a null model is no worse than the bad"
        " end of its interval is **red**.",
        "",
        "| set | loss | trick | "
        + " | ".join(f"{f.title} {'↑' if f.better > 0 else '↓'}" for f in FIGURES.values())
        + " | no better than |",
        "|---|---|---|" + "---|" * (len(FIGURES) + 1),
    ]
    for r in figures["rows"]:
        cells = (
            [f"refused: {r['refused'].partition(': ')[2]}", *[""] * (len(FIGURES) - 1)]
            if r["refused"]
            else [_pm(r[name], f.digits) for name, f in FIGURES.items()]
        )
        if r.get("diverged"):
            cells[0] += f", {len(r['diverged'])} diverged"
        beaten = f"**red**: {', '.join(r['beaten_by'])}" if r.get("beaten_by") else ""
        lines.append(f"| {r['data']} | {r['loss']} | {r['trick']} | " + " | ".join([*cells, beaten]) + " |")
    for data, rows in figures["null_models"].items():
        for name, row in rows.items():
            cells = [_pm(_alone(row[k]), f.digits) for k, f in FIGURES.items()]
            kind = "the ceiling" if name == REALS else "null model"
            lines.append(f"| {data} | {kind} | {name} | " + " | ".join(cells) + " | |")
    for data, system, modes, half, share, kl in figures["published"]:
        lines.append(f"| {data} | published | {system} | {modes:.1f}+-{half:.1f} | | {share:.3f} | | {kl:.2f} | | |")
    lines += [
        "",
        "Published by Lin et al. 2018, whose networks and number of updates are larger. An ordering is reproduced where"
        " Welch's 95 % interval of the difference leaves out zero.",
        "",
    ]
    lines += ["| set | loss | published ordering | source | here | difference |", "|---|---|---|---|---|---|"]
    for o in figures["orderings"]:
        low, high = o["difference"]
        lines.append(
            f"| {o['data']} | {o['loss']} | {o['claim']} | {o['source']} | {o['verdict']} | {low:.2f} to {high:.2f} |"
        )
    return "\n".join(lines) + "\n"


def _alone(value: float | None) -> tuple[float, None] | None:
    return None if value is None or not np.isfinite(value) else (value, None)


def _pm(value: tuple[float, float | None] | None, digits: int) -> str:
    if value is None:
        return "-"
    return f"{value[0]:.{digits}f}" + ("" if value[1] is None else f"+-{value[1]:.{digits}f}")
