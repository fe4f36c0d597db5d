"""Many runs of GANs of points: a cell is a run that is judged and written down, `jobs` of them at a time.

A cell's file has a name that holds everything it depends on, and is written whole, so that an interrupted table goes on
where it stopped. Networks of this size gain little from a second thread, so cells run side by side, each in a process
with one thread; a cell's figures do not depend on that. Intervals over seeds are Student's, of differences Welch's.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import numpy as np

from ..._files import atomic_write, parse_json
from ...backend import set_num_threads
from ..train import TrainingError
from .options import ToyOptions
from .trainer import ToyTrainer


def cell(options: ToyOptions, folder: Path) -> dict:
    """The figures of one run, from its file or by running it. A run that diverges is a result too: `diverged` says
    where."""
    return from_file(folder, f"{options.data}-{options.loss}-{options.trick}-{options.seed}", options, _figures)


def from_file(folder: Path, name: str, options: Any, figures_of: Callable[[Any], dict]) -> dict:
    """The figures of a run of these options, from its file in the folder, whose name begins with `name`; or those of
    figures_of(options), and then the file is written."""
    record = asdict(options)
    key = hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
    path = folder / f"{name}-{key[:10]}.json"
    if path.exists():
        with suppress(OSError, ValueError, KeyError, TypeError):  # no cell of ours, or damaged: run it again
            saved = parse_json(path.read_text())
            if saved["options"] == record and saved["sha256"] == digest(saved["figures"]):
                return saved["figures"]
    figures = figures_of(options)
    atomic_write(path, json.dumps({"options": record, "figures": figures, "sha256": digest(figures)}, indent=1))
    return figures


def _figures(options: ToyOptions) -> dict:
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
    return figures


def title(options: ToyOptions) -> str:
    """What a cell is called on the terminal."""
    return f"{options.data} {options.loss} {options.trick} seed {options.seed}"


def outcome(figures: dict) -> str:
    """Its figures in a few words."""
    return f"{figures['modes']} modes, {figures['high_quality']:.1%} high quality"


def digest(figures: dict) -> str:
    """What a record of figures is known by."""
    return hashlib.sha256(json.dumps(figures).encode()).hexdigest()


@contextmanager
def side_by_side(
    folder: Path,
    jobs: int,
    show: Callable[[str], None],
    work: Callable[[Any, Path], dict],
    title: Callable[[Any], str] = title,
    outcome: Callable[[dict], str] = outcome,
) -> Iterator[Callable[[Sequence], list[dict]]]:
    """A function from options to their cells' figures, in that order, `jobs` at a time; above 1 in processes of one
    thread each. work: what makes a cell's figures, a function of a module. title, outcome: what is shown of one."""
    if jobs == 1:

        def one_by_one(runs: Sequence) -> list[dict]:
            results = []
            for options in runs:
                show(title(options))
                results.append(work(options, folder))
            return results

        yield one_by_one
        return
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))  # read by the libraries of a process when it starts
    others = set(active_children())
    pool = ProcessPoolExecutor(jobs, get_context("spawn"), _start_worker)
    try:

        def at_a_time(runs: Sequence[ToyOptions]) -> list[dict]:
            results = []
            for options, figures in zip(runs, pool.map(work, runs, [folder] * len(runs)), strict=True):
                show(f"{title(options)}: {outcome(figures)}")
                results.append(figures)
            return results

        yield at_a_time
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


def interval(values: list[float]) -> tuple[float, float | None]:
    """(mean, half width of Student's 95 % interval of the mean); no half width for a single value."""
    from scipy.stats import t

    count = len(values)
    if count < 2:
        return round(float(values[0]), 5), None
    half = t.ppf(0.975, count - 1) * np.std(values, ddof=1) / np.sqrt(count)
    return round(float(np.mean(values)), 5), round(float(half), 5)


def difference(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Welch's 95 % interval of mean(a) - mean(b)."""
    from scipy.stats import ttest_ind

    if a.std() == b.std() == 0:
        return (float(a[0] - b[0]),) * 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # one side may be all one value: no spread, and no fault
        low, high = ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    return float(low), float(high)
