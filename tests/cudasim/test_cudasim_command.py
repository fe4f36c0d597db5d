"""`minigan cudasim`, the arguments it reads, and the mutation of kernels."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from minigan import cudasim
from minigan.cli import main
from minigan.cudasim import Module, launch_time, mutate, spec

pytestmark = pytest.mark.skipif(not cudasim.available(), reason="minigan.cudasim needs g++, and there is none")
HERE = Path(__file__).parent


def command(*args: str):
    return CliRunner().invoke(main, ["cudasim", *args])


def one_line(result) -> str:
    """What a command printed, on one line; click breaks long ones."""
    return " ".join(result.output.split())


FULL = ["--arg", "x=zeros:3", "--arg", "y=zeros:3", "--arg", "n=3"]
TWICE = [str(HERE / "good.cu"), "--kernel", "twice", "--grid", "2", "--block", "64", "--json"]


@pytest.mark.parametrize("extra", [[], ["--check"], ["--order", "random", "--seed", "3"], ["-D", "real=double"]])
def test_a_good_kernel(extra):
    result = command(*TWICE, "--arg", "x=arange:1000", "--arg", "y=zeros:10,100", "--arg", "n=1000", *extra)
    assert result.exit_code == 0, result.output
    assert "y float" in result.output and "0 2 4 6 8 10 12 14 ... (sum 999000, 0 not finite)" in result.output
    assert json.loads(result.output.splitlines()[-1]) == {
        "kernel": "twice",
        "check": "--check" in extra,
        "findings": [],
        "passed": True,
    }


def test_a_racy_kernel():
    arguments = [str(HERE / "bugs.cu"), "--kernel", "missing_barrier", "--block", "64", "--arg", "y=zeros:64"]
    result = command(*arguments, "--check")
    assert result.exit_code == 1
    assert "bugs.cu:7: missing_barrier: race, read after write of shared memory: threads " in result.output
    unchecked = command(*arguments)
    assert unchecked.exit_code == 0 and "nothing found wrong" not in unchecked.output
    assert "missing_barrier: run in forward order of threads; its loads and stores were not checked" in unchecked.output


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
        (["nowhere.cu"], "'nowhere.cu' does not exist"),
        ([str(HERE)], "is a directory"),
        ([*TWICE, *FULL, "--grid", "0"], "twice: grid (0,) and block (64,) are one to three numbers from 1 on"),
        ([*TWICE, *FULL, "--grid", "1,1,1,1"], "twice: grid (1, 1, 1, 1) and block (64,) are one to three numbers"),
        ([*TWICE, *FULL, "--grid", "1,70000"], "twice: grid (1, 70000) is over the limit (2147483647, 65535, 65535)"),
        ([*TWICE, *FULL, "--grid", "a"], "'a' is no grid or block; write 64 or 16,16"),
        ([*TWICE, *FULL, "--block", "257"], "twice: block (257,) has 257 threads; at most 256"),
        ([*TWICE, *FULL, "--shared", "-1"], "twice: -1 bytes of dynamic shared memory; from 0 to 49152"),
        ([*TWICE, *FULL, "--order", "sideways"], "order 'sideways' is none of forward, reverse, random"),
        ([*TWICE, "--arg", "x=zeros:-3", "--arg", "y=zeros:3", "--arg", "n=3"], "x: '-3' has a size below 0"),
        ([*TWICE, "--arg", "x=zeros:3:real", "--arg", "y=zeros:3", "--arg", "n=3"], "x: 'real' is no dtype; write"),
        ([*TWICE, "--arg", f"x=load:{__file__}", "--arg", "y=null", "--arg", "n=3"], "is no .npy file with an array"),
    ],
)
def test_wrong_usage(args, words):
    result = command(*args)
    assert result.exit_code == 2 and words in one_line(result)


@pytest.mark.parametrize(
    "text, extra, words",
    [
        (
            "int f() { return 1; }",
            [],
            'k.cu: no kernel: a kernel is declared as `extern "C" __global__ void name(...)`',
        ),
        ("", [], "k.cu: no kernel: "),
        ('extern "C" __global__ void f() {}', ["--kernel", "g"], "k.cu has no kernel 'g'; it has f"),
        ('extern "C" __global__ void f(float* x) {}', ["--arg", "x=load:nowhere.npy"], "nowhere.npy"),
        ("\xff\xfe", [], "k.cu: not a text in UTF-8 (byte 0); is it a .cu file?"),
    ],
)
def test_files_with_nothing_to_run(tmp_path, text, extra, words):
    (tmp_path / "k.cu").write_bytes(text.encode("latin-1"))
    result = command(str(tmp_path / "k.cu"), *extra)
    assert result.exit_code == 1 and words in one_line(result)


def test_a_block_that_no_gpu_takes(tmp_path):
    (tmp_path / "k.cu").write_text('extern "C" __global__ void f() {}')
    assert command(str(tmp_path / "k.cu"), "--block", "1024").exit_code == 0
    result = command(str(tmp_path / "k.cu"), "--block", "1025")
    assert result.exit_code == 2 and "f: block (1025,) has 1025 threads; at most 1024" in one_line(result)


def test_several_arrays_in_a_file(tmp_path):
    np.savez(tmp_path / "x.npz", np.zeros(3))
    result = command(*TWICE, "--arg", f"x=load:{tmp_path / 'x.npz'}", "--arg", "y=null", "--arg", "n=3")
    assert result.exit_code == 2 and "holds several arrays; save the one with numpy.save" in one_line(result)


def test_without_a_compiler(tmp_path):
    """In a process of its own, where no g++ is found: one line, exit status 1."""
    environment = {**os.environ, "PATH": str(tmp_path), "CXX": "", "PYTHONPATH": str(Path(cudasim.__file__).parents[2])}
    line = [sys.executable, "-m", "minigan", "cudasim", *TWICE, *FULL]
    process = subprocess.run(line, env=environment, capture_output=True, text=True)
    assert process.returncode == 1 and process.stdout == ""
    assert process.stderr.splitlines() == [
        "Error: minigan.cudasim compiles kernels with g++, and there is none: install it (apt install g++)"
    ]


def test_a_source_that_is_refused(tmp_path):
    (tmp_path / "k.cu").write_text('extern "C" __global__ void f() { asm("exit;"); }')
    result = command(str(tmp_path / "k.cu"))
    assert result.exit_code == 1 and "k.cu:1: the simulator does not support inline PTX" in result.output


def test_arguments_from_files_and_null(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(4, dtype=np.float32))
    kernel = Module('extern "C" __global__ void f(const float* x, float* y, bool up, double a) {}').get_function("f")
    texts = [f"x=load:{tmp_path / 'x.npy'}", "y=null", "up=1", "a=0.5"]
    values = spec.arguments(kernel, texts)
    assert values["x"].tolist() == [0, 1, 2, 3] and values["y"] is None
    assert values["up"].dtype == bool and values["a"].dtype == np.float64


def test_launch_times(monkeypatch, capsys):
    """A line for each case, and one that says how busy the machine was; more threads take longer."""
    monkeypatch.setattr(launch_time, "BURST", 0.002)
    assert launch_time.main() == 0
    first, head, *rows = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"The machine was (NOT )?idle: .*", first) and "ns/thread" in head
    assert [row.split()[0] for row in rows] == [name for name, *_ in launch_time.CASES]
    figures = [list(map(float, re.findall(r"\d+\.\d", row)[:4])) for row in rows]
    alone, *rest = figures
    assert alone[1] == alone[3] == 0
    assert all(fast > alone[0] > 0 and check > alone[2] > 0 for fast, _, check, _ in rest[1:])


MUTATED = """#define N 4 + 4
extern "C" __global__ void f(int* y, int n) {  // a < b
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = n - 0 + 1;
}
"""


def notices(text: str) -> str | None:
    """What a run of MUTATED, or of a mutant of it, does wrong."""
    y = np.zeros(64, np.int32)
    try:
        Module(text, check=True).get_function("f")((2,), (32,), (y, np.int32(50)))
    except cudasim.KernelError as error:
        return str(error)
    return None if (y == np.where(np.arange(64) < 50, 51, 0)).all() else "wrong"


@pytest.mark.slow
def test_mutants_of_a_kernel(tmp_path):
    """A checker that runs the kernel notices a mistake that changes its result, and not one that changes nothing."""
    path = tmp_path / "k.cu"
    path.write_text(MUTATED)
    fates = {(o.line, o.rule): o.fate for o in mutate.survey(path, notices)}
    assert fates.pop((4, "- to +")) == "survived"
    assert set(fates.values()) == {"killed"}, fates
    assert {line for line, _ in fates} == {3, 4}
    assert {(4, "< to <="), (3, "* to +"), (3, "+ to -"), (3, "x to y"), (4, "1 to 2")} <= set(fates)


def test_some_mutants_of_a_kernel(tmp_path):
    """Three of the slow test's, by the same checker: two that change the result, and + 0 for - 0, which does not."""
    path = tmp_path / "k.cu"
    path.write_text(MUTATED)
    fates = {o.fate for o in mutate.survey(path, notices, limit=3, seed=6)}
    assert fates == {"killed", "survived"}


