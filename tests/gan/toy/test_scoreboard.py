"""The scoreboard of losses and tricks, from cells that are made up: which go to the grid, which null models win, which
way the arrows point; and the same of a page of points."""

from contextlib import contextmanager

import numpy as np
import pytest

from minigan.gan.toy import nulls, protocol, scoreboard

COVERAGE = {"plain": 0.9, "gp": 0.2, "packing": 0.5}
FIGURES = {
    "modes": 8,
    "held": 7,
    "high_quality": 0.9,
    "reverse_kl": 0.25,
    "w1": 0.125,
    "diverged": None,
    "seconds": 2.0,
}


def scores(options):
    """Figures by the trick; those of the two seeds are 0.1 to either side."""
    return {**FIGURES, "coverage": COVERAGE[options.trick] + 0.1 * (-1) ** options.seed}


def board(monkeypatch, tmp_path):
    """(the figures of a scoreboard of one loss and three tricks, the options of its cells)."""
    runs = []

    @contextmanager
    def side_by_side(*_):
        yield lambda options: [scores(o) for o in options if not runs.append(o)]

    beside = {name: {**FIGURES, "coverage": share} for name, share in ((nulls.REALS, 1.0), ("blob", 0.3))}
    monkeypatch.setattr(scoreboard, "side_by_side", side_by_side)
    monkeypatch.setattr(scoreboard, "null_scores", lambda points: beside)
    monkeypatch.setattr(scoreboard, "TRICKS", tuple(COVERAGE))
    return scoreboard.run("quick", tmp_path, losses=("non-saturating",), seeds=2, best=1), runs


def test_the_best_pairs_and_the_published_ones_go_to_the_grid(monkeypatch, tmp_path):
    figures, runs = board(monkeypatch, tmp_path)
    assert [row["trick"] for row in figures["rows"] if row["data"] == "grid"] == ["plain", "packing"]
    assert {(o.data, o.pack) for o in runs if o.trick == "packing"} == {("ring", 2), ("grid", 4)}
    assert figures["cell_seconds"] == 5 * 2 * 2.0


def test_a_row_is_red_where_a_null_model_is_as_good_as_the_bad_end_of_its_interval(monkeypatch, tmp_path):
    """Student's half width of two seeds, 0.1 to either side, is 12.7 x 0.1: coverage tells none of them from the blob.
    W1 is the same everywhere."""
    row = board(monkeypatch, tmp_path)[0]["rows"][0]
    assert row["coverage"] == (pytest.approx(0.9), pytest.approx(1.2706, abs=1e-4))
    assert row["beaten_by"] == ["blob in coverage", "blob in W1"]
    better = {key: (nulls.FIGURES[key].better * 9.0, 0.5) for key in nulls.DECIDING}
    assert scoreboard._winners(better, {"blob": {"coverage": 8.4, "w1": -8.4}}) == []
    assert scoreboard._winners(better, {"blob": {"coverage": 8.6, "w1": -8.6}}) == ["blob in coverage", "blob in W1"]


def test_arrows_point_to_what_is_better(monkeypatch, tmp_path):
    figures, _ = board(monkeypatch, tmp_path)
    text, page, head = scoreboard.text(figures), scoreboard.markdown(figures), nulls.head()
    for title, up in (("modes", True), ("coverage", True), ("reverse KL", False), ("W1", False)):
        assert f"{title} {'^' if up else 'v'}" in text.splitlines()[1] and f"{title} {'^' if up else 'v'}" in head
        assert f"| {title} {'↑' if up else '↓'} |" in page


def test_the_margin_of_a_share_falls_with_the_root_of_the_samples():
    assert nulls.sampling_margins({"coverage": 0.5, "samples": 2500})["coverage"] == pytest.approx(1.96 * 0.01)


def test_the_protocol_runs_seed_by_seed_what_is_published_first():
    cells = protocol.order((1, 2))
    assert cells[:8] == [(*cell, seed) for seed in (1, 2) for cell in protocol.FIRST]
    assert len(set(cells)) == len(cells) == 2 * 2 * len(protocol.METHODS)
    assert np.all([seed == 1 for *_, seed in cells[8:14]])
