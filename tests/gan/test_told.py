"""What rows, columns and logs are made of: the shortest run, every seed, the steps of the process itself."""

import json
from types import SimpleNamespace

import numpy as np

import minigan as mg
from minigan.gan import compare
from minigan.gan import run as runs_module
from minigan.gan.penalties import PENALTIES
from minigan.gan.steps import two_time_scale
from minigan.gan.tables import equal_time, grid, grid_page, image_cells


def test_a_figure_that_few_steps_have_is_the_mean_of_those():
    lines = {}
    own = SimpleNamespace(
        rows=[{"d_loss": 1.0, "penalty": 2.0}, {"d_loss": 3.0}],
        trainer=SimpleNamespace(steps_done=25),
        seconds=1.0,
        writer=SimpleNamespace(write=lambda name, text: lines.update({name: text})),
        listeners=[],
        bar=SimpleNamespace(disable=False),
        options=SimpleNamespace(steps=50),
    )
    runs_module.Run._log(own)
    assert json.loads(lines["stats.jsonl"]) == {"step": 25, "seconds": 1.0, "d_loss": 2.0, "penalty": 2.0}


def test_the_milliseconds_of_a_cell_that_goes_on_are_of_its_own_steps(monkeypatch, tmp_path):
    """Ten of a hundred steps, a second each, are made here."""
    now = [0.0]

    class Seconds:
        steps_done = 0

        def restore(self, arrays, state):
            self.steps_done = 90

        def step(self):
            self.steps_done += 1
            now[0] += 1

    monkeypatch.setattr(image_cells.time, "process_time", lambda: now[0])
    monkeypatch.setattr(image_cells, "trainer_for", lambda options, dataset: Seconds())
    monkeypatch.setattr(image_cells, "dataset_of", lambda name, size: None)
    monkeypatch.setattr(image_cells.cells, "saved", lambda folder, options: SimpleNamespace(arrays={}, state={}))
    monkeypatch.setattr(image_cells, "SAVE_EVERY", 1000)
    _, figures = image_cells.trained(SimpleNamespace(data="", size=8, steps=100), tmp_path)
    assert figures == {"steps": 100, "diverged": None, "ms_per_step": 1000.0}


def test_a_row_s_own_change_comes_last():
    assert compare.options("low-rates", 11, lr=0.5).lr == compare.BUDGET["lr"] / 4
    assert compare.options("plain", 11, lr=0.5).lr == 0.5


def test_the_steps_of_a_system_are_those_of_its_shortest_run():
    figures = {"frechet": 1.0, "recall": 0.5, "coverage": 0.25}
    run = {"seed": 11, "sheet": "", "diverged": None, "winners": [], "real": figures, "noise": figures, **figures}
    rows = [{"data": "digits", "system": "gan", "runs": [run | {"steps": 1000}, run | {"seed": 12, "steps": 700}]}]
    assert equal_time.table({"minutes": 2.0, "rows": rows}, "digits")[0][2] == "700"


RUN = {"present": 9, "classes": 10, "confident": 0.8, "realistic": 0.3, "missed": []}


def test_a_cell_of_the_grid_says_classes_confident_and_realistic():
    assert grid_page._text(RUN) == "yes: 9 of 10, 80%, 30%"
    assert grid_page._text(RUN | {"missed": ["realistic"]}) == "**no** (realistic): 9 of 10, 80%, 30%"
    assert grid_page._text({"diverged": "x", "steps": 7}) == "**no**: diverged at step 8"
    figures = {"real": RUN, "criterion_passed_by": [], "claim": {"verdict": "open"}}
    assert grid_page._words(figures)[0] == "Real images: 9 of 10 classes, 80% confident, 30% realistic."


def test_the_slope_that_each_penalty_pulls_to():
    assert {name: row.target for name, row in PENALTIES.items()} == {
        "two-sided": 1, "one-sided": 1, "zero-centred": 0, "r1": 0, "r2": 0, "r1+r2": 0,
    }  # fmt: skip
    assert [PENALTIES[name].place for name in ("two-sided", "r1", "r1+r2")] == [
        "between reals and fakes",
        "at reals",
        "at reals and at fakes",
    ]


def test_the_critic_is_the_faster_player_by_default():
    g, d = two_time_scale([mg.tensor(np.zeros(1), requires_grad=True)], [mg.tensor(np.zeros(1), requires_grad=True)])
    assert (g.param_groups[0]["lr"], d.param_groups[0]["lr"]) == (1e-4, 4e-4)


def test_a_column_is_won_by_every_seed_or_not_at_all():
    runs = [{"missed": []}, {"missed": ["classes"]}]
    entries = [{"row": row, "column": column, "runs": runs} for row in grid.ROWS for column in grid.COLUMNS]
    seen = grid.claim(entries, 2)
    assert seen["successes"] == {row: [] for row in grid.ROWS} and seen["verdict"].startswith("not confirmed")
