"""The compile gate: NVRTC compiles every kernel for every architecture, none spills, none grew
(minigan.cudasim.gate)."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from minigan.cudasim import gate, nvrtc
from minigan.cudasim.nvrtc import NvrtcError, Usage
from minigan.kernels.cuda import load

pytestmark = pytest.mark.skipif(not nvrtc.available(), reason="NVRTC is not installed: pip install nvidia-cuda-nvrtc")
HERE = Path(__file__).parent
EXPECTED = HERE / "expected.json"

SPILLS = """
extern "C" __global__ void __launch_bounds__(1024, 2) heavy(float* x) {
    float a[96];
    for (int i = 0; i < 96; ++i) a[i] = x[i * threadIdx.x];
    __syncthreads();
    for (int i = 0; i < 96; ++i) x[i * threadIdx.x] = a[i] * a[95 - i];
}
"""


QUICK = (nvrtc.ARCHITECTURES[0], "sm_90", nvrtc.ARCHITECTURES[-1])
SLOW = [name for name in nvrtc.ARCHITECTURES if name not in QUICK]


@pytest.mark.parametrize("path", gate.sources(), ids=lambda p: p.name)
@pytest.mark.parametrize("architectures", [QUICK, pytest.param(SLOW, marks=pytest.mark.slow)], ids=["quick", "others"])
def test_the_engine_s_kernels(path, architectures):
    """Every source in kernels/, in float and double, for every architecture."""
    version, expected = gate.load(EXPECTED)
    own = {k: v for k, v in expected.items() if k.split()[0] == path.name and k.split()[-1] in architectures}
    wrong = gate.complaints(gate.measure([path], architectures), own if version == nvrtc.version() else None)
    assert not wrong, "\n".join(wrong)


def test_the_gate_compiles_what_runs(monkeypatch):
    """A source is compiled with the definitions that a launch gives it."""
    compiled, launched = [], []
    monkeypatch.setattr(gate.nvrtc, "usage", lambda *_: {})
    monkeypatch.setattr(gate.nvrtc, "compile_source", lambda *args: (compiled.append(args[2]), ""))
    gate.measure(gate.sources()[:1], ["sm_90"])
    module = SimpleNamespace(RawModule=lambda code, options, backend: launched.append(options))
    for dtype in (np.float32, np.float64):
        load._compiled.__wrapped__(module, "act", np.dtype(dtype))
    for ours, theirs in zip(compiled, launched, strict=True):
        assert {o for o in theirs if o.startswith("-D")} - {"-Dreal=float"} == set(ours) - {"-Dreal=float"}


def test_the_command_writes_where_the_tests_read():
    assert gate.EXPECTED.samefile(EXPECTED)


def test_the_command_says_at_once_that_it_cannot_write(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(gate.sys, "argv", ["gate", "--write", "--expected", str(tmp_path / "nowhere" / "figures.json")])
    with pytest.raises(SystemExit):
        gate.main()
    assert "there is no folder" in capsys.readouterr().err and not (tmp_path / "nowhere").exists()


def test_the_expected_figures_are_of_the_kernels_there_are():
    _, expected = gate.load(EXPECTED)
    assert {name.split()[0] for name in expected} == {p.name for p in gate.sources()}
    assert {name.split()[-1] for name in expected} <= set(nvrtc.ARCHITECTURES)


@pytest.mark.parametrize("architecture", nvrtc.ARCHITECTURES)
def test_the_simulator_s_own_test_kernels(architecture):
    """What cudasim runs, NVRTC takes too, with the same parameters' kernels."""
    usages = gate.measure([HERE.parents[1] / "cudasim" / "good.cu"], [architecture])
    assert not gate.complaints(usages, None)
    kernels = {name.split()[1] for name in usages}
    assert kernels >= {"twice", "warp_scan", "transpose", "matmul", "histogram", "by_fours", "select"}
    assert usages[f"good.cu transpose double {architecture}"].shared >= 16 * 17 * 8


def test_a_spill_is_found():
    usage = nvrtc.usage(*nvrtc.compile_source(SPILLS, "sm_80"))["heavy"]
    assert usage.spills > 0 and usage.registers <= 32
    assert any("spilled registers" in w for w in gate.complaints({"k.cu heavy float sm_80": usage}, None))


def test_what_is_complained_about():
    name, other = "k.cu f float sm_90", "k.cu g float sm_90"
    assert gate.complaints({name: Usage(44, 49152 + 1024, 0)}, {name: Usage(40, 0, 0)}) == []
    assert "45 registers, expected 40" in gate.complaints({name: Usage(45, 0, 0)}, {name: Usage(40, 0, 0)})[0]
    assert "49153 bytes of shared memory" in gate.complaints({name: Usage(1, 49153 + 1024, 0)}, None)[0]
    assert "no expected figures" in gate.complaints({name: Usage(1, 0, 0)}, {})[0]
    assert "no such kernel" in gate.complaints({name: Usage(1, 0, 0)}, {name: Usage(1, 0, 0), other: Usage(1, 0, 0)})[0]


def test_figures_survive_their_file(tmp_path):
    usages = {"k.cu f float sm_90": Usage(44, 1024, 8, 0), "k.cu f double sm_90": Usage(50, 1024, 0, 4)}
    gate.save(tmp_path / "figures.json", usages)
    assert gate.load(tmp_path / "figures.json") == (nvrtc.version(), usages)
    assert "k.cu f double" in gate.table(usages)


def test_a_source_nvrtc_refuses():
    with pytest.raises(NvrtcError, match=r'bad\.cu for sm_90: .*\n.*identifier "oops" is undefined'):
        nvrtc.compile_source('extern "C" __global__ void f(float* y) { y[0] = oops; }', "sm_90", name="bad.cu")
