"""The compile gate: every kernel for every architecture in float and double, and what it takes of a GPU.

    python -m minigan.cudasim.gate                  what is found, beside what is expected
    python -m minigan.cudasim.gate --write          take what is found as the expected figures

NVRTC compiles (no GPU, no driver, no CuPy). Refused are: a source that NVRTC refuses, a spilled register, more than
48 KiB of shared memory, more than 10 % more registers than expected, a kernel that nothing is expected of, and one
that is expected and gone. The expected figures hold for one version of NVRTC: another may allot registers differently,
and is held to spills and shared memory only.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from dataclasses import astuple
from pathlib import Path

from . import nvrtc
from .nvrtc import ARCHITECTURES, NvrtcError, Usage

TYPES = ("float", "double")
SHARED_LIMIT = 48 * 1024
SYSTEM_SHARED = 1024
"""Bytes of shared memory that the system takes from sm_90 on; they do not count against the 48 KiB."""
REGISTER_SLACK = 1.1

KERNELS = Path(__file__).parent.parent / "kernels"
if not KERNELS.is_dir():
    KERNELS = Path(__file__).parents[2] / "kernels"

EXPECTED = Path(__file__).parents[2] / "tests" / "kernels" / "cuda" / "expected.json"
"""Of a checkout; an installed minigan has no expected figures."""

Figures = dict[str, Usage]
"""By "file kernel type architecture"."""


def sources(folder: Path = KERNELS) -> list[Path]:
    """The kernel sources that the gate looks at."""
    return sorted(folder.glob("*.cu"))


def measure(
    files: Iterable[Path], architectures: Iterable[str] = ARCHITECTURES, types: Iterable[str] = TYPES
) -> Figures:
    """What every kernel of `files` takes. Raises NvrtcError with the log of a source that does not compile."""
    figures: Figures = {}
    for path in files:
        headers = {p.name: p.read_text() for p in path.parent.glob("*.cuh")}
        for real in types:
            for architecture in architectures:
                options = [f"-Dreal={real}", *(["-DWIDE_LOADS"] if real == "float" else [])]  # as kernels/cuda/load.py
                binary = nvrtc.compile_source(path.read_text(), architecture, options, path.name, headers)
                for kernel, usage in nvrtc.usage(*binary).items():
                    figures[f"{path.name} {kernel} {real} {architecture}"] = usage
    return figures


def complaints(figures: Figures, expected: Figures | None) -> list[str]:
    """What is wrong with the figures found, a line each; `expected` None: no figures to compare with."""
    wrong = []
    for name, usage in figures.items():
        architecture = name.rsplit("_", 1)[-1]
        shared = usage.shared - (SYSTEM_SHARED if int(architecture) >= 90 and usage.shared else 0)
        if usage.spills:
            wrong.append(f"{name}: {usage.spills} bytes of spilled registers")
        if shared > SHARED_LIMIT:
            wrong.append(f"{name}: {shared} bytes of shared memory, more than {SHARED_LIMIT}")
        if expected is None:
            continue
        if name not in expected:
            wrong.append(f"{name}: no expected figures: python -m minigan.cudasim.gate --write")
        elif usage.registers > REGISTER_SLACK * expected[name].registers:
            wrong.append(f"{name}: {usage.registers} registers, expected {expected[name].registers}")
    if expected is not None:
        wrong += [f"{name}: expected, but there is no such kernel" for name in expected if name not in figures]
    return wrong


def save(path: Path, figures: Figures) -> None:
    """Writes figures as JSON: per kernel, registers, shared memory, stack and spills."""
    rows = ",\n".join(f"  {json.dumps(name)}: {json.dumps(list(astuple(u)))}" for name, u in sorted(figures.items()))
    path.write_text(
        f'{{\n "nvrtc": "{nvrtc.version()}",\n "columns": ["registers", "shared", "stack", "spills"],\n'
        f' "kernels": {{\n{rows}\n }}\n}}\n'
    )


def load(path: Path) -> tuple[str, Figures]:
    """The version of NVRTC and the figures in such a file."""
    record = json.loads(path.read_text())
    return record["nvrtc"], {name: Usage(*row) for name, row in record["kernels"].items()}


def table(figures: Figures) -> str:
    """The figures as text: a line for each kernel and type, registers by architecture."""
    kernels = list(dict.fromkeys(name.rsplit(" ", 1)[0] for name in figures))
    architectures = list(dict.fromkeys(name.rsplit(" ", 1)[1] for name in figures))
    wide = max((len(k) for k in kernels), default=0)
    lines = [f"{'registers a thread':<{wide}} {' '.join(f'{a:>6}' for a in architectures)}  shared  spills"]
    for kernel in kernels:
        row = [figures[f"{kernel} {a}"] for a in architectures]
        lines.append(
            f"{kernel:<{wide}} {' '.join(f'{u.registers:6}' for u in row)}  {max(u.shared for u in row):6}"
            f"  {max(u.spills for u in row):6}"
        )
    return "\n".join(lines)


def main() -> int:
    """The command; the exit status is 1 where something is wrong."""
    parser = argparse.ArgumentParser(description="Compile every kernel for every architecture, without a GPU.")
    parser.add_argument("files", nargs="*", type=Path, help="sources; by default the engine's own")
    parser.add_argument("--expected", type=Path, default=EXPECTED)
    parser.add_argument("--write", action="store_true", help="take what is found as the expected figures")
    options = parser.parse_args()
    if options.write and not options.expected.parent.is_dir():
        parser.error(f"--write: there is no folder {options.expected.parent}; say by --expected where to write")
    try:
        figures = measure(options.files or sources())
    except (NvrtcError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(table(figures))
    expected = None
    if options.write:
        save(options.expected, figures)
    elif options.expected.exists():
        version, record = load(options.expected)
        expected = record if version == nvrtc.version() else None
    wrong = complaints(figures, expected)
    print(
        "\n".join(wrong)
        if wrong
        else f"{len(figures)} compilations of kernels: nothing wrong (NVRTC {nvrtc.version()})"
    )
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
