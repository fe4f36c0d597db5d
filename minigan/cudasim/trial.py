"""The trial of a mutant: pytest, in check mode, on a copy of the checkout in which the mutant has the kernel's place.

What makes a trial cheap on a slow machine: the copy is made once a file; the processes that run pytest are forked from
one that has imported what takes long; float32 tests come first, so that a mutant which they kill is never
compiled for float64; the library that `mutate` compiled to see whether a mutant compiles is the one that the tests
load; a mutant that never ends is stopped soon. The limit is of processor time, not of the clock: other processes cannot
kill a mutant.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path

PRELOADED = ("numba", "torch", "hypothesis", "minigan.kernels", "minigan.backend", "minigan.cudasim.standin")
"""What the tests import and takes long; imported, and not run, before the processes are forked."""

OPTIONS = ("-q", "-x", "-p", "no:cacheprovider", "-o", "timeout=0")
"""Of pytest: the first failure is enough; no limit by the clock."""

PARTS = ("kernels", "minigan", "tests", "examples")


class Checkout:
    """A copy of the checkout in which one .cu file is replaced and pytest is run, each time in a new process.

    root     the checkout
    file     the kernel source in it that is to be replaced
    tests    what pytest is to run, relative to the root
    seconds  of processor time that one trial may take at most
    """

    def __init__(self, root: Path, file: Path, tests: list[str], seconds: int) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="minigan-mutants-"))
        ignore = shutil.ignore_patterns("__pycache__")
        for part in PARTS:  # minigan/kernels is a link to kernels: it has to lead to the copy
            shutil.copytree(root / part, self.folder / part, symlinks=True, ignore=ignore)
        shutil.copy(root / "pyproject.toml", self.folder)
        self.file = self.folder / file.resolve().relative_to(root.resolve())
        self.original = self.file.read_text()
        code = f"from minigan.cudasim.trial import serve; serve({tests!r}, {seconds})"
        self.server = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=self.folder,
            env={**os.environ, "MINIGAN_CUDASIM": "check", "PYTHONPATH": str(self.folder), "NUMBA_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def check(self, text: str | None) -> str | None:
        """What pytest complains about with this text in the file's place (None: the file as it is), or None."""
        self.file.write_text(self.original if text is None else text)
        self.server.stdin.write("run\n")
        self.server.stdin.flush()
        answer = self.server.stdout.readline()
        if not answer:
            raise RuntimeError("mutate: the process that runs the tests has ended")
        return json.loads(answer)

    def remove(self) -> None:
        """Ends the server and deletes the copy."""
        self.server.stdin.close()
        self.server.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


class Float32First:
    """A pytest plugin: tests of float64 come last."""

    def pytest_collection_modifyitems(self, items: list) -> None:
        items.sort(key=lambda item: "float64" in item.name)


def serve(tests: list[str], seconds: int) -> None:
    """For each line read, forks a process that runs pytest, and answers with a line of JSON: what failed, or null.

    The first run is of the kernel as it is; later ones get three times its processor time, and 5 seconds.
    """
    import pytest

    for module in PRELOADED:
        import_module(module)
    log, limit = Path("log.txt"), seconds
    for run, _ in enumerate(sys.stdin):
        child = os.fork()
        if child == 0:
            resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
            with log.open("w") as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
                os._exit(pytest.main([*OPTIONS, *tests], plugins=[Float32First()]))
        _, status, usage = os.wait4(child, 0)
        print(json.dumps(_complaint(os.waitstatus_to_exitcode(status), log, limit)), flush=True)
        if run == 0:
            limit = min(seconds, 5 + 3 * round(usage.ru_utime + usage.ru_stime))


def _complaint(status: int, log: Path, seconds: int) -> str | None:
    if status == 0:
        return None
    if status == -signal.SIGXCPU:
        return f"not done after {seconds} s of processor time"
    errors = [row for row in log.read_text(errors="replace").splitlines() if re.match(r"E  |FAILED|ERROR", row)]
    return errors[0].removeprefix("E").strip() if errors else f"exit status {status}"
