"""Tricks against the plain run on images: each row is one change, cells are resumed, the page says what was refused."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from minigan.cli import main
from minigan.gan import compare
from minigan.gan.metrics import null_models
from minigan.gan.systems.switches import SWITCHES
from minigan.gan.systems.table import options_for
from minigan.gan.toy import TRICKS as TOY
from minigan.gan.toy.nulls import REALS
from minigan.gan.tricks import ImpossiblePair


def test_every_row_changes_what_it_says_and_nothing_else():
    plain = compare.options("plain", 11)
    for name, row in compare.TRICKS.items():
        options = compare.options(name, 11)
        assert options.seed == 11 and row.what
        if "system" in row.changes:
            assert options.system == "cgan" and all(
                getattr(options, key) == value for key, value in compare.BUDGET.items()
            )
            continue
        values = vars(options)
        changes = {key: value for key, value in values.items() if value != vars(plain)[key]}
        assert changes == {key: value for key, value in row.changes.items() if value != vars(plain)[key]}
        assert (name == "plain") == (not changes)
    with pytest.raises(ValueError, match="unknown trick 'packin'; did you mean 'packing'"):
        compare.options("packin", 11)


def test_what_the_toy_has_is_here_too():
    """But for what means nothing on images: D's ReLU leaks anyway, and a nearest real image is no GAN's."""
    names = {"gp": "two-sided"}
    missing = {names.get(name, name) for name in TOY} - compare.TRICKS.keys()
    assert missing == {"nearest"} and SWITCHES.keys() <= compare.TRICKS.keys()


def faked(options):
    """Figures that depend on the row and the seed."""
    value = {"": 0.6, "packing": 0.7, "unrolled": 0.5}[options.trick] + (options.seed - 12) / 100
    calls.append((options.trick, options.seed, options.steps))
    return {"confident": value, "present": 10, "frechet": 100 * value, "diverged": None, "seconds": 1.0}


calls = []


def test_a_comparison_is_resumed_and_its_page_says_all(tmp_path, monkeypatch):
    calls.clear()
    nulls = {REALS: {"confident": 0.97, "present": 10, "frechet": 3.0}, "noise": {"confident": 0.1}}
    monkeypatch.setattr(compare, "figures_of", faked)
    monkeypatch.setattr(compare, "null_scores", lambda name: nulls)
    record = compare.run(tmp_path, ["packing", "unrolled"], steps=7)
    assert len(calls) == 9 and {steps for _, _, steps in calls} == {7}
    assert [row["trick"] for row in record["rows"]] == ["plain", "packing", "unrolled"]
    assert record["rows"][0]["confident"][0] == pytest.approx(0.6) and record["seconds"] == 9.0
    assert record["rows"][1]["verdict"] == {"confident": "helps", "frechet": "hurts"}  # less is better of Frechet
    assert record["rows"][2]["verdict"] == {"confident": "hurts", "frechet": "helps"}
    page = (tmp_path / "images.md").read_text()
    assert "lsgan, seeds 11, 12, 13" in page and "steps 7" in page and "| packing | m images judged as one" in page
    assert "null model" in page and "the ceiling" in page and json.loads((tmp_path / "images.json").read_text())
    many = record | {"rows": [*record["rows"], *record["rows"][1:] * 9]}
    assert "of 4 verdicts about 0 do by chance" in page
    assert "of 40 verdicts about 2 do by chance" in compare.markdown(many)
    again = compare.run(tmp_path, ["packing"], steps=7)
    assert len(calls) == 9 and again["rows"] == record["rows"][:2]
    assert (
        compare.run(tmp_path, ["packing"], seeds=(11,), steps=8)["rows"][1]["verdict"]["frechet"]
        == "no difference seen"
    )
    assert len(calls) == 11


def test_a_pair_that_cannot_be_is_a_row_with_its_reason(tmp_path, monkeypatch):
    monkeypatch.setattr(compare, "figures_of", faked)
    monkeypatch.setattr(compare, "null_scores", lambda name: {})
    record = compare.run(tmp_path, ["unrolled"], seeds=(11, 12), clip=0.1)
    assert "not clipped" in record["refused"]["unrolled"] and "refused: " in compare.text(record)
    with pytest.raises(ImpossiblePair):
        compare.options("virtual-batch-norm", 11, critic_norm=True)


def test_figures_are_of_the_samples_beside_the_test_half(monkeypatch):
    seen = []

    class Trainer:
        steps_done = 0

        def step(self):
            self.steps_done += 1

        def draw(self, count, random):
            seen.append((self.steps_done, count, random.seed, random.stream))
            return np.zeros((4, 1, 8, 8))

    monkeypatch.setattr(compare, "trainer_for", lambda options, dataset: Trainer())
    monkeypatch.setattr(compare, "judged", lambda images, name: {"images": images.shape, "data": name})
    figures = compare.figures_of(options_for("lsgan", steps=3, seed=5))
    assert seen == [(3, compare.SAMPLES, 5, compare.METRIC_STREAM)]
    assert figures["images"] == (4, 1, 8, 8) and figures["data"] == "digits" and figures["diverged"] is None


def test_the_judge_compares_with_the_test_half(monkeypatch):
    """Samples, and the real images of the table: as many as there are samples."""
    halves = {part: SimpleNamespace(held_out=np.array([part] * 9), info=None) for part in ("validation", "test")}
    dataset = SimpleNamespace(train=["train"] * 9, held_out=["all"] * 9, half=halves.get)
    monkeypatch.setattr(compare.data, "load", lambda name: dataset)
    monkeypatch.setattr(compare, "judge_of", lambda name, info: SimpleNamespace(model="judge"))
    scores = {"confident": 0.5, "present": 9, "frechet": 2.0}

    def evaluate(images, model, beside):
        assert (model, beside) == ("judge", halves["test"])
        return SimpleNamespace(**scores)

    monkeypatch.setattr(compare.report, "evaluate", evaluate)
    assert compare.judged(np.zeros((2, 1, 8, 8)), "digits") == scores
    monkeypatch.setattr(compare, "prepared", lambda dataset, rows: np.array(rows))
    monkeypatch.setattr(compare.null_models, "SAMPLES", ())
    monkeypatch.setattr(compare, "judged", lambda images, name: images.tolist())
    assert compare.null_scores("digits", 3) == {REALS: ["test"] * 3}
    drawn = [
        null_models.NullModel(name, "", lambda train, count, random: np.array(train[:count]), *criteria)
        for name, *criteria in (("knows nothing",), ("copies", ("copies",)))
    ]
    monkeypatch.setattr(compare.null_models, "SAMPLES", drawn)
    monkeypatch.setattr(compare, "prepared", lambda dataset, rows: np.zeros(len(rows), np.float32))
    assert compare.null_scores("digits", 3).keys() == {REALS, "knows nothing"}


def test_the_command_runs_it(tmp_path, monkeypatch):
    settings = {}

    def run(out, **given):
        settings.update(given, out=out)
        return {"rows": [], "refused": {}, "null_models": {}, "seeds": [11]}

    monkeypatch.setattr(compare, "run", run)
    result = CliRunner().invoke(
        main, ["scoreboard", "--images", "--seeds", "2", "--steps", "9", "--out", str(tmp_path)]
    )
    assert result.exit_code == 0, result.output
    assert list(settings["seeds"]) == [11, 12] and settings["steps"] == 9 and settings["out"] == tmp_path
    assert settings["jobs"] == 2 and f"written: {tmp_path / 'images'}.md" in result.output.replace("\n", "")
