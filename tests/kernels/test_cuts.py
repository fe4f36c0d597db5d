"""Every way of cutting a product is the whole product: threads, rounds, segments, blocks, chunks and panels.

Where a product is cut depends on its size, so small geometries meet few of the cuts. Here the sizes at which the
drivers cut are drawn as well, and memory for results is full of NaN before a kernel writes it (MINIGAN_POISON): a
number that no task writes is no number. Values are held to the oracle of test_kernels_conv.py.
"""

import os
import subprocess
import sys
from contextlib import contextmanager
from unittest import mock

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_kernels_conv import check_all, close, geometries, room, square
from test_winograd import KINDS, fast, plain, tensors, within
from test_winograd import geometries as winograd_geometries

import minigan as mg
from minigan import functional as F
from minigan.kernels import load, matmul, work
from minigan.kernels.fast import conv as fast_conv
from minigan.kernels.fast import gemm, tables, winograd_products

CUTS = {
    (gemm, "ALONE"): [0, 1 << 12, 1 << 40],
    (gemm, "DEPTH"): [1, 7, 256],
    (gemm, "TILES"): [1, 3, 32],
    (gemm, "TASKS"): [1, 16],
    (gemm, "AMORTISED"): [1, 256],
    (fast_conv, "ROUND"): [1 << 6, 1 << 9, 1 << 20],
    (fast_conv, "SEGMENT"): [1, 20, 4096],
    (fast_conv, "TASKS"): [1, 16],
    (tables, "PIXELS"): [1, 5, 128],
    (winograd_products, "DEPTH"): [1, 7, 256],
    (winograd_products, "CHUNK"): [12, 96],
    (winograd_products, "TASKS"): [1, 16],
}
"""The sizes at which a driver cuts, and those to cut at here: from everywhere, over somewhere, to nowhere."""

cuts = st.fixed_dictionaries({key: st.sampled_from(sizes) for key, sizes in CUTS.items()})
threads = st.integers(1, load.get_num_threads())


@contextmanager
def cut(sizes, threads):
    """Drivers cut at these sizes, on so many threads, and write to memory that is full of NaN."""
    plans = (tables.forward, tables.phases, tables.weight, tables.parts, winograd_products.tables_of)
    before = load.get_num_threads()
    old = {key: getattr(*key) for key in sizes}
    try:
        for (module, name), size in sizes.items():
            setattr(module, name, size)
        for plan in plans:
            plan.cache_clear()
        load.set_num_threads(threads)
        with mock.patch.object(work, "POISON", True):
            yield
    finally:
        for (module, name), size in old.items():
            setattr(module, name, size)
        for plan in plans:
            plan.cache_clear()
        load.set_num_threads(before)


@given(geometries(), cuts, threads, st.integers(0, 1000))
@settings(max_examples=15)
@pytest.mark.parametrize("lanes", [8, 16])
def test_convolutions(lanes, geometry, sizes, threads, seed):
    with room(lanes), cut(sizes, threads):
        check_all(geometry, np.float32, seed)


@given(st.tuples(*[st.sampled_from([1, 2, 5, 16, 17, 40, 70])] * 3), cuts, threads, st.integers(0, 1000))
@settings(max_examples=15)
@pytest.mark.parametrize("lanes", [8, 16])
def test_matrix_products(lanes, shape, sizes, threads, seed):
    m, k, n = shape
    draw = np.random.default_rng(seed).standard_normal
    a, b = draw((m, k)).astype(np.float32), draw((k, n)).astype(np.float32)
    with room(lanes), cut(sizes, threads):
        product = matmul.matmul(a, b)
    close(product, a.astype(float) @ b, abs(a).astype(float) @ abs(b), k)


@pytest.mark.parametrize("lanes", [8, 16])
@pytest.mark.parametrize(("m", "r"), KINDS)
def test_winograd(m, r, lanes):
    @given(winograd_geometries(r), cuts, threads, st.integers(0, 99))
    @settings(max_examples=6)
    def agree(geometry, sizes, threads, seed):
        blocks = tensors(geometry, integers=m == 2, seed=seed)
        with cut(sizes, threads):
            within(geometry, fast(geometry, *blocks, m, lanes), plain(geometry, *blocks), m, r)

    agree()


@st.composite
def layers(draw):
    """Whole layers at the sizes of the drivers as they are: 0.5 to 3 MiB of x and g, products around gemm.ALONE."""
    groups = draw(st.sampled_from([1, 2, 3, 4]))
    ins, outs = (groups * draw(st.sampled_from([1, 2, 4, 8, 16, 40])) for _ in "co")
    kernel, size = draw(st.sampled_from([1, 3])), draw(st.sampled_from([8, 16, 24]))
    batch = max(1, draw(st.integers(1 << 17, 3 << 18)) // ((ins + outs) * size * (size + 2)))
    return square(batch, ins, size, outs, kernel, 1, kernel // 2, groups)


@given(layers(), threads, st.integers(0, 1000))
@settings(max_examples=4)
@example(square(12, 3, 16, 120, 1, groups=3), 1, 0)
def test_layers(geometry, threads, seed):
    with cut({}, threads):
        check_all(geometry, np.float32, seed)


@given(layers(), st.integers(0, 1000))
@settings(max_examples=2)
@example(square(12, 3, 16, 120, 1, groups=3), 0)
def test_replays_of_a_captured_layer(geometry, seed):
    """The three faces in one plan, whose buffers share memory, are those of the eager step, at the first replay and at
    the next."""
    draw = np.random.default_rng(seed).standard_normal
    x, w, a = (
        mg.tensor(draw(shape).astype(np.float32), requires_grad=True)
        for shape in (geometry.x_shape, geometry.w_shape, geometry.y_shape)
    )

    def step():
        y = F.conv2d(x, w, None, geometry.stride, geometry.padding, geometry.dilation, geometry.groups)
        return mg.grad((F.relu(y) * a).sum(), [x, w])

    with cut({}, load.get_num_threads()):
        expected = step()
        captured = mg.capture(step)
        for _ in range(3):
            for ours, eager in zip(captured(), expected, strict=True):
                np.testing.assert_array_equal(ours.numpy(), eager.numpy())


def test_users_switch():
    """MINIGAN_POISON=1: memory that nobody has written reads as NaN; what kernels write does not."""
    code = "import minigan as mg; print(mg.empty(3).numpy(), (mg.ones(3, 3) @ mg.ones(3, 3)).sum().item())"
    run = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"MINIGAN_POISON": "1"}, capture_output=True, text=True
    )
    assert run.stdout.split() == ["[nan", "nan", "nan]", "27.0"], run.stderr
