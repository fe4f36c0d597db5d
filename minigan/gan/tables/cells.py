"""Many runs, each a cell of a table: a cell is trained, judged and written down, `jobs` of them at a time.

Cells run side by side, each in a process of one thread, since small networks gain little from a second; a cell's
figures do not depend on that. A finished cell is a line of a file, so an interrupted table goes on where it stopped; an
unfinished one is a checkpoint in a folder of its own. Intervals over seeds are Student's, of differences Welch's.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import MISSING, asdict, fields
from glob import escape
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ... import checkpoint
from ..._files import atomic_write, make_folder, parse_json
from ...backend import set_num_threads
from ...parallel import pool as ranks

Cell = TypeVar("Cell")
NAMES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def digest(figures: Mapping) -> str:
    """What a record of figures is known by."""
    return hashlib.sha256(json.dumps(figures).encode()).hexdigest()


def same(record: Mapping, options: Any) -> bool:
    """Whether a record's options are these, a dataclass's. One that a record of an earlier version lacks counts as its
    default, with which everything is as it was before."""
    defaults = {field.name: field.default for field in fields(options) if field.default is not MISSING}
    texts = (json.dumps(dict(o), sort_keys=True, default=str) for o in (defaults | dict(record), asdict(options)))
    return next(texts) == next(texts)


def find(records: Sequence[Mapping], options: Any) -> dict | None:
    """The figures of the last of the records that has these options; None where none has."""
    return next((record["figures"] for record in reversed(records) if same(record["options"], options)), None)


def from_file(folder: Path, name: str, options: Any, figures_of: Callable[[Any], dict], data_digest: str = "") -> dict:
    """The figures of a run of these options, a dataclass, from its file in the folder, whose name begins with `name`
    and which holds all that it depends on; or those of figures_of(options), and then the file is written whole.
    data_digest: of data that the options only name by a path."""
    for path in sorted(folder.glob(f"{escape(name)}-*.json")):
        with suppress(OSError, ValueError, KeyError, TypeError):  # no cell of ours, or damaged: run it again
            saved = parse_json(path.read_text())
            of_these = same(saved["options"], options) and saved.get("data_digest", "") == data_digest
            if of_these and saved["sha256"] == digest(saved["figures"]):
                return saved["figures"]
    figures = figures_of(options)
    record = {"options": asdict(options), "figures": figures, "sha256": digest(figures)}
    if data_digest:
        record["data_digest"] = data_digest
    key = hashlib.sha256(json.dumps([record["options"], data_digest], sort_keys=True).encode()).hexdigest()
    atomic_write(folder / f"{name}-{key[:10]}.json", json.dumps(record, indent=1))
    return figures


def append(path: Path, key: Mapping, figures: Mapping) -> None:
    """A line of a finished cell: what it was made with, and its figures."""
    line = json.dumps({"options": dict(key), "figures": dict(figures), "sha256": digest(figures)})
    with path.open("a") as file:  # one write, so that cells of other processes come before or after it
        file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())


def lines(path: Path) -> list[dict]:
    """The cells in a file of lines; lines that are damaged are passed over."""
    cells = []
    for text in path.read_text().splitlines() if path.exists() else ():
        with suppress(ValueError, KeyError, TypeError):
            record = json.loads(text)
            if isinstance(record["options"], dict) and record["sha256"] == digest(record["figures"]):
                cells.append(record)
    return cells


def saved(folder: Path, options: Any) -> checkpoint.Checkpoint | None:
    """The state that an unfinished cell was left in, if it was made with these options."""
    with suppress(checkpoint.CheckpointError, KeyError), warnings.catch_warnings(action="ignore"):
        state = checkpoint.latest(folder)
        if same(state.state["options"], options):
            return state
    return None


def save(folder: Path, step: int, arrays: dict[str, np.ndarray], state: dict) -> None:
    """Write the state of an unfinished cell in place of the one before."""
    make_folder(folder)
    path = checkpoint.save(folder, step, arrays, state)
    for old in checkpoint.paths(folder):
        if old != path:
            old.unlink()
            old.with_suffix(".safetensors").unlink(missing_ok=True)


@contextmanager
def side_by_side(
    folder: Path,
    jobs: int,
    show: Callable[[str], None],
    work: Callable[[Cell, Path], dict],
    name: Callable[[Cell], str] = str,
    brief: Callable[[dict], str] = lambda figures: "done",
) -> Iterator[Callable[[Sequence[Cell]], list[dict]]]:
    """A function from cells to their figures, in that order, `jobs` at a time; above 1 in processes of one thread each,
    or on the ranks of an MPI job where this is the first of one (`parallel.pool`).

    work: what makes a cell's figures, a function of a module. name, brief: a cell and its figures for a person.
    """
    if jobs == 1 and ranks.pool() is None:

        def one_by_one(runs: Sequence[Cell]) -> list[dict]:
            results = []
            for cell in runs:
                show(name(cell))
                results.append(work(cell, folder))
            return results

        yield one_by_one
        return

    def at_a_time(runs: Sequence[Cell]) -> list[dict]:
        results = []
        for cell, figures in zip(runs, pool.map(work, runs, [folder] * len(runs)), strict=True):
            show(f"{name(cell)}: {brief(figures)}")
            results.append(figures)
        return results

    if (pool := ranks.pool()) is not None:
        yield at_a_time
        return
    before = {variable: os.environ.get(variable) for variable in NAMES}
    os.environ.update(dict.fromkeys(NAMES, "1"))  # read by the libraries of a process when it starts
    others = set(active_children())
    pool = ProcessPoolExecutor(jobs, get_context("spawn"), _start_worker)
    try:
        yield at_a_time
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)  # first, or the pool's thread trips over what was cancelled
        for worker in set(active_children()) - others:  # else the cells that they are at would be waited for
            worker.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        for variable, value in before.items():
            if value is None:
                del os.environ[variable]
            else:
                os.environ[variable] = value


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
