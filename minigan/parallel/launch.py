"""Start the ranks of a training by `mpiexec`, in which this command is called again, once a rank; and end one."""

from __future__ import annotations

import atexit
import ctypes
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

RANK_VARIABLES = ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK", "MPI_LOCALRANKID", "SLURM_PROCID")
"""What mpiexec and srun tell a rank."""
SIZE_VARIABLES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS")
LOCAL_RANK_VARIABLES = ("MPI_LOCALRANKID", "OMPI_COMM_WORLD_LOCAL_RANK", "SLURM_LOCALID")
NEEDED = '--ranks needs the package mpi4py and an mpiexec: pip install "minigan[mpi]"'
BANNER = "=" * 20
OF_MPIEXEC = ("[mpiexec@", "[proxy:", "Press Ctrl-C again", "Ctrl-C caught", "Abort(")
KILLED = {signal.SIGILL, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGKILL, signal.SIGSEGV}
"""Signals that end a rank without a word; mpiexec gives their number as its status."""


def inside() -> bool:
    """Whether this process was started as a rank, by mpiexec or srun. SLURM numbers the one process of a batch script,
    too, which is no rank."""
    names = set(RANK_VARIABLES) & os.environ.keys()
    return bool(names) and (names != {"SLURM_PROCID"} or world() > 1)


def world() -> int:
    """How many processes mpiexec or srun started with this one, as far as they say; 1 elsewhere."""
    return max((int(n) for name in SIZE_VARIABLES if (n := os.environ.get(name, "")).isdecimal()), default=1)


def take_own_gpu() -> None:
    """Let this rank see one of its machine's GPUs alone, by its number among the ranks there; before CuPy looks."""
    local = next((os.environ[name] for name in LOCAL_RANK_VARIABLES if name in os.environ), None)
    if local is not None:
        visible = [gpu for gpu in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if gpu]
        os.environ["CUDA_VISIBLE_DEVICES"] = visible[int(local) % len(visible)] if visible else local


def mpiexec() -> str:
    """The `mpiexec` beside this Python, or on the path. Raises FileNotFoundError without it or without mpi4py."""
    beside = Path(sys.executable).with_name("mpiexec")
    program = str(beside) if beside.is_file() else shutil.which("mpiexec")
    if program is None or find_spec("mpi4py") is None:
        raise FileNotFoundError(NEEDED)
    return program


def launch(count: int, arguments: Sequence[str], advice: str = "go on with: --resume and the run") -> int:
    """Run `minigan` with these arguments on `count` ranks, each with its share of the processor's threads; the exit
    status of the first rank that ended with another than 0. SIGINT and SIGTERM are passed on. Raises ChildProcessError
    where a rank was killed, with the advice."""
    environment = dict(os.environ)
    if "NUMBA_NUM_THREADS" not in environment:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        environment["NUMBA_NUM_THREADS"] = str(max(1, cores // count))
    command = [mpiexec(), "-n", str(count), sys.executable, "-m", "mpi4py", "-m", "minigan", *arguments]
    reading, writing = os.pipe()
    with os.fdopen(writing):
        job = subprocess.Popen(
            command,
            env=environment,
            stdout=writing,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            pass_fds=[reading],  # or a line would end mpiexec where nobody reads any more, before ranks have saved
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,
        )
    passed: list[int] = []

    def pass_on(number: int, frame: object) -> None:
        passed.append(number)
        job.send_signal(number)

    before = {n: signal.signal(n, pass_on) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        with os.fdopen(reading) as lines:
            for line in of_ranks(lines):
                sys.stdout.write(line)
                sys.stdout.flush()
        status = job.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if job.poll() is None:
            job.kill()
    if len(passed) > 1 and status:
        print("stopped at once", file=sys.stderr)  # the ranks had no time to say it
    elif status in KILLED and not passed:
        name = signal.Signals(status).name
        raise ChildProcessError(f"a rank was ended by {name}, and all others with it; {advice}")
    return 128 + passed[-1] if passed and status else status


def leave(status: int | str | None) -> NoReturn:
    """End this process, a rank or the one that started ranks, with an exit status, as Python would: what is registered
    for its end is done, and MPI is told. But Python is not taken down object by object, which took up to 7 s on a busy
    machine while all other ranks, and who had pressed Ctrl-C, waited."""
    number = status if isinstance(status, int) else int(status is not None)
    try:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        mpi = sys.modules.get("mpi4py.MPI")
        if mpi is not None and number:
            mpi.COMM_WORLD.Abort(number)  # the others may wait for this one
        elif mpi is not None:
            mpi.Finalize()
    finally:
        os._exit(number)


def _end_with_parent() -> None:
    """In mpiexec's process, before it is mpiexec: SIGTERM when the process that started it ends, however that is."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def of_ranks(lines: Iterable[str]) -> Iterator[str]:
    """The lines that ranks wrote, without what mpiexec says of their ends."""
    for line in lines:
        if line.startswith(BANNER):
            break
        if line.strip() and not line.startswith(OF_MPIEXEC):
            yield line
    for _ in lines:  # the banner's own: a status, which the caller has
        pass
