"""The model of many ranks: closed forms against messages one by one, the simulator against the model and the formulas
of failures, the fit against known machines and against the times that come with minigan."""

import json
from dataclasses import replace
from math import ceil, exp, log2, sqrt

import matplotlib.figure
import numpy as np
import pytest
from click.testing import CliRunner

from minigan.cli import main
from minigan.scaling import faults, measure, model, picture, simulate, sums, tables
from minigan.scaling.model import Machine, Work

WORK = Work(critic=1_000, generator=3_000, n_critic=2)
MACHINE = Machine(part=2e-3, image=1e-3, latency=5e-5, byte=1e-8, addition=2e-9)
COUNTS = (2, 3, 4, 7, 8, 16)


@pytest.mark.parametrize("way", sums.WAYS)
@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("ranks", COUNTS)
def test_a_sum_message_by_message_takes_its_closed_form(way, ranks, parts):
    """Latency, bandwidth and additions each alone, all ranks ready at once; exact but for rounding. A tree of another
    number than a power of two has a branch less, which may save the last rank's round."""
    for which, seconds in enumerate(((1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0))):
        ends = sums.run(np.zeros(ranks), way, 64 * ranks, *seconds, parts)
        closed = sums.costs(way, ranks, 64 * ranks, parts)[which]
        if way == "tree" and ranks & (ranks - 1):
            assert closed / 2 <= ends.max() <= closed, which
        else:
            assert ends.max() == pytest.approx(closed, rel=1e-12), which


@pytest.mark.parametrize("way", sums.WAYS)
@pytest.mark.parametrize("ranks", COUNTS)
def test_every_rank_hears_of_every_other(way, ranks):
    """In rounds in which nobody sends or takes two messages."""
    heard = [{k} for k in range(ranks)]
    for step in sums.rounds(way, ranks, 12):
        assert len(set(step.sources)) == len(step.sources) == len(set(step.targets)) == len(step.targets)
        told = [set(heard[k]) for k in step.sources]
        for target, what in zip(step.targets, told, strict=True):
            heard[target] |= what
    assert all(what == set(range(ranks)) for what in heard)


@pytest.mark.parametrize("ranks", COUNTS)
def test_a_tree_takes_two_logarithms_of_rounds_and_a_ring_as_many_as_ranks(ranks):
    count = {way: len(list(sums.rounds(way, ranks, 12))) for way in sums.WAYS}
    assert count["tree"] == 2 * ceil(log2(ranks)) and count["ring"] == count["slices"] == 2 * (ranks - 1)
    assert count["chain"] == ranks - 1 + ceil(log2(ranks))


def test_an_unknown_way_is_refused():
    with pytest.raises(ValueError, match="no way to add is called 'star'; there are: slices"):
        next(sums.rounds("star", 2, 1))


@pytest.mark.parametrize("way", sums.WAYS)
@pytest.mark.parametrize("ranks", [1, 2, 8, 32])
def test_where_nothing_fails_the_simulator_is_the_model(way, ranks):
    step = simulate.Steps(MACHINE, WORK, ranks, 64, way)
    expected = model.seconds(MACHINE, WORK, ranks, 64, way=way)
    assert step() == pytest.approx(expected, rel=1e-12)
    outcome = simulate.run(50, step, interval=10 * expected, cost=3.0)
    assert outcome.seconds == pytest.approx(50 * expected + 4 * 3.0) and outcome.failures == 0


def test_one_slow_rank_delays_a_step_by_what_it_is_slow():
    plain, slow = (simulate.Steps(MACHINE, WORK, 8, 64, slow=ranks)() for ranks in ({}, {5: 3.0}))
    assert slow - plain == pytest.approx(2 * (MACHINE.part + 8 * MACHINE.image))


def test_the_largest_of_many_varied_ranks_is_waited_for():
    """The mean of the greatest of 64 lognormal factors, by integration, over the half-steps' own seconds."""
    silent = replace(MACHINE, latency=0, byte=0, addition=0)
    step = simulate.Steps(silent, WORK, 64, 64, "tree", spread=0.1)
    measured = np.mean([step() for _ in range(400)]) / (silent.part + silent.image)
    x = np.linspace(-5, 6, 200_001)
    density = np.exp(-x * x / 2) / sqrt(2 * np.pi)
    below = np.cumsum(density) * (x[1] - x[0])
    expected = np.sum(np.exp(0.1 * x) * 64 * below**63 * density) * (x[1] - x[0])
    assert measured == pytest.approx(expected, rel=0.005)


@pytest.mark.parametrize(("cost", "between"), [(1.0, 1e5), (60.0, 3600.0), (60.0, 600.0)])
def test_the_best_interval_is_where_the_mean_time_is_least(cost, between):
    t = faults.best(cost, between)

    def total(interval):
        return faults.expected(1.0, interval, cost, 10.0, between)

    assert total(t) < min(total(0.999 * t), total(1.001 * t))
    assert exp((t + cost) / between) * (1 - t / between) == pytest.approx(1, abs=1e-9)
    assert total(faults.daly(cost, between)) / total(t) - 1 < 1e-5
    assert total(t) <= total(faults.young(cost, between))


