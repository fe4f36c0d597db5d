"""`minigan nightly` on a project of its own: a part that passes, one that fails and one that hangs."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner

from minigan.bench import run
from minigan.cli import main
from minigan.testing import nightly

FILES = {
    "test_quick.py": """
        def test_not_slow(): assert False
        """,
    "test_good.py": """
        import pytest
        @pytest.mark.slow
        @pytest.mark.parametrize("k", [1, 2])
        def test_numbers(k, record_property):
            record_property("share", k / 4)
            print("modes 8 of 8")
        """,
    "test_bad.py": """
        import pytest
        @pytest.mark.slow
        @pytest.mark.parametrize("k", [1, 2])
        def test_wrong(k): raise OSError(f"{__file__}: one is not two")
        @pytest.mark.slow
        def test_absent(): pytest.skip("needs g++")
        """,
    "test_hang.py": """
        import pathlib, time, pytest
        @pytest.mark.slow
        def test_first(): pass
        @pytest.mark.slow
        def test_second():
            pathlib.Path("running").write_text("")
            for _ in range(600): time.sleep(0.1)
        """,
}


PARTS = {
    "bad": [f"tests/test_bad.py::{name}" for name in ("test_wrong[1]", "test_wrong[2]", "test_absent")],
    "good": ["tests/test_good.py::test_numbers[1]", "tests/test_good.py::test_numbers[2]"],
    "hang": ["tests/test_hang.py::test_first", "tests/test_hang.py::test_second"],
}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    root = tmp_path_factory.mktemp("project")
    (root / "tests").mkdir()
    (root / "pyproject.toml").write_text('[tool.pytest.ini_options]\nmarkers = ["slow: long"]\n')
    for name, text in FILES.items():
        (root / "tests" / name).write_text(textwrap.dedent(text))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nightly, "CHECKOUT", root)
        patch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")  # pytest alone starts in a third of the time
        patch.setattr(run, "machine", lambda *_: {"processor": "a quick one", "versions": {"numpy": "2"}})
        yield root


def call(*words):
    return CliRunner().invoke(main, ["nightly", "-n", "1", *words])


def test_the_parts_are_listed_by_name(project, monkeypatch):
    outcome = call("--list", "--json")
    assert json.loads(outcome.stdout.splitlines()[-1]) == [
        {"part": "bad", "tests": 3},
        {"part": "good", "tests": 2},
        {"part": "hang", "tests": 2},
    ]
    monkeypatch.setattr(nightly, "parts", lambda root: PARTS)
    outcome = call("godo")
    assert outcome.exit_code == 2 and "did you mean 'good'" in outcome.output


def test_a_night_is_resumed_and_its_page_says_all(collected_once, project, tmp_path, monkeypatch):
    """Parts that are done are not run again unless --again; the page has what passed, failed, was skipped and printed,
    and which parts are left."""
    calls = []
    original = nightly.run
    monkeypatch.setattr(nightly, "run", lambda name, *rest: calls.append(name) or original(name, *rest))
    out = str(tmp_path / "night")
    first = call("bad", "good", "--out", out)
    page = (tmp_path / "night" / "page.md").read_text()
    assert first.exit_code == 1 and calls == ["bad", "good"]
    assert "**2 passed, 2 failed, 1 skipped**" in page and "not run yet: hang" in page
    assert "| bad | 3 | 0 | 2 | 1 |" in page and "| good | 2 | 2 | 0 | 0 |" in page
    assert "- `test_bad::test_wrong` (2: `1`, `2`): OSError: tests/test_bad.py: one is not two" in page
    assert "- `1 tests`: needs g++" in page
    assert (
        "- `test_good::test_numbers[2]`: share 0.5" in page and "- `test_good::test_numbers[1]`: modes 8 of 8" in page
    )
    assert "- processor: a quick one\n- versions: numpy 2\n" in page
    again = call("good", "--out", out)
    assert again.exit_code == 0 and "done before" in again.output and calls == ["bad", "good"]
    record = nightly.read(tmp_path / "night" / "state.json")["good"]
    monkeypatch.setattr(nightly, "run", lambda name, *_: calls.append(name) or record)
    assert call("good", "--again", "--out", out).exit_code == 0 and calls == ["bad", "good", "good"]
    (tmp_path / "night" / "state.json").write_text("[1]")
    damaged = call("good", "--out", out)
    assert damaged.exit_code == 2 and "remove it to begin anew" in damaged.output


@pytest.fixture
def collected_once(project, monkeypatch):
    """The parts as pytest collected them: every call would collect them anew."""
    monkeypatch.setattr(nightly, "parts", lambda root: PARTS)


def waited_until_it_runs(mark, child, limit, original=nightly._waited_for):
    """The limit counts from when the long test has begun, however slow the machine is."""
    deadline = time.monotonic() + 60
    while not mark.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    return original(child, limit)


def test_a_part_that_takes_too_long_is_stopped_and_run_again(collected_once, project, tmp_path, monkeypatch):
    """What had passed by then stands on the page."""
    (project / "running").unlink(missing_ok=True)
    monkeypatch.setattr(nightly, "_waited_for", partial(waited_until_it_runs, project / "running"))
    records = nightly.night(["hang"], tmp_path, 1, limit=0.1, say=str, root=project)
    record = records["hang"]
    assert not record.whole and not record.good and record.passed == 1 and record.seconds < 50
    assert "stopped: 1 without a result" in record.line()
    assert "stopped: hang" in (tmp_path / "page.md").read_text()
    calls = []
    monkeypatch.setattr(nightly, "run", lambda name, *_: calls.append(name) or record)
    nightly.night(["hang"], tmp_path, 1, say=str, root=project)
    assert calls == ["hang"]


def test_a_killed_night_leaves_no_test_running_and_is_run_again(project, tmp_path):
    (project / "running").unlink(missing_ok=True)
    text = f"""
from pathlib import Path
from minigan.testing import nightly
nightly.night(["hang"], Path({str(tmp_path)!r}), 1, root=Path({str(project)!r}))
"""
    environment = os.environ | {"PYTHONPATH": str(Path(nightly.__file__).parents[2])}
    process = subprocess.Popen([sys.executable, "-c", text], env=environment, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (project / "running").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    child = int(children.read_text().split()[0]) if children.exists() else None
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 143
    assert not (tmp_path / "state.json").exists()
    if child is not None:
        with pytest.raises(ProcessLookupError):
            os.kill(child, 0)


def test_without_tests_one_line_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(nightly, "CHECKOUT", tmp_path)
    outcome = call("--list")
    assert outcome.exit_code == 2 and 'clone the repository and run: pip install -e ".[test]"' in outcome.output


def test_tests_that_cannot_be_collected_are_said(tmp_path):
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_x.py").write_text("import nothing_of_this_name")
    with pytest.raises(ValueError, match=r"pytest cannot collect the tests of .*error"):
        nightly.parts(tmp_path)


def test_a_pytest_that_fails_itself_is_a_failure(tmp_path, project):
    record = nightly.run("good", ["tests/test_absent.py::test_x"], 1, 60, project)
    assert not record.good and "pytest ended with status 4" in record.failures[0][1]
