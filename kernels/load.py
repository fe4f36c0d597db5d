"""Machine room, kernels: compilation by Numba, with a private disk cache; threads, and forked children.

Compiled code is kept in $MINIGAN_CACHE, else $XDG_CACHE_HOME/minigan, else ~/.cache/minigan, in a
folder named after a hash of all kernel sources and of the compiler's version: Numba itself looks
only at the file a kernel stands in, not at the files of the functions it calls. The folder is
private (0700), since loading compiled code is running it, and each file is checked against its seal
first (sealed.py). No fault of the cache stops a run: a folder that is missing, read-only, full,
damaged or written by two processes at once costs compile time and nothing else. A new folder takes
the place of those that nothing has used for a month.

Numba's threads are those of an OpenMP library where there is one. GNU's cannot be used in a child
that was forked after its threads had started; Numba would end the process. There, kernels run on
one thread, by a twin compiled without threads that gives the same bits. Any number of Python
threads may call kernels at once. What cannot be helped: a child forked before its parent imported
minigan cannot know that PyTorch's OpenMP threads, of the same library, had started there.
And whoever loads that library first sets how long its waiting threads spin, for good: after `import
torch` by default for very long, which on a busy machine makes a kernel ten times slower or worse.
Import minigan first, or set GOMP_SPINCOUNT=5000 in the environment.
"""

import hashlib
import os
import pickle
import shutil
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial, update_wrapper
from pathlib import Path
from types import FunctionType
from typing import ClassVar

import llvmlite
import numba
from numba.core import event as events
from numba.core.caching import (
    CompileResultCacheImpl,
    FunctionCache,
    _CacheLocator,
    _SourceFileBackedLocatorMixin,
)
from numba.core.serialize import dumps
from numba.np.ufunc import parallel as pool

from minigan.kernels import forked, sealed, thrift

FASTMATH = frozenset({"contract", "reassoc", "nsz", "arcp"})
"""Freedoms a kernel may give the compiler. None assumes NaN and infinity away."""

UNUSED = 30 * 24 * 3600
"""Seconds after which a cache folder that no process has used is removed."""

LEFTOVER = 3600
"""Seconds after which a half-written file is nobody's."""


@cache
def cache_folder() -> Path:
    """The private folder for what this compiler makes of these sources; OSError if impossible."""
    root = os.environ.get("MINIGAN_CACHE")
    if not root:
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "minigan"
    digest = hashlib.sha256(f"{numba.__version__} {llvmlite.__version__}".encode())
    here = Path(__file__).parent
    for source in sorted(here.rglob("*.py")):
        digest.update(f"\0{source.relative_to(here)}\0".encode() + source.read_bytes())
    folder = Path(root) / f"kernels-{digest.hexdigest()[:16]}"
    if not folder.exists():
        _remove_unused(folder.parent)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if hasattr(os, "getuid") and folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to another user")
    folder.chmod(0o700)
    with suppress(OSError):
        os.utime(folder)
        for leftover in folder.glob("*/.*.tmp"):  # of a killed process; a living one renames it within a second
            if time.time() - leftover.stat().st_mtime > LEFTOVER:
                leftover.unlink()
    return folder


def _remove_unused(root: Path) -> None:
    """Removes what it can of the cache folders below `root` that no process has used for UNUSED seconds."""
    with suppress(OSError):
        for folder in root.glob("kernels-*"):
            if not folder.is_symlink() and time.time() - folder.stat().st_mtime > UNUSED:
                shutil.rmtree(folder, ignore_errors=True)


class _Locator(_SourceFileBackedLocatorMixin, _CacheLocator):
    """Tells Numba where the compiled code of one function is kept."""

    def __init__(self, py_func: Callable, py_file: str) -> None:
        self._py_file = py_file
        self._lineno = py_func.__code__.co_firstlineno

    def get_cache_path(self) -> str:
        return str(cache_folder() / Path(self._py_file).parent.name)


class _CacheImpl(CompileResultCacheImpl):
    _locator_classes: ClassVar = [_Locator]


class _Files:
    """The cached code of one function in place of Numba's index and data files: a sealed file for each signature.

    Its name holds all that the code was compiled for, so no file can be taken for another's.
    """

    def __init__(self, folder: str, function: str, stamp: object) -> None:
        self.folder, self.function, self.stamp = Path(folder), function, stamp

    def _path(self, key: tuple) -> Path:
        digest = hashlib.sha256(repr((self.stamp, key)).encode()).hexdigest()[:16]
        return self.folder / f"{self.function}.{digest}.nbc"

    def load(self, key: tuple) -> object:
        content = sealed.read(self._path(key))
        return None if content is None else pickle.loads(content)

    def save(self, key: tuple, data: object) -> None:
        sealed.write(self._path(key), dumps(data))


class _Cache(FunctionCache):
    """Numba's cache of one function, with every failure turned into a cache miss."""

    _impl_class = _CacheImpl

    def __init__(self, py_func: Callable) -> None:
        super().__init__(py_func)
        implementation = self._impl
        self._cache_file = _Files(
            self._cache_path, implementation.filename_base, implementation.locator.get_source_stamp()
        )

    def load_overload(self, sig, target_context):
        # What another version of a library left can raise anything at all: nothing narrower than Exception will do.
        try:
            return super().load_overload(sig, target_context)
        except Exception:
            return None

    def save_overload(self, sig, data):
        try:
            super().save_overload(sig, data)
        except Exception:
            self.disable()


