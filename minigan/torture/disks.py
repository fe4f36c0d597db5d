"""Disks that refuse: at every call that writes, for a while; and a real one that is full."""

from __future__ import annotations

import builtins
import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from unittest import mock

from .. import _files
from ..gan import run as runs
from ..gan.run import Run
from ..gan.train import Trainer
from .lines import NOT_HERE, Case, line, one_line, require
from .world import compare, go_on, short_runs, tiny, traces

REASONS = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.ESTALE, errno.ENOENT)
LASTING = (errno.EACCES, errno.EPERM, errno.EFBIG)
CALLS = ("fsync", "replace", "unlink", "truncate")


class Disk:
    """Counts the calls that write, and refuses those from number `first` to `last` with `number`, of errno's."""

    def __init__(self, first: int = 0, last: int = 0, number: int = 0) -> None:
        self.first, self.last, self.number, self.count = first, last, number, 0

    def ask(self) -> None:
        """Raises OSError where this call is to be refused."""
        self.count += 1
        if self.first <= self.count <= self.last:
            raise OSError(self.number, os.strerror(self.number))

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Between minigan's files and the system."""
        originals = {name: getattr(os, name) for name in CALLS}

        def watched(name):
            def call(*args, **settings):
                self.ask()
                return originals[name](*args, **settings)

            return call

        def opened(path, mode="r", *rest, **settings):
            file = builtins.open(path, mode, *rest, **settings)  # noqa: SIM115
            if mode == "r":
                return file
            self.ask_or_close(file)
            return _File(file, self)

        with (
            mock.patch.multiple(os, **{name: watched(name) for name in CALLS}),
            mock.patch.object(_files, "open", opened, create=True),
        ):
            yield

    def ask_or_close(self, file) -> None:
        """The same, and the file is closed."""
        try:
            self.ask()
        except OSError:
            file.close()
            raise


class _File:
    """An open file that may write a part of what it is given, and then refuse."""

    def __init__(self, file, disk: Disk) -> None:
        self.file, self.disk = file, disk

    def write(self, content) -> int:
        try:
            self.disk.ask()
        except OSError:
            self.file.write(bytes(content)[: len(content) // 2])
            raise
        return self.file.write(content)

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *exception) -> None:
        self.file.close()


@line(
    "full-disk",
    400,
    "a disk that refuses at any call, for a while, costs a run nothing; one that goes on ends it in one line",
)
def full_disk(folder: Path) -> Iterator[Case]:
    """Case k begins at the k-th call that writes; one in five for a reason that does not pass, or for good."""
    with short_runs():
        disk, after = Disk(), []
        with disk.inside(), each_step(lambda step: after.append(disk.count)):
            Run.create(tiny(), folder / "whole").train()
        expected, calls = traces(folder / "whole"), disk.count

        def case(k, rng) -> str:
            run, first = folder / f"run{k}", 1 + k % calls
            lasting = bool(rng.integers(5) == 0)
            number = int(rng.choice(REASONS + (LASTING if lasting else ())))
            disk = Disk(first, first + (10**9 if lasting else int(rng.integers(1, 60))), number)
            message = ""
            with disk.inside(), mock.patch.object(runs, "WAIT", 0.3 if lasting else 60.0):
                try:
                    Run.create(tiny(), run).train()
                except OSError as error:
                    message = one_line(error, (OSError,))
            require(message or not lasting or first > after[-1], "a disk that refuses for good was not told")
            require(not message or lasting or first <= after[0], f"a refusal that passes ended the run: {message}")
            what = f"ended, then {go_on(run)}" if message else "survived"
            if disk.count < disk.last:  # it refused to the end, and what lies there is removed by who comes next
                _files.remove_leftovers(run)
            compare(run, expected)
            shutil.rmtree(run)
            return what

        yield case


@contextmanager
def each_step(act: Callable[[int], object]) -> Iterator[None]:
    """After each step, `act` with its number."""
    original = Trainer.step

    def step(self):
        figures = original(self)
        act(self.steps_done)
        return figures

    with mock.patch.object(Trainer, "step", step):
        yield


@line("tmpfs", 20, "a real file system that is full from one step to another costs a run nothing")
def tmpfs(folder: Path) -> Iterator[Case]:
    """A file system in memory, of 600 kB, which only root may mount; a file takes all the room that it has."""
    place = folder / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(place)]
    here = bool(shutil.which("mount")) and not subprocess.run(mount, capture_output=True, check=False).returncode
    with short_runs():
        Run.create(tiny(), folder / "whole").train()
        expected = traces(folder / "whole")

        def case(k, rng) -> str:
            if not here:
                return f"{NOT_HERE}a file system of its own, which root may mount"
            first, ballast = int(rng.integers(1, 8)), place / "ballast"
            last = int(rng.integers(first + 4, 12))  # a checkpoint comes between

            def act(step: int) -> None:
                if step == first:
                    with suppress(OSError), open(ballast, "wb", buffering=0) as file:
                        while True:
                            file.write(bytes(4096))
                if step == last:
                    ballast.unlink()

            run = place / f"run{k}"
            with each_step(act):
                Run.create(tiny(), run).train()
            compare(run, expected)
            require("all again" in (run / "log.txt").read_text(), "the disk was not full")
            shutil.rmtree(run)
            return "survived"

        try:
            yield case
        finally:
            if here:
                subprocess.run(["umount", str(place)], capture_output=True, check=False)
