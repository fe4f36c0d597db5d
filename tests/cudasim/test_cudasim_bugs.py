"""Check mode catches every seeded mistake of cuda/bugs.cu, in every order of threads, and names kernel, line, threads
and block."""

import re
from pathlib import Path

import numpy as np
import pytest

from minigan import cudasim
from minigan.cudasim import KernelError, Module

pytestmark = pytest.mark.skipif(not cudasim.available(), reason="minigan.cudasim needs g++, and there is none")
SOURCE = Path(__file__).parent / "bugs.cu"
i4 = np.int32


def zeros(n: int) -> np.ndarray:
    return np.zeros(n, np.float32)


# Kernel: what must be said, grid, block, arguments.
BUGS = {
    "missing_barrier": ("race", 1, 64, lambda: [zeros(64)]),
    "lockstep": ("race", 1, 32, lambda: [zeros(1)]),
    "shuffle_is_no_fence": ("race", 1, 32, lambda: [zeros(32)]),
    "add_without_atomic": ("race", 1, 64, lambda: [zeros(64), zeros(8), i4(64)]),
    "mixed_atomic": ("race", 1, 32, lambda: [np.zeros(1, i4)]),
    "other_blocks": ("race across blocks", 4, 32, lambda: [zeros(128), i4(128)]),
    "warp_sync_for_block": ("race", 1, 64, lambda: [zeros(64)]),
    "no_second_barrier": ("race", 1, 64, lambda: [zeros(128), zeros(64)]),
    "write_past_end": ("write out of bounds: .* past the end of y", 2, 64, lambda: [zeros(100)]),
    "read_past_end": ("read out of bounds: 4 bytes past the end of x", 1, 64, lambda: [zeros(64), zeros(64), i4(64)]),
    "read_before_start": ("read out of bounds: 4 bytes before x", 1, 32, lambda: [zeros(32), zeros(32)]),
    "far_out": ("write out of bounds", 1, 2, lambda: [zeros(32)]),
    "null_pointer": ("(read|access) through a null pointer", 1, 32, lambda: [None, zeros(32)]),
    "shared_index": ("array index out of bounds", 1, 32, lambda: [zeros(32)]),
    "shared_pointer": ("write out of bounds of shared memory", 1, 32, lambda: [zeros(32)]),
    "dynamic_too_small": ("write out of bounds of shared memory", 1, 32, lambda: [zeros(32)]),
    "local_index": ("array index out of bounds", 1, 4, lambda: [zeros(4), i4(1)]),
    "uninitialised_shared": ("uninitialised: shared memory", 1, 32, lambda: [zeros(32)]),
    "divergent_barrier": ("divergent barrier", 1, 32, lambda: [zeros(32)]),
    "early_return": ("skipped barrier", 1, 64, lambda: [zeros(64), i4(40)]),
    "absent_lanes": ("wrong mask: .* names lane 16, which never comes", 1, 32, lambda: [zeros(32)]),
    "not_in_mask": ("wrong mask: .* leaves it out", 1, 32, lambda: [zeros(32)]),
    "source_not_in_mask": ("wrong mask: .* reads lane 20", 1, 32, lambda: [zeros(32)]),
    "misaligned": ("misaligned access", 1, 8, lambda: [zeros(40), zeros(32)]),
    "write_const": ("write through const x", 1, 32, lambda: [zeros(32), zeros(32)]),
    "overflow": ("integer overflow in a multiplication", 1, 1, lambda: [np.zeros(1, i4), i4(65536)]),
    "division": ("integer division by zero", 1, 1, lambda: [np.zeros(1, i4), i4(0)]),
    "shift": ("shift by more bits", 1, 1, lambda: [np.zeros(1, i4), i4(40)]),
}


def marked_lines() -> dict[str, set[int]]:
    """The lines that end in HERE, by kernel."""
    lines, kernel = {}, ""
    for number, line in enumerate(SOURCE.read_text().splitlines(), 1):
        if match := re.search(r"__global__ void (\w+)\(", line):
            kernel = match[1]
        if line.endswith("// HERE"):
            lines.setdefault(kernel, set()).add(number)
    return lines


def test_every_kernel_is_tried():
    assert set(BUGS) == set(Module(SOURCE).kernels) == set(marked_lines())
    assert len(BUGS) >= 14


@pytest.mark.parametrize("order", ["forward", "reverse", "random"])
@pytest.mark.parametrize("name", BUGS)
def test_caught(name, order):
    words, grid, block, arguments = BUGS[name]
    size = 16 if name == "dynamic_too_small" else 0
    kernel = Module(SOURCE, check=True, order=order).get_function(name)
    with pytest.raises(KernelError) as caught:
        kernel((grid,), (block,), arguments(), shared_mem=size)
    findings = str(caught.value).splitlines()
    messages = [f for f in findings if re.search(rf"^bugs\.cu:\d+: {name}: {words}", f)]
    assert messages, findings
    assert {int(f.split(":")[1]) for f in messages} <= marked_lines()[name], findings
    assert all("block" in f and "thread" in f for f in messages), findings
    pairs = [m.groups() for f in messages if (m := re.search(r"threads (\d+) and (\d+) of", f))]
    assert all(a != b for a, b in pairs), findings


def test_a_race_names_both_lines():
    kernel = Module(SOURCE, check=True).get_function("missing_barrier")
    with pytest.raises(KernelError, match=r"threads \d+ and \d+ of block 0 \(the earlier access: bugs\.cu:[67]\)"):
        kernel((1,), (64,), (zeros(64),))


def test_a_neighbouring_array_is_not_ones_own():
    """The access past the end lands in another argument, and is found all the same."""
    both = zeros(128)
    kernel = Module(SOURCE, check=True).get_function("read_past_end")
    with pytest.raises(KernelError, match="past the end of x"):
        kernel((1,), (64,), (both[:64], both[64:], i4(64)))