class _Progress(events.Listener):
    """One line on the terminal that says which kernel is being compiled, gone when that is done."""

    def __init__(self) -> None:
        self.kernels: list = []
        self.started: set = set()
        self.depth = 0
        self.seconds = 0.0
        self.silent = True

    def on_start(self, event: events.Event) -> None:
        kernel = event.data["dispatcher"]
        if kernel not in self.kernels:
            return
        self.started.add(kernel)
        self.depth += 1
        if self.depth == 1:
            self.since = time.perf_counter()
            thrift.begin()
        name = f"{kernel.py_func.__module__.rpartition('.')[2]}.{kernel.py_func.__name__}"
        seconds = self.seconds + time.perf_counter() - self.since
        self.show(
            f"minigan: compiling kernels (first use only): "
            f"{len(self.started)} of {len(self.kernels)} {name}, {seconds:.1f} s"
        )

    def on_end(self, event: events.Event) -> None:
        if event.data["dispatcher"] not in self.kernels:
            return
        self.depth -= 1
        if self.depth == 0:
            thrift.end()
            self.seconds += time.perf_counter() - self.since
            self.show("")

    def show(self, text: str) -> None:
        """Rewrites the current terminal line; an empty text clears it."""
        with suppress(Exception):
            if sys.stderr.isatty():
                sys.stderr.write(f"\r\x1b[K{text}")
                sys.stderr.flush()
            elif self.silent:
                self.silent = False
                print("minigan: compiling kernels (first use only), up to a few minutes", file=sys.stderr, flush=True)


_progress = _Progress()
events.register("numba:compile", _progress)


def njit(
    fn: Callable | None = None,
    *,
    parallel: bool = False,
    fastmath: bool | set[str] = False,
    inline: str = "never",
):
    """`numba.njit` as every kernel uses it: cached on disk, without the GIL, dividing as NumPy.

    `fastmath` is False or a subset of FASTMATH (ValueError otherwise).
    """
    if fn is None:
        return partial(njit, parallel=parallel, fastmath=fastmath, inline=inline)
    if fastmath is True or (fastmath and not FASTMATH.issuperset(fastmath)):
        raise ValueError(f"njit: fastmath {fastmath} is not a subset of {sorted(FASTMATH)}")
    return _Parallel(fn, fastmath) if parallel else _compiled(fn, fastmath=fastmath, inline=inline)


def _compiled(fn: Callable, **options) -> Callable:
    kernel = numba.njit(nogil=True, error_model="numpy", no_cfunc_wrapper=True, **options)(fn)
    with suppress(OSError, RuntimeError):
        kernel._cache = _Cache(fn)
    _progress.kernels.append(kernel)
    return kernel


def variants(family: Callable) -> Callable:
    """`functools.cache` for a function that makes a kernel for its arguments; the kernel says which, as `origin`."""

    def make(*arguments):
        kernel = family(*arguments)
        for one in (kernel, getattr(kernel, "threaded", kernel)):
            one.origin = family.__name__, arguments
        return kernel

    return cache(update_wrapper(make, family))


class _Parallel:
    """A kernel with threads, called from Python only: the threaded one, or where that cannot run, its serial twin."""

    def __init__(self, fn: Callable, fastmath: bool | set[str]) -> None:
        update_wrapper(self, fn)
        self.fn, self.fastmath = fn, fastmath
        self.threaded = _compiled(fn, parallel=True, fastmath=fastmath)
        self.run = self._first_serially if forked.threads_lost else self._first
        _parallel.append(self)

    def __call__(self, *arguments):
        return self.run(*arguments)

    def _first(self, *arguments):
        pool._launch_threads()
        # The threads of `workqueue`, Numba's last resort, take one kernel at a time and end the process at a second.
        alone = pool.threading_layer() == "workqueue"
        self.run = partial(_one_at_a_time, self.threaded) if alone else self.threaded
        return self.run(*arguments)

    def _first_serially(self, *arguments):
        fn = self.fn
        twin = FunctionType(fn.__code__, fn.__globals__, fn.__name__, fn.__defaults__, fn.__closure__)
        twin.__qualname__ = f"{fn.__qualname__}.serial"  # names the file in the cache
        self.run = _compiled(twin, fastmath=self.fastmath)
        return self.run(*arguments)


_parallel: list[_Parallel] = []
_lock = threading.Lock()


def _one_at_a_time(kernel: Callable, *arguments):
    with _lock:
        return kernel(*arguments)


def run_serially() -> None:
    """From now on every kernel runs on one thread: what a forked child does that lost OpenMP's threads."""
    for kernel in _parallel:
        kernel.run = kernel._first_serially


def _default_threads() -> int:
    """NUMBA_NUM_THREADS, else OMP_NUM_THREADS, else the number of cores this process may use."""
    setting = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    if "NUMBA_NUM_THREADS" not in os.environ and setting.isdecimal() and int(setting) > 0:
        return int(setting)
    return numba.config.NUMBA_NUM_THREADS


if not pool._is_initialized:
    pool.NUM_THREADS = _default_threads()


def set_num_threads(n: int) -> None:
    """Kernels called from this thread run on n threads from now on; ValueError where n < 1.

    Results do not depend on it. n may exceed the number of cores, except with Numba's `workqueue`
    layer, whose pool has a fixed size.
    """
    if n < 1:
        raise ValueError(f"set_num_threads: n must be at least 1, got {n}")
    pool._launch_threads()
    if pool.threading_layer() == "workqueue":
        n = min(n, pool.NUM_THREADS)
    # numba.set_num_threads refuses n above the core count, which OpenMP and TBB can well run.
    pool._set_num_threads(n)


def get_num_threads() -> int:
    """The number of threads that kernels called from the current thread run on."""
    return numba.get_num_threads()
