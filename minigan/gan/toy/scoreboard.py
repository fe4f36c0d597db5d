"""`minigan scoreboard`: losses x tricks on the ring, the best pairs on the grid, seeds, beside published numbers.

Every cell is one training run of a printed, fixed number of generator steps, judged by PacGAN's protocol
(gan/toy/data.py). A cell is written whole when it is done, under a name that holds everything it depends on, so an
interrupted scoreboard goes on where it stopped. The best pairs are those with the most modes on the ring, then the
highest high-quality share; beside them the grid has the published pair, plain and packing. Intervals are Student's 95 %
of the mean over seeds.

Networks of this size gain little from a second thread, so cells run side by side, each in a process with one thread.
A cell's figures do not depend on that. An impossible pair is shown with its reason (gan/tricks.py) and not run.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.connection import wait
from pathlib import Path

import numpy as np

from ..._files import atomic_write, parse_json
from ...backend import device as check_device
from ...backend import set_num_threads
from ..losses import LOSSES
from ..train import TrainingError
from ..tricks import ImpossiblePair
from .options import PUBLISHED, ToyOptions, options_for
from .trainer import ToyTrainer

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

PUBLISHED_SCORES = (
    # (set, system, modes, its interval, high-quality share, reverse KL): Lin et al. 2018, tables 1 and 2
    ("ring", "GAN", 6.3, 0.5, 0.982, 0.45),
    ("ring", "PacGAN2", 7.9, 0.1, 0.956, 0.07),
    ("grid", "GAN", 17.3, 0.8, 0.948, 0.70),
    ("grid", "PacGAN4", 24.8, 0.2, 0.936, 0.04),
)


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

SHOWN = {"modes": ("modes", 1), "high_quality": ("high quality", 3), "reverse_kl": ("reverse KL", 2), "w1": ("W1", 3)}
"""Columns of the table: name of the figure -> (title, digits)."""


def cell(options: ToyOptions, folder: Path) -> dict:
    """The figures of one run, from its file or by running it. A run that diverges is a result too: `diverged` says
    where."""
    key = json.dumps(asdict(options), sort_keys=True)
    name = (
        f"{options.data}-{options.loss}-{options.trick}-{options.seed}-{hashlib.sha256(key.encode()).hexdigest()[:10]}"
    )
    path = folder / f"{name}.json"
    if path.exists():
        with suppress(OSError, ValueError, KeyError, TypeError):  # no cell of ours, or damaged: run it again
            record = parse_json(path.read_text())
            if record["options"] == asdict(options) and record["sha256"] == _digest(record["figures"]):
                return record["figures"]
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
    record = {"options": asdict(options), "figures": figures, "sha256": _digest(figures)}
    atomic_write(path, json.dumps(record, indent=1))
    return figures


def _digest(figures: dict) -> str:
    return hashlib.sha256(json.dumps(figures).encode()).hexdigest()


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
    folder.mkdir(parents=True, exist_ok=True)
    show(f"{setting.steps:,} generator steps a cell, {setting.seeds} seeds, on {', '.join(setting.losses)}")
    start = time.perf_counter()
    with _cells(folder, jobs, show) as cells:
        ring = _rows("ring", [(a, b) for a in setting.losses for b in TRICKS], setting, cells)
        ran = [r for r in ring if r["refused"] is None]
        ranked = sorted(ran, key=lambda r: (-r["modes"][0], -r["high_quality"][0]))
        pairs = [(r["loss"], r["trick"]) for r in ranked[: setting.best]]
        published = [("non-saturating", trick) for trick in ("plain", "packing") if "non-saturating" in setting.losses]
        grid = _rows("grid", list(dict.fromkeys(pairs + published)), setting, cells)
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
    }
    atomic_write(folder / "scoreboard.json", json.dumps(figures, indent=1))
    atomic_write(folder / "scoreboard.txt", text(figures) + "\n")
    atomic_write(folder / "scoreboard.md", markdown(figures))
    return figures


@contextmanager
def _cells(folder: Path, jobs: int, show: Callable[[str], None]) -> Iterator[Callable[[Sequence], list[dict]]]:
    """A function from options to their cells' figures, in that order, `jobs` at a time."""

    def named(options: ToyOptions) -> str:
        return f"{options.data} {options.loss} {options.trick} seed {options.seed}"

    if jobs == 1:

        def one_by_one(runs: Sequence[ToyOptions]) -> list[dict]:
            results = []
            for options in runs:
                show(named(options))
                results.append(cell(options, folder))
            return results

        yield one_by_one
        return
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))  # read by the libraries of a process when it starts
    others = set(active_children())
    pool = ProcessPoolExecutor(jobs, get_context("spawn"), _start_worker)
    try:

        def side_by_side(runs: Sequence[ToyOptions]) -> list[dict]:
            results = []
            for options, figures in zip(runs, pool.map(cell, runs, [folder] * len(runs)), strict=True):
                show(f"{named(options)}: {figures['modes']} modes, {figures['high_quality']:.1%} high quality")
                results.append(figures)
            return results

        yield side_by_side
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)  # first, or the pool's thread trips over what was cancelled
        for worker in set(active_children()) - others:  # else the cells that they are at would be waited for
            worker.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _start_worker() -> None:
    """In a process of the pool: one thread, no Ctrl-C of its own, and an end when the process that started it ends,
    however that was."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = parent_process()
    threading.Thread(target=lambda: (wait([parent.sentinel]), os._exit(1)), daemon=True).start()
    set_num_threads(1)


def _rows(data: str, pairs: Sequence[tuple[str, str]], setting: Setting, cells: Callable) -> list[dict]:
    rows, runs = [], []
    for loss, trick in pairs:
        # The published packs: 2 on the ring, 4 on the grid.
        more = {"pack": 4} if data == "grid" and trick == "packing" else {}
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
            row["values"] = {name: [f[name] for f in figures if f.get(name) is not None] for name in SHOWN}
            row |= {name: interval(values) if values else None for name, values in row["values"].items()}
            row["diverged"] = [f["diverged"] for f in figures if f["diverged"]]
            row["seconds"] = round(sum(f["seconds"] for f in figures), 2)
    return rows


def interval(values: list[float]) -> tuple[float, float | None]:
    """(mean, half width of Student's 95 % interval of the mean); no half width for a single value."""
    from scipy.stats import t

    count = len(values)
    if count < 2:
        return round(float(values[0]), 5), None
    half = t.ppf(0.975, count - 1) * np.std(values, ddof=1) / np.sqrt(count)
    return round(float(np.mean(values)), 5), round(float(half), 5)


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
                if None in pair or min(len(r["values"][figure]) for r in pair) < 2:
                    continue
                low, high = _difference(*(np.asarray(r["values"][figure], float) for r in pair))
                verdict = "not separated" if low <= 0 <= high else "reproduced" if better * low > 0 else "reversed"
                claim = f"{trick}: {'more' if better > 0 else 'less'} {SHOWN[figure][0]} than {other}"
                verdicts.append({"data": data, "loss": loss, "claim": claim, "source": source, "verdict": verdict,
                              "difference": [round(low, 5), round(high, 5)]})  # fmt: skip
    return verdicts


def _difference(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Welch's 95 % interval of mean(a) - mean(b)."""
    from scipy.stats import ttest_ind

    if a.std() == b.std() == 0:
        return (float(a[0] - b[0]),) * 2
    low, high = ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    return float(low), float(high)


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
    lines += [
        f"{o['data']:<5} {o['loss']:<18} {o['claim']} ({o['source']}): {o['verdict']}" for o in figures["orderings"]
    ]
    return "\n".join(lines)


def markdown(figures: dict) -> str:
    """The table as a page of Markdown: what was run, every row, the published numbers, the orderings and verdicts."""
    changes = ", ".join(f"{k} {v}" for k, v in figures["options"].items())
    lines = [
        f"# Scoreboard, setting {figures['setting']}",
        "",
        f"`minigan scoreboard --{figures['setting']}`: {figures['steps']:,} generator steps a cell, {figures['seeds']}"
        f" seeds, {changes}. Mean and half width of Student's 95 % interval over the seeds; 2,500 samples; perfect ones"
        f" are 98.9 % of high quality. The cells took {figures['cell_seconds']:,.0f} seconds by the clock, each on one"
        " thread.",
        "",
        "| set | loss | trick | " + " | ".join(title for title, _ in SHOWN.values()) + " |",
        "|---|---|---|" + "---|" * len(SHOWN),
    ]
    for r in figures["rows"]:
        cells = (
            [f"refused: {r['refused'].partition(': ')[2]}", *[""] * (len(SHOWN) - 1)]
            if r["refused"]
            else [_pm(r[name], digits) for name, (_, digits) in SHOWN.items()]
        )
        if r.get("diverged"):
            cells[0] += f", {len(r['diverged'])} diverged"
        lines.append(f"| {r['data']} | {r['loss']} | {r['trick']} | " + " | ".join(cells) + " |")
    for data, system, modes, half, share, kl in figures["published"]:
        lines.append(f"| {data} | published | {system} | {modes:.1f}+-{half:.1f} | {share:.3f} | {kl:.2f} | |")
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


def _pm(value: tuple[float, float | None] | None, digits: int) -> str:
    if value is None:
        return "-"
    return f"{value[0]:.{digits}f}" + ("" if value[1] is None else f"+-{value[1]:.{digits}f}")
