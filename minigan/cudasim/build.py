"""Compiles a kernel source with g++ into a shared library, kept in minigan's cache folder under a hash of all it is
made of: the text, what it includes, the options, this package's headers, the compiler and the processor.

Two processes that compile one source at once each write a file of their own and rename it: the last wins, and both are
the same. A file is checked against its seal before it is loaded (kernels/sealed.py), and compiled anew where it is
damaged. What a killed process left half done, the next one to compile removes.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path

from minigan.kernels import sealed

from . import assembly
from . import source as text_of
from .source import Declaration, KernelError

HERE = Path(__file__).parent

# -march=native: fmaf must be one instruction. No contraction: a * b + c is two roundings, as the text says, unless it
# says fmaf. No strict aliasing: CUDA code reads float arrays as float4.
COMMON = ["-std=c++17", "-fPIC", "-w", "-fvisibility=hidden", "-march=native", "-ffp-contract=off"]
COMMON += ["-fno-strict-aliasing", "-fno-threadsafe-statics", "-fno-exceptions"]
# No fre: it takes a local that is set on one branch for set.
CHECK = ["-O1", "-g", "-DCUDASIM_CHECK", "-fno-optimize-sibling-calls", "-fno-tree-fre"]
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
    own = [(HERE / name).read_text() for name in ("source.py", "build.py", "assembly.py")]
    return "\0".join([version, platform.machine(), processor, *headers, *own])


def run(command: list[str], reason: Callable[[str], str] = lambda stderr: text_of.refusal(stderr, str(HERE))) -> str:
    """What a compiler prints. Raises KernelError where it refuses: `reason` of what it says."""
    english = {**os.environ, "LC_ALL": "C"}  # for text_of.refusal, which reads the messages
    process = subprocess.run(command, capture_output=True, text=True, env=english)
    if process.returncode:
        raise KernelError(reason(process.stderr))
    return process.stdout


def build(
    text: str,
    name: str,
    folders: list[Path],
    options: tuple[str, ...],
    check: bool,
    unset: Sequence[assembly.Local] | None = None,
) -> Path:
    """The compiled library of one source. The options are -D... and -I... ones.

    Locals that are not set hold a pattern of bits in check mode, as a number one below 0. unset: where it is not None,
    they hold 0, and those that it names 100 where their declaration lets them.

    Raises KernelError for a source that the simulator refuses or g++ cannot compile.
    """
    parts = [_machine(), text, name, *text_of.includes(text, name, folders), *options, str(check), str(unset)]
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
    folder = _folder()
    library = folder / f"{digest}.so"
    if sealed.read(library) is None:
        try:
            with _workplace(folder) as work:
                sealed.write(library, _compile(text, name, folders, options, check, unset, work).read_bytes())
        except OSError as error:
            raise KernelError(
                f"cudasim: cannot write {library}: {error.strerror or error}; free some space, or name another folder"
                " by MINIGAN_CACHE"
            ) from error
    return library


def load(library: Path) -> ctypes.CDLL:
    """The library in this process. Raises KernelError, with a way out, for a place that nothing may be run from."""
    try:
        return ctypes.CDLL(str(library))
    except OSError as error:
        raise KernelError(
            f"cudasim: cannot load {library}: {error}; name a cache folder on a file system that programs may be run"
            " from, by MINIGAN_CACHE"
        ) from error


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


def _compile(text, name, folders, options, check, unset, work: Path) -> Path:
    define = ["-D__CUDACC__", "-D__CUDACC_RTC__", "-D__CUDA_ARCH__=750", "-DMINIGAN_CUDASIM", *options]
    (work / "in.cu").write_text(f'#line 1 "{name}"\n{text}\n')
    where = [f"-I{f}" for f in folders]
    plain = run([compiler(), "-E", "-x", "c++", "-std=c++17", *define, *where, str(work / "in.cu")])
    plain = "\n".join(row for row in plain.split("\n") if not re.match(r'# \d+ "<|# 0 "', row))
    text_of.refuse_unsupported(plain)
    kernels = text_of.declarations(plain)
    if not kernels:
        raise KernelError(f'{name}: no kernel: a kernel is declared as `extern "C" __global__ void name(...)`')
    translated = text_of.translate(plain, unroll=not check)
    if unset is not None:
        translated = text_of.with_locals_filled(translated, unset)
    (work / "module.cpp").write_text(_module(translated, name, kernels))
    library, code = work / "module.so", work / "module.o"
    command = [compiler(), *COMMON, f"-I{HERE}", str(work / "module.cpp")]
    if check:
        fill, dump, listing = "pattern" if unset is None else "zero", work / "locals.txt", work / "module.s"
        flags = [f"-ftrivial-auto-var-init={fill}", f"-fdump-tree-optimized-lineno={dump}"]
        run([*command, *CHECK, *flags, "-S", "-o", str(listing)])
        locals = assembly.unset_locals(dump.read_text(), text_of.files(plain)) if unset is None else []
        listing.write_text(assembly.with_variables(listing.read_text(), locals))
        run([compiler(), "-c", str(listing), "-o", str(code)])
    else:
        run([*command, *FAST, "-c", "-o", str(code)])
    # Linked without -fsanitize: the calls that it put in are answered by check.h.
    link = [compiler(), "-shared", "-Wl,-z,defs", str(code), "-o", str(library), "-lm", "-ldl"]
    run(link, lambda stderr: text_of.undefined(stderr, plain))
    return library


def _module(translated: str, name: str, kernels: list[Declaration]) -> str:
    """The whole C++ text: words, the user's text in a namespace, and one entry a kernel."""
    entries = [f'#line {k.line} "{k.file}"\nCUDASIM_KERNEL({k.name}, cudasim_user::{k.name})' for k in kernels]
    listing = "".join(f"{k.name}|{k.line}|{k.file}|{','.join(k.names)}\\n" for k in kernels)
    bounds = "\n".join(f'#line {k.line} "{k.file}"\n(int)({k.bounds or 1024}),' for k in kernels)
    words = {*re.findall(r"::\w+", (HERE / "names.h").read_text())} - {f"::{k.name}" for k in kernels}
    return (
        f'#include "words.h"\nnamespace cudasim_user {{\nusing {", ".join(sorted(words))};\n'
        f'#line 1 "{name}"\n{translated}\n'
        f"static const int cudasim_bounds[] = {{\n{bounds}\n}};\n}}\n"
        + "\n".join(entries)
        + f'\nCUDASIM_EXPORT const char* cudasim_kernels() {{ return "{listing}"; }}\n'
        "CUDASIM_EXPORT CUDASIM_PLAIN int cudasim_bound(int i) { return cudasim_user::cudasim_bounds[i]; }\n"
    )
