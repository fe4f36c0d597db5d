"""Each line of the torture at a small scale; lines break where what they watch is broken; their state and page."""

import errno
import json
import os
from pathlib import Path
from unittest import mock

import click
import numpy as np
import pytest
from click.testing import CliRunner

import minigan as mg
from minigan import _array, _files, _modes, checkpoint
from minigan.cli import main
from minigan.data import archives
from minigan.gan import writing
from minigan.torture import lines, numbers, suite
from minigan.torture.damage import damaged

QUICK = {
    "corrupted-json": 12, "corrupted-arrays": 12, "corrupted-pairs": 10, "op-calls": 400, "command-lines": 8,
    "hostile-files": 60, "http": 8, "not-a-number": 1, "kills": 1, "full-disk": 1,
}  # fmt: skip
"""Cases in the quick suite; lines that take longer for a single one are slow."""
CASE = {"full-disk": 130, "not-a-number": 5, "kills": 1}
"""The case that is run of a line of which one is."""


def outcome(name: str, count: int = 1, case: int | None = None) -> lines.Outcome:
    with click.Context(main):
        return lines.run(suite.lines()[name], 7, count, case)


def test_an_op_can_be_poisoned_that_nobody_watches(monkeypatch):
    """The engine has a shorter way for ops where no device is in use and nobody looks; a poison must not miss it."""
    monkeypatch.setattr("minigan.autograd.device_modules", {})
    x, count, poison = mg.ones(2), numbers.Poison(), numbers.Poison("critic", 0, np.inf)
    count.now = poison.now = "critic"
    with count.among_ops():
        x * 2
    with poison.among_ops():
        y = x * 2
    assert count.floats == {"critic": [0]} and poison.op == "mul" and y.tolist() == [np.inf, 2]


@pytest.mark.parametrize("name", QUICK)
def test_a_line_holds(name):
    result = outcome(name, QUICK[name], CASE.get(name))
    assert result.passed and sum(result.tally.values()) == result.cases, result.faults


@pytest.mark.slow
@pytest.mark.parametrize("name", list(suite.lines()))
def test_a_hundredth_of_every_line_holds(name):
    result = outcome(name, suite.count_of(suite.lines()[name], 0.01))
    assert result.passed, result.faults


def _trusting(path, expected):
    return path.with_suffix(".safetensors").read_bytes()


BROKEN = {
    "corrupted-arrays": (checkpoint, {"_arrays": _trusting}, None),
    "hostile-files": (archives, {"MOST_MEMBERS": None}, None),
    "http": (archives, {"check_digest": lambda *_: None, "check_file": lambda *_: None}, None),
    "op-calls": (_array, {"no_operand": lambda op, *_: TypeError(f"{op}:\n no")}, None),
    "not-a-number": (_modes, {"check_finite": lambda *_: None}, 5),
    "full-disk": (writing, {"may_pass": lambda error: False}, 130),
}
"""Line -> (what is broken, how, the case that sees it)."""
COUNTS = {"op-calls": 100, "hostile-files": 40, "http": 20, "corrupted-arrays": 20}


@pytest.mark.parametrize("name", BROKEN)
def test_a_line_breaks_where_what_it_watches_is_broken(name):
    owner, changes, case = BROKEN[name]
    with mock.patch.multiple(owner, **changes):
        result = outcome(name, COUNTS.get(name, 1), case)
    assert result.broken, result.tally


def test_a_case_is_the_same_alone_and_in_its_line():
    """What it draws, and so what is done, follows from the seed and its number."""
    seen: list = []

    @lines.line("draws", 5, "for this test")
    def draws(folder: Path):
        yield lambda k, rng: str(seen.append((k, damaged(bytes(100), rng))))

    try:
        lines.run(draws, 3, 5)
        lines.run(draws, 3, 1, 2)
        lines.run(draws, 4, 1, 2)
    finally:
        del lines.LINES["draws"]
    assert seen[5] == seen[2] != seen[6]


@pytest.mark.parametrize("content", [b"", b"x", bytes(5000), bytes(range(256)) * 40])
def test_damage_always_damages(content):
    for k in range(200):
        assert damaged(content, np.random.default_rng(k))[1] != content


