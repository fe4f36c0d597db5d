"""Compiles a kernel source with g++ into a shared library, kept in minigan's cache folder under a hash of all it is
made of: the text, what it includes, the options, this package's headers, the compiler and the processor.

Two processes that compile one source at once each write a file of their own and rename it: the last wins, and both are
the same. A file is checked against its seal before it is loaded (kernels/sealed.py), and compiled anew where it is
damaged. What a killed process left half done, the next one to compile removes.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path

from minigan.kernels import sealed

from . import source as text_of
from .source import Declaration, KernelError

HERE = Path(__file__).parent

# -march=native: fmaf must be one instruction. No contraction: a * b + c is two roundings, as the text says, unless it
# says fmaf. No strict aliasing: CUDA code reads float arrays as float4.
COMMON = ["-std=c++17", "-fPIC", "-w", "-fvisibility=hidden", "-march=native", "-ffp-contract=off"]
COMMON += ["-fno-strict-aliasing", "-fno-threadsafe-statics", "-fno-exceptions"]
CHECK = ["-O1", "-g", "-DCUDASIM_CHECK", "-ftrivial-auto-var-init=pattern", "-fno-optimize-sibling-calls"]
CHECK += ["-fsanitize=thread,bounds-strict,shift,integer-divide-by-zero,signed-integer-overflow,alignment,null"]
FAST = ["-O2", "-fno-math-errno", "-fno-trapping-math"]


@cache
def compiler() -> str:
    """The path of g++; KernelError where there is none."""
    compiler = shutil.which(os.environ.get("CXX") or "g++") or shutil.which("g++")
    if compiler is None:
        raise KernelError("minigan.cudasim compiles kernels with g++, and there is none: install it (apt install g++)")
    return compiler


def available() -> bool:
    """Whether there is a g++, which is all the simulator needs."""
    try:
        return bool(compiler())
    except KernelError:
        return False


@cache
def _machine() -> str:
    """What the compiled code depends on besides the text: compiler, processor, headers."""
    version = subprocess.run([compiler(), "--version"], capture_output=True, text=True).stdout
    try:
        info = Path("/proc/cpuinfo").read_text()
        processor = "".join(re.findall(r"^(?:model name|flags|Features)\s*:.*$", info, re.M)[:2])
    except OSError:
        processor = platform.processor()
    headers = [p.read_text() for p in sorted(HERE.glob("*.h"))]
    own = [(HERE / name).read_text() for name in ("source.py", "build.py")]
    return "\0".join([version, platform.machine(), processor, *headers, *own])


def run(command: list[str]) -> str:
    """What a compiler prints. Raises KernelError, with its reasons, where it refuses."""
    english = {**os.environ, "LC_ALL": "C"}  # for text_of.refusal, which reads the messages
    process = subprocess.run(command, capture_output=True, text=True, env=english)
    if process.returncode:
        raise KernelError(text_of.refusal(process.stderr))
    return process.stdout


def build(text: str, name: str, folders: list[Path], options: tuple[str, ...], check: bool) -> Path:
    """The compiled library of one source. The options are -D... and -I... ones.

    Raises KernelError for a source that the simulator refuses or g++ cannot compile.
    """
    parts = [_machine(), text, name, *text_of.includes(text, name, folders), *options, str(check)]
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
    folder = _folder()
    library = folder / f"{digest}.so"
    if sealed.read(library) is None:
        try:
            with _workplace(folder) as work:
                sealed.write(library, _compile(text, name, folders, options, check, work).read_bytes())
        except OSError as error:
            raise KernelError(
                f"cudasim: cannot write {library}: {error.strerror or error}; free some space, or name another folder"
                " by MINIGAN_CACHE"
            ) from error
    return library


@cache
def _folder() -> Path:
    """Where libraries are kept: minigan's cache, or where that cannot be a folder that goes with the process."""
    from minigan.kernels.load import cache_folder  # which brings Numba along: not on every start of the command

    try:
        folder = cache_folder() / "cudasim"
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder
    except OSError:
        temporary = tempfile.TemporaryDirectory(prefix="minigan-cudasim-")
        _kept_alive.append(temporary)
        return Path(temporary.name)


_kept_alive: list[tempfile.TemporaryDirectory] = []


@contextmanager
def _workplace(folder: Path) -> Iterator[Path]:
    """An empty folder in `folder` to compile in. Those of killed processes are removed first.

    Who compiles shares a lock, which goes with its process: where one has the lock alone, nobody else compiles.
    """
    with ExitStack() as stack:
        with suppress(ImportError, OSError):
            import fcntl

            lock = stack.enter_context(open(folder / ".lock", "a"))
            with suppress(OSError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                for leftover in (*folder.glob("work-*"), *folder.glob(".*.tmp")):
                    shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
            fcntl.flock(lock, fcntl.LOCK_SH)
        yield Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="work-", dir=folder)))


def _compile(text: str, name: str, folders: list[Path], options: tuple[str, ...], check: bool, work: Path) -> Path:
    define = ["-D__CUDACC__", "-D__CUDACC_RTC__", "-D__CUDA_ARCH__=750", "-DMINIGAN_CUDASIM", *options]
    (work / "in.cu").write_text(f'#line 1 "{name}"\n{text}\n')
    where = [f"-I{f}" for f in folders]
    plain = run([compiler(), "-E", "-x", "c++", "-std=c++17", *define, *where, str(work / "in.cu")])
    plain = "\n".join(row for row in plain.split("\n") if not re.match(r'# \d+ "<|# 0 "', row))
    text_of.refuse_unsupported(plain)
    kernels = text_of.declarations(plain)
    if not kernels:
        raise KernelError(f'{name}: no kernel: a kernel is declared as `extern "C" __global__ void name(...)`')
    (work / "module.cpp").write_text(_module(text_of.translate(plain, unroll=not check), name, kernels))
    library = work / "module.so"
    object_file = work / "module.o"
    flags = [*COMMON, *(CHECK if check else FAST), f"-I{HERE}"]
    run([compiler(), *flags, "-c", str(work / "module.cpp"), "-o", str(object_file)])
    # Linked without -fsanitize: the calls that it put in are answered by check.h.
    run([compiler(), "-shared", str(object_file), "-o", str(library), "-lm", "-ldl"])
    return library


def _module(translated: str, name: str, kernels: list[Declaration]) -> str:
    """The whole C++ text: words, the user's text in a namespace, and one entry a kernel."""
    entries = [f"CUDASIM_KERNEL({k.name}, cudasim_user::{k.name})" for k in kernels]
    listing = "".join(f"{k.name}|{k.line}|{k.file}|{','.join(k.names)}\\n" for k in kernels)
    bounds = ", ".join(f"(int)({k.bounds or 1024})" for k in kernels)
    return (
        f'#include "words.h"\nnamespace cudasim_user {{\n#line 1 "{name}"\n{translated}\n'
        f'#line 1 "{name}"\nstatic const int cudasim_bounds[] = {{{bounds}}};\n}}\n'
        + "\n".join(entries)
        + f'\nCUDASIM_EXPORT const char* cudasim_kernels() {{ return "{listing}"; }}\n'
        "CUDASIM_EXPORT int cudasim_bound(int i) { return cudasim_user::cudasim_bounds[i]; }\n"
    )
