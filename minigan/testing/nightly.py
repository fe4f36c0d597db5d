"""The long tests in parts, one after another, with a page of what they said: `minigan nightly`.

    part     the slow tests of one file, run in a pytest of their own, which writes them down in JUnit's XML
    state    FOLDER/state.json: a record a part, written when the part ends
    page     FOLDER/page.md: written anew after each part

A part that has a record is not run again, so an interrupted night goes on where it stopped. A part that does not end
within the limit is stopped; what it said until then stands on the page, and the next call runs it again.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from .._files import atomic_write, parse_json
from .._terminal import printable
from ..gan.losses import nearest

CHECKOUT = Path(__file__).resolve().parents[2]
LIMIT = 3600
"""Seconds that a part may take."""
INTERRUPTS, PATIENCE = 4, 15
"""How often a part is told to stop, and the seconds in which it may write down what it knows, each time."""


@dataclass(frozen=True)
class Record:
    """What became of a part.

    whole: it ended by itself. tests: how many it has. failures, skips and figures: (test, text) each; the figures are
    what a test gave to pytest's `record_property` or printed.
    """

    part: str
    tests: int
    whole: bool
    seconds: float
    processes: int
    commit: str
    passed: int = 0
    failures: list[list[str]] = field(default_factory=list)
    skips: list[list[str]] = field(default_factory=list)
    figures: list[list[str]] = field(default_factory=list)

    def line(self) -> str:
        """For a terminal."""
        stopped = "" if self.whole else f"  stopped: {self.tests - self.results} without a result"
        counts = f"{self.passed} passed, {len(self.failures)} failed, {len(self.skips)} skipped of {self.tests}"
        return f"{self.part:<20} {counts}  {self.seconds / 60:.1f} min{stopped}"

    @property
    def results(self) -> int:
        """How many tests have an outcome."""
        return self.passed + len(self.failures) + len(self.skips)

    @property
    def good(self) -> bool:
        """Whether it ended and nothing failed."""
        return self.whole and not self.failures


def parts(root: Path) -> dict[str, list[str]]:
    """Name of a part -> its tests as pytest calls them. ValueError where there are no tests, or pytest finds fault."""
    if not (root / "tests").is_dir():
        raise ValueError(
            f"nightly: {root} has no tests/, since a wheel leaves them out; clone the repository and run: pip install"
            ' -e ".[test]" there'
        )
    answer = subprocess.run(
        [sys.executable, "-m", "pytest", "-m", "slow", "--collect-only", "-q", "tests"],
        cwd=root, capture_output=True, text=True, errors="replace",
    )  # fmt: skip
    if "No module named pytest" in answer.stderr:
        raise ValueError('nightly: pytest is not installed; run: pip install -e ".[test]"')
    if answer.returncode not in (0, 5):  # 5: no test is slow
        last = ["nothing", *(answer.stdout + answer.stderr).strip().splitlines()][-1]
        raise ValueError(f"nightly: pytest cannot collect the tests of {root}: {last}")
    table: dict[str, list[str]] = {}
    for line in answer.stdout.splitlines():
        if not line:  # what follows the first empty line is a summary
            break
        table.setdefault(Path(line.partition("::")[0]).stem.removeprefix("test_"), []).append(line)
    return table


def selection(names: Iterable[str], table: dict[str, list[str]]) -> dict[str, list[str]]:
    """The parts called `names`, all if none. Raises ValueError, with the nearest name, for an unknown one."""
    names = list(names)
    for name in names:
        if name not in table:
            raise nearest("part", name, table)
    return {name: table[name] for name in names or table}


def night(
    names: Iterable[str],
    folder: Path,
    processes: int = 2,
    limit: float = LIMIT,
    again: bool = False,
    say: Callable[[str], object] = print,
    machine: Mapping[str, object] | None = None,
    root: Path = CHECKOUT,
) -> dict[str, Record]:
    """Run the parts that have no record in `folder` yet, or all that are named if `again`, and write the state and the
    page after each. Returns the records of the chosen parts.

    processes: that share the tests of a part. limit: seconds a part. machine: facts for the page. Raises ValueError.
    """
    records = read(folder / "state.json")
    table = parts(root)
    chosen = selection(names, table)
    folder.mkdir(parents=True, exist_ok=True)
    for name, tests in chosen.items():
        if name in records and records[name].whole and not again:
            say(f"{records[name].line()}  (done before; --again runs it anew)")
            continue
        say(f"{name}: {len(tests)} tests")
        records[name] = run(name, tests, processes, limit, root)
        state = {name: asdict(record) for name, record in records.items()}
        atomic_write(folder / "state.json", json.dumps(state, indent=1) + "\n")
        atomic_write(folder / "page.md", page(records, table, machine or {}))
        say(records[name].line())
    return {name: records[name] for name in chosen}


def read(path: Path) -> dict[str, Record]:
    """The records of a state file, none where there is no file. ValueError where it is damaged."""
    if not path.exists():
        return {}
    try:
        return {name: Record(**row) for name, row in parse_json(path.read_text(encoding="utf-8")).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is no state of a night, remove it to begin anew: {error}") from error


def run(name: str, tests: list[str], processes: int, limit: float, root: Path) -> Record:
    """One part, to its end or to the limit. No test of it outlives this call, also where a signal ends it."""
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-m", "slow", f"--junitxml={report}"]
        command += ["-o", "junit_logging=system-out", "-o", "timeout=0"]  # the part's limit is the one that counts
        command += ["-n", str(processes)] if processes > 1 else []
        start = time.monotonic()
        before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        try:
            child = subprocess.Popen(
                [*command, *tests],
                cwd=root,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,  # a group of its own, so that its processes end together
            )
            try:
                output, whole = _waited_for(child, limit)
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(child.pid, signal.SIGKILL)
                child.wait()
        finally:
            signal.signal(signal.SIGTERM, before)
        seconds = time.monotonic() - start
        outcomes = _outcomes(report, root) if report.is_file() else {}
    if (whole and child.returncode not in (0, 1, 5)) or not outcomes:  # of the tests, or of pytest itself
        last = ["no word", *output.strip().splitlines()][-1]
        outcomes.setdefault("failures", []).append([name, f"pytest ended with status {child.returncode}: {last}"])
    return Record(name, len(tests), whole, round(seconds, 1), processes, commit(root), **outcomes)


def _waited_for(child: subprocess.Popen, limit: float) -> tuple[str, bool]:
    """(what it printed, whether it ended within the limit); one that does not is interrupted, so that it writes its
    report."""
    with suppress(subprocess.TimeoutExpired):
        return child.communicate(timeout=limit)[0], True
    for _ in range(INTERRUPTS):  # the first may come where nobody heeds it
        os.killpg(child.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            return child.communicate(timeout=PATIENCE)[0], False
    return "", False


def _outcomes(report: Path, root: Path) -> dict:
    """The outcomes in a report in JUnit's XML, as fields of a record; paths are those within the checkout."""
    outcomes: dict = {"failures": [], "skips": [], "figures": []}
    tree = ElementTree.parse(report)
    for case in tree.iter("testcase"):
        name = f"{case.get('classname', '').rpartition('.')[2]}::{case.get('name')}"
        marks = {mark.tag: (mark.get("message") or mark.tag).replace(f"{root}{os.sep}", "") for mark in case}
        wrong = marks.get("failure", marks.get("error"))
        if wrong is not None:
            outcomes["failures"].append([name, _first_line(wrong)])
        elif "skipped" in marks:
            outcomes["skips"].append([name, _first_line(marks["skipped"])])
        figures = [f"{p.get('name')} {p.get('value')}" for p in case.iter("property")]
        figures += [printable(line) for line in (case.findtext("system-out") or "").splitlines() if _figure(line)]
        outcomes["figures"] += [[name, text] for text in figures]
    # A test that was interrupted has a line, but is not counted.
    count = sum(int(suite.get("tests", 0)) for suite in tree.iter("testsuite"))
    return outcomes | {"passed": count - len(outcomes["failures"]) - len(outcomes["skips"])}


