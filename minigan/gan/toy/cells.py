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
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.connection import wait
from pathlib import Path

import numpy as np

from ..._files import atomic_write, parse_json
from ...backend import set_num_threads
from ..train import TrainingError
from .options import ToyOptions
from .trainer import ToyTrainer


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
            if record["options"] == asdict(options) and record["sha256"] == digest(record["figures"]):
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
    record = {"options": asdict(options), "figures": figures, "sha256": digest(figures)}
    atomic_write(path, json.dumps(record, indent=1))
    return figures


def digest(figures: dict) -> str:
    """What a record of figures is known by."""
    return hashlib.sha256(json.dumps(figures).encode()).hexdigest()


@contextmanager
def side_by_side(
    folder: Path, jobs: int, show: Callable[[str], None], work: Callable[[ToyOptions, Path], dict]
) -> Iterator[Callable[[Sequence], list[dict]]]:
    """A function from options to their cells' figures, in that order, `jobs` at a time; above 1 in processes of one
    thread each. work: what makes a cell's figures, a function of a module."""

    def named(options: ToyOptions) -> str:
        return f"{options.data} {options.loss} {options.trick} seed {options.seed}"

    if jobs == 1:

        def one_by_one(runs: Sequence[ToyOptions]) -> list[dict]:
            results = []
            for options in runs:
                show(named(options))
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
                show(f"{named(options)}: {figures['modes']} modes, {figures['high_quality']:.1%} high quality")
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
    low, high = ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    return float(low), float(high)
