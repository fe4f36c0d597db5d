"""`minigan train --ranks N` under a real mpiexec; what it says of a rank that was killed; what of it is passed on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from processes import runs
from safetensors.numpy import load_file

from minigan import _starting
from minigan.cli import main
from minigan.parallel import launch

try:
    launch.mpiexec()
    MPI = ""
except FileNotFoundError as error:
    MPI = str(error)
needs_mpi = pytest.mark.skipif(bool(MPI), reason=f"no MPI here: {MPI}")
SMALL = ["--batch-size", "8", "--base", "2", "--latent", "4", "--no-report"]


def minigan(*words, cwd, wait=True):
    environment = {k: v for k, v in os.environ.items() if k not in launch.RANK_VARIABLES}
    process = subprocess.Popen(
        [sys.executable, "-m", "minigan", *words],
        cwd=cwd,
        env=environment | {"NUMBA_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return (process.communicate(timeout=300)[0], process.returncode) if wait else process


@needs_mpi
def test_two_ranks_are_one_process_and_go_on_as_one(tmp_path):
    """All arrays of four steps: on one process; on two ranks; two steps on two ranks, two more on one."""
    for name, steps, ranks in (("one", "4", "1"), ("two", "4", "2"), ("half", "2", "2")):
        text, status = minigan(
            "train", "dcgan", "--steps", steps, "--ranks", ranks, "--out", name, *SMALL, cwd=tmp_path
        )
        assert status == 0, text
    text, status = minigan("train", "--resume", "half", "--steps", "4", "--no-report", cwd=tmp_path)
    assert status == 0, text
    arrays = [load_file(tmp_path / name / "checkpoint-000004.safetensors") for name in ("one", "two", "half")]
    for other in arrays[1:]:
        assert [k for k in arrays[0] if arrays[0][k].tobytes() != other[k].tobytes()] == []


@needs_mpi
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_signals_end_all_ranks(number, tmp_path):
    """SIGTERM and Ctrl-C: a checkpoint, one line more, the usual status. A rank that is killed: one line, no orphan."""
    process = minigan(
        "train", "dcgan", "--steps", "100000", "--ranks", "2", "--out", "r", *SMALL, cwd=tmp_path, wait=False
    )
    log = tmp_path / "r" / "stats.jsonl"
    for _ in range(600):
        if log.exists():
            break
        time.sleep(0.2)
    ranks = subprocess.run(
        ["pgrep", "-f", "mpi4py -m minigan train dcgan --steps 100000"], capture_output=True, text=True
    )
    numbers = [int(n) for n in ranks.stdout.split()]
    start = time.monotonic()
    os.kill(numbers[-1], number) if number == signal.SIGKILL else process.send_signal(number)
    text, _ = process.communicate(timeout=60)
    while any(map(runs, numbers)) and time.monotonic() - start < 2:
        time.sleep(0.05)
    assert time.monotonic() - start < 2, "0.2 to 0.4 s, on two cores with a load of 13"
    if number == signal.SIGKILL:
        assert process.returncode == 1 and "a rank was ended by SIGKILL" in text.splitlines()[-1]
    else:
        assert process.returncode == 128 + number and "go on with: minigan train --resume r" in text.splitlines()[-1]
        assert list((tmp_path / "r").glob("checkpoint-*.json"))
    assert not any(map(runs, numbers))


@pytest.mark.parametrize("status, number", [(None, 0), (0, 0), (1, 1), (143, 143), ("words", 1)])
@pytest.mark.parametrize("rank", [True, False])
def test_what_leaves_does_all_but_take_python_down(status, number, rank, monkeypatch):
    """MPI is told: of a failure so that nobody waits for this rank, else so that all end together."""
    acts = []
    monkeypatch.setattr(launch.os, "_exit", lambda status: acts.append(("exit", status)))
    monkeypatch.setattr(launch.atexit, "_run_exitfuncs", lambda: acts.append("registered"))
    world = SimpleNamespace(Abort=lambda status: acts.append(("abort", status)))
    mpi = SimpleNamespace(COMM_WORLD=world, Finalize=lambda: acts.append("finalize"))
    monkeypatch.setitem(sys.modules, "mpi4py.MPI", mpi if rank else None)
    launch.leave(status)
    told = [("abort", number) if number else "finalize"] if rank else []
    assert acts == ["registered", *told, ("exit", number)]


def test_only_the_command_itself_leaves(monkeypatch):
    """A program that calls it goes on."""
    monkeypatch.setattr(launch, "leave", lambda status: pytest.fail("left"))
    assert CliRunner().invoke(main, ["systems"]).exit_code == 0


@pytest.mark.parametrize(
    ("told", "inside", "world"),
    [
        ({}, False, 1),
        ({"PMI_RANK": "0", "PMI_SIZE": "2"}, True, 2),
        ({"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "4"}, True, 4),
        ({"SLURM_PROCID": "0", "SLURM_LOCALID": "0"}, False, 1),  # a batch script, no step of srun
        ({"SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "3"}, True, 3),
    ],
)
def test_what_ranks_are_told(told, inside, world, monkeypatch):
    for name in (*launch.RANK_VARIABLES, *launch.SIZE_VARIABLES):
        monkeypatch.delenv(name, raising=False)
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    assert (launch.inside(), launch.world()) == (inside, world)
    if world > 1:
        result = CliRunner().invoke(main, ["train", "dcgan", "--steps", "2"])
        assert result.exit_code == 2 and f"one of {world} processes" in result.output and "--ranks" in result.output


def test_what_mpiexec_says_of_itself_is_left_out():
    lines = ["step 1\n", "[mpiexec@host] Sending Ctrl-C\n", "\n", "step 2\n", "=" * 80 + "\n", "= BAD TERMINATION\n"]
    assert list(launch.of_ranks(iter(lines))) == ["step 1\n", "step 2\n"]


def test_without_mpi_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(launch, "find_spec", lambda name: None)
    result = CliRunner().invoke(main, ["train", "--steps", "2", "--ranks", "2", *SMALL])
    assert result.exit_code == 1 and 'pip install "minigan[mpi]"' in result.output.splitlines()[-1]


def test_a_batch_that_ranks_cannot_share_is_refused_before_they_start(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(launch, "launch", lambda *a: pytest.fail("started"))
    result = CliRunner().invoke(main, ["train", "--steps", "2", "--ranks", "3", *SMALL])
    assert result.exit_code == 2 and "no 3 equal parts" in result.output.splitlines()[-1]


def below(number):
    """The processes below one, all the way."""
    own = [int(n) for n in Path(f"/proc/{number}/task/{number}/children").read_text().split()]
    return own + [deeper for child in own for deeper in below(child)]


def ranks_of(process, count=2):
    """The numbers of a job's ranks, as soon as they are there."""
    for _ in range(600):
        ranks = [n for n in below(process.pid) if Path(f"/proc/{n}/cmdline").read_bytes().count(b"mpi4py") == 1]
        ranks = [n for n in ranks if b"mpiexec" not in Path(f"/proc/{n}/cmdline").read_bytes()]
        if len(ranks) == count:
            return ranks
        time.sleep(0.05)
    pytest.fail("the ranks did not start")


