"""The benchmark is fair: every framework computes the same losses, disturbed bursts do not count, what cannot run says
why."""

import importlib
import json
import subprocess
import sys
from functools import cache

import numpy as np
import pytest
import pytorch
from click.testing import CliRunner

from minigan.bench import ops, processor, report, run, worker
from minigan.bench.accuracy import Row
from minigan.bench.workloads import SCALING, WORKLOADS, start, workload
from minigan.cli import main

STEPS = 3
# The losses of one player stay within this share of its largest one. The first are equal to 1e-4; Adam's first steps
# move a weight by the learning rate however small its gradient, so gradients that are rounding noise leave a mark.
TOLERANCE = 2e-3
SMALL = [f"{name}:8" for name in WORKLOADS]
SIXTEEN_SECONDS = ("dcgan-64:8", "wgan-gp-norm:8")  # dcgan-32 and wgan-gp go through the same code


def losses(module: str, variant: str, name: str) -> np.ndarray:
    """The losses of a few steps, (STEPS, players)."""
    step = importlib.import_module(f"minigan.bench.{module}").build(workload(name), variant)
    return np.array([[float(value) for value in step()] for _ in range(STEPS)])


@cache
def ours(name: str) -> np.ndarray:
    return losses("in_minigan", "eager", name)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SIXTEEN_SECONDS else name for name in SMALL]
)
@pytest.mark.parametrize("contestant", [n for n in run.CONTESTANTS if n not in ("minigan-eager", "torch-compile")])
def test_all_compute_the_same(contestant, name):
    """From the same weights and data, three steps of every workload, at a batch of 8."""
    package, module, variant = run.CONTESTANTS[contestant]
    pytest.importorskip(package, reason=f"{package} is not installed")
    _assert_same(losses(module, variant, name), ours(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_torch_compile_computes_the_same(name, torch):
    _assert_same(losses("in_torch", "compile", name), ours(name))


def _assert_same(losses: np.ndarray, expected: np.ndarray) -> None:
    assert losses.shape == expected.shape and np.isfinite(expected).all()
    np.testing.assert_allclose(losses[0, 0], expected[0, 0], rtol=1e-4, atol=1e-5)
    scale = np.abs(expected).max(0)
    assert (np.abs(losses - expected) <= TOLERANCE * scale).all(), (losses, expected)


def test_sizes():
    """The networks of the issue, by their numbers of weights and the shapes of their batches."""
    channels = {name: [layer.outputs for layer in w.critic if layer.kind == "conv"] for name, w in WORKLOADS.items()}
    assert channels["wgan-gp"] == channels["wgan-gp-norm"] == channels["dcgan-32"] == [64, 128, 256, 1]
    assert channels["dcgan-64"] == [64, 128, 256, 512, 1]
    generator = [layer.outputs for layer in WORKLOADS["dcgan-64"].generator if layer.kind == "conv_transpose"]
    assert generator == [512, 256, 128, 64, 3]
    count = {name: sum(a.size for a in start(w).critic.values()) for name, w in WORKLOADS.items()}
    assert count["wgan-gp"] == 3 * 64 * 16 + 64 + 64 * 128 * 16 + 128 + 128 * 256 * 16 + 256 + 256 * 16 + 1
    assert count["toy-4x128"] == 2 * 128 + 128 + 3 * (128 * 128 + 128) + 128 + 1
    assert start(WORKLOADS["dcgan-64"]).batch["z_critic"].shape == (32, 100, 1, 1)
    assert [workload(name).batch for name in SCALING[:3]] == [8, 16, 32]
    assert workload("wgan-gp:64x64").shape == (3, 64, 64) and len(workload("wgan-gp:64x64").critic) == 9


@pytest.mark.parametrize("name", ops.OPS)
def test_single_ops_compute_the_same(name):
    """One result of each op, in minigan (eager and captured) and in PyTorch; float32 sums of up to 65,536 products."""

    def value(module, variant):
        result = ops.build(module, name, variant)()
        result = result[0] if isinstance(result, (tuple, list)) else result
        return np.asarray(result.detach().numpy())

    eager, captured = ("in_minigan", "eager"), ("in_minigan", "captured")
    with_torch = pytorch.compared()
    expected = value("in_torch", "eager") if with_torch else value(*eager)
    for module, variant in (eager, captured, *[("in_torch", "channels_last")] * with_torch):
        np.testing.assert_allclose(value(module, variant), expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["conv 256-1 4x4, input gradient", "100 tiny ops"])
def test_a_single_op_is_measured(name):
    """By the same workers as a whole step."""
    names = ["minigan", "torch"] if pytorch.compared() else ["minigan"]
    table = run.measure(name, names, run.Settings(1, 0.05, accept_load=True), print, ops=True)
    assert all(0 < figures.get("ms", 0) < 1000 for figures in table.values()), table


def _burst(ms: float, foreign: float | None) -> dict:
    return {"ms": ms, "foreign": foreign, "peak_mib": 100.0}


def test_disturbed_bursts_do_not_count():
    """They are left out while enough others remain; else the least disturbed stand in, and the figure says so."""
    settings = run.Settings(rounds=3)
    calm = [_burst(10, 0.0), _burst(11, 0.05), _burst(12, None)]
    summary = run.summary([*calm, _burst(99, 0.5)], settings)
    assert summary["ms"] == 11 and not summary["loaded"] and len(summary["bursts"]) == 4
    summary = run.summary([calm[0], _burst(20, 0.2), _burst(30, 0.3), _burst(99, 0.9)], settings)
    assert summary["ms"] == 20 and summary["loaded"]
    summary = run.summary([_burst(10, 0.9), _burst(20, 0.9)], run.Settings(rounds=2, accept_load=True))
    assert summary["ms"] == 15 and summary["loaded"]
    assert run.summary([_burst(10, 0.0) | {"peak_mib": mib} for mib in (90, 110)], settings)["peak_mib"] == 110


def test_processor_time_leaves_out_waiting(monkeypatch):
    """Of steps that use 2 ms of a core and wait for 8: 2 ms, and nobody disturbs that."""
    wall, used = [0.0], [0.0]

    def step():
        wall[0] += 10e-3
        used[0] += 2e-3
        return []

    monkeypatch.setattr(worker.time, "perf_counter", lambda: wall[0])
    monkeypatch.setattr(worker.time, "process_time", lambda: used[0])
    assert worker.burst(step, 5)["ms"] == pytest.approx(10)
    burst = worker.burst(step, 5, processor_time=True)
    assert burst["ms"] == pytest.approx(2) and burst["foreign"] is None


def test_a_disturbed_burst_is_taken_again(monkeypatch):
    """At most ATTEMPTS times; with accept_load not at all."""
    monkeypatch.setattr(run, "PAUSE", 0)

    class Fake:
        def __init__(self, *shares):
            self.shares = iter(shares)

        def burst(self):
            return _burst(1, next(self.shares))

    def count(settings, *shares):
        return len(list(run._attempts(Fake(*shares), settings)))

    assert count(run.Settings(), 0.0) == 1 and count(run.Settings(), 0.5, 0.5, 0.0) == 3
    assert count(run.Settings(), *[0.5] * 9) == run.ATTEMPTS
    assert count(run.Settings(accept_load=True), 0.5) == 1


def test_every_contestant_begins_a_round_in_its_turn():
    assert [run.rotated(["a", "b", "c"], k)[0] for k in range(4)] == ["a", "b", "c", "a"]


def test_the_table_names_ratios_and_reasons():
    """Ratios are peer / minigan, the fastest peer is none of minigan's own, what could not run has a note."""

    def figures(ms, loaded=False):
        return {"ms": ms, "low": ms, "high": ms, "loaded": loaded}

    row = {"minigan": figures(10), "minigan-eager": figures(5), "torch": figures(30), "jax": figures(15, loaded=True)}
    rows = {"wgan-gp": row | {"tensorflow": {"unsupported": "RuntimeError: it is raining"}}}
    text = report.table(rows)
    assert "30 (3.00)" in text and "15* (1.50)" in text and "3.00 / 1.50 jax" in text
    assert "wgan-gp: tensorflow: RuntimeError: it is raining" in text
    assert report.fastest_peer({"minigan": {"unsupported": "no"}, "torch": figures(1)}) is None
    assert report.ratios({"minigan": figures(10), "jax": figures(5)}) == "- / 0.50 jax"
    assert report.ratios({"minigan": figures(10)}) == "- / -"


def test_the_table_says_how_far_the_times_spread():
    """The widest of all: quartiles of 9 and 12 around 10 are 30 % apart."""
    narrow, wide = ({"ms": 10, "low": low, "high": high, "loaded": False} for low, high in ((9.9, 10.1), (9, 12)))
    rows = {"a": {"minigan": narrow, "jax": wide}, "b": {"minigan": narrow, "jax": {"unsupported": "no"}}}
    assert "at most 30 % of the median apart (jax, a)" in report.table(rows)


def test_the_head_names_the_machine():
    """Which vectors gave the figures, the versions, and how busy the machine was, from the first look to the last."""
    facts = {"processor": "Chip", "instructions": "AVX2", "cores": 4, "threads": 2, "versions": {"jax": "0.9"}}
    assert report.head(facts | {"load": [0.5, 2.0, 1.0]}) == "Chip, AVX2, 4 cores, 2 threads; load 0.5 to 2.0\njax 0.9"
    assert report.head(facts | {"load": [None]}).splitlines()[0] == "Chip, AVX2, 4 cores, 2 threads"


@pytest.mark.parametrize(("features", "name"), [({"avx512f": True, "avx2": True}, "AVX-512"), ({"avx2": True}, "AVX2")])
def test_the_vectors_are_named(features, name, monkeypatch):
    """Of the processor, not of what MINIGAN_VECTOR makes minigan use, which is said as well."""
    monkeypatch.setattr("llvmlite.binding.get_host_cpu_features", lambda: features)
    monkeypatch.setattr(processor.platform, "machine", lambda: "x86_64")
    monkeypatch.delenv("MINIGAN_VECTOR", raising=False)
    assert processor.instructions() == name
    monkeypatch.setenv("MINIGAN_VECTOR", "8")
    assert processor.instructions() == f"{name} (MINIGAN_VECTOR=8)"
    monkeypatch.setattr(processor.platform, "machine", lambda: "arm64")
    assert processor.instructions().startswith("NEON")


def test_a_worker_says_what_went_wrong(monkeypatch):
    """An exception and a death are both answers."""
    with pytest.raises(run.WorkerError, match="ValueError: unknown workload 'nothing'"):
        run.Worker("minigan", "nothing", run.Settings())
    monkeypatch.setitem(run.CONTESTANTS, "minigan", run.Contestant("minigan", "no_such_module", ""))
    table = run.measure("toy-4x128", ["minigan"], run.Settings(rounds=1), print)
    assert "no_such_module" in table["minigan"]["unsupported"]
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(run.WorkerError, match="ended with status 1"):
        run.Worker("minigan", "toy-4x128", run.Settings())


def test_the_command(tmp_path, torch):
    """One short burst of minigan and PyTorch: a table, the facts, a picture."""
    args = ["bench", "toy-4x128", "--peers", "torch", "--quick", "--accept-load", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(main, args)
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "out" / "bench.json").read_text())
    row = report["steps"]["toy-4x128"]
    assert list(row) == ["minigan", "minigan-eager", "torch"]
    for figures in row.values():
        assert figures["low"] <= figures["ms"] <= figures["high"] and figures["peak_mib"] > figures["imports_mib"] > 0
    assert report["machine"]["versions"].keys() >= {"minigan", "torch", "numba"} and report["machine"]["threads"] == 2
    assert "fastest peer" in result.output and (tmp_path / "out" / "bench.png").read_bytes()[1:4] == b"PNG"


def test_the_first_start_is_cold_and_the_second_warm(monkeypatch):
    """And memory beyond the imports is what is left of the peak."""
    starts = iter(
        [{"warm_s": 9.0, "peak_mib": 280, "imports_mib": 200}, {"warm_s": 2.0, "peak_mib": 300, "imports_mib": 210}]
    )
    times = iter((0.75, 0.25, 0.5))
    monkeypatch.setattr(run, "_started", lambda *_: next(starts))
    monkeypatch.setattr(run, "_import_time", lambda package: next(times))
    costs = run.costs(["minigan"], run.Settings(), lambda line: None)
    assert costs["minigan"] == {"cold_s": 9.0, "warm_s": 2.0, "peak_mib": 300, "imports_mib": 210, "import_s": 0.5}
    assert report.cost_table(costs).splitlines()[1].split() == ["minigan", "0.50", "9.00", "2.00", "300", "90"]


def test_memory_is_in_mib():
    """Of a process that holds more than 64 MiB, so that the number in KiB would not pass."""
    assert 64 < worker.memory("VmHWM") < 1 << 16


def test_bars_are_as_long_as_the_ratio(monkeypatch, tmp_path):
    """From 1, minigan's own, to 2 where a peer takes twice as long, and back to 0.5 for half."""
    figures = []
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda self, file, **_: figures.append(self))
    row = {"minigan": {"ms": 1.0}, "jax": {"ms": 2.0}, "torch": {"ms": 0.5}}
    report.chart(tmp_path / "bench.png", {"step": row}, "bench")
    bars = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in figures[0].axes[0].patches]
    assert bars == [(1, 2), (1, 0.5)]


