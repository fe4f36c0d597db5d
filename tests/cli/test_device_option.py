"""`pytest --device NAME`: the tests over the op table and of the GPU path run there, others do not, and where the
device cannot be used they are skipped with the reason."""

import subprocess
import sys
from pathlib import Path

import pytest

from minigan import cudasim
from minigan.backend import DeviceError, module_of

OPS = Path(__file__).parents[1] / "ops"


def pytest_on(device: str, *arguments: str) -> str:
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", "--device", device, *arguments]
    return subprocess.run(command, cwd=OPS, capture_output=True, text=True).stdout


def test_on_a_gpu_or_with_the_reason_why_not():
    output = pytest_on("cuda", "test_forward.py", "test_dtypes.py", "-k", "[tanh] or promotion")
    try:
        module_of("cuda")
    except DeviceError as error:
        assert "passed" not in output and "skipped" in output
        assert str(error).partition(":")[0] in output  # device 'cuda' cannot be used
    else:
        assert "passed" in output and "failed" not in output


@pytest.mark.skipif(not cudasim.available(), reason="the simulator compiles kernels with g++: not installed")
def test_what_runs_on_the_simulator():
    """Rows of the op table do; a test of the CPU's own, such as promotion against PyTorch, is left out."""
    output = pytest_on("cudasim", "test_forward.py", "test_dtypes.py", "-k", "[tanh] or [add] or promotion")
    assert "failed" not in output and "error" not in output
    assert "6 passed" in output and "deselected" in output, output
