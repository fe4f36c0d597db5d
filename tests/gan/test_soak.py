"""Steps without end leave nothing behind: no tensor, no file handle, no memory."""

import gc
import os
from pathlib import Path

import pytest
import worlds

from minigan.autograd import Tensor

STATUS = Path("/proc/self/status")
pytestmark = pytest.mark.skipif(not STATUS.exists(), reason="reads what a process holds from /proc")


def holdings() -> tuple[int, int, float]:
    """(live tensors, open files, MiB of memory of its own, swapped out or not) of this process, with nothing
    collected. Pages of files are left out: the system takes them back when others need the room."""
    tensors = sum(isinstance(thing, Tensor) for thing in gc.get_objects())
    lines = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
    memory = sum(int(lines[name].split()[0]) for name in ("RssAnon", "VmSwap"))
    return tensors, len(os.listdir("/proc/self/fd")), memory / 1024


def soak(capture: bool, warm_up: int, steps: int) -> tuple[int, int, float]:
    """What so many WGAN-GP steps of the smallest world add to what is held, the collector of cycles at rest."""
    trainer = worlds.trainer("wgan-gp", capture=capture, n_critic=1, steps=warm_up + steps)
    for _ in range(warm_up):
        trainer.step()
    gc.collect()
    gc.disable()
    try:
        before = holdings()
        for _ in range(steps):
            trainer.step()
        return tuple(b - a for a, b in zip(before, holdings(), strict=True))
    finally:
        gc.enable()


@pytest.mark.parametrize("capture", [False, True], ids=["eager", "captured"])
def test_some_steps(capture):
    """A tensor of this world that stayed at each step would be 100 tensors."""
    tensors, files, memory = soak(capture, 60, 100)
    assert (tensors, files) == (0, 0) and memory <= 1.0


@pytest.mark.slow
@pytest.mark.parametrize("capture", [False, True], ids=["eager", "captured"])
def test_a_hundred_thousand_steps(capture, record_property):
    tensors, files, memory = soak(capture, 2_000, 100_000)
    record_property("100,000 steps add", f"{tensors} tensors, {files} files, {memory:.2f} MiB")
    assert (tensors, files) == (0, 0) and memory <= 1.0