def test_young_s_and_daly_s_intervals():
    """For rare failures both are the best one; by hand; and Daly's where a checkpoint takes longer than failures."""
    assert faults.young(2.0, 100.0) == 20.0 and faults.daly(2.0, 100.0) == pytest.approx(
        20 * (1 + 0.1 / 3 + 0.01 / 9) - 2
    )
    assert faults.young(1e-6, 1.0) == pytest.approx(faults.best(1e-6, 1.0), rel=1e-3)
    assert faults.daly(1e-4, 1.0) == pytest.approx(faults.best(1e-4, 1.0), rel=1e-5)
    assert faults.daly(3.0, 1.0) == 1.0


@pytest.mark.parametrize("interval", [60.0, 240.0, 960.0])
def test_the_simulated_mean_is_daly_s(interval):
    """Within four standard errors, over 300 runs of some 15 failures each."""
    settings = {"cost": 20.0, "restart": 300.0, "between": 800.0}
    steps = round(12_000 / interval)
    every = [simulate.run(steps, lambda: interval, interval, seed=k, **settings) for k in range(300)]
    seconds = [outcome.seconds for outcome in every]
    expected = faults.expected((steps - 1) * interval, interval, **settings)
    expected += faults.expected(interval, interval, **settings | {"cost": 0.0})  # nothing to save at the end
    error = np.std(seconds, ddof=1) / sqrt(len(seconds))
    assert abs(np.mean(seconds) - expected) < 4 * error and error / expected < 0.05
    for outcome in every:
        parts = steps * interval + outcome.lost + outcome.saving + outcome.restarting
        assert outcome.seconds == pytest.approx(parts)


def test_the_simulator_s_own_best_interval_is_daly_s():
    """On a grid of factors of the square root of 2, or its neighbour, whose run is no more than 0.5 % quicker."""
    for row in tables.checkpoints(ranks=(512, 4096), failures=400):
        assert 1 / 1.5 < row["simulated"] / row["daly"] < 1.5
        assert row["added_simulated"] == pytest.approx(row["added"], abs=0.15 * row["added"])


def rows_of(machine, ranks=(1, 2, 4)):
    rows = [{"what": "step", "ranks": n, "parts": 4, "batch": b} for n in ranks for b in (16, 32, 128)]
    rows += [{"what": "sum", "ranks": n, "parts": 4, "numbers": c} for n in ranks for c in (1000, 100_000)]
    features = [model.features_of(row, WORK, machine.cores) for row in rows]
    return [row | {"seconds": float(f @ model.constants(machine))} for row, f in zip(rows, features, strict=True)]


@pytest.mark.parametrize("machine", [MACHINE, replace(MACHINE, turn=0.01, cores=2)])
def test_a_fit_finds_the_machine_that_gave_the_times(machine):
    found = model.fit(rows_of(machine), WORK, machine.cores)
    np.testing.assert_allclose(model.constants(found), model.constants(machine), rtol=1e-6, atol=1e-12)


def test_the_times_that_come_with_minigan_are_foretold_within_15_percent():
    """Steps of batches that the fit did not see, on 1, 2 and 4 ranks."""
    _, _, rows = tables.fitted(tables.load())
    unseen = [row for row in rows if row["what"] == "step" and not row["seen"]]
    assert {row["ranks"] for row in unseen} == {1, 2, 4} and len(unseen) == 12
    assert max(abs(row["error"]) for row in unseen) < 0.15


