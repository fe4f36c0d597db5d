"""Loading of kernels: lazy imports, a cache that helps and never hurts, progress, threads.

Each case compiles one small kernel in a process of its own, with a cache folder of its own.
"""

import os
import pty
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from minigan import kernels
from minigan.kernels import sealed

KERNEL = """
import numpy as np
from minigan.kernels.load import njit

@njit
def double(x):
    out = np.empty_like(x)
    for i in range(x.size):
        out[i] = 2 * x[i]
    return out
"""

RUN = """
import numpy as np, tiny
for dtype in (np.float32, np.float64):
    x = np.arange(5, dtype=dtype)
    y = tiny.double(x)
    assert y.dtype == dtype and (y == 2 * x).all(), y
print("hits", sum(tiny.double.stats.cache_hits.values()))
"""


@pytest.fixture
def run(tmp_path):
    """Runs code in a new process, beside the module `tiny`, with tmp_path / "cache" as cache."""
    (tmp_path / "tiny.py").write_text(KERNEL)

    def start(code: str = RUN, stderr: int = subprocess.PIPE, **env: str) -> subprocess.Popen:
        path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
        env = os.environ | {"PYTHONPATH": path, "MINIGAN_CACHE": str(tmp_path / "cache")} | env
        return subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, stderr=stderr, text=True)

    def finish(process: subprocess.Popen) -> str:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert err in ("", "minigan: compiling kernels (first use only), up to a few minutes\n")
        return out.strip()

    def both(code: str = RUN, **env: str) -> str:
        return finish(start(code, **env))

    both.start, both.finish = start, finish
    return both


def test_numba_is_imported_by_the_first_kernel_only(run):
    assert run(
        "import sys\n"
        "from minigan import kernels\n"
        "kernels.geometry.ConvGeometry, kernels.layout.nhwc\n"
        "assert 'numba' not in sys.modules\n"
        "kernels.act\n"
        "assert 'numba' in sys.modules\n"
        "print('done')"
    ).endswith("done")


def test_unknown_attribute_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        kernels.nonsense  # noqa: B018
    assert not hasattr(kernels, "__wrapped__")


def test_a_dependency_that_is_missing_is_named(run):
    assert run(
        "import sys\n"
        "sys.modules['numba'] = None\n"
        "from minigan import kernels\n"
        "try:\n"
        "    kernels.act\n"
        "except ModuleNotFoundError as error:\n"
        "    print(error.name)"
    ).endswith("numba")


def test_second_process_compiles_nothing_and_the_folder_is_private(run, tmp_path):
    assert run() == "hits 0"
    assert run() == "hits 2"
    (folder,) = (tmp_path / "cache").iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_change_of_any_kernel_source_is_another_folder(tmp_path, monkeypatch):
    load = kernels.load
    for place in ("a", "b", "c"):
        (tmp_path / place / "fast").mkdir(parents=True)
        (tmp_path / place / "load.py").write_text("1")
        (tmp_path / place / "fast" / "callee.py").write_text("2" if place != "c" else "3")
    monkeypatch.setenv("MINIGAN_CACHE", str(tmp_path / "cache"))

    def folder(place: str) -> Path:
        monkeypatch.setattr(load, "__file__", str(tmp_path / place / "load.py"))
        return load.cache_folder.__wrapped__()

    assert folder("a") == folder("b") != folder("c")


def test_where_the_cache_is_kept(tmp_path, monkeypatch):
    places = {"MINIGAN_CACHE": "m", "XDG_CACHE_HOME": "x", "HOME": "h"}
    for name, place in places.items():
        monkeypatch.setenv(name, str(tmp_path / place))
    folder = kernels.load.cache_folder.__wrapped__
    assert folder().parent == tmp_path / "m"
    monkeypatch.delenv("MINIGAN_CACHE")
    assert folder().parent == tmp_path / "x" / "minigan"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert folder().parent == tmp_path / "h" / ".cache" / "minigan"


def test_a_new_folder_replaces_those_that_nothing_has_used_for_a_month(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIGAN_CACHE", str(tmp_path))
    old, recent, other = tmp_path / "kernels-old", tmp_path / "kernels-recent", tmp_path / "results"
    long_ago = time.time() - 31 * 24 * 3600
    for folder in (old, recent, other):
        folder.mkdir()
        (folder / "file").write_text("")
        os.utime(folder, (long_ago, long_ago) if folder is not recent else None)
    (tmp_path / "kernels-link").symlink_to(other)
    folder = kernels.load.cache_folder.__wrapped__()
    assert {path.name for path in tmp_path.iterdir()} == {folder.name, "kernels-recent", "kernels-link", "results"}
    os.utime(folder, (long_ago, long_ago))
    os.utime(recent, (long_ago, long_ago))
    assert kernels.load.cache_folder.__wrapped__() == folder
    assert recent.exists(), "only a new folder removes others"
    assert folder.stat().st_mtime > long_ago + 1, "a use counts as one"


def test_a_folder_of_another_user_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIGAN_CACHE", str(tmp_path))
    mine = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: mine + 1)
    with pytest.raises(PermissionError, match="another user"):
        kernels.load.cache_folder.__wrapped__()


