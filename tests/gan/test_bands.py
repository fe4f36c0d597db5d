"""Bands of normal runs: Student's interval for one run more, alarms that mean something, what a run says of them."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import t

from minigan.gan import bands
from minigan.gan.bands import Band, Departure, band_of, bands_of, departures
from minigan.gan.systems.table import SYSTEMS, options_for
from minigan.gan.tables import normal_runs


def test_a_band_is_students_interval_for_one_run_more():
    """Of one point and of two, whose spreads are pooled; by logarithms where all is positive."""
    values = np.array([-1.0, 0.0, 2.0, 3.0])
    reach = t.ppf(0.995, 3) * values.std(ddof=1) * np.sqrt(1 + 1 / 4)
    band = band_of([25], values[:, None])
    assert (band.low[0], band.high[0]) == pytest.approx((1 - reach, 1 + reach), rel=1e-3)
    two = band_of([25, 50], np.stack([values, np.ones(4)], 1))
    assert two.high[0] - 1 == pytest.approx(reach / np.sqrt(2), rel=1e-3) == two.high[1] - 1
    logs = band_of([25], np.exp(values)[:, None])
    assert np.log([logs.low[0], logs.high[0]]) == pytest.approx([1 - reach, 1 + reach], abs=1e-3)


@pytest.mark.parametrize("values", [np.ones((1, 3)), np.array([[1.0], [np.nan]])])
def test_what_has_no_band_is_refused(values):
    with pytest.raises(ValueError, match="at least 2 runs of finite values"):
        band_of(range(values.shape[1]), values)


def rows(*values, key="d_loss"):
    return [{"step": 25 * (k + 1), key: value} for k, value in enumerate(values)]


def test_curves_that_not_all_runs_have_are_left_out():
    a, b = rows(1.0, 2.0), rows(2.0, 3.0)
    for row in a:
        row["penalty"] = 1.0
    found = bands_of([a, b])
    assert list(found) == ["d_loss"] and found["d_loss"].steps == (25, 50)


def test_three_in_a_row_on_one_side_have_left():
    band = {"d_loss": Band((25, 50, 75, 100, 125), (0.0,) * 5, (1.0, 1.0, 2.0, 1.0, 1.0))}
    assert departures(rows(0.5, 1.5, 1.5, 1.5, 0.5), band) == []  # 75 lies within
    assert departures(rows(0.5, 3.0, -3.0, 3.0, 0.5), band) == []
    (found,) = departures(rows(0.5, 3.0, 4.0, 5.0, 0.5), band)
    assert found == Departure("d_loss", 50, 100, "above", 3.0, 0.0, 1.0)
    assert found.text() == "d_loss above from step 50 to 100 (at first 3, normal runs 0 to 1)"
    (found,) = departures(rows(0.5, 0.5, -1.0, -2.0, -3.0), band)
    assert (found.first, found.last, found.side) == (75, 125, "below")
    assert [d.side for d in departures(rows(np.nan, np.inf, np.inf), band)] == ["above"]
    assert departures(rows(9.0), band)[0].text() == "d_loss above at step 25 (at first 9, normal runs 0 to 1)"


def test_a_normal_run_raises_no_alarm_and_a_loss_five_times_as_high_does():
    """Six runs of eight curves that wander by a tenth around a fall: the sixth beside the five."""
    random, alarms, seen = np.random.default_rng(0), 0, 0
    for _ in range(100):
        wander = np.zeros((6, 8, 10))
        for k in range(10):
            wander[..., k] = 0.7 * wander[..., k - 1] * (k > 0) + 0.1 * random.standard_normal((6, 8))
        curves = np.exp(1 - np.arange(10) / 10 + wander)
        runs = [
            [{"step": 25 * (k + 1)} | dict(zip("abcdefgh", run[:, k], strict=True)) for k in range(10)]
            for run in curves
        ]
        normal = bands_of(runs[:5])
        alarms += bool(departures(runs[5], normal))
        seen += bool(departures([row | {"a": 5 * row["a"]} for row in runs[5]], normal))
    assert alarms <= 3 and seen >= 97


ENTRY = {
    "options": {**vars(options_for("gan"))},
    "seeds": [21, 22, 23, 24, 25],
    "steps": [25, 50, 75],
    "curves": {"d_loss": [[0.0] * 3, [1.0] * 3]},
}


def test_a_run_says_where_it_left_the_bands(monkeypatch):
    monkeypatch.setattr(bands, "shipped", lambda: {"gan": ENTRY})
    options = options_for("gan", seed=7, steps=500)
    head = "curves up to step 75 beside 5 normal runs: "
    assert bands.verdict(options, rows(0.5, 0.5, 0.5, 9.0)) == [head + "within their bands"]
    short = [*rows(0.5, 0.5), {"step": 60, "d_loss": 9.0}]  # the last row of 60 steps stands beside no point of a band
    assert bands.verdict(options, short) == [head.replace("75", "50") + "within their bands"]
    first, second = bands.verdict(options, rows(3.0, 3.0, 3.0))
    assert first == head + "outside of their bands"
    assert second == "  d_loss above from step 25 to 75 (at first 3, normal runs 0 to 1)"
    (line,) = bands.verdict(replace(options, lr=0.5), rows(0.5, 0.5, 0.5))
    assert line == "curves up to step 75 beside 5 normal runs (of this run: lr 0.5): within their bands"


def test_what_cannot_be_compared_is_not(monkeypatch):
    """Other data, other sizes, a system without bands, a run of fewer steps than a row."""
    monkeypatch.setattr(bands, "shipped", lambda: {"gan": ENTRY})
    for options in (options_for("gan", data="emoji"), options_for("gan", size=16), options_for("dcgan")):
        assert bands.verdict(options, rows(9.0, 9.0, 9.0)) == []
    assert bands.verdict(options_for("gan"), [{"step": 9, "d_loss": 9.0}]) == []
    assert bands.verdict(options_for("gan"), []) == []


def test_runs_are_trained_once_and_become_bands(monkeypatch, tmp_path):
    asked = []

    def trained(one):
        asked.append(one)
        return {"rows": rows(one.seed, 2.0 * one.seed), "diverged": None}

    monkeypatch.setattr(normal_runs, "_rows", trained)
    first = normal_runs.run(tmp_path, ["gan", "vae"], steps=50)
    assert normal_runs.run(tmp_path, ["gan", "vae"], steps=50) == first and len(asked) == 10
    assert first["gan"]["seeds"] == [21, 22, 23, 24, 25] and first["gan"]["steps"] == [25, 50]
    low, high = first["gan"]["curves"]["d_loss"]
    assert low[0] < 21 and high[0] > 25 and low[1] < 42 and high[1] > 50


def test_a_row_is_the_mean_of_its_own_steps(monkeypatch):
    """Losses of 1, 2, ... 50: rows of 25 steps have means 13 and 38."""

    class Trainer:
        steps_done = 0

        def step(self):
            self.steps_done += 1
            return {"d_loss": float(self.steps_done)}

    monkeypatch.setattr(normal_runs, "trainer_for", lambda options, dataset: Trainer())
    record = normal_runs._rows(normal_runs.Cell("gan", 21, 50))
    assert record == {"rows": [{"step": 25, "d_loss": 13.0}, {"step": 50, "d_loss": 38.0}], "diverged": None}


def test_every_system_has_bands_of_its_defaults():
    """And they are finite, low below high, of the options that it has today."""
    entries = bands.shipped()
    assert set(entries) == set(SYSTEMS)
    for name, entry in entries.items():
        normal, different = bands.of(options_for(name))
        assert normal and not different, (name, different)
        for band in normal.values():
            assert len(band.low) == len(band.high) == len(entry["steps"])
            assert np.isfinite([band.low, band.high]).all() and (np.array(band.low) <= band.high).all()


@pytest.mark.parametrize(("system", "most"), [("dcgan", 1.0), ("cgan", 1.0), ("lsgan", None)])
def test_no_normal_run_has_a_probability_above_one(system, most):
    """A least-squares D says any number."""
    for key in ("d_real", "d_fake"):
        high = max(bands.of(options_for(system))[0][key].high)
        assert high <= most if most else high == max(bands.shipped()[system]["curves"][key][1])