@pytest.mark.parametrize("way", sums.WAYS)
def test_where_more_ranks_stop_paying(way):
    """At the batch of half efficiency p ranks are p / 2 times as quick as one; at that of doubling, no quicker than p /
    2."""
    for ranks in (8, 64):
        half = model.half_efficient(MACHINE, WORK, ranks, way)
        one, many = (model.seconds(MACHINE, WORK, n, half, way=way) for n in (1, ranks))
        assert one / many == pytest.approx(ranks / 2)
        pays = model.worth_doubling(MACHINE, WORK, ranks, way)
        few, more = (model.seconds(MACHINE, WORK, n, pays, way=way) for n in (ranks // 2, ranks))
        assert more == pytest.approx(few) or (pays == ranks and more < few)


def test_the_quickest_number_of_ranks_has_an_image_each():
    ranks, times = tables.quickest(replace(MACHINE, latency=1e-9, byte=0, addition=0), WORK, 64)
    assert ranks == 64 and times == pytest.approx((2e-3 + 64e-3) / 3e-3, rel=1e-3)
    assert tables.quickest(replace(MACHINE, latency=1.0), WORK, 64) == (1, 1.0)


def run(*words):
    return CliRunner().invoke(main, ["scale", *words])


@pytest.mark.parametrize("batch", [1, 64, 100_000])
def test_the_picture_has_the_models_curves_and_the_measured_times(batch, tmp_path, monkeypatch):
    """Each curve, number by number; a dot for each time of this batch, and where the model puts it."""
    axes = []
    close = matplotlib.figure.Figure.savefig
    monkeypatch.setattr(
        matplotlib.figure.Figure, "savefig", lambda self, *a, **k: (axes.extend(self.axes), close(self, *a, **k))
    )
    machine, work, rows = tables.fitted(tables.load())
    picture.save(tmp_path / "scale.webp", machine, work, rows, "wgan-gp", batch)
    left, right = axes
    lines = {line.get_label(): line for line in left.lines}
    for network in model.NETWORKS:
        there = machine.on(network)
        counts, times = lines[network].get_data()
        assert max(counts) <= batch and times[0] == pytest.approx(model.seconds(there, work, 1, batch))
        rest = next(line for line in left.lines if line.get_color() == lines[network].get_color() and line.is_dashed())
        assert rest.get_xdata()[-1] == 4096 and rest.get_xdata()[0] == counts[-1]
        assert rest.get_ydata()[-1] == pytest.approx(model.seconds(there, work, 4096, batch))
        curve = next(line for line in right.lines if line.get_label() == network)
        assert curve.get_ydata()[3] == pytest.approx(128 / model.seconds(there, work, 8, 128))
    measured = {row["ranks"]: row["seconds"] for row in rows if row["what"] == "step" and row["batch"] == batch}
    dots = [line for label, line in lines.items() if label.startswith("measured")]
    assert dict(zip(*dots[0].get_data(), strict=True)) == measured if measured else not dots
    dots, rings = right.lines[-2:]
    assert dict(zip(*dots.get_data(), strict=True)) == {1: 16 / 0.1450955, 2: 32 / 0.1254932, 4: 64 / 0.304492}
    foretold = [n * 16 / model.seconds(machine, work, n, 16 * n, parts=4) for n in (1, 2, 4)]
    assert rings.get_ydata() == pytest.approx(foretold)
    assert (tmp_path / "scale.webp").stat().st_size > 10_000


def test_the_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(picture, "save", lambda path, *a: path.touch())
    monkeypatch.setattr(tables, "checkpoints", lambda **k: [])
    monkeypatch.setattr(tables, "stragglers", lambda *a: [])
    result = run()
    assert result.exit_code == 0, result.output
    assert "not fitted" in result.output and "4,096 ranks" in result.output and "infiniband-400" in result.output
    monkeypatch.setattr(
        measure, "take", lambda system, *a, **k: json.loads(tables.MEASURED.read_text()) | {"system": system}
    )
    result = run("dcgan", "--measure", "--times", str(tmp_path / "t.json"))
    assert result.exit_code == 0 and "dcgan on 2 cores" in result.output
    assert run("dcgan", "--times", str(tmp_path / "t.json")).exit_code == 0
    assert {path.name for path in tmp_path.glob("*.png")} == {"scale.png", "scale-2.png", "scale-3.png"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["dcgan"], "these times are of wgan-gp; take some of dcgan: add --measure"),
        (["--years", "0"], "must be positive"),
        (["--times", "{}"], "holds no times of minigan scale --measure"),
        (["--times", "absent"], "absent"),
        (["--years", "0.001"], "is hardly ever finished; take machines that fail less often"),
        (["--checkpoint", "1e6"], "a checkpoint of 1e+06 s, is hardly ever finished"),
    ],
)
def test_wrong_words_are_refused(words, says, tmp_path):
    (tmp_path / "t.json").write_text("{}")
    result = run(*(str(tmp_path / "t.json") if word == "{}" else word for word in words))
    assert result.exit_code in (1, 2) and says in result.output.splitlines()[-1]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"system": 3}, "its system is no name"),
        ({"load": "high"}, "its load no number"),
        ({"rows": []}, "holds no times"),
        ({"rows": [{"what": "step", "ranks": 0, "batch": 16, "parts": 4, "seconds": 1.0}]}, "is not positive"),
        ({"rows": [{"what": "step", "ranks": 1, "batch": 16, "parts": 4, "seconds": float("nan")}]}, "is not positive"),
        ({"rows": [{"what": "step", "ranks": 1, "batch": 16, "parts": 4, "seconds": 1.0}]}, "too few of them"),
        ({"rows": [{"what": "step", "ranks": 1, "batch": 16, "parts": 4}]}, "seconds"),
    ],
)
def test_times_that_are_none_are_refused(change, says, tmp_path):
    path = tmp_path / "t.json"
    path.write_text(json.dumps(json.loads(tables.MEASURED.read_text()) | change))
    with pytest.raises(ValueError, match=f"holds no times.*{says}" if says != "holds no times" else says):
        tables.load(path)
    for raw in (b"\xff\xfe\x00", b"[" * 100_000):
        path.write_bytes(raw)
        with pytest.raises(ValueError, match="holds no times"):
            tables.load(path)


def test_checkpoints_that_cost_more_than_a_failure_s_interval():
    """The interval goes to the mean time between failures, and nothing overflows."""
    assert 0.99 < faults.best(1000.0, 1.0) <= 1.0 and faults.best(5.0, 1.0) < faults.best(50.0, 1.0)
