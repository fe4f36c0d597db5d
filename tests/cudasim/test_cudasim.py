"""minigan.cudasim runs correct kernels to the right result, in every mode and order of threads, and finds nothing
wrong; it refuses what it does not know, and arguments that do not fit."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from minigan import cudasim
from minigan.cudasim import KernelError, Module, Pointer

pytestmark = pytest.mark.skipif(not cudasim.available(), reason="minigan.cudasim needs g++, and there is none")
HERE = Path(__file__).parent
i4 = np.int32


@pytest.fixture(params=["forward", "reverse", "random"])
def order(request):
    return request.param


@pytest.fixture(params=[False, True], ids=["fast", "check"])
def check(request):
    return request.param


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_good_kernels(rng, order, check, dtype):
    """Sums in another order than NumPy's: 1e-5 for float32, 1e-12 for float64; the rest exactly."""
    real = {np.float32: "float", np.float64: "double"}[dtype]
    get = Module(HERE / "good.cu", [f"-Dreal={real}"], check, order).get_function
    close = {"rtol": 1e-5, "atol": 1e-5} if dtype == np.float32 else {"rtol": 1e-12, "atol": 1e-12}

    x = rng.standard_normal(1003).astype(dtype)
    y = np.full_like(x, np.nan)
    get("twice")((3,), (64,), (x, y, np.int64(x.size)))
    np.testing.assert_array_equal(y, 2 * x)

    x = rng.integers(0, 9, 100).astype(i4)
    y = np.zeros(100, i4)
    get("warp_scan")((1,), (128,), (x, y, i4(100)))
    sums = np.r_[x, np.zeros(28, i4)].reshape(4, 32).cumsum(1)
    np.testing.assert_array_equal(y, (sums * 100 + (sums & 1).sum(1, keepdims=True)).ravel()[:100])

    y = np.zeros(4, dtype)
    get("warp_tree")((1,), (128,), (y,))
    np.testing.assert_array_equal(y, np.arange(128).reshape(4, 32).sum(1))

    y = np.zeros(32, dtype)
    get("half_warps")((1,), (32,), (y,))
    np.testing.assert_array_equal(y, np.repeat(np.arange(32).reshape(2, 16).sum(1), 16))

    x = rng.standard_normal((37, 21)).astype(dtype)
    y = np.full((21, 37), np.nan, dtype)
    get("transpose")((2, 3), (16, 16), (x, y, i4(37), i4(21)))
    np.testing.assert_array_equal(y, x.T)

    a, b = rng.standard_normal((13, 19)).astype(dtype), rng.standard_normal((19, 11)).astype(dtype)
    c = np.full((13, 11), np.nan, dtype)
    get("matmul")((2, 2), (8, 8), (a, b, c, i4(13), i4(11), i4(19)))
    np.testing.assert_allclose(c, a @ b, **close)

    bins, value = rng.integers(0, 50, 1000).astype(i4), rng.standard_normal(1000).astype(dtype)
    sums, counts = np.zeros(50, dtype), np.zeros(50, i4)
    size = 50 * sums.itemsize
    get("histogram")((3,), (64,), (bins, value, sums, counts, i4(1000), i4(50)), shared_mem=size)
    np.testing.assert_allclose(sums, np.bincount(bins, value, 50), **close)
    np.testing.assert_array_equal(counts, np.bincount(bins, minlength=50))

    x = rng.standard_normal(72).astype(np.float32)
    y = np.full_like(x, np.nan)
    get("by_fours")((1,), (32,), (x, y, i4(18)))
    np.testing.assert_array_equal(y, -x)

    mask = np.full(100, 7, np.uint8)
    get("bytes")((2,), (64,), (mask, i4(100)))
    np.testing.assert_array_equal(mask, np.arange(100) & 1)

    x = rng.standard_normal(100).astype(dtype)
    y = np.full_like(x, np.nan)
    get("select")((2,), (64,), (mask.astype(bool), x, y, i4(100)))
    np.testing.assert_array_equal(y, np.where(mask, x, -x))