def test_a_folder_that_cannot_exist_does_no_harm(run, tmp_path):
    (tmp_path / "file").write_text("a regular file, so that nothing can be created below it, not even by root")
    assert run(MINIGAN_CACHE=str(tmp_path / "file" / "cache")) == "hits 0"


def test_a_full_disk_does_no_harm_and_leaves_nothing(run, tmp_path):
    full = (
        "import errno\n"
        "from minigan.kernels import sealed\n"
        "def write(path, content): raise OSError(errno.ENOSPC, 'No space left on device')\n"
        "sealed.write = write\n"
    )
    assert run(full + RUN) == "hits 0"
    assert run() == "hits 0"
    assert run() == "hits 2"


def test_damaged_files_are_replaced(run, tmp_path):
    """A flip anywhere in the code, unseen, ends the process or changes its numbers."""
    run()
    one, two = (tmp_path / "cache").rglob("*.nbc")
    one.write_bytes(one.read_bytes()[:-100])
    two.write_bytes(two.read_bytes().replace(b"double", b"doublf", 1))
    assert run() == "hits 0"
    assert run() == "hits 2"


def test_code_for_other_types_is_not_run(run, tmp_path):
    run()
    first, second = (tmp_path / "cache").rglob("*.nbc")
    one, two = first.read_bytes(), second.read_bytes()
    first.write_bytes(two)
    second.write_bytes(one)
    assert run() == "hits 0"


def test_a_seal_fits_one_content_in_one_place(tmp_path):
    path, other = tmp_path / "f.nbc", tmp_path / "g.nbc"
    sealed.write(path, b"some code")
    whole = path.read_bytes()
    assert sealed.read(path) == b"some code"
    for i in range(8 * len(whole)):
        path.write_bytes(bytes(b ^ (1 << i % 8) if k == i // 8 else b for k, b in enumerate(whole)))
        assert sealed.read(path) is None, f"bit {i} of {8 * len(whole)}"
    for n in range(len(whole)):
        path.write_bytes(whole[:n])
        assert sealed.read(path) is None, f"cut after {n} bytes"
    for content in (whole + b"x", whole[:9] + bytes(len(whole) - 9), bytes(len(whole))):
        path.write_bytes(content)
        assert sealed.read(path) is None
    other.write_bytes(whole)
    assert sealed.read(other) is None, "a file copied over another"
    assert sealed.read(tmp_path / "none") is None
    assert sealed.read(tmp_path) is None, "a folder"


def test_a_write_that_fails_leaves_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "f.nbc"
    sealed.write(path, b"old")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        sealed.write(path, b"new")
    assert [p.name for p in tmp_path.iterdir()] == ["f.nbc"]
    assert sealed.read(path) == b"old"


def test_processes_that_compile_at_once(run):
    for process in [run.start() for _ in range(4)]:
        assert run.finish(process).startswith("hits")
    assert run().startswith("hits")


def test_progress_line_on_a_terminal_clears_itself(run):
    master, slave = pty.openpty()
    process = run.start(stderr=slave)
    os.close(slave)
    assert process.wait(timeout=120) == 0
    output = os.read(master, 10000).decode()
    os.close(master)
    line = "\r\x1b[Kminigan: compiling kernels (first use only): 1 of 1 tiny.double, "
    assert output.startswith(line + "0.0 s\r\x1b[K")
    assert output.count(line) == 2, "one for each dtype"
    assert output.endswith("\r\x1b[K")
    assert "\n" not in output


@pytest.mark.parametrize(
    ("env", "threads"),
    [
        ({"OMP_NUM_THREADS": "3"}, 3),
        ({"OMP_NUM_THREADS": "3,1"}, 3),
        ({"OMP_NUM_THREADS": "3", "NUMBA_NUM_THREADS": "1"}, 1),
    ],
)
def test_default_thread_count(run, env, threads):
    assert run("from minigan import kernels; print(kernels.load.get_num_threads())", **env) == str(threads)


def test_more_threads_than_cores_and_back():
    load = kernels.load
    before = load.get_num_threads()
    try:
        for n in (1, 2, 4, 3):
            load.set_num_threads(n)
            assert load.get_num_threads() == n
    finally:
        load.set_num_threads(before)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        load.set_num_threads(0)


@pytest.mark.parametrize("fastmath", [True, {"nnan"}, {"contract", "ninf"}])
def test_fastmath_that_assumes_nan_away_is_refused(fastmath):
    with pytest.raises(ValueError, match="fastmath"):
        kernels.load.njit(fastmath=fastmath)(lambda x: x)
