"""Grade a learner's file in a process of its own: limits of time, memory and printing, and nothing written.

The process works in an empty folder that is thrown away. What the file prints is shown up to a length; what it opens
for writing outside that folder, or deletes, is refused. A file that never ends is stopped, with all that it started.

    python -m minigan.learn.process TRACK NAME FILE HANDLE      is that process; it writes a line of JSON to HANDLE
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from . import table
from .exercise import Exercise
from .grading import grade_guarded

SECONDS = 40.0
"""Of the clock, for one grade."""

WORK = 10
"""Seconds of processor time for one grade: other processes cannot use them up."""

OUTPUT = 200_000
"""Bytes that a file may print before it is stopped."""

SHOWN = 2_000
LINES = 20
"""Characters and lines of them that are shown."""

MEMORY = 8 * 2**30
"""Bytes of address space, where the system can say so."""


@dataclass(frozen=True)
class Grade:
    """findings: what is wrong, none where the exercise is done. printed: what the file printed. seconds: of the
    clock."""

    findings: tuple[str, ...]
    printed: str = ""
    seconds: float = field(default=0.0, compare=False)

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings


def grade_file(exercise: Exercise, path: Path, seconds: float = SECONDS) -> Grade:
    """The grade of a file; it is only read. OSError where it cannot be."""
    if b"\0" in path.read_bytes():
        return Grade((f"{path.name} holds bytes that are no text; save it as UTF-8",))
    start = time.monotonic()
    reader, writer = os.pipe()
    with tempfile.TemporaryDirectory(prefix="minigan-learn-", ignore_cleanup_errors=True) as folder:
        words = [exercise.track, exercise.name, str(path.resolve()), str(writer)]
        process = subprocess.Popen(
            [sys.executable, "-m", "minigan.learn.process", *words],
            cwd=folder,
            env={**_environment(), "TMPDIR": folder},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(writer,),
            start_new_session=True,
        )
        os.close(writer)
        output = _Output(process)
        try:
            process.wait(seconds)
            ending = ""
        except subprocess.TimeoutExpired:
            ending = f"{path.name} was not done after {seconds:g} s, and was stopped: does a loop never end?"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        output.thread.join(2.0)
        with open(reader, "rb") as pipe:
            os.set_blocking(pipe.fileno(), False)
            answer = (pipe.read() or b"").decode(errors="replace")
    if output.too_long:
        ending = f"{path.name} printed more than {OUTPUT:,} bytes, and was stopped: take the print out of the loop"
    findings = (ending,) if ending else _findings(answer, process.returncode, path)
    return Grade(findings, output.text(), time.monotonic() - start)


def _findings(answer: str, status: int, path: Path) -> tuple[str, ...]:
    try:
        return tuple(json.loads(answer))
    except ValueError:
        if status == -signal.SIGXCPU:
            return (f"{path.name} was not done after {WORK} s of work, and was stopped: does a loop never end?",)
        how = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        return (f"{path.name} ended the process before the grader was done ({how}); take out what ends it",)


def _environment() -> dict[str, str]:
    """The environment, with the package's own folder to import from, and one thread: an exercise is small."""
    places = [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    settings = {"PYTHONPATH": os.pathsep.join(p for p in places if p), "NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    return {**os.environ, **settings, "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}


class _Output:
    """Reads what the process prints, in a thread, and stops the process where that is too much."""

    def __init__(self, process: subprocess.Popen) -> None:
        self.process, self.head, self.size = process, b"", 0
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    @property
    def too_long(self) -> bool:
        return self.size > OUTPUT

    def _read(self) -> None:
        pipe = self.process.stdout
        while pipe and (part := os.read(pipe.fileno(), 65536)):
            self.size += len(part)
            if len(self.head) < 4 * SHOWN:
                self.head += part
            if self.too_long:
                with suppress(ProcessLookupError):
                    os.killpg(self.process.pid, signal.SIGKILL)
                return

    def text(self) -> str:
        whole = self.head.decode(errors="replace").strip()
        text = "\n".join(whole[:SHOWN].splitlines()[:LINES])
        return text if len(text) == len(whole) and self.size == len(self.head) else text + "\n[and more]"


def _main(track: str, name: str, path: str, handle: str) -> None:
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (WORK, WORK + 1))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    exercise = table.track(track)[name]
    text = Path(path).read_bytes().decode("utf-8-sig", errors="replace")
    sys.addaudithook(_guard(Path(path).name))
    findings = grade_guarded(exercise, text, Path(path).name)
    sys.stdout.flush()
    os.write(int(handle), json.dumps(findings).encode())
    os._exit(0)


_CHANGES = {"os.remove": 1, "os.rmdir": 1, "os.mkdir": 1, "os.truncate": 1, "shutil.rmtree": 1}
_CHANGES |= {"os.rename": 2, "os.link": 2, "os.symlink": 2}
"""Event -> how many of its arguments are places: a file is moved from one to another."""
_OUTSIDE = {"os.system", "os.exec", "socket.connect"}


def _guard(file: str):
    """An audit hook that refuses to change files outside the temporary folder and the caches, and to leave the
    machine."""
    from minigan.kernels.load import cache_folder

    here = Path.cwd().resolve()
    temporary = [here, Path("/dev")]
    with suppress(OSError):
        temporary.append(cache_folder().parent.resolve())

    def hook(event: str, arguments: tuple) -> None:
        if event in _OUTSIDE:
            raise PermissionError(f"{file} calls {event}: an exercise needs nothing outside it")
        if event == "open":
            place, mode, flags = arguments
            if not (set(mode or "") & set("wax+") or (flags or 0) & _WRITE):
                return
            places = [place]
        else:
            places = arguments[: _CHANGES.get(event, 0)]
        for place in places:
            if isinstance(place, int):  # a file that is open already
                continue
            target = (here / os.fsdecode(place)).resolve()
            if not any(target.is_relative_to(folder) for folder in temporary):
                raise PermissionError(f"an exercise writes no files, and {target} is one: {event} was refused")

    return hook


_WRITE = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


if __name__ == "__main__":
    _main(*sys.argv[1:])
