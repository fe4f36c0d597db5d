"""The measurement: a worker for each contestant, and bursts of steps taken in turn.

What makes a ratio of two times fair on a machine that is never quite idle: every contestant has a process of its own,
only one of them works at any time, their bursts of half a second alternate in a rotating order, so that what drifts
drifts for all, and a burst during which other processes used more than a tenth of a core is thrown away and taken
again. The figure is the median of the bursts kept.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from typing import NamedTuple

from .. import __version__
from . import processor
from .ops import LIBRARIES, OPS
from .workloads import SCALING

FOREIGN = 0.1
ATTEMPTS = 3
PAUSE = 0.5


class Contestant(NamedTuple):
    """One way of computing: the package it needs, the module of minigan.bench that has it, and which of its ways."""

    package: str
    module: str
    variant: str


CONTESTANTS = {
    "minigan": Contestant("minigan", "in_minigan", "captured"),
    "minigan-eager": Contestant("minigan", "in_minigan", "eager"),
    "torch": Contestant("torch", "in_torch", "eager"),
    "torch-channels-last": Contestant("torch", "in_torch", "channels_last"),
    "torch-compile": Contestant("torch", "in_torch", "compile"),
    "tensorflow": Contestant("tensorflow", "in_tensorflow", "function"),
    "jax": Contestant("jax", "in_jax", "jit"),
}
OWN = ("minigan", "minigan-eager")


@dataclass(frozen=True)
class Settings:
    """How to measure. rounds: bursts kept per contestant; seconds: length of one; threads: for every contestant.
    processor_time: count what a contestant uses of the cores instead of the time that passes: on one thread, the time
    of a step on a machine that others use as well. No burst is disturbed, then."""

    rounds: int = 7
    seconds: float = 0.4
    threads: int = 2
    accept_load: bool = False
    processor_time: bool = False


class WorkerError(RuntimeError):
    """A contestant cannot do this workload; the message is its own."""


class Process:
    """A process that answers lines with lines of JSON. Raises WorkerError if it fails, at the start or later.

    hello: its first answer, when it is ready.
    """

    def __init__(self, module: str, order: dict, threads: int, **environment: str) -> None:
        pools = {f"{library}_NUM_THREADS": str(threads) for library in ("OMP", "MKL", "OPENBLAS", "NUMBA")}
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by close()
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, json.dumps(order)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **pools, **environment},
        )
        self.hello = self._answer()

    def ask(self, line: str) -> dict:
        """Its answer to a line."""
        with suppress(BrokenPipeError):  # it has ended; the answer says why
            self.process.stdin.write(f"{line}\n")
            self.process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """Let the process end."""
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        self.errors.close()

    def _answer(self) -> dict:
        line = self.process.stdout.readline()
        if line:
            answer = json.loads(line)
        else:
            self.errors.seek(0)
            words = self.errors.read().strip().splitlines() or ["nothing"]
            answer = {"error": f"the process ended with status {self.process.wait()}, its last words: {words[-1]}"}
        if "error" in answer:
            self.close()
            raise WorkerError(answer["error"])
        return answer


class Worker(Process):
    """A contestant with one workload, or one op."""

    def __init__(self, name: str, what: str, settings: Settings, ops: bool = False, **environment: str) -> None:
        contestant = CONTESTANTS[name]
        order = {"module": contestant.module, "variant": contestant.variant, "workload": what, "ops": ops}
        order |= {name: getattr(settings, name) for name in ("threads", "seconds", "processor_time")}
        super().__init__("minigan.bench.worker", order, settings.threads, **environment)

    def burst(self) -> dict:
        """One burst: see worker.burst."""
        return self.ask("")


def run(
    names: Sequence[str],
    steps: Sequence[str],
    settings: Settings,
    show: Callable[[str], None],
    keep: Callable[[dict], None],
    ops: bool = False,
    with_costs: bool = False,
) -> dict:
    """The whole report: {"machine", "settings", "steps", "ops", "scaling", "costs"}, the last four {workload or op or
    contestant: figures}, empty where not asked for. show(line) is told what is being done, keep(report) is handed what
    is there so far after every workload."""
    report = {"machine": machine(names, settings.threads), "settings": asdict(settings)}
    in_ops = [name for name in names if CONTESTANTS[name].module in LIBRARIES]
    tasks = {"steps": steps, "ops": OPS if ops else (), "scaling": SCALING if with_costs else ()}
    report |= {part: {} for part in (*tasks, "costs")}
    for part, workloads in tasks.items():
        for what in workloads:
            report[part][what] = measure(what, in_ops if part == "ops" else names, settings, show, part == "ops")
            report["machine"]["load"].append(processor.load())
            keep(report)
    if with_costs:
        report["costs"] = costs(names, settings, show)
        keep(report)
    return report


def measure(
    what: str, names: Sequence[str], settings: Settings, show: Callable[[str], None], ops: bool = False
) -> dict:
    """Every contestant's times for one workload (or single op): {contestant: figures}.

    Figures are {"ms": median, "low", "high": quartiles, "loaded": bool, "bursts": [...], "first_step_s", "peak_mib",
    "imports_mib"}, or {"unsupported": why}.
    """
    figures, workers, bursts = {}, {}, {name: [] for name in names}
    with ExitStack() as stack:
        for name in names:
            show(f"{what}: {name} warms up")
            try:
                workers[name] = Worker(name, what, settings, ops)
                stack.callback(workers[name].close)
            except WorkerError as error:
                figures[name] = {"unsupported": str(error)}
        for number in range(settings.rounds):
            for name in rotated([name for name in workers if name not in figures], number):
                show(f"{what}: round {number + 1} of {settings.rounds}, {name}")
                try:
                    bursts[name] += _attempts(workers[name], settings)
                except WorkerError as error:
                    figures[name] = {"unsupported": str(error)}
    return {n: figures.get(n) or workers[n].hello | summary(bursts[n], settings) for n in names}


def rotated(names: list[str], by: int) -> list[str]:
    by %= len(names) or 1
    return names[by:] + names[:by]


def _attempts(worker: Worker, settings: Settings) -> Iterator[dict]:
    """Bursts up to the first that nobody disturbed; the last one otherwise is disturbed too."""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE)
        burst = worker.burst()
        yield burst
        if settings.accept_load or not _disturbed(burst):
            return


def _disturbed(burst: dict) -> bool:
    return burst["foreign"] is not None and burst["foreign"] > FOREIGN


def summary(bursts: list[dict], settings: Settings) -> dict:
    """Median and quartiles of the undisturbed bursts; where there are too few, of the least disturbed: `loaded`."""
    calm = [b for b in bursts if not _disturbed(b)]
    loaded = len(calm) < settings.rounds
    counted = sorted(bursts, key=lambda b: b["foreign"] or 0)[: settings.rounds] if loaded else calm
    counted = bursts if settings.accept_load else counted
    times = [b["ms"] for b in counted]
    low, middle, high = statistics.quantiles(times, n=4, method="inclusive") if len(times) > 1 else times * 3
    peak = max(b["peak_mib"] for b in bursts)
    return {"ms": middle, "low": low, "high": high, "loaded": loaded, "peak_mib": peak, "bursts": bursts}


def costs(names: Sequence[str], settings: Settings, show: Callable[[str], None]) -> dict:
    """What a user waits and pays before the first step, per contestant, on the workload wgan-gp: {"import_s",
    "cold_s", "warm_s": first step with the caches of compiled code empty and filled, "peak_mib", "imports_mib"}."""
    figures = {}
    for name in names:
        show(f"costs: {name}")
        with tempfile.TemporaryDirectory(prefix="minigan-bench-") as folder:
            caches = {"MINIGAN_CACHE": folder, "TORCHINDUCTOR_CACHE_DIR": folder}
            try:
                cold = _started(name, settings, caches)
                figures[name] = _started(name, settings, caches) | {"cold_s": cold["warm_s"]}
            except WorkerError as error:
                figures[name] = {"unsupported": str(error)}
                continue
        figures[name]["import_s"] = statistics.median(_import_time(CONTESTANTS[name].package) for _ in range(3))
    return figures


def _started(name: str, settings: Settings, caches: dict[str, str]) -> dict:
    worker = Worker(name, "wgan-gp", settings, **caches)
    try:
        peak = worker.burst()["peak_mib"]
    finally:
        worker.close()
    return {"warm_s": worker.hello["first_step_s"], "peak_mib": peak, "imports_mib": worker.hello["imports_mib"]}


def _import_time(package: str) -> float:
    code = f"import time; since = time.perf_counter(); import {package}; print(time.perf_counter() - since)"
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    return float(process.stdout.split()[-1])


def absent() -> dict[str, str]:
    """Contestants that cannot run here, and why."""
    packages = {c.package for c in CONTESTANTS.values()}
    lacking = {p for p in packages if importlib.util.find_spec(p) is None}
    return {n: f"{c.package} is not installed" for n, c in CONTESTANTS.items() if c.package in lacking}


def contestants(peers: str | None) -> list[str]:
    """minigan's own two and the peers named in a comma-separated list, else all that are installed.

    Raises ValueError for a peer that is unknown or absent.
    """
    reasons = absent()
    if peers is None:
        return [name for name in CONTESTANTS if name not in reasons]
    names = [name for name in peers.split(",") if name]
    for name in names:
        if name not in CONTESTANTS:
            raise ValueError(f"unknown peer {name!r}; known peers: {', '.join(n for n in CONTESTANTS if n not in OWN)}")
        if name in reasons:
            raise ValueError(f"peer {name!r}: {reasons[name]}; pip install 'minigan[bench]' installs all peers")
    return [name for name in CONTESTANTS if name in OWN or name in names]


def machine(names: Sequence[str], threads: int) -> dict:
    """The facts that the times depend on."""
    packages = {CONTESTANTS[n].package for n in names} | {"numpy", "numba"}
    distributions = importlib.metadata.packages_distributions()
    versions = {p: importlib.metadata.version(distributions.get(p, [p])[0]) for p in sorted(packages - {"minigan"})}
    versions = {"minigan": __version__, **versions}
    system = {"system": platform.platform(), "python": platform.python_version()}
    chip = {"processor": processor.name(), "instructions": processor.instructions(), "cores": os.cpu_count()}
    return {**chip, "threads": threads, "load": [processor.load()], **system, "versions": versions}