def test_signature():
    module = Module(HERE / "good.cu", ["-Dreal=double"])
    kernel = module.get_function("twice")
    assert [(p.name, p.dtype, p.pointer, p.const) for p in kernel.parameters] == [
        ("x", np.dtype("f8"), True, True),
        ("y", np.dtype("f8"), True, False),
        ("n", np.dtype("i8"), False, False),
    ]
    assert kernel.max_threads == 256
    with pytest.raises(KernelError, match="no kernel 'thrice'; it has twice, "):
        module.get_function("thrice")


def test_strided_views_pointers_and_null(check):
    """An array's first element is what the kernel gets, whatever the strides."""
    text = 'extern "C" __global__ void f(float* x, const float* b) { x[2 * threadIdx.x] = b ? b[0] : 5.f; }'
    f = Module(text, check=check).get_function("f")
    x = np.zeros((4, 2), np.float32)
    f((1,), (4,), (x[:, 0], None))
    assert x.tolist() == [[5, 0]] * 4
    f((1,), (4,), (Pointer(x.ctypes.data, x.nbytes, x.dtype), np.ones(1, np.float32)))
    assert x.tolist() == [[1, 0]] * 4


def test_modules_of_one_text_take_turns():
    """Python threads, each with a module of its own, which are one library: every launch is whole."""
    text = (
        'extern "C" __global__ void f(int* y) {\n    __shared__ int s[64];\n    int sum = 0;\n'
        "    for (int i = 0; i < 2000; ++i) {\n        s[threadIdx.x] = i;\n        __syncthreads();\n"
        "        sum += s[63 - threadIdx.x];\n        __syncthreads();\n    }\n    y[threadIdx.x] = sum;\n}"
    )
    results = np.zeros((2, 10, 64), i4)

    def launches(mine):
        kernel = Module(text).get_function("f")
        for y in mine:
            kernel((1,), (64,), (y,))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(launches, results))
    assert (results == 1999 * 1000).all()


def test_a_module_is_opened_while_another_thread_launches():
    """What Python asks a library about a kernel is no part of a launch in it, and not checked with it."""
    text = 'extern "C" __global__ void f(int* y, int n) { for (int i = 0; i < n; ++i) y[threadIdx.x] += i; }'
    kernel, done, y = Module(text, check=True).get_function("f"), threading.Event(), np.zeros(32, i4)

    def ask():
        while not done.is_set():
            Module(text, check=True)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        for _ in range(5):
            kernel((1,), (32,), (y, i4(10_000)))
    finally:
        done.set()
        thread.join()
    assert (y == 5 * 49_995_000).all()


def test_arguments_that_overlap_are_one_memory(check):
    f = Module(
        'extern "C" __global__ void f(const float* x, float* y) { y[threadIdx.x] = x[threadIdx.x] + 1; }', check=check
    ).get_function("f")
    x = np.zeros(32, np.float32)
    f((1,), (32,), (x, x))
    assert (x == 1).all()


BAD_ARGUMENTS = [
    (lambda x: (x, x), "2 arguments for 3 parameters"),
    (lambda x: (x, x, 32), "n is a int32: pass numpy.int32"),
    (lambda x: (x, x, np.int64(32)), "n is a int32"),
    (lambda x: (x.astype("f8"), x, i4(32)), "x points to float32, the array is float64"),
    (lambda x: (x, np.float32(1), i4(32)), "y is a pointer: pass an array"),
    (lambda x: (x, np.broadcast_to(x, (2, 32)), i4(32)), "y is not const, and the array is read-only"),
]


@pytest.mark.parametrize("arguments, words", BAD_ARGUMENTS)
def test_arguments_that_do_not_fit(arguments, words):
    f = Module('extern "C" __global__ void f(const float* x, float* y, int n) {}').get_function("f")
    with pytest.raises(TypeError, match=words):
        f((1,), (32,), arguments(np.zeros(32, np.float32)))


