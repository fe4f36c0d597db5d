"""The model of a step: what a loop computes and moves is read off its arguments, and time follows from the roof."""

import json
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from minigan import kernels
from minigan.bench import growth, predict, report, roof
from minigan.bench.predict import CALL, Fit, Model, Work
from minigan.bench.run import Settings
from minigan.bench.workloads import WORKLOADS, workload
from minigan.capture.memo import Memo
from minigan.cli import main
from minigan.kernels import fast
from minigan.kernels.fast import winograd
from minigan.kernels.geometry import ConvGeometry
from minigan.kernels.work import Now

ONE = roof.Roof(1, "AVX2", 8, 1e9, 100e9, {"copy": 10e9, "triad": 10e9, "sum": 10e9}, {1 << 16: 10e9, 1 << 28: 10e9})
TWO = predict.scaled(ONE, 2)


class Listed(Now):
    """The calls, none of them made."""

    def __init__(self):
        self.calls = []

    def call(self, function, *arguments):
        self.calls.append((function, arguments))


@pytest.fixture
def vectors(monkeypatch):
    """As on a processor with AVX2."""
    monkeypatch.setenv("MINIGAN_VECTOR", "8")
    fast.lanes.cache_clear()
    yield
    monkeypatch.undo()
    fast.lanes.cache_clear()


