"""Threads, processes, thread layers, and the cache of compiled kernels: the same bits whatever they are."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from .. import data, kernels
from ..gan.systems.table import SYSTEMS, options_for, trainer_for
from .damage import damaged
from .lines import NOT_HERE, Case, Fault, line, require
from .world import ended, forked

ROOT = Path(__file__).parents[2]
THREADS, REPEATS = (1, 2, 4), 3


@line("threads", len(SYSTEMS), "two steps of every system on 1, 2 and 4 threads, three times each, have the same bits")
def threads(folder: Path) -> Iterator[Case]:
    """Networks wide enough for their kernels to go parallel."""
    load = kernels.load

    def digest(name: str, base: int, dataset) -> str:
        wanted = {"steps": 2, "batch_size": 16, "base": base, "n_critic": 1}
        options = options_for(name, **{k: v for k, v in wanted.items() if k in SYSTEMS[name].takes})
        trainer = trainer_for(options, dataset)
        for _ in range(2):
            trainer.step()
        content = hashlib.sha256()
        for key, array in sorted(trainer.state()[0].items()):
            content.update(key.encode() + array.tobytes())
        return content.hexdigest()

    def case(k, rng) -> str:
        name, base, before = list(SYSTEMS)[k % len(SYSTEMS)], int(rng.integers(4, 13)), load.get_num_threads()
        options = options_for(name)
        dataset = data.load(options.data, size=options.size)
        dataset = replace(dataset, train=dataset.train[:: max(1, len(dataset.train) // 60)])
        digests: dict[str, str] = {}
        try:
            for number in THREADS:
                load.set_num_threads(number)
                for repeat in range(REPEATS):
                    digests.setdefault(digest(name, base, dataset), f"{number} threads, time {repeat + 1}")
        finally:
            load.set_num_threads(before)
        require(len(digests) == 1, f"{name}, base {base}: other bits with {', '.join(list(digests.values())[1:])}")
        return "the same bits"

    yield case


KERNEL = """
import numpy as np
from minigan.kernels.load import njit

@njit
def double(x):
    out = np.empty_like(x)
    for i in range(x.size):
        out[i] = 2 * x[i]
    return out

def check():
    x = np.arange(5, dtype=np.float32)
    y = double(x)
    assert y.dtype == x.dtype and (y == 2 * x).all(), y
    return sum(double.stats.cache_hits.values())
"""


def _beside(folder: Path) -> None:
    """Put the kernel's module there."""
    (folder / "tiny_kernel.py").write_text(KERNEL)


@line("cache", 400, "a damaged file of the cache of kernels costs compile time, and no number")
def cache(folder: Path) -> Iterator[Case]:
    """One small kernel, a cache of its own, a forked process for each damage."""
    _beside(folder)
    place = folder / "cache"

    def use() -> None:
        os.environ["MINIGAN_CACHE"] = str(place)
        kernels.load.cache_folder.cache_clear()
        sys.path.insert(0, str(folder))
        import tiny_kernel

        tiny_kernel.check()

    require(ended(forked(use)) == 0, "the kernel does not run")
    (whole,) = place.rglob("*.nbc")
    content = whole.read_bytes()

    def case(k, rng) -> str:
        what, other = damaged(content, rng)
        whole.write_bytes(other)
        code = ended(forked(use, folder / "errors.txt"))
        require(code == 0, f"{what}: ended with {code}: {(folder / 'errors.txt').read_text()[-200:]}")
        require([p.name for p in place.rglob("*.nbc")] == [whole.name], f"{what}: other files than before")
        require(whole.read_bytes() != other, f"{what}: the damaged file still lies there")
        return what

    yield case


@line("cold-starts", 5, "six processes that start at once on an empty cache all compute right, and leave a whole one")
def cold_starts(folder: Path) -> Iterator[Case]:
    """Afterwards a seventh compiles nothing."""
    _beside(folder)
    code = "import tiny_kernel; print(tiny_kernel.check())"

    def start() -> subprocess.Popen:
        return _python(code, {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "MINIGAN_CACHE": str(folder / "cache")})

    def case(k, rng) -> str:
        shutil.rmtree(folder / "cache", ignore_errors=True)
        for process in [start() for _ in range(6)]:
            _output(process)
        require(_output(start()) == "1", "the seventh compiled")
        left = [p.name for p in (folder / "cache").rglob(".*.tmp")]
        require(not left, f"left behind: {left}")
        return "six right, the seventh from the cache"

    yield case


LAYERS, STARTS = ("omp", "workqueue", "tbb"), ("fork", "spawn", "threads")
COMBINATIONS = [(start, layer, number) for start in STARTS for layer in LAYERS for number in THREADS]
IN_A_LAYER = """
import multiprocessing, sys, threading
from minigan.torture.work import work

def same(expected):
    return work() == expected

if __name__ == "__main__":
    expected = work()
    import numba
    print(numba.threading_layer())
    if sys.argv[1] == "threads":
        wrong = []
        threads = [threading.Thread(target=lambda: wrong.append(work() != expected)) for _ in range(3)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        assert wrong == [False] * 3
    else:
        with multiprocessing.get_context(sys.argv[1]).Pool(2) as pool:
            assert pool.map(same, [expected] * 3) == [True] * 3
    assert work() == expected
"""


@line(
    "layers",
    len(COMBINATIONS),
    "kernels in forks, spawned processes and threads have the same bits, on omp, workqueue and tbb",
)
def layers(folder: Path) -> Iterator[Case]:
    """Each with 1, 2 and 4 threads."""
    (folder / "program.py").write_text(IN_A_LAYER)

    def case(k, rng) -> str:
        start, layer, number = COMBINATIONS[k % len(COMBINATIONS)]
        words = {"PYTHONPATH": str(ROOT), "NUMBA_THREADING_LAYER": layer, "NUMBA_NUM_THREADS": str(number)}
        process = _python(str(folder / "program.py"), words, start)
        try:
            output, errors = process.communicate(timeout=180)
        except subprocess.TimeoutExpired:
            process.kill()
            raise Fault(f"{start}, {layer}, {number} threads: hangs") from None
        if process.returncode and "No threading layer could be loaded" in errors:
            return f"{NOT_HERE}the library of {layer}"
        require(process.returncode == 0, f"{start}, {layer}, {number} threads: {errors.strip()[-300:]}")
        return f"{start} on {output.split()[0]}"

    yield case


def _python(program: str, words: Mapping[str, str], *arguments: str) -> subprocess.Popen:
    """A file, or a piece of code."""
    first = [program] if program.endswith(".py") else ["-c", program]
    return subprocess.Popen(
        [sys.executable, *first, *arguments],
        env={**os.environ, **words},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _output(process: subprocess.Popen) -> str:
    output, errors = process.communicate(timeout=180)
    require(process.returncode == 0, f"ended with {process.returncode}: {errors[-300:]}")
    return output.strip()