def test_a_survey_goes_on_where_it_was(tmp_path):
    """What an earlier run killed is not tried again; what survived is."""
    path = tmp_path / "k.cu"
    path.write_text(MUTATED)
    first = mutate.survey(path, lambda text: None if "threadIdx.x" in text else "wrong", limit=6, seed=1)
    texts = []
    again = mutate.survey(path, lambda text: texts.append(text), 6, 1, record={o.key: o for o in first})
    survivors = [o for o in first if o.fate == "survived"]
    assert len(first) == 6 and 0 < len(texts) == len(survivors) < 6
    assert [o.name for o in again] == [o.name for o in first]
    assert mutate.survey(path, notices, limit=6, seed=2) != first


@pytest.mark.parametrize(
    "text, words",
    [(None, "No such file"), ("[tests", "is no plan: TOMLDecodeError"), ("", "is no plan: KeyError 'tests'")],
)
def test_plans_that_are_none(tmp_path, capsys, text, words):
    if text is not None:
        (tmp_path / "plan.toml").write_text(text)
    assert mutate.main([str(HERE / "good.cu"), "--plan", str(tmp_path / "plan.toml")]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.slow
def test_a_mutation_run(tmp_path, capsys):
    """The command in a checkout of its own: pytest judges, the plan explains, the record is read again."""
    for part in ("kernels", "minigan", "examples"):
        (tmp_path / part).symlink_to(Path(cudasim.__file__).parents[2] / part)
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "tests").mkdir()
    path = tmp_path / "tests" / "k.cu"
    path.write_text(MUTATED)
    (tmp_path / "tests" / "test_k.py").write_text(
        "from pathlib import Path\nimport numpy as np\nfrom minigan.cudasim import Module\n"
        "def test_k():\n    y = np.zeros(64, np.int32)\n"
        "    Module(Path('tests/k.cu')).get_function('f')((2,), (32,), (y, np.int32(50)))\n"
        "    assert (y == np.where(np.arange(64) < 50, 51, 0)).all()\n"
    )
    plan = tmp_path / "plan.toml"
    plan.write_text('[tests]\nk = ["tests/test_k.py"]\n')
    out = tmp_path / "out.jsonl"
    line = [str(path), "--plan", str(plan), "--root", str(tmp_path), "--out", str(out), "--aim", "0.5"]
    assert mutate.main(line) == 1
    output = capsys.readouterr().out
    assert "if (i < n) y[i] = n + 0 + 1;\n    NOT EXPLAINED" in output
    killed = [o for o in mutate.recorded(out).values() if o.fate == "killed"]
    assert len(killed) == len(mutate.mutants(path)) - 1
    assert any("race" in o.words or "out of bounds" in o.words for o in killed) and all(o.words for o in killed)
    plan.write_text(plan.read_text() + '[[equivalent]]\nmutants = ["k.cu: if (i < n) y[i] = n + 0 + 1;"]\nwhy = "0"\n')
    assert mutate.main(line) == 0
    output = capsys.readouterr().out
    assert output.count("survived") == 1 and "killed " not in output.splitlines()[0]
    path.write_text(MUTATED.replace("51", "52").replace("+ 1;", "+ 2;"))
    assert mutate.main(line) == 2 and "the tests fail without any mistake" in capsys.readouterr().err
    assert mutate.main([str(tmp_path / "pyproject.toml"), *line[1:]]) == 2
    assert "the plan has no tests for pyproject.toml; it has some for k" in capsys.readouterr().err
