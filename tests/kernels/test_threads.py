"""Kernels under threads and processes: in a forked child, called by several Python threads, beside another library.

Each case runs in a process of its own, since a process that forks, or has forked, is another to the thread pool. The
arrays are large enough for every kernel to go parallel; results are compared by their bits.
"""

import os
import subprocess
import sys

import pytest

WORK = """
import numpy as np
from minigan import kernels
from minigan.torture.work import work
"""

FORK = """
import os
expected = work()
child = os.fork()
if child == 0:
    os._exit(0 if work() == expected else 3)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert work() == expected
"""

FORK_BEFORE_ANY_KERNEL = """
import os
child = os.fork()
if child == 0:
    work()
    assert kernels.load.pool._is_initialized, "a child of a process without threads has threads of its own"
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""

POOL = """
import multiprocessing
expected = work()
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map(run, range(4)) == [expected] * 4
"""

HELD = """
import os
held = kernels.act._tanh_chunks
arguments = (np.linspace(-3, 3, 100_000, dtype=np.float32), np.empty(100_000, np.float32))
held(*arguments)
expected = arguments[1].copy()
child = os.fork()
if child == 0:
    arguments[1].fill(0)
    held(*arguments)
    os._exit(0 if (arguments[1] == expected).all() else 3)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""

LATE = """
import os
kernels.act.tanh(np.zeros(100_000, np.float32))
child = os.fork()
if child == 0:
    work()
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""

THREADS = """
import threading
expected, wrong = work(), []
def repeat():
    for _ in range(5):
        if work() != expected:
            wrong.append(1)
threads = [threading.Thread(target=repeat) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert not wrong
"""

TORCH = """
import torch
a = torch.randn(256, 256)
a @ a
"""


def run(*code: str, **env: str) -> None:
    """Runs the code in a new process; a kernel that waits for threads that are not there would run into the limit."""
    process = subprocess.run(
        [sys.executable, "-c", "\n".join(code)], env=os.environ | env, capture_output=True, text=True, timeout=120
    )
    assert process.returncode == 0, process.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("code", [FORK, FORK_BEFORE_ANY_KERNEL, HELD, LATE], ids=["after", "before", "held", "late"])
def test_a_forked_child_computes_the_same_bits(code):
    """After kernels have run; before any; by a kernel that a plan holds; by kernels that are imported in the child."""
    run(WORK, code)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_pool_of_forked_processes():
    run(WORK, "def run(_): return work()", POOL)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_of_a_process_in_which_torch_has_threads():
    """PyTorch's threads are of the same library; the child of a process that knows minigan stays off them."""
    pytest.importorskip("torch")
    run("import minigan", TORCH, WORK, FORK_BEFORE_ANY_KERNEL.replace("assert kernels", "assert not kernels"))
    run(TORCH, WORK, FORK)


@pytest.mark.parametrize("layer", ["default", "workqueue"])
def test_python_threads_that_call_kernels_at_once(layer):
    run(WORK, THREADS, NUMBA_THREADING_LAYER=layer)