def normal(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("down", [False, True])
def test_the_work_of_a_product(down, vectors):
    """2 m k n operations on A, B and C, however A lies; tiles are 6 rows high."""
    m, k, n = 600, 128, 64
    a, b = normal(k, m).T if down else normal(m, k), normal(k, n)
    work = Listed()
    kernels.matmul.matmul(a, b, np.empty((m, n), np.float32), work=work)
    (product,) = [w for _, _, w in predict.works_of(work.calls) if w.kernel == "gemm.driver"]
    assert product.flops == 2 * m * k * n
    assert product.nbytes == a.nbytes + b.nbytes + 4 * m * n
    assert product.tasks > 1


def test_the_work_of_a_winograd_convolution(vectors):
    """F(4, 2) does 25 products where the direct sum does 64; the transforms only move."""
    geometry = ConvGeometry((96, 64, 16, 16), (128, 64, 4, 4), (2, 2), (1, 1), (1, 1), 1)
    x, w = normal(96, 16, 16, 64).transpose(0, 3, 1, 2), normal(128, 64, 4, 4)
    work = Listed()
    kernels.conv.conv_forward(x, w, geometry, work=work)
    works = {w.kernel: w for _, _, w in predict.works_of(work.calls)}
    products = works["winograd_products.products"]
    direct = 2 * np.prod(geometry.y_shape) * np.prod(geometry.w_shape[1:])
    assert winograd.tile_size(geometry) == 4
    assert products.flops == pytest.approx(direct * 25 / 64, rel=0.02)
    gather = works["winograd_loops.gather 4,0"]
    assert gather.flops == 0 and gather.tasks == 96 * 2 and gather.nbytes > x.nbytes


def test_the_work_of_a_pass_and_of_a_memo():
    """Each array once, in tuples too; a ufunc has one task; what a memo holds counts by itself."""
    x, y = normal(1 << 16), np.empty(1 << 16, np.float32)
    add = (partial(np.add, x, x, out=y), ())
    calls = [add, (Memo(frozenset(), [add, (np.copyto, (y, x))]), ()), (print, ([x, (y,)], 3))]
    works = [work for _, _, work in predict.works_of(calls)]
    assert [w.kernel for w in works[:3]] == ["numpy.add", "numpy.add", "numpy.copyto"]
    assert {w.nbytes for w in works} == {x.nbytes + y.nbytes} and {w.tasks for w in works} == {1}
    listed = Listed()
    kernels.act.leaky_relu(normal(1 << 19), 0.2, np.empty(1 << 19, np.float32), work=listed)
    (work,) = [work for _, _, work in predict.works_of(listed.calls)]
    assert work.tasks == 2 * (4 << 19) // predict.PIECE


def test_the_fit_finds_start_and_share():
    least = np.array([1e-5, 1e-4, 1e-3])
    fit = predict.fitted(least, 4e-6 + least / 0.8)
    assert fit.start == pytest.approx(4e-6, rel=1e-3) and fit.share == pytest.approx(0.8, rel=1e-3)


def test_a_call_cannot_cost_what_the_loop_does():
    """Where all calls are of one size, time is the loop's, up to CALL."""
    fit = predict.fitted([1e-3, 1e-3], [2e-3, 2e-3])
    assert fit.start <= CALL and fit.start + 1e-3 / fit.share == pytest.approx(2e-3, rel=1e-3)
    assert predict.fitted([1e-3, 1e-5], [1e-3, 1e-3]).start <= CALL


def model(**fits):
    return Model({1: ONE, 2: TWO}, 10e-6, fits or {"a": Fit(1e-6, 0.5)})


def test_the_time_of_a_call():
    """On one core, start + least / share; on two, half of it where the tasks come out even, and their own start."""
    work = Work("a", int(100e6), 100, 4)
    assert model().seconds(work, 1) == pytest.approx(1e-6 + 2e-3)
    assert model().seconds(work, 2) == pytest.approx(11e-6 + 1e-3)
    assert model().seconds(Work("a", int(100e6), 100, 3), 2) == pytest.approx(
        11e-6 + 2e-3 * 2 / 3
    )  # two rounds of three
    assert model().seconds(Work("a", int(100e6), 100, 1), 2) == pytest.approx(1e-6 + 2e-3)
    assert model().seconds(work, 4) == pytest.approx(21e-6 + 0.5e-3)
    assert model().seconds(work, 128) == pytest.approx(71e-6 + 0.5e-3)  # four tasks keep four cores busy


def test_a_kind_that_the_calibration_lacks():
    """Its family's figures, else the median ones."""
    known = model(**{"scatter 4,3": Fit(1e-6, 0.5), "scatter 4,4": Fit(3e-6, 0.7), "b": Fit(0, 0.1)})
    assert known.fit("scatter 2,3") == Fit(2e-6, 0.6)
    assert known.fit("c") == Fit(1e-6, 0.5)


def test_a_step_is_the_sum_of_its_calls():
    works = [Work("a", int(100e6), 100, 4), Work("a", 0, int(1e6), 1)]
    assert model().step(works, 1) == pytest.approx(sum(model().seconds(w, 1) for w in works))
    assert model().least(works, 1) == pytest.approx(1e-3 + 1e-4)


def test_more_cores_on_paper():
    """Arithmetic and caches grow with the cores, memory as far as a socket has it."""
    many = predict.scaled(TWO, 64)
    assert many.peak == 64 * ONE.peak and many.threads == 64 and many.units == pytest.approx(ONE.units)
    assert many.moved(1) == 64 * 10e9 and many.bandwidth == predict.SOCKET
    assert predict.scaled(TWO, 128).bandwidth == 2 * predict.SOCKET
    assert predict.scaled(TWO, 4).bandwidth == 40e9


def test_the_calibration_is_of_other_steps():
    """No batch and no width of the networks that are foretold."""
    foretold = [workload(name) for name in WORKLOADS]
    for work in predict.CALIBRATION:
        assert all(work.batch != w.batch for w in foretold)
        assert all((work.hidden or work.base) != (w.hidden or w.base) for w in foretold)


def test_foretold_beside_measured(monkeypatch, tmp_path):
    """The command: of a step whose model is exact, nothing is off; on paper it is a quarter on four times the cores."""
    works = [(partial(np.add, 1, 1), (), Work("a", int(200e6), 0, 1 << 20))]
    exact = Model({1: ONE, 2: TWO}, 0.0, {"a": Fit(0.0, 1.0)})
    monkeypatch.setattr(predict.roof, "measure", lambda n: predict.scaled(ONE, n))
    monkeypatch.setattr(predict, "calibrated", lambda roofs, show, rounds: exact)
    monkeypatch.setattr(predict, "prepared", lambda work: (lambda: None, SimpleNamespace(calls=[])))
    monkeypatch.setattr(predict, "works_of", lambda calls: iter(works))
    times = iter((2e-3, 1e-3))
    monkeypatch.setattr(predict, "step_seconds", lambda step, rounds, threads: next(times))
    result = CliRunner().invoke(main, ["bench", "toy-4x128", "--predict", "--out", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert result.output.count("+0 %") == 2
    row = json.loads((tmp_path / "out" / "bench-predict.json").read_text())["steps"]["toy-4x128"]
    assert row["paper"]["16"] == pytest.approx(2 / 16) and row["threads"]["2"]["least_ms"] == pytest.approx(1)


def test_times_are_lower_quartiles_and_threads_take_longer_than_half(monkeypatch):
    """One loop takes 8 us on one thread and 9 on two, 5 more than half."""
    assert predict.quartile([5.0, 1.0, 4.0, 2.0, 3.0]) == 2.0 and predict.quartile([7.0]) == 7.0
    now, threads = [0.0], [1]

    def leaky_relu(x, slope, out):
        now[0] += {1: 8e-6, 2: 9e-6}[threads[0]]

    monkeypatch.setattr(kernels.act, "leaky_relu", leaky_relu)
    monkeypatch.setattr(predict, "set_num_threads", lambda count: threads.__setitem__(0, count))
    monkeypatch.setattr(predict.time, "perf_counter", lambda: now[0])
    assert predict.starting(9) == pytest.approx(5e-6)


def test_off_is_by_how_much_too_long_a_step_is_foretold():
    """3 ms of a step that takes 2."""
    entry = {"least_ms": 1.0, "predicted_ms": 3.0, "measured_ms": 2.0}
    assert "+50 %" in predict.text({"roofs": {}, "steps": {"gan": {"threads": {1: entry}, "paper": {}}}})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--predict", "--ops"], "leave out"),
        (["--predict", "wgan"], "known workloads"),
        (["rules", "wgan-gp"], "by itself"),
        (["quality", "--costs"], "by itself"),
        (["--predict", "--system", "gan"], "leave out"),
    ],
)
def test_what_does_not_fit(words, message):
    result = CliRunner().invoke(main, ["bench", *words])
    assert result.exit_code == 2 and message in result.output


def test_cost_as_work_grows(monkeypatch, tmp_path):
    """Every point once, by its axis; the share is the roof's time over that of the step; the picture and the table."""
    asked = []

    def measure(name, names, settings, show):
        asked.append((name, settings.threads))
        return {"minigan": {"ms": 4.0, "low": 4.0, "high": 4.0, "loaded": False, "peak_mib": 300, "imports_mib": 200}}

    monkeypatch.setattr(growth, "measure", measure)
    monkeypatch.setattr(growth.roof, "measure", lambda n: predict.scaled(ONE, n))
    monkeypatch.setattr(growth.predict, "prepared", lambda work: (None, SimpleNamespace(calls=[])))
    monkeypatch.setattr(growth.predict, "works_of", lambda calls: iter([(None, (), Work("a", int(200e6), 0, 8))]))
    rows = growth.growth(Settings(threads=2), lambda line: None)
    assert list(rows) == ["batch", "pixels", "threads"]
    assert list(rows["batch"]) == list(growth.BATCHES) and list(rows["pixels"]) == [16, 32, 64, 128]
    assert ("wgan-gp:256", 2) in asked and ("wgan-gp", 1) in asked and ("wgan-gp:128x128", 2) in asked
    assert rows["batch"][256]["share"] == pytest.approx(1 / 4) and rows["threads"][1]["share"] == pytest.approx(2 / 4)
    assert rows["batch"][1]["mib"] == 100
    assert "4000" in growth.text(rows) and "50 %" in growth.text(rows)
    whole = workload("wgan-gp").batch
    each = {tuple(cells[:2]): cells[3] for line in growth.text(rows).splitlines() if len(cells := line.split()) > 3}
    assert each["batch", "256"] == "15.62" and each["threads", "1"] == f"{4000 / whole:.4g}"
    facts = {"processor": "Chip", "instructions": "AVX2", "cores": 2, "threads": 2, "versions": {}, "load": []}
    parts = {part: {} for part in ("steps", "ops", "scaling", "costs")}
    scaling = {"wgan-gp:8": {"minigan": {"ms": 1.0}}}
    report.save(tmp_path, {"machine": facts, "growth": rows, **parts, "scaling": scaling})
    assert (tmp_path / "bench-growth.png").read_bytes()[1:4] == b"PNG"


def test_the_picture_says_where_an_image_costs_no_more():
    """At 4 images 5 ms each, at 8 as much as a quarter more than the 3 of 16."""
    rows = {"batch": {4: {"ms": 20.0}, 8: {"ms": 30.0}, 16: {"ms": 48.0}}}
    assert growth.claim(rows) == "wgan-gp: from 8 images on, one costs at most a quarter more than at 16"


def test_processor_time_has_no_axis_of_threads():
    axes = [{axis for axis, *_ in growth.points(Settings(processor_time=busy))} for busy in (False, True)]
    assert axes[0] - axes[1] == {"threads"}


def test_proportion():
    """Dashed lines: with the batch, with the square of the side, and against the threads."""
    assert growth._in_proportion("batch", [1, 2, 4], [5, 6, 8]) == [2, 4, 8]
    assert growth._in_proportion("pixels", [16, 32], [3, 8]) == [2, 8]
    assert growth._in_proportion("threads", [1, 2], [8, 5]) == [8, 4]