@pytest.fixture
def small():
    """Two lines in place of all: one that holds and one that breaks at its cases 1, 4, 7 ..., or is not reached."""

    @lines.line("good", 30, "a number is a number")
    def good(folder: Path):
        yield lambda k, rng: f"{lines.NOT_HERE}a screw" if k == 3 else "fine"

    @lines.line("bad", 10, "no number is 1 modulo 3")
    def bad(folder: Path):
        def case(k, rng):
            if k == 7:
                raise KeyError("gone")
            lines.require(k % 3 != 1, f"{k} is\none")
            return "fine"

        yield case

    table = {name: lines.LINES.pop(name) for name in ("good", "bad")}
    with mock.patch.object(suite, "lines", lambda: table):
        yield table


def call(*words):
    return CliRunner().invoke(main, ["torture", *map(str, words)])


def test_the_page_says_what_broke_and_what_was_not_reached(small, tmp_path):
    result = call("--scale", 0.5, "--seed", 9, "--out", tmp_path, "--json")
    assert result.exit_code == 1 and "good" in result.output
    figures = json.loads(result.output.splitlines()[-1])
    assert figures["passed"] is False and figures["lines"]["bad"]["broken"] == 2
    page = (tmp_path / "page.md").read_text()
    assert "**20 cases, 2 of them broken**" in page
    assert "| good | a number is a number | 15 of 30 | 0 | 9 | 0 | 14 fine |" in page
    assert "- `bad --seed 9 --case 1`: 1 is one" in page and "- good: 1 of 15 cases, for want of a screw" in page
    assert call("bad", "--seed", 9, "--case", 7).exit_code == 1
    alone = call("bad", "--seed", 9, "--case", 4, "--out", tmp_path / "none")
    assert "bad --seed 9 --case 4: 4 is one" in alone.output and not (tmp_path / "none").exists()
    assert call("good", "--case", 1).exit_code == 0


def test_it_goes_on_where_it_stopped(small, tmp_path):
    """Not where the seed or the scale is another, nor with --again."""
    call("good", "--out", tmp_path)
    page = (tmp_path / "page.md").read_text()
    assert "not run: bad" in page
    assert "done before" in call("good", "--out", tmp_path).output
    for words in (["--seed", 1], ["--scale", 0.1], ["--again"]):
        assert "done before" not in call("good", *words, "--out", tmp_path).output
    (tmp_path / "state.json").write_text("[")
    assert "is no state of a torture" in call("good", "--out", tmp_path).output


def test_words_that_do_not_fit_are_refused(small, tmp_path):
    assert "bad" in call("bat").output and call("bat").exit_code == 2
    assert "name that line" in call("--case", 3).output
    assert [line.split()[0] for line in call("--list").output.splitlines()] == ["good", "bad"]


def test_leftovers_of_the_dead_are_removed_and_of_the_living_not(tmp_path):
    """Of this process, too, which writes nothing while it asks; another's file of such a name is no leftover."""
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    names = {f".a.json.{child}.tmp", f".b.png.{os.getpid()}.tmp", f".c.{os.getppid()}.tmp", ".d.tmp", "e.1.tmp"}
    for name in names:
        (tmp_path / name).touch()
    _files.remove_leftovers(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {f".c.{os.getppid()}.tmp", ".d.tmp", "e.1.tmp"}


def test_a_failure_keeps_its_reason(tmp_path):
    """The number of the system's error, which says whether it may pass."""
    for number in (errno.ENOSPC, errno.EACCES):
        error = _files._failure(tmp_path, OSError(number, os.strerror(number)))
        assert error.errno == number and _files.may_pass(error) == (number == errno.ENOSPC)
        assert str(error).startswith("cannot write")
    with pytest.raises(OSError, match="no such folder") as told:
        _files.atomic_write(tmp_path / "none" / "x", b"")
    assert _files.may_pass(told.value)


def test_a_number_too_large_for_a_dtype_names_the_op():
    for value in (2**70, -(2**70), 10**5000):
        with pytest.raises(ValueError, match=r"^ge: a whole number of \d+ bits is too large for int64"):
            mg.ge(mg.tensor([1, 2]), value)
    x = mg.tensor([3.0])
    with pytest.raises(TypeError, match=r"^neg: takes 1 argument, got 2"):
        mg.neg(mg.tensor([1.0]), x)
    assert x.item() == 3.0


def test_regions_beyond_memory_are_refused():
    """At once: the list of them would be longer than any memory."""
    with pytest.raises(ValueError, match=r"^adaptive_avg_pool2d: output_size must be at most 65,536, got"):
        mg.functional.adaptive_avg_pool2d(mg.ones(1, 1, 2, 3), 2**63)
