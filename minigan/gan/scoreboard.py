"""`minigan scoreboard`: losses x tricks on the ring, the best pairs on the grid, seeds, beside published numbers.

Every cell is one training run of a printed, fixed number of generator steps, judged by PacGAN's protocol
(gan/toydata.py). A cell is written whole when it is done, under a name that holds everything it depends on, so an
interrupted scoreboard goes on where it stopped. The best pairs are those with the most modes on the ring, then the
highest high-quality share. Intervals are Student's 95 % of the mean over seeds.

An impossible pair is shown with its reason (gan/tricks.py) and not run.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ..checkpoint import atomic_write
from .losses import LOSSES
from .toy import PUBLISHED, TRICKS, ToyOptions, ToyTrainer, options_for
from .train import TrainingError

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
    "quick": Setting(SIX, 2, 150, 2, {"batch_size": 64, "width": 32, "depth": 2, "unroll": 2}),
    "standard": Setting(SIX, 3, 1500, 6, SMALL),
    "full": Setting(tuple(LOSSES), 10, 50_000, 6, PUBLISHED),
}
"""quick: some five minutes on two cores; standard: within an hour; full: the published protocol, overnight or more."""

PUBLISHED_SCORES = (
    # (set, system, modes, its interval, high-quality share, reverse KL): Lin et al. 2018, tables 1 and 2
    ("ring", "GAN", 6.3, 0.5, 0.982, 0.45),
    ("ring", "PacGAN2", 7.9, 0.1, 0.956, 0.07),
    ("grid", "GAN", 17.3, 0.8, 0.948, 0.70),
    ("grid", "PacGAN4", 24.8, 0.2, 0.936, 0.04),
)


def cell(options: ToyOptions, folder: Path) -> dict:
    """The figures of one run, from its file or by running it. A run that diverges is a result too: `diverged` says
    where."""
    key = json.dumps(asdict(options), sort_keys=True)
    name = (
        f"{options.data}-{options.loss}-{options.trick}-{options.seed}-{hashlib.sha256(key.encode()).hexdigest()[:10]}"
    )
    path = folder / f"{name}.json"
    if path.exists():
        try:
            saved = json.loads(path.read_text())
            if saved["options"] == asdict(options):
                return saved["figures"]
        except (ValueError, KeyError, TypeError):
            pass  # not a cell of ours: run it again
    start, diverged = time.perf_counter(), None
    trainer = ToyTrainer(options)
    try:
        for _ in trainer.train(max(1, options.steps // 10)):
            pass
    except TrainingError as error:
        diverged = str(error)
    figures = trainer.figures() | {"diverged": diverged, "seconds": round(time.perf_counter() - start, 2)}
    if not np.isfinite(figures["reverse_kl"]):
        figures["reverse_kl"] = None
    atomic_write(path, json.dumps({"options": asdict(options), "figures": figures}, indent=1))
    return figures


def run(
    size: str,
    out: str | os.PathLike,
    device: str = "cpu",
    show: Callable[[str], None] = lambda _: None,
    **changes,
) -> dict:
    """All cells of a setting ("quick", "standard", "full"), resumed from `out`; the table as JSON-able figures.

    changes override the setting's options and, by the names steps, seeds, losses, best, the setting itself. Raises
    ValueError for an unknown setting.
    """
    if size not in SETTINGS:
        raise ValueError(f"scoreboard: unknown setting {size!r}; known: {', '.join(SETTINGS)}")
    setting = SETTINGS[size]
    fields = {k: changes.pop(k) for k in ("steps", "seeds", "losses", "best") if changes.get(k) is not None}
    setting = Setting(**{**asdict(setting), **fields, "changes": {**setting.changes, **changes, "device": device}})
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    show(f"{setting.steps:,} generator steps a cell, {setting.seeds} seeds, on {', '.join(setting.losses)}")
    start = time.perf_counter()
    ring = [_row("ring", a, b, setting, folder, show) for a in setting.losses for b in TRICKS]
    ranked = sorted((r for r in ring if r["refused"] is None), key=lambda r: (-r["modes"][0], -r["high_quality"][0]))
    grid = [_row("grid", r["loss"], r["trick"], setting, folder, show) for r in ranked[: setting.best]]
    figures = {
        "setting": size,
        "steps": setting.steps,
        "seeds": setting.seeds,
        "options": setting.changes,
        "seconds": round(time.perf_counter() - start, 1),
        "rows": ring + grid,
        "orderings": orderings(ring + grid),
        "published": [list(row) for row in PUBLISHED_SCORES],
    }
    atomic_write(folder / "scoreboard.json", json.dumps(figures, indent=1))
    atomic_write(folder / "scoreboard.txt", text(figures) + "\n")
    return figures


def _row(data: str, loss: str, trick: str, setting: Setting, folder: Path, show: Callable[[str], None]) -> dict:
    row = {"data": data, "loss": loss, "trick": trick, "refused": None}
    found = []
    for seed in range(setting.seeds):
        # The published packs: 2 on the ring, 4 on the grid.
        more = {"pack": 4} if data == "grid" and trick == "packing" else {}
        try:
            options = options_for(
                data, loss, trick, **{**setting.changes, **more, "steps": setting.steps, "seed": seed}
            )
        except ValueError as error:
            return row | {"refused": str(error)}
        show(f"{data} {loss} {trick} seed {seed}")
        found.append(cell(options, folder))
    for name in ("modes", "high_quality", "reverse_kl", "w1"):
        values = [f[name] for f in found if f.get(name) is not None]
        row[name] = interval(values) if values else None
    return row | {
        "diverged": [f["diverged"] for f in found if f["diverged"]],
        "seconds": sum(f["seconds"] for f in found),
    }


def interval(values: list[float]) -> tuple[float, float | None]:
    """(mean, half width of Student's 95 % interval of the mean); no half width for a single value."""
    from scipy.stats import t

    count = len(values)
    if count < 2:
        return round(float(values[0]), 5), None
    half = t.ppf(0.975, count - 1) * np.std(values, ddof=1) / np.sqrt(count)
    return round(float(np.mean(values)), 5), round(float(half), 5)


def orderings(rows: list[dict]) -> list[dict]:
    """The published orderings, tried on these rows: by how much, and whether the intervals stay apart."""
    by_name = {(r["data"], r["loss"], r["trick"]): r for r in rows if r["refused"] is None}
    found = []
    for data in ("ring", "grid"):
        for loss in ("minimax", "non-saturating"):
            for trick in ("packing", "unrolled"):
                plain, other = by_name.get((data, loss, "plain")), by_name.get((data, loss, trick))
                if plain and other and plain["modes"][1] is not None:
                    (a, half_a), (b, half_b) = plain["modes"], other["modes"]
                    verdict = "reproduced" if b - a > half_a + half_b else "not separated" if b >= a else "reversed"
                    found.append({"data": data, "loss": loss, "claim": f"{trick} finds more modes than plain",
                                  "plain": a, trick: b, "verdict": verdict})  # fmt: skip
    return found


def text(figures: dict) -> str:
    """The table for a person."""
    lines = [
        f"{figures['steps']:,} generator steps a cell, {figures['seeds']} seeds, mean +- Student's 95 % interval",
        f"{'':<5} {'loss':<18} {'trick':<14} {'modes':>12} {'high quality':>15} {'reverse KL':>14} {'W1':>16}",
    ]
    for r in figures["rows"]:
        head = f"{r['data']:<5} {r['loss']:<18} {r['trick']:<14}"
        if r["refused"]:
            lines.append(f"{head} refused: {r['refused']}")
            continue
        diverged = f"  {len(r['diverged'])} diverged" if r["diverged"] else ""
        lines.append(
            f"{head} {_pm(r['modes'], 1):>12} {_pm(r['high_quality'], 3):>15} {_pm(r['reverse_kl'], 2):>14}"
            f" {_pm(r['w1'], 3):>16}{diverged}"
        )
    lines.append("published (Lin et al. 2018):")
    for data, system, modes, half, share, kl in figures["published"]:
        lines.append(f"{data:<5} {system:<33} {modes:>6.1f}+-{half:<4.1f} {share:>15.3f} {kl:>14.2f}")
    lines.append("published orderings:")
    lines += [f"{o['data']:<5} {o['loss']:<18} {o['claim']}: {o['verdict']}" for o in figures["orderings"]]
    return "\n".join(lines)


def _pm(value: tuple[float, float | None] | None, digits: int) -> str:
    if value is None:
        return "-"
    return f"{value[0]:.{digits}f}" + ("" if value[1] is None else f"+-{value[1]:.{digits}f}")
