"""`minigan cudasim`, the arguments it reads, and the mutation of kernels."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from minigan import cudasim
from minigan.cli import main
from minigan.cudasim import Module, mutate, spec

pytestmark = pytest.mark.skipif(not cudasim.available(), reason="minigan.cudasim needs g++, and there is none")
HERE = Path(__file__).parent / "cuda"


def command(*args: str):
    return CliRunner().invoke(main, ["cudasim", *args])


TWICE = [str(HERE / "good.cu"), "--kernel", "twice", "--grid", "2", "--block", "64", "--json"]


@pytest.mark.parametrize("extra", [[], ["--check"], ["--order", "random", "--seed", "3"], ["-D", "real=double"]])
def test_a_good_kernel(extra):
    done = command(*TWICE, "--arg", "x=arange:1000", "--arg", "y=zeros:10,100", "--arg", "n=1000", *extra)
    assert done.exit_code == 0, done.output
    assert "y float" in done.output and "0 2 4 6 8 10 12 14 ... (sum 999000, 0 not finite)" in done.output
    assert json.loads(done.output.splitlines()[-1]) == {
        "kernel": "twice",
        "check": "--check" in extra,
        "findings": [],
        "passed": True,
    }


def test_a_racy_kernel():
    arguments = [str(HERE / "bugs.cu"), "--kernel", "missing_barrier", "--block", "64", "--arg", "y=zeros:64"]
    done = command(*arguments, "--check")
    assert done.exit_code == 1
    assert "bugs.cu:7: missing_barrier: race, read after write of shared memory: threads " in done.output
    assert command(*arguments).exit_code == 0


@pytest.mark.parametrize(
    "args, words",
    [
        (TWICE[:1], "several kernels; --kernel twice, warp_scan"),
        ([*TWICE, "--arg", "x=zeros:3"], "twice takes x, y, n; unknown or missing: n, y"),
        ([*TWICE, "--arg", "x=zeros:3", "--arg", "y=fill:3", "--arg", "n=3"], "y is a pointer; write"),
        ([*TWICE, "--arg", "x=zeros:3", "--arg", "y=zeros:a", "--arg", "n=3"], "'a' is no shape"),
        ([*TWICE, "--arg", "x=zeros:3", "--arg", "y=zeros:3", "--arg", "n=3.5"], "n is a int64; '3.5' is none"),
        ([*TWICE, "--arg", "x=zeros:3:float64", "--arg", "y=zeros:3", "--arg", "n=3"], "x points to float32"),
        ([*TWICE, "--arg", "x"], "write each argument once, as name=value"),
    ],
)
def test_wrong_usage(args, words):
    done = command(*args)
    assert done.exit_code == 2 and words in done.output


def test_a_source_that_is_refused(tmp_path):
    (tmp_path / "k.cu").write_text('extern "C" __global__ void f() { asm("exit;"); }')
    done = command(str(tmp_path / "k.cu"))
    assert done.exit_code == 1 and "k.cu:1: the simulator does not support inline PTX" in done.output


def test_arguments_from_files_and_null(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(4, dtype=np.float32))
    kernel = Module('extern "C" __global__ void f(const float* x, float* y, bool up, double a) {}').get_function("f")
    texts = [f"x=load:{tmp_path / 'x.npy'}", "y=null", "up=1", "a=0.5"]
    values = spec.arguments(kernel, texts)
    assert values["x"].tolist() == [0, 1, 2, 3] and values["y"] is None
    assert values["up"].dtype == bool and values["a"].dtype == np.float64


def test_mutants_of_a_kernel(tmp_path):
    """A checker that runs the kernel notices a mistake that changes its result, and not one that changes nothing."""
    path = tmp_path / "k.cu"
    path.write_text(
        '#define N 4 + 4\nextern "C" __global__ void f(int* y, int n) {  // a < b\n'
        "    int i = blockIdx.x * blockDim.x + threadIdx.x;\n    if (i < n) y[i] = n - 0 + 1;\n}\n"
    )

    def check(mutant):
        y = np.zeros(64, np.int32)
        try:
            Module(mutant.text, check=True).get_function("f")((2,), (32,), (y, np.int32(50)))
        except cudasim.KernelError as error:
            return str(error)
        return None if (y == np.where(np.arange(64) < 50, 51, 0)).all() else "wrong"

    fates = {(o.line, o.rule): o.fate for o in mutate.survey(path, check)}
    assert fates.pop((4, "- to +")) == "survived"
    assert set(fates.values()) == {"killed"}, fates
    assert {line for line, _ in fates} == {3, 4}
    assert {(4, "< to <="), (3, "* to +"), (3, "+ to -"), (3, "x to y"), (4, "1 to 2")} <= set(fates)
