"""Cells of tables on processes and on ranks: who computes them, in which order they come back, what ends them."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from click.testing import CliRunner
from processes import children, runs

from minigan.cli import main
from minigan.gan import results
from minigan.gan.tables.cells import side_by_side
from minigan.gan.toy import cells
from minigan.parallel import launch, pool

try:
    launch.mpiexec()
    MPI = ""
except FileNotFoundError as error:
    MPI = str(error)
needs_mpi = pytest.mark.skipif(bool(MPI), reason=f"no MPI here: {MPI}")
TOY = ["toy", "ring", "--batch-size", "8", "--n-critic", "1"]


def late(cell, folder):
    time.sleep(0.05 * (3 - cell))
    return {"cell": cell, "folder": folder}


@pytest.mark.parametrize("jobs", [1, 2])
def test_on_the_first_rank_the_others_have_the_cells(jobs, monkeypatch, tmp_path):
    """With any number of jobs; figures come in the order of the cells, and no process is started."""
    shown = []
    with ThreadPoolExecutor(3) as others:
        monkeypatch.setattr(pool, "_pool", others)
        monkeypatch.setattr("minigan.gan.tables.cells.ProcessPoolExecutor", lambda *a: pytest.fail("started"))
        with side_by_side(tmp_path, jobs, shown.append, late) as run:
            rows = run([0, 1, 2])
    assert [row["cell"] for row in rows] == [0, 1, 2] and shown == ["0: done", "1: done", "2: done"]


def test_a_results_page_is_of_its_cells(monkeypatch, tmp_path):
    """One picture a row, of the first seed; each seed's figures in order; all runs by way of `cell`."""
    made = []
    monkeypatch.setattr(results, "trained", lambda row, seed, root, steps: (seed, {"seconds": 60.0 * seed}))
    monkeypatch.setattr(results, "small_picture", lambda seed: made.append(seed) or b"picture %d" % seed)
    monkeypatch.setattr(results, "markdown", lambda records, seeds, steps: "page")
    rows = [results.Row("dcgan", "{seconds:.0f} s"), results.Row("gan", "{seconds:.0f} s")]
    table = results.build(rows, (11, 12), tmp_path, tmp_path / "R.md", lambda line: None)
    assert [row["shown"] for row in table] == [["660 s", "720 s"]] * 2 and made == [11, 11]
    assert (tmp_path / "pictures" / "gan.png").read_bytes() == b"picture 11"


def test_several_runs_of_points_go_on_where_they_stopped(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = [*TOY, "--steps", "2", "--seeds", "1,2", "--jobs", "1", "--json"]
    monkeypatch.setattr(cells, "_figures", lambda options: {"modes": options.seed, "high_quality": 0.5})
    first = CliRunner().invoke(main, words)
    assert first.exit_code == 0, first.output
    assert len(list((tmp_path / "toy" / "ring").glob("*.json"))) == 2 and "modes: 1.5 +- 6.4" in first.output
    monkeypatch.setattr(cells, "_figures", lambda options: pytest.fail("trained again"))
    again = CliRunner().invoke(main, words)
    assert again.output.splitlines()[-1] == first.output.splitlines()[-1]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--seeds", "1,2", "--seed", "3"], "--seed is of one run and --seeds of several"),
        (["--jobs", "2"], "--jobs is of the runs of --seeds"),
        (["--seeds", "1,1"], "names a seed twice"),
        (["--ranks", "1"], "1 is not in the range"),
    ],
)
def test_wrong_words_are_refused(words, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, [*TOY, *words])
    assert result.exit_code == 2 and says in result.output.splitlines()[-1]


def test_without_mpi_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setattr(launch, "find_spec", lambda name: None)
    result = CliRunner().invoke(main, [*TOY, "--seeds", "1,2", "--ranks", "3"])
    assert result.exit_code == 1 and 'pip install "minigan[mpi]"' in result.output.splitlines()[-1]


@needs_mpi
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_ranks_end_together(number, tmp_path):
    """Ctrl-C, or a rank that is killed: one line, within seconds, nobody left; the cells that were done are kept."""
    environment = {k: v for k, v in os.environ.items() if k not in launch.RANK_VARIABLES}
    words = [*TOY, "--seeds", "1,2,3,4", "--ranks", "3", "--steps"]

    def start(steps):
        return subprocess.Popen(
            [sys.executable, "-m", "minigan", *words, steps],
            cwd=tmp_path,
            env=environment | {"NUMBA_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    assert "high_quality" in start("3").communicate(timeout=300)[0]
    process = start("1000000")
    time.sleep(15)
    ranks = children(process.pid)
    os.kill(ranks[-1], number) if number == signal.SIGKILL else process.send_signal(number)
    begun = time.monotonic()
    text, _ = process.communicate(timeout=60)
    assert time.monotonic() - begun < 5
    expected = (
        "a rank was ended by SIGKILL, and all others with it; call it again" if number == 9 else "stopped by Ctrl-C"
    )
    assert expected in text.splitlines()[-1]
    time.sleep(1)
    assert not any(map(runs, ranks))
    assert len(list((tmp_path / "toy" / "ring").glob("*.json"))) == 4