@pytest.mark.parametrize(
    "grid, block, shared", [((0,), (1,), 0), ((1,), (65,), 0), ((1,), (1,), 1 << 20), ((1, 70000), (1,), 0)]
)
def test_launches_no_gpu_takes(grid, block, shared):
    f = Module('extern "C" __global__ void __launch_bounds__(64) f() {}').get_function("f")
    with pytest.raises(ValueError, match="f: "):
        f(grid, block, (), shared_mem=shared)


REFUSED = [
    ("y[0] = tex2D<float>(t, 0, 0);", "kernel.cu:3: .* textures"),
    ("cooperative_groups::this_grid().sync();", "kernel.cu:3: .* cooperative groups"),
    ('asm("bar.sync 0;");', r"kernel.cu:3: .* inline PTX"),
    ("g<<<1, 1>>>();", "kernel.cu:3: .* dynamic parallelism"),
    ("__half h;", "kernel.cu:3: .* half precision"),
    ("y[0] = __fadd_rz(1.f, 2.f);", "kernel.cu:3: .* rounding other"),
    ("y[0] = __vadd4(1, 2);", "kernel.cu:3: the simulator does not know '__vadd4'"),
    ("__shared__ float s[4] = {1};", "kernel.cu:3: a __shared__ declaration"),
    ("y[0] = 1", "kernel.cu:[34]: expected ';'"),
]


@pytest.mark.parametrize("line, words", REFUSED)
def test_what_it_does_not_know_is_refused_by_name_and_line(line, words):
    text = f'// a comment with tex2D and asm\nextern "C" __global__ void f(float* y) {{\n    {line}\n}}\n'
    with pytest.raises(KernelError, match=words):
        Module(text)


def test_sources_it_cannot_read():
    with pytest.raises(KernelError, match=r"kernel\.cu:2: cannot include cuda_fp16\.h"):
        Module("\n#include <cuda_fp16.h>\n")
    with pytest.raises(KernelError, match="no kernel: a kernel is declared as"):
        Module("__device__ int f() { return 1; }")
    with pytest.raises(KernelError, match=r"nowhere\.cu"):
        Module(Path("nowhere.cu"))
    with pytest.raises(ValueError, match="order 'sideways' is none of forward, reverse, random"):
        Module("", order="sideways")
    with pytest.raises(ValueError, match="option '--fmad=false'"):
        Module("", ["--fmad=false"])


def test_a_changed_include_is_compiled_again(tmp_path):
    (tmp_path / "k.cu").write_text('#include "c.cuh"\nextern "C" __global__ void f(int* y) { y[0] = VALUE; }\n')
    y = np.zeros(1, i4)
    for value in (3, 4):
        (tmp_path / "c.cuh").write_text(f"#define VALUE {value}\n")
        Module(tmp_path / "k.cu").get_function("f")((1,), (1,), (y,))
        assert y[0] == value


def test_after_a_mistake_the_next_launch_is_whole(check):
    f = Module(
        'extern "C" __global__ void f(int* y, int n) {\n'
        "    if (threadIdx.x >= n) return;\n    __syncthreads();\n    y[threadIdx.x] = 1;\n}",
        check=check,
    ).get_function("f")
    y = np.zeros(64, i4)
    for _ in range(2):
        with pytest.raises(KernelError, match="skipped barrier"):
            f((2,), (64,), (y, i4(40)))
    f((1,), (64,), (y, i4(64)))
    assert (y == 1).all()


def test_without_a_compiler_there_is_one_clear_error(tmp_path):
    code = "from minigan import cudasim\nassert not cudasim.available()\ncudasim.Module('')"
    root = Path(cudasim.__file__).parents[2]
    environment = {**os.environ, "PATH": str(tmp_path), "CXX": "", "PYTHONPATH": str(root)}
    process = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert "compiles kernels with g++, and there is none: install it" in process.stderr.splitlines()[-1]