def test_errors_are_in_pytorch_s():
    assert Row("critic", {"direct": 2.0, "PyTorch": 4.0}).ratios == {"direct": 0.5}


@pytest.mark.slow
def test_costs_are_measured_cold_and_warm():
    """A folder of compiled code that is empty, then filled: the second first step is quicker."""
    costs = run.costs(["minigan"], run.Settings(seconds=0.05), print)["minigan"]
    assert costs["cold_s"] > costs["warm_s"] > 0 and costs["import_s"] > 0
    assert "minigan" in report.cost_table({"minigan": costs})


def test_list():
    result = CliRunner().invoke(main, ["bench", "--list"])
    assert result.exit_code == 0 and all(name in result.output for name in [*WORKLOADS, *run.CONTESTANTS])


@pytest.mark.parametrize(
    ("args", "match"),
    [
        (["wgangp"], "known workloads: wgan-gp, wgan-gp-norm"),
        (["wgan-gp:big"], "unknown workload 'wgan-gp:big'"),
        (["wgan-gp:0"], "at least 1"),
        (["wgan-gp:48x48"], "power of two"),
        (["toy-3x512:32x32"], "no images"),
        (["--peers", "caffe"], "known peers: torch, torch-channels-last"),
        (["--rounds", "0"], "not in the range"),
    ],
)
def test_wrong_usage(args, match):
    """One line, exit status 2."""
    result = CliRunner().invoke(main, ["bench", *args])
    assert result.exit_code == 2 and match in result.output and "Traceback" not in result.output


def test_an_absent_peer_is_named(monkeypatch):
    monkeypatch.setattr(run, "absent", lambda: {"jax": "jax is not installed"})
    result = CliRunner().invoke(main, ["bench", "--peers", "jax"])
    assert result.exit_code == 2 and "jax is not installed; pip install 'minigan[bench]'" in result.output
    assert "jax" not in run.contestants(None)


def test_the_parent_imports_no_framework():
    """Neither minigan nor the measuring process loads a peer, and `import minigan` does not load the benchmark."""
    peers = ["torch", "tensorflow", "jax", "numba"]
    for code, banned in (
        ("import minigan.bench.run, minigan.bench.report", peers),
        ("import minigan", ["minigan.bench"]),
    ):
        check = f"import sys; {code}; print([m for m in {banned} if m in sys.modules])"
        assert subprocess.run([sys.executable, "-c", check], capture_output=True, text=True).stdout.strip() == "[]"