@needs_mpi
@pytest.mark.slow
@pytest.mark.parametrize("delay", [0.1, 0.5, 1.5])
def test_a_rank_that_is_interrupted_while_it_starts_ends_the_others(delay, tmp_path):
    """The others would wait for it to join them."""
    words = ["train", "dcgan", "--steps", "100000", "--ranks", "2", "--out", "r", *SMALL]
    process = minigan(*words, cwd=tmp_path, wait=False)
    ranks = ranks_of(process)
    time.sleep(delay)
    os.kill(ranks[1], signal.SIGINT)
    text, _ = process.communicate(timeout=60)
    assert process.returncode in (1, 130), text
    time.sleep(1)
    assert not any(map(runs, ranks))


@needs_mpi
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's end")
def test_ranks_end_with_the_command_that_started_them(tmp_path):
    """SIGKILL to that: a checkpoint, and nobody left."""
    words = ["train", "dcgan", "--steps", "100000", "--ranks", "2", "--out", "r", *SMALL]
    process = minigan(*words, cwd=tmp_path, wait=False)
    ranks, log = ranks_of(process), tmp_path / "r" / "stats.jsonl"
    for _ in range(600):
        if log.exists():
            break
        time.sleep(0.2)
    process.kill()
    process.wait()
    for _ in range(100):
        if not any(map(runs, ranks)):
            break
        time.sleep(0.1)
    assert not any(map(runs, ranks)) and list((tmp_path / "r").glob("checkpoint-*.json"))


def test_a_rank_that_is_stopped_while_it_starts_ends_by_a_signal(monkeypatch):
    """An exit would be waited for; the first one says why."""
    ends = []
    monkeypatch.setattr(_starting.os, "kill", lambda process, number: ends.append((process, number)))
    monkeypatch.setattr(_starting.os, "_exit", ends.append)
    monkeypatch.setattr(_starting.os, "write", lambda file, text: ends.append(text))
    for rank, said in (("0", [b"stopped by Ctrl-C\n"]), ("1", [])):
        monkeypatch.setitem(sys.modules, "mpi4py", object())
        monkeypatch.setenv("PMI_RANK", rank)
        _starting._stop(2, None)
        assert ends == [*said, (os.getpid(), signal.SIGKILL), 130]
        ends.clear()
    monkeypatch.delitem(sys.modules, "mpi4py")
    _starting._stop(2, None)
    assert ends == [b"stopped by Ctrl-C\n", 130]
