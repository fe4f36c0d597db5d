"""The processor: its name, its widest vectors, and what the environment says of them. A time means little without."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

INSTRUCTIONS = {16: "AVX-512", 8: "AVX2", 4: "SSE"}


def name() -> str:
    """As the system names it."""
    facts = Path("/proc/cpuinfo")
    lines = facts.read_text().splitlines() if facts.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def lanes() -> int:
    """Numbers of float32 in a vector: 16, 8 or 4."""
    import llvmlite.binding

    features = llvmlite.binding.get_host_cpu_features()
    return 16 if features.get("avx512f") else 8 if features.get("avx2") else 4


def instructions() -> str:
    """The vector instructions: AVX-512, AVX2, SSE or NEON; with MINIGAN_VECTOR, which makes minigan use others, where
    it is set."""
    arm = platform.machine().lower() in ("arm64", "aarch64")
    widest, chosen = "NEON" if arm else INSTRUCTIONS[lanes()], os.environ.get("MINIGAN_VECTOR")
    return f"{widest} (MINIGAN_VECTOR={chosen})" if chosen else widest


def load() -> float | None:
    """Processes that wanted a core in the last minute, on average; None where the system does not say."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def clock(threads: int) -> Callable[[], float]:
    """Seconds, for differences: of one thread, those in which this process has a core, so that others do not count."""
    return time.process_time if threads == 1 else time.perf_counter