def _words(value: object) -> str:
    return ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, Mapping) else str(value)


def _figure(line: str) -> bool:
    """Whether a printed line says a number, and is none of pytest's headings."""
    return any(c.isdigit() for c in line) and not line.startswith("---")


def _first_line(text: str) -> str:
    return printable(next(iter(text.strip().splitlines()), ""))[:200]


def commit(root: Path) -> str:
    """The commit of a checkout, in short, with a + where files are changed; "unknown" without git."""
    try:
        words = [
            subprocess.run(["git", *args], cwd=root, capture_output=True, text=True, check=True).stdout.strip()
            for args in (("rev-parse", "--short", "HEAD"), ("status", "--porcelain", "--untracked-files=no"))
        ]
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return words[0] + ("+" if words[1] else "")


def page(records: Mapping[str, Record], table: Mapping[str, list[str]], machine: Mapping[str, object]) -> str:
    """The page, in Markdown; parts that have not run yet stand on it, too."""
    known = [records[name] for name in table if name in records]
    waiting = [name for name in table if name not in records]
    failed, stopped = sum(len(r.failures) for r in known), [r.part for r in known if not r.whole]
    verdict = f"{sum(r.passed for r in known)} passed, {failed} failed, {sum(len(r.skips) for r in known)} skipped"
    lines = [
        "# The long tests",
        "",
        "*Do the tests that take minutes pass, and how long do they take?* `minigan nightly` runs them part by part and"
        " writes this page after each. Minutes are by the clock, also where other work ran beside.",
        "",
        f"**{verdict}**, in {sum(r.seconds for r in known) / 3600:.2f} hours"
        + (f"; stopped: {', '.join(stopped)}" if stopped else "")
        + (f"; not run yet: {', '.join(waiting)}" if waiting else "")
        + ".",
        "",
        *(f"- {key}: {_words(value)}" for key, value in machine.items()),
        "",
        "| part | tests | passed | failed | skipped | minutes | processes | commit |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for r in known:
        minutes = f"{r.seconds / 60:.1f}" + ("" if r.whole else ", stopped")
        counts = f"{r.tests} | {r.passed} | {len(r.failures)} | {len(r.skips)}"
        lines.append(f"| {r.part} | {counts} | {minutes} | {r.processes} | {r.commit} |")
    for title, rows in (
        ("What failed", _together([row for r in known for row in r.failures])),
        (
            "What was skipped",
            [(f"`{n} tests`", why) for why, n in Counter(w for r in known for _, w in r.skips).items()],
        ),
        ("Figures that tests print", [(f"`{name}`", text) for r in known for name, text in r.figures]),
    ):
        lines += ["", f"## {title}", ""] + ([f"- {name}: {text}" for name, text in rows] or ["Nothing."])
    return "\n".join(lines) + "\n"


def _together(rows: list[list[str]]) -> list[tuple[str, str]]:
    """(test, message): the parameters of one test that failed with one message are on one line."""
    table: dict[tuple[str, str], list[str]] = {}
    for name, text in rows:
        test, _, parameters = name.partition("[")
        table.setdefault((test, text), []).append(parameters.removesuffix("]"))
    return [
        (f"`{test}` ({len(many)}: {', '.join(f'`{p}`' for p in many)})" if many[0] else f"`{test}`", text)
        for (test, text), many in table.items()
    ]
