"""What a run writes while its disk fills up, or its network folder goes away, and comes back.

A line, a picture or a checkpoint that is refused for a reason that may pass (`_files.MAY_PASS`) is owed. Training goes
on, and every RETRY seconds what is owed is tried again: lines and pictures in their order, then the checkpoint, of the
step that the run has come to by then, so that no checkpoint stands beside a folder that lacks rows from before it. Any
other reason ends the run, and so does any at all before its first step.

A folder that does not answer, rather than refuse, holds the training up until it does: the system waits, not this file.
"""

from __future__ import annotations

import errno
import json
import os
import re
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from shlex import quote

from .. import checkpoint, data
from .._files import append_line, atomic_write, make_folder, may_pass, parse_json, remove_leftovers
from ._state import count_of
from .metrics.judging import Observation
from .options import CommonOptions
from .records import LOOKS, OPTIONS, lasting, read_looks, read_norms, stats_of

LOG, LOG_BEFORE, LOG_BYTES = "log.txt", "log-before.txt", 4 << 20
"""The log; where it goes, in place of an earlier one, when it has as many bytes."""
STATS_DAMAGED = "stats-damaged.jsonl"
METRICS = "metric-classifier.jsonl"
FAKES = re.compile(r"fakes(\d+)\.png")
RETRY, WAIT, OWED = 5.0, 3600.0, 64 << 20
"""Seconds from one try to the next; seconds that a run waits for its disk at its end; bytes that it may owe."""


class Writer:
    """Writes into a run's folder. say: told when the disk begins to refuse, and when all is written again.

    patient: whether a reason that may pass is waited out. trouble: that reason, in one line, or "". Raises OSError for
    other reasons.
    """

    def __init__(self, folder: Path, say: Callable[[str], object]) -> None:
        self.folder, self.say = folder, say
        self.patient, self.trouble = False, ""
        self.owed: deque[tuple[str, str | bytes]] = deque()
        self.checkpoint: Callable[[], object] | None = None
        self.lost, self.since, self.next, self.told = 0, 0.0, 0.0, False

    def write(self, name: str, content: str | bytes) -> None:
        """Add a line, a string, to the file of that name, or write its bytes whole."""
        if self.trouble or not self._done(partial(self._put, name, content)):
            self.owed.append((name, content))
            while sum(len(c) for _, c in self.owed) > OWED and self._drop_a_picture():
                self.lost += 1
            self._tell()

    def save(self, act: Callable[[], object]) -> None:
        """Do what writes a checkpoint, now or when the disk takes it."""
        if self.trouble or not self._done(act):
            self.checkpoint = act
            self._tell()

    def settle(self) -> None:
        """Try what is owed again, where it is time. Between two steps: a checkpoint is of a whole step."""
        if not self.trouble or time.monotonic() < self.next:
            return
        while self.owed:
            if not self._done(partial(self._put, *self.owed[0])):
                return
            self.owed.popleft()
        if (self.checkpoint is None or self._done(self.checkpoint)) and self._done(self._tidy):
            self.checkpoint, self.trouble, self.told = None, "", False
            lost = f"; {self.lost} pictures were too many to be kept" if self.lost else ""
            self.say(f"after {lasting(time.monotonic() - self.since)} the disk takes all again{lost}")

    def require(self, seconds: float = 0.0) -> None:
        """Write what is owed, within so many seconds. Raises OSError where the disk goes on refusing."""
        end = time.monotonic() + seconds
        if self.trouble and seconds:
            self.say(f"waiting for the disk, at most {lasting(seconds)}")
        while self.trouble:
            self.next = 0.0
            self.settle()
            if self.trouble and time.monotonic() >= end:
                raise OSError(self.trouble)
            if self.trouble:
                time.sleep(min(RETRY, seconds))

    def _done(self, act: Callable[[], object]) -> bool:
        """Whether it could be done. Raises OSError where it will not pass."""
        try:
            if not (self.folder / OPTIONS).exists():  # where a network folder was, an empty one may stand
                raise _gone(self.folder)
            act()
        except OSError as error:
            if not self.patient or not may_pass(error):
                raise
            if not self.trouble:
                self.since = time.monotonic()
            self.trouble, self.next = str(error), time.monotonic() + RETRY
            return False
        return True

    def _tidy(self) -> None:
        remove_leftovers(self.folder)

    def _put(self, name: str, content: str | bytes) -> None:
        path = self.folder / name
        if isinstance(content, bytes):
            return atomic_write(path, content)
        append_line(path, content)
        if name == LOG and path.stat().st_size > LOG_BYTES:
            os.replace(path, path.with_name(LOG_BEFORE))

    def _drop_a_picture(self) -> bool:
        """Owe one picture less, the oldest. Lines are never dropped: the curves of a run are made of them."""
        picture = next((debt for debt in self.owed if isinstance(debt[1], bytes)), None)
        if picture is not None:
            self.owed.remove(picture)
        return picture is not None

    def _tell(self) -> None:
        if not self.told:
            self.told = True
            self.say(f"{self.trouble}. Training goes on; what is owed is written when the disk takes it")


