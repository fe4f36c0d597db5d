"""The simulator's cached libraries: verified before they are loaded, and nothing is left of a killed compiler."""

import signal
import subprocess
import sys

import numpy as np
import pytest

from minigan import cudasim
from minigan.cudasim import Module, build

pytestmark = pytest.mark.skipif(not cudasim.available(), reason="minigan.cudasim needs g++, and there is none")
TEXT = 'extern "C" __global__ void twice(float* x) { x[threadIdx.x] = 2 * x[threadIdx.x]; }'
MEND = {
    "cut": lambda data: data[: len(data) // 2],
    "zeroed": lambda data: bytes(len(data)),
    "empty": lambda data: b"",
    "flipped": lambda data: bytes(b ^ (i % 997 == 500) for i, b in enumerate(data)),
    "one bit": lambda data: data[:3000] + bytes([data[3000] ^ 4]) + data[3001:],
    "text": lambda data: b"no library",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "_folder", lambda: tmp_path)
    return tmp_path


def _doubles() -> bool:
    x = np.arange(8, dtype=np.float32)
    Module(TEXT).get_function("twice")((1,), (8,), (x,))
    return bool((x == 2 * np.arange(8)).all())


def test_a_damaged_library_is_compiled_anew(folder, monkeypatch):
    """The compiler is left out: what it gave the first time is given again."""
    assert _doubles()
    (library,) = folder.glob("*.so")
    whole, again = library.read_bytes(), folder / "again"
    again.write_bytes(whole[: -build.sealed.SIZE])
    calls = []
    monkeypatch.setattr(build, "_compile", lambda *_: calls.append(1) or again)
    for name, damage in MEND.items():
        library.unlink()  # what is loaded in this process stays as it is
        library.write_bytes(damage(whole))
        assert _doubles(), name
        assert library.read_bytes() == whole, name
    assert len(calls) == len(MEND)
    assert _doubles() and len(calls) == len(MEND)


def test_what_a_killed_compiler_leaves_goes_with_the_next_compilation(folder):
    code = (
        "import sys, time; from pathlib import Path; from minigan.cudasim import build\n"
        "with build._workplace(Path(sys.argv[1])): print('ready', flush=True); time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    (other,) = folder.glob("work-*")
    with build._workplace(folder) as mine:
        assert other.exists(), "it is at work"
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert other.exists()
        with build._workplace(folder):
            assert mine.exists() and other.exists(), "as long as one is at work, nothing is removed"
    with build._workplace(folder):
        assert not other.exists()
    assert not list(folder.glob("work-*"))
