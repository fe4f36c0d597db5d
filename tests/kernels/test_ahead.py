"""The list of kernels compiled ahead: each line is a kernel with types, and the default run needs no others."""

import os
import subprocess
import sys

import pytest
from numba.core import event as events

from minigan import data
from minigan.gan.systems import options_for, trainer_for
from minigan.kernels import ahead, fast, load

LINES = ahead.LIST.read_text().splitlines()

pytestmark = pytest.mark.skipif(fast.lanes() == 0, reason="the list is for machines with vectors")


@pytest.mark.parametrize("line", LINES)
def test_a_line_says_a_kernel_and_its_types(line):
    kernel, signature = ahead.parsed(line)
    assert ahead.line_of(kernel, signature) == line
    assert kernel in load._progress.kernels


class Inner(events.Listener):
    """The lines of kernels that are compiled because another one calls them: those need not be listed."""

    def __init__(self):
        self.depth, self.lines = 0, set()

    def on_start(self, event):
        self.depth += 1

    def on_end(self, event):
        self.depth -= 1
        kernel = event.data["dispatcher"]
        if self.depth and kernel in load._progress.kernels:
            self.lines.add(ahead.line_of(kernel, tuple(event.data["args"])))


def test_the_default_run_is_listed():
    """What its first step and its first picture call, beside what other tests have called."""
    kernels, inner = load._progress.kernels, Inner()
    before = set(ahead.compiled(kernels))
    options = options_for("wgan-gp", seed=0)
    with events.install_listener("numba:compile", inner):
        trainer = trainer_for(options, data.load(options.data, size=options.size))
        trainer.step()
        trainer.preview(64)
    missing = set(ahead.compiled(kernels)) - before - inner.lines - set(LINES)
    assert not missing, "put these into minigan/kernels/ahead.txt"


FIRST_CALLS = """
from minigan import data
from minigan.gan.systems import options_for, trainer_for
from minigan.kernels import ahead, load

lines, load_overload = [], load._Cache.load_overload

def noted(self, signature, context):
    kernel = next((k for k in load._progress.kernels if k.py_func is self._py_func), None)
    if kernel is not None:
        lines.append(ahead.line_of(kernel, tuple(signature)))
    return load_overload(self, signature, context)

load._Cache.load_overload = noted
options = options_for("wgan-gp", seed=0)
trainer = trainer_for(options, data.load(options.data, size=options.size))
trainer.preview(64)
trainer.step()
listed = ahead.LIST.read_text().splitlines()
print(*(listed.index(line) for line in dict.fromkeys(lines) if line in listed))
"""


def test_the_list_is_in_the_order_of_the_first_calls():
    """Two processes work on it from both ends: a line far from its place is compiled by both, or waited for. What is
    cached with another kernel may be called a few places earlier."""
    output = subprocess.run([sys.executable, "-c", FIRST_CALLS], capture_output=True, text=True, check=True).stdout
    order = [int(word) for word in output.split()]
    assert sorted(order) == list(range(len(LINES)))
    assert max(abs(place - line) for place, line in enumerate(order)) <= 4, order


def test_the_list_is_compiled_from_its_end_and_past_any_fault(monkeypatch, tmp_path):
    calls = []

    class Kernel:
        def __init__(self, line):
            self.line = line

        def compile(self, signature):
            calls.append(self.line)
            if self.line == "b":
                raise RuntimeError("no such machine")

    (tmp_path / ahead.AT_WORK).touch()
    (tmp_path / "list.txt").write_text("a\nb\nnone\nc\n")
    monkeypatch.setattr(ahead, "LIST", tmp_path / "list.txt")
    monkeypatch.setattr(ahead, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(ahead, "parsed", lambda line: (None if line == "none" else Kernel(line), ()))
    ahead.compile_all()
    assert calls == ["c", "b", "a"]
    assert (tmp_path / ahead.DONE).exists() and not (tmp_path / ahead.AT_WORK).exists()
    assert ahead.start() is None  # nothing is left to do


@pytest.mark.parametrize("shares", [1, 2, 3])
def test_shares_are_the_whole_list(shares, monkeypatch, tmp_path):
    """One process starts the others, waits for them, and says that nothing is left; after a failure it does not."""
    lines, started = [], []

    class Other:
        def __init__(self, *share):
            started.append(share)

        def wait(self):
            return failure

    monkeypatch.setattr(ahead, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(ahead, "parsed", lambda line: lines.append(line))
    monkeypatch.setattr(ahead, "_process", Other)
    for failure in (1, 0):
        lines.clear()
        started.clear()
        (tmp_path / ahead.AT_WORK).touch()
        ahead.compile_all(0, shares)
        assert not (tmp_path / ahead.AT_WORK).exists()
        assert (tmp_path / ahead.DONE).exists() == (shares == 1 or not failure)
    for share in list(started):
        ahead.compile_all(*share)
    assert sorted(lines) == sorted(LINES) and len(started) == shares - 1


@pytest.mark.parametrize("cores, shares", [(2, 1), (3, 2), (64, ahead.MOST)])
def test_more_cores_share_the_list(cores, shares, monkeypatch, tmp_path):
    monkeypatch.setattr(ahead, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    monkeypatch.setattr(ahead, "_process", lambda *share: share)
    assert ahead.start() == (0, shares)


def test_an_orphan_stops(monkeypatch, tmp_path):
    parents = iter([7, 7, 1])
    monkeypatch.setattr(os, "getppid", lambda: next(parents))
    monkeypatch.setattr(ahead, "cache_folder", lambda: tmp_path)
    calls = []
    monkeypatch.setattr(ahead, "parsed", lambda line: calls.append(line))
    ahead.compile_all()
    assert calls == LINES[-1:] and not list(tmp_path.iterdir())


def test_one_process_is_at_it(monkeypatch, tmp_path):
    monkeypatch.setattr(ahead, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    monkeypatch.setattr(ahead.subprocess, "Popen", lambda *a, **k: "a process")
    assert ahead.start() == "a process" and ahead.start() is None
    os.utime(tmp_path / ahead.AT_WORK, (0, 0))  # of a process that was killed
    assert ahead.start() == "a process" and ahead.start() is None


def test_one_core_compiles_for_itself(monkeypatch, tmp_path):
    monkeypatch.setattr(ahead, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0}, raising=False)
    monkeypatch.setattr(ahead.subprocess, "Popen", lambda *a, **k: pytest.fail("a second process"))
    assert ahead.start() is None
