"""Arrays that are freed leave their pages to the next ones, unless the environment says otherwise."""

import os
import platform
import resource
import subprocess
import sys

import pytest

from minigan.kernels import memory

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")

COUNT = """
import resource, numpy as np
import minigan.kernels
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def use():
    arrays = [np.ones(1 << 18) for _ in range(16)]
use(); use()
before = faults()
for _ in range(5): use()
print(faults() - before)
"""


def faults(**environment):
    """Page faults of five rounds of 32 MB in 16 arrays, allocated and freed, in a process of its own."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_"))}
    run = subprocess.run([sys.executable, "-c", COUNT], env=inherited | environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return int(run.stdout)


def test_freed_pages_are_used_again():
    pages = 5 * (32 << 20) // resource.getpagesize()
    assert faults() < pages / 100
    assert faults(MINIGAN_MALLOC="system") > pages / 10


@pytest.mark.parametrize(
    "setting", [{"MINIGAN_MALLOC": "system"}, {"MALLOC_ARENA_MAX": "1"}, {"GLIBC_TUNABLES": "glibc.malloc.check=0"}]
)
def test_the_environment_decides(setting, monkeypatch):
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    assert memory.keep_freed()
    for name, value in setting.items():
        monkeypatch.setenv(name, value)
    assert not memory.keep_freed()


def test_another_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: object())
    assert not memory.keep_freed()
