"""The results page: rows trained and judged by the test half, verdicts, small pictures, an interrupted build that goes
on."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

from minigan.cli import main
from minigan.gan import results
from minigan.gan.systems import table as systems
from minigan.gan.systems.system import CLASSES


def test_a_page_is_built_and_built_again(tmp_path, monkeypatch):
    """The second call trains nothing anew; the page names command, figures of each seed and paper."""
    monkeypatch.chdir(tmp_path)
    command = ["results", "dcgan", "--steps", "2", "--seeds", "4", "--json"]
    monkeypatch.setitem(results.ROWS, "dcgan", results.Row("dcgan", CLASSES, {"base": 4, "batch_size": 8}))
    outputs = [CliRunner().invoke(main, command) for _ in range(2)]
    assert all(result.exit_code == 0 for result in outputs), outputs[0].output
    first, second = (json.loads(result.stdout.splitlines()[-1])[0] for result in outputs)
    assert first["shown"] == second["shown"] and {f["split"] for f in first["figures"]} == {"test"}
    (line,), (figures,) = first["shown"], first["figures"]
    assert ("RED: no better than" in line) == bool(figures["winners"])
    assert {path.name for path in (tmp_path / "results").iterdir()} == {"dcgan-4"}
    page = (tmp_path / "RESULTS.md").read_text()
    assert "    minigan results dcgan --seeds 4 --steps 2\n" in page and "test half" in page
    assert "`minigan train dcgan --base 4 --batch-size 8 --steps 2`" in page and "Radford et al. 2016" in page
    picture = tmp_path / "pictures" / f"{first['name']}.png"
    assert picture.read_bytes()[:4] == b"\x89PNG" and picture.stat().st_size <= results.PICTURE_BYTES
    assert f"pictures/{picture.name}" in page


def test_every_row_is_a_system_with_options_it_takes():
    for row in results.ROWS.values():
        assert systems.options_for(row.system, **row.changes)
        assert row.shows.count("{") >= 1


def test_an_unknown_row_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'dcgan'"):
        results.rows(["dcgn"])


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        ({}, ""),
        ({"winners": []}, "beats every null model: "),
        ({"winners": ["noise", "one image"]}, "**RED: no better than noise, one image**: "),
        (
            {"hat": {"winners": {"yes": ["paste"], "no": []}}, "there": {"winners": ["paste", "blank"]}, "l1": 1.0},
            "**RED: no better than paste, blank**: ",
        ),
        ({"there": {"winners": []}, "back": {"l1": 0.1}}, "beats every null model: "),
        ({"there": {"l1": 0.1}}, ""),
        ({"winners": None, "details": {"samples": 30}}, ""),
        ({"winners": [], "too_typical": ["confident"]}, "beats every null model, too typical (confident): "),
    ],
)
def test_the_verdict_comes_first(figures, words):
    assert results.verdict(figures) == words


def test_the_shown_figures_are_those_of_the_test_half(tmp_path, monkeypatch):
    """They replace what the end of the training says; a row that a null model beats is red on the page and in the
    terminal, and the command ends well. Its minutes are those of the quickest seed."""

    class FakeRun:
        def train(self):
            return {"seconds": 10.0 * self.seed, "seed": self.seed, "frechet": 1.0, "winners": ["none of this"]}

        def evaluate(self, split):
            return SimpleNamespace(figures={"split": split, "frechet": 5.0, "winners": ["noise"] * (self.seed == 12)})

        def preview(self, count):
            return np.zeros((count, 1, 8, 8), np.float32)

    def create(options, folder):
        run = FakeRun()
        run.seed = options.seed
        return run

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(results.Run, "create", create)
    monkeypatch.setitem(results.ROWS, "dcgan", results.Row("dcgan", "Frechet {frechet} by {split}"))
    outcome = CliRunner().invoke(main, ["results", "dcgan"])
    assert outcome.exit_code == 0, outcome.output
    lines = ["beats every null model: Frechet 5.0 by test", "**RED: no better than noise**: Frechet 5.0 by test"]
    page = (tmp_path / "RESULTS.md").read_text()
    assert "<br>".join([lines[0], lines[1], lines[0]]) in page and "--seeds 11,12,13\n" in page
    assert "| `minigan train dcgan` | 1.8 |" in page
    assert "red: dcgan, seed 12: no better than noise\n" in outcome.output and "seed 11:" not in outcome.output


@pytest.mark.parametrize("seeds", ["1,1", "a", "", "1,,2", "-1"])
def test_seeds_are_different_numbers(seeds, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outcome = CliRunner().invoke(main, ["results", "dcgan", "--seeds", seeds])
    assert outcome.exit_code == 2 and "--seeds" in outcome.output
