"""The smallest run that has all that a long one has, what it leaves behind, and processes that are forked to do it."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from unittest import mock

from .. import checkpoint, viz
from ..gan import run as runs
from ..gan import status, writing
from ..gan.records import read_stats
from ..gan.run import Run
from ..gan.systems.table import options_for
from .lines import require

STEPS = 12
WORDS = ["--steps", str(STEPS), "--batch-size", "2", "--base", "1", "--n-critic", "1", "--latent", "2", "--eager"]
"""The same as options of `minigan train`."""


def command():
    """The group of commands that this one was called from."""
    import click

    return click.get_current_context().find_root().command


def tiny():
    """The options of the run."""
    return options_for("wgan-gp", steps=STEPS, batch_size=2, base=1, n_critic=1, latent=2, capture=False)


@contextmanager
def short_runs() -> Iterator[None]:
    """Runs that write a row every two steps and a checkpoint every three, and are not judged at their end. What their
    disk refuses is tried again after each step."""
    values = {
        runs: {"TICK": 2, "SNAP": 3, "PREVIEWS": 1, "WAIT": 0.5},
        writing: {"RETRY": 0.0},
        status: {"BEAT": 0.0},
        viz: {"grid_png": lambda images, scale=1: images[:1].tobytes()},
        Run: {"_close": lambda self: self.writer.require(runs.WAIT) or {}},
    }
    with ExitStack() as stack:
        for owner, changes in values.items():
            stack.enter_context(mock.patch.multiple(owner, **changes))
        yield


def traces(folder: Path) -> dict:
    """What a run left that must not depend on what befell it: rows but for their clock, norms, the last arrays."""
    last = checkpoint.latest(folder)
    digest = hashlib.sha256()
    for name, array in sorted(last.arrays.items()):
        digest.update(name.encode() + array.tobytes())
    rows = [{k: v for k, v in row.items() if k != "seconds"} for row in read_stats(folder)]
    return {"step": last.step, "arrays": digest.hexdigest(), "rows": rows}


def compare(folder: Path, expected: dict) -> None:
    """Raises Fault unless the run's traces are the expected ones, and no leftover lies in its folder."""
    own = traces(folder)
    for what, value in expected.items():
        require(own[what] == value, f"other {what} than a run without faults")
    left = sorted(p.name for p in folder.iterdir() if p.name.startswith("."))
    require(not left, f"left behind: {', '.join(left[:5])}")
    half = [p.name for p in folder.glob("checkpoint-*.json") if not p.with_suffix(".safetensors").exists()]
    require(not half, f"half a checkpoint: {half}")


def go_on(folder: Path) -> str:
    """Go on with a run until its end, or begin it anew where no checkpoint was written yet."""
    if checkpoint.paths(folder):
        Run.resume(str(folder)).train()
        return "went on"
    shutil.rmtree(folder, ignore_errors=True)
    Run.create(tiny(), folder).train()
    return "began anew"


def forked(act: Callable[[], object], errors: Path | None = None) -> int:
    """Do `act` in a child; returns its process number. Its standard error, and what it raises, go to a file."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    code = 70
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job of a shell ignores it
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with open(errors or os.devnull, "w") as file:
            sys.stderr = sys.__stderr__ = file
            sys.stdout = sys.__stdout__ = open(os.devnull, "w")  # noqa: SIM115
            try:
                act()
                code = 0
            except SystemExit as stop:
                code = stop.code if isinstance(stop.code, int) else 1
            except BaseException:
                traceback.print_exc(file=file)
    finally:
        os._exit(code)


def ended(child: int, seconds: float = 3600.0) -> int | None:
    """Wait for a child; its exit status, negative for the signal that ended it. One that goes on for longer is killed,
    and has none."""
    deadline = time.monotonic() + seconds
    while True:
        number, status = os.waitpid(child, os.WNOHANG)
        if number:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            kill(child)
            os.waitpid(child, 0)
            return None
        time.sleep(0.002)


def kill(child: int, number: int = signal.SIGKILL) -> None:
    """Send a signal to a child that may have ended."""
    with suppress(ProcessLookupError):
        os.kill(child, number)
