"""NVRTC by ctypes: compiles CUDA C for real GPUs where there is none: no driver, no CuPy.

Needs only the library of the wheel `nvidia-cuda-nvrtc` (or a CUDA toolkit's). A program is compiled with the flags that
CuPy gives, and what each kernel takes of a GPU is read from the binary that comes out (a cubin, which is an ELF file):

    registers   section .nv.info, attribute EIATTR_REGCOUNT, by symbol
    shared      size of section .nv.shared.<kernel>; from sm_90 on 1024 bytes of it are the system's
    stack       .nv.info, EIATTR_FRAME_SIZE: local memory a thread, spilled registers and indexed local arrays
    spills      from the assembler's log (--ptxas-options=-v)

Source: NVIDIA's NVRTC documentation for the calls; the attributes' numbers and layout as `cuobjdump -elf` prints them.
"""

from __future__ import annotations

import ctypes
import re
import struct
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ARCHITECTURES = ("sm_75", "sm_80", "sm_86", "sm_89", "sm_90", "sm_100", "sm_120")
"""Turing, A100, Ampere, Ada, H100, B200, consumer Blackwell."""

CUPY_FLAGS = ("--device-as-default-execution-space", "-ftz=true")
"""What CuPy adds to a source's own options (cupy/cuda/compiler.py), besides the architecture."""

_REGCOUNT, _FRAME_SIZE = 0x2F, 0x11


class NvrtcError(RuntimeError):
    """NVRTC is not there, or refuses a source; its log says why."""


@dataclass(frozen=True)
class Usage:
    """What one kernel takes: registers a thread, bytes of static shared memory a block, bytes of local memory a thread,
    bytes that a thread spills from registers and loads back."""

    registers: int
    shared: int
    stack: int
    spills: int = 0


@cache
def library() -> ctypes.CDLL:
    """The NVRTC library; NvrtcError where there is none."""
    site = Path(sysconfig.get_paths()["purelib"]) / "nvidia"
    folders = [site / "cu13" / "lib", site / "cuda_nvrtc" / "lib"]
    for folder in folders:
        for path in sorted(folder.glob("libnvrtc.so.*")):
            # NVRTC 13 does not find its built-ins by itself unless they are loaded already.
            for builtins in sorted(folder.glob("libnvrtc-builtins.so.*")):
                ctypes.CDLL(str(builtins), mode=ctypes.RTLD_GLOBAL)
            return _declared(ctypes.CDLL(str(path)))
    for name in ("libnvrtc.so.13", "libnvrtc.so.12"):
        try:
            return _declared(ctypes.CDLL(name))
        except OSError:
            continue
    raise NvrtcError("NVRTC is not installed: pip install nvidia-cuda-nvrtc")


def _declared(nvrtc: ctypes.CDLL) -> ctypes.CDLL:
    nvrtc.nvrtcGetErrorString.restype = ctypes.c_char_p
    return nvrtc


def available() -> bool:
    """Whether NVRTC can be loaded."""
    try:
        return bool(library())
    except (NvrtcError, OSError):
        return False


def version() -> str:
    """NVRTC's version, as "13.0"."""
    major, minor = ctypes.c_int(), ctypes.c_int()
    library().nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
    return f"{major.value}.{minor.value}"


def compile_source(
    text: str,
    architecture: str,
    options: Iterable[str] = (),
    name: str = "kernel.cu",
    headers: dict[str, str] | None = None,
) -> tuple[bytes, str]:
    """The cubin of one source for one architecture, and the log. `headers`: texts that it includes, by name.

    Raises NvrtcError with NVRTC's log.
    """
    nvrtc = library()
    headers = headers or {}
    program = ctypes.c_void_p()
    texts = (ctypes.c_char_p * len(headers))(*[t.encode() for t in headers.values()])
    names = (ctypes.c_char_p * len(headers))(*[n.encode() for n in headers])
    nvrtc.nvrtcCreateProgram(ctypes.byref(program), text.encode(), name.encode(), len(headers), texts, names)
    try:
        flags = [f"-arch={architecture}", *CUPY_FLAGS, "--ptxas-options=-v", *options]
        status = nvrtc.nvrtcCompileProgram(
            program, len(flags), (ctypes.c_char_p * len(flags))(*[f.encode() for f in flags])
        )
        if status:
            reason = nvrtc.nvrtcGetErrorString(status).decode()
            raise NvrtcError(f"{name} for {architecture}: {reason}\n{_text(nvrtc, 'ProgramLog', program).decode()}")
        return _text(nvrtc, "CUBIN", program), _text(nvrtc, "ProgramLog", program).decode()
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def _text(nvrtc: ctypes.CDLL, what: str, program: ctypes.c_void_p) -> bytes:
    size = ctypes.c_size_t()
    getattr(nvrtc, f"nvrtcGet{what}Size")(program, ctypes.byref(size))
    buffer = ctypes.create_string_buffer(size.value)
    getattr(nvrtc, f"nvrtcGet{what}")(program, buffer)
    return buffer.raw if what == "CUBIN" else buffer.value


def usage(cubin: bytes, log: str) -> dict[str, Usage]:
    """What each kernel of a cubin takes, by name. Both arguments as compile_source returns them."""
    sections = _sections(cubin)
    by_name = {name: data for name, _, data, _ in sections}
    strings = by_name[".strtab"]
    symbols = [
        _string(strings, struct.unpack_from("<I", by_name[".symtab"], at)[0])
        for at in range(0, len(by_name[".symtab"]), 24)
    ]
    registers, frames = {}, {}
    for number, payload in _attributes(by_name[".nv.info"]):
        if number in (_REGCOUNT, _FRAME_SIZE):
            symbol, value = struct.unpack("<II", payload)
            (registers if number == _REGCOUNT else frames)[symbols[symbol]] = value
    shared = {name[len(".nv.shared.") :]: size for name, _, _, size in sections if name.startswith(".nv.shared.")}
    kernels = [name[len(".text.") :] for name, *_ in sections if name.startswith(".text.")]
    spills = {
        kernel: int(stores) + int(loads)
        for kernel, stores, loads in re.findall(
            r"Function properties for (\w+)\n[^\n]*?(\d+) bytes spill stores, (\d+) bytes spill loads", log
        )
    }
    return {k: Usage(registers[k], shared.get(k, 0), frames.get(k, 0), spills[k]) for k in sorted(kernels)}


def _sections(elf: bytes) -> list[tuple[str, int, bytes, int]]:
    """Name, type, contents and size of each section of a 64-bit ELF file; those without contents have a size all the
    same."""
    table, (size, count, names_at) = struct.unpack_from("<Q", elf, 0x28)[0], struct.unpack_from("<HHH", elf, 0x3A)
    rows = [struct.unpack_from("<IIQQQQ", elf, table + i * size) for i in range(count)]
    names = elf[rows[names_at][4] :]
    nobits = 8
    return [
        (_string(names, name), kind, b"" if kind == nobits else elf[at : at + length], length)
        for name, kind, _, _, at, length in rows
    ]


def _string(table: bytes, at: int) -> str:
    return table[at : table.index(b"\0", at)].decode()


def _attributes(info: bytes) -> Iterable[tuple[int, bytes]]:
    """Number and payload of each attribute: format byte, number, then 2 bytes that are a value or a length."""
    at, with_length = 0, 4
    while at + 4 <= len(info):
        form, number, length = struct.unpack_from("<BBH", info, at)
        at += 4
        payload = info[at : at + length] if form == with_length else b""
        at += len(payload)
        yield number, payload
