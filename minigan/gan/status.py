"""status.json: what a run does now, for whoever watches it, from this machine or from another.

phase           starting, training, judging; at its end done, stopped or failed
step, steps     generator steps done, and to do in all; seconds of training, and seconds a step of late
checkpoint      the step of the newest
trouble         why the disk takes nothing now, or what ended the run; "" for nothing
host, pid, boot, clock      the process; seconds since its machine's start `boot`, by a clock that nobody sets
when            seconds since 1970 by the wall clock, which may jump: other machines have nothing better
turn            runs side by side are numbered in the order in which they were started or gone on with
"""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path

from .._files import atomic_write, claimed, parse_json, runs
from ..checkpoint import STATUS, turn_of
from .records import OPTIONS

BEAT = 5.0
"""Seconds from one to the next."""
ENDED = ("done", "stopped", "failed")


@dataclass(frozen=True)
class Status:
    """What a status.json says."""

    phase: str
    step: int
    steps: int
    seconds: float
    seconds_per_step: float
    checkpoint: int
    trouble: str
    host: str
    pid: int
    boot: str
    clock: float
    when: float
    turn: int

    @property
    def ended(self) -> bool:
        """Whether the run said that it ends."""
        return self.phase in ENDED

    @property
    def here(self) -> bool:
        """Whether it is of this machine, and of its time since its last start."""
        return bool(self.boot) and (self.host, self.boot) == (socket.gethostname(), boot())

    @property
    def gone(self) -> bool:
        """Whether its process ended without a word, where that can be known."""
        return self.here and not self.ended and not runs(self.pid)

    def silent(self) -> float:
        """Seconds since it was written: by the machine's own clock, or else by the wall clocks of both machines."""
        return max(0.0, time.monotonic() - self.clock if self.here else time.time() - self.when)


class Heartbeat:
    """Writes the status.json of a run's folder, once in BEAT seconds, and at each change of phase or trouble."""

    def __init__(self, folder: Path) -> None:
        self.path, self.next, self.pace = folder / STATUS, 0.0, 0.0
        self.last: tuple = ()
        self.turn = 1 + max((turn_of(path.parent) for path in folder.absolute().parent.glob(f"*/{STATUS}")), default=0)

    def beat(self, phase: str, trouble: str, step: int, steps: int, seconds: float, checkpoint: int) -> None:
        """Say how the run stands. What the disk refuses is left out: the next one says more."""
        now = time.monotonic()
        if now < self.next and self.last[:2] == (phase, trouble):
            return
        if self.last and step > self.last[2]:
            self.pace = (seconds - self.last[3]) / (step - self.last[2])
        status = Status(
            *(phase, step, steps, round(seconds, 3), round(self.pace, 6), checkpoint, trouble),
            *(socket.gethostname(), os.getpid(), boot(), round(now, 3), round(time.time(), 3), self.turn),
        )
        self.next, self.last = now + BEAT, (phase, trouble, step, seconds)
        with suppress(OSError):
            if (self.path.parent / OPTIONS).exists():  # where a network folder was, an empty one may stand
                atomic_write(self.path, json.dumps(asdict(status), indent=1) + "\n")


def read_status(folder: Path) -> Status | None:
    """What a run's status.json says; None without one, or where it is damaged."""
    kinds = {"str": (str,), "int": (int,), "float": (int, float)}
    try:
        row = parse_json((folder / STATUS).read_text(encoding="utf-8"))
        values = {f.name: row[f.name] for f in fields(Status)}
        sound = all(type(values[f.name]) in kinds[str(f.type)] for f in fields(Status))
        numbers = all(0 <= v < 1e15 for v in values.values() if not isinstance(v, str))
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return Status(**values) if sound and numbers else None


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Within it no other process trains the run of a folder. Raises ValueError where one does."""
    with claimed(folder) as alone:
        if not alone:
            status = read_status(folder)
            number = f"process {status.pid}" if status is not None and status.here else "another process"
            raise ValueError(f"{folder}: {number} trains this run now; wait for its end, or stop it first")
        yield


@cache
def boot() -> str:
    """Which start of the machine this is; "" where the system does not say."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""