def new_folder(options: CommonOptions, out: str | os.PathLike | None, root: Path) -> Path:
    """The folder of a new run: `out`, or the next number in `root`. Raises ValueError if `out` holds something."""
    if out is not None:
        folder = Path(out)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            way = f"name a new folder, or go on with --resume {quote(str(folder))}"
            raise ValueError(f"{folder} already holds something; {way}")
        make_folder(folder)
        return folder
    make_folder(root)
    while True:
        numbers = [int(m[1]) for p in root.iterdir() if (m := re.match(r"(\d{5})-", p.name))]
        folder = root / f"{max(numbers, default=-1) + 1:05d}-{options.system}-{data.slug(options.data)}"
        try:
            folder.mkdir()
        except FileExistsError:  # another process took the number
            continue
        return folder


def append_metric(folder: Path, step: int, observation: Observation, by: str = "run") -> None:
    """A row of metric-classifier.jsonl; by: who looked, "run" at its end or "eval"."""
    append_line(folder / METRICS, json.dumps({"step": step, "by": by, "results": observation.figures}))


def settle_stats(folder: Path, step: int) -> list[int]:
    """Keep the rows of stats.jsonl up to a step; returns the numbers of lines that are none, of which a copy stays."""
    path = folder / "stats.jsonl"
    rows, strange = stats_of(path)
    if strange:
        os.replace(path, path.with_name(STATS_DAMAGED))
    before = [row for row in rows if row["step"] <= step]
    if strange or len(before) < len(rows):
        _rewrite(path, before)
    return strange


def leave_aside(folder: Path, step: int) -> None:
    """Of a run that goes back to a step, move the later checkpoints and pictures into a sub-folder `superseded`, and
    take the later rows out of norms.jsonl and of the figures."""
    late = [p for p in checkpoint.paths(folder) if checkpoint.step_of(p) > step]
    late += [q for p in late if (q := p.with_suffix(".safetensors")).exists()]
    late += [p for p in folder.glob("fakes*.png") if (m := FAKES.fullmatch(p.name)) and int(m[1]) > step]
    if late:
        aside, number = folder / "superseded", 1
        while any((aside / path.name).exists() for path in late):  # from another time
            number += 1
            aside = folder / f"superseded-{number}"
        aside.mkdir(exist_ok=True)
        for path in late:
            os.replace(path, aside / path.name)
    norms = read_norms(folder)
    if any(row["step"] > step for row in norms):
        _rewrite(folder / "norms.jsonl", [row for row in norms if row["step"] <= step])
    with suppress(FileNotFoundError):
        lines = (folder / METRICS).read_text(encoding="utf-8").splitlines()
        before = [line for line in lines if not _is_after(line, step)]
        if len(before) < len(lines):
            atomic_write(folder / METRICS, "".join(f"{line}\n" for line in before))


def _is_after(line: str, step: int) -> bool:
    """Whether a line is a row of a later step; what is no row stays."""
    try:
        return count_of(parse_json(line), "step") > step
    except (ValueError, LookupError, TypeError):
        return False


def settle_looks(folder: Path, step: int, every: int) -> list[float]:
    """Keep the rows of held_out.jsonl up to a step, but for a look at the end of a run that was to be shorter, which is
    not one of `every` so many steps; returns their distances."""
    rows = [row for row in read_looks(folder) if row["step"] <= step and row["step"] % every == 0]
    _rewrite(folder / LOOKS, rows)
    return [row["frechet"] for row in rows]


def _rewrite(path: Path, rows: list[dict]) -> None:
    atomic_write(path, "".join(json.dumps(row) + "\n" for row in rows))


def _gone(folder: Path) -> OSError:
    error = OSError(f"cannot write into {folder}: the run's folder, with its {OPTIONS}, is not there")
    error.errno = errno.ENOENT
    return error
