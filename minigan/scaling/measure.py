"""Times of steps and of sums on 1, 2 and 4 ranks of this machine, one thread each, for the cost model.

    python -m minigan.scaling.measure '{"system": "wgan-gp", "batches": [16, 64], "parts": 4, ...}'

runs as each rank under mpiexec (`take` starts it), and rank 0 prints a line of JSON for each time: the median of some
steps, or of some sums of zeros.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from ..parallel import launch

RANKS = (1, 2, 4)
NUMBERS = (1_000, 30_000, 100_000, 300_000)


def take(
    system: str, batches: Sequence[int], steps: int = 6, show: Callable[[str], object] = lambda line: None
) -> dict:
    """{"system", "cores", "parts", "work", "rows", "load"}: a row a time. Raises FileNotFoundError without MPI,
    ChildProcessError where a rank fails."""
    parts, rows, work = max(RANKS), [], {}
    settings = {"system": system, "batches": list(batches), "parts": parts, "steps": steps, "numbers": list(NUMBERS)}
    environment = {k: v for k, v in os.environ.items() if k not in launch.RANK_VARIABLES}
    for ranks in RANKS:
        command = [launch.mpiexec(), "-n", str(ranks), sys.executable, "-m", "mpi4py", "-m", __name__]
        result = subprocess.run(
            [*command, json.dumps(settings)],
            env=environment | {"NUMBA_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
        )
        if result.returncode:
            raise ChildProcessError(f"{ranks} ranks: {result.stderr.strip().splitlines()[-1:] or result.returncode}")
        for line in result.stdout.splitlines():
            if line.startswith("{"):
                row = json.loads(line)
                if "work" in row:
                    work = row["work"]
                else:
                    rows.append(row)
                    show(line)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {"system": system, "cores": cores, "work": work, "load": os.getloadavg()[0], "rows": rows}


def rank(settings: dict) -> None:
    """What each rank runs."""
    from ..data import load
    from ..gan.systems.table import options_for, trainer_for
    from ..parallel.mpi import MpiRanks

    ranks = MpiRanks()
    parts = settings["parts"]

    def say(row: dict) -> None:
        if not ranks.rank:
            print(json.dumps(row), flush=True)

    for batch in settings["batches"]:
        options = options_for(settings["system"], batch_size=batch, parts=parts)
        trainer = trainer_for(options, load(options.data, size=options.size))
        trainer.parts.share(ranks)
        if batch == settings["batches"][0]:
            sizes = [sum(t.data.size for t in (*n.parameters(), *n.buffers())) for n in trainer.trained().values()]
            say({"work": {"generator": sizes[0], "critic": sizes[-1], "n_critic": options.n_critic}})
        trainer.step(), trainer.step()
        seconds = median(settings["steps"], trainer.step)
        say({"what": "step", "ranks": ranks.size, "parts": parts, "batch": batch, "seconds": seconds})
    for numbers in settings["numbers"]:
        vectors = [np.zeros(numbers) for _ in range(parts // ranks.size)]
        ranks.ordered_sum(vectors)
        seconds = median(4 * settings["steps"], partial(ranks.ordered_sum, vectors))
        say({"what": "sum", "ranks": ranks.size, "parts": parts, "numbers": numbers, "seconds": seconds})


def median(count: int, call: Callable[[], object]) -> float:
    """The median seconds of so many calls."""
    times = []
    for _ in range(count):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return round(float(np.median(times)), 7)


if __name__ == "__main__":
    rank(json.loads(sys.argv[1]))
