"""A worker: one framework, one workload, in a process of its own.

    python -m minigan.bench.worker '{"module": "in_torch", "variant": "eager", "workload": "wgan-gp", ...}'

It answers in lines of JSON. The first comes when it has warmed up: how long the first step took, how much memory the
imports took. Then every line on its standard input is a request for one burst of steps. An error ends it, with a line
that says which.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

WARM_UP = 3


def main() -> None:
    """Serve one parent until it closes our standard input."""
    order = json.loads(sys.argv[1])
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a framework prints must not fall between the answers
    # Before anything is imported: XLA, TensorFlow and PyTorch count the cores they may use as they load.
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_setaffinity") else []
    if len(cores) > order["threads"]:
        os.sched_setaffinity(0, cores[: order["threads"]])
    try:
        step, hello = prepare(order)
        answers.write(json.dumps(hello) + "\n")
        for _ in sys.stdin:
            answers.write(json.dumps(burst(step, hello["steps"], order.get("processor_time", False))) + "\n")
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        answers.write(json.dumps({"error": f"{type(error).__name__}: {lines[0]}"}) + "\n")


def prepare(order: dict) -> tuple[Callable[[], list], dict]:
    """The step, warmed up, and what was measured on the way; `steps` of it fill order["seconds"]."""
    module = importlib.import_module(f"minigan.bench.{order['module']}")
    module.set_num_threads(order["threads"])
    imported = memory("VmRSS")
    if order["ops"]:
        from .ops import build

        op = build(order["module"], order["workload"], order["variant"])

        def step():
            op()
            return []  # in minigan and PyTorch an op is done when it returns

    else:
        from .workloads import workload

        step = module.build(workload(order["workload"]), order["variant"])
    since = time.perf_counter()
    read(step())
    first = time.perf_counter() - since
    total = 0.0
    for _ in range(WARM_UP):
        if total < 1:
            seconds = burst(step, 1)["ms"] / 1e3
            total += seconds
    if seconds < 0.05:  # too short to be timed alone
        seconds = burst(step, max(1, int(0.05 / seconds)))["ms"] / 1e3
    steps = max(1, round(order["seconds"] / seconds))
    return step, {"first_step_s": first, "steps": steps, "imports_mib": imported}


def burst(step: Callable[[], list], steps: int, processor_time: bool = False) -> dict:
    """Milliseconds a step, and `foreign`: the cores that other processes kept busy meanwhile (None if unknown).
    processor_time: count the seconds in which this process had a core, all its threads together."""
    others, since, used = _others(), time.perf_counter(), time.process_time()
    for _ in range(steps):
        results = step()
    read(results)
    seconds, used = time.perf_counter() - since, time.process_time() - used
    foreign = None if others is None or processor_time else max(0.0, _others() - others) / seconds
    return {"ms": 1e3 * (used if processor_time else seconds) / steps, "foreign": foreign, "peak_mib": memory("VmHWM")}


def read(results: list) -> list[float]:
    """The losses as numbers: waits for a framework that computes behind our back."""
    return [float(value) for value in results]


def _others() -> float | None:
    """CPU seconds that everything but this process has used since the machine started, including what the hypervisor
    gave to others; None where there is no /proc."""
    try:
        ticks = [int(n) for n in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    except OSError:
        return None
    user, nice, system, _idle, _wait, interrupts, soft, stolen = ticks
    busy = (user + nice + system + interrupts + soft + stolen) / os.sysconf("SC_CLK_TCK")
    return busy - time.process_time()


def memory(field: str) -> float:
    """MiB of this process, now (VmRSS) or at most so far (VmHWM); elsewhere than on Linux always at most so far."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return int(status.partition(f"{field}:")[2].split()[0]) / 1024


if __name__ == "__main__":
    main()
