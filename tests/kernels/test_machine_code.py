"""The micro-kernel on processors that are not at hand: what LLVM makes of its tiles for AVX2, AVX-512 and NEON.

A processor with two units for multiply-adds and six instructions a cycle is kept busy by a loop of at most three
instructions a multiply-add. A loop that touches the stack has run out of registers.
"""

import pytest

from minigan.kernels.fast import micro
from tests.support.machine_code import MASKED_STORE, WHOLE_STORE, Code

# (target, lanes, vectors, rows): instructions a multiply-add, by lists of steps and by runs.
LOOPS = {
    ("AVX2", 8, 2, 6): (2.2, 2.0),
    ("AVX-512", 16, 4, 6): (1.7, 1.6),
    ("AVX-512", 16, 3, 6): (1.9, 1.8),
    ("AVX-512", 16, 2, 6): (2.2, 2.0),
    ("AVX-512", 16, 1, 6): (2.2, None),
    ("NEON", 4, 4, 6): (1.6, 1.5),
}


@pytest.mark.parametrize("case", LOOPS, ids=str)
def test_the_loop_keeps_its_sums_in_registers(case):
    target, *shape = case
    for tile, bound in zip((micro.stepped_tile, micro.tile), LOOPS[case], strict=True):
        if bound is not None:
            code = Code.of(tile, tuple(shape), target)
            assert code.multiply_adds == shape[1] * shape[2]
            assert code.spills == 0
            assert len(code.loop) <= bound * code.multiply_adds, code.loop


@pytest.mark.parametrize(("target", "lanes", "vectors"), [("AVX2", 8, 2), ("AVX-512", 16, 4)])
def test_whole_tiles_are_stored_without_masks(target, lanes, vectors):
    """Masked stores are slow with AVX2: there is one of each only, in the branch for the last columns."""
    stores = vectors * 6
    stepped, runs = (Code.of(tile, (lanes, vectors, 6), target) for tile in (micro.stepped_tile, micro.tile))
    assert stepped.count(MASKED_STORE) == stores and stepped.count(WHOLE_STORE) >= stores
    assert runs.count(MASKED_STORE) == 0 and runs.count(WHOLE_STORE) >= stores


@pytest.mark.parametrize(("target", "lanes", "vectors"), [("AVX2", 8, 2), ("AVX-512", 16, 4)])
def test_the_activation_takes_no_branch_a_vector(target, lanes, vectors):
    assert Code.of(micro.stepped_tile, (lanes, vectors, 6), target).branches < 20


def test_the_counts_see_a_tile_that_is_too_high():
    """Eight rows of two vectors need 18 registers; AVX2 has 16."""
    assert Code.of(micro.stepped_tile, (8, 2, 8), "AVX2").spills > 0
