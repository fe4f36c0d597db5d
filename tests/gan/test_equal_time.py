"""Systems side by side: the same time for each, one judge for a data set, and a page that says who lost to what."""

from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from minigan.cli import main
from minigan.gan.tables import equal_time


@pytest.mark.parametrize(("each", "steps"), [(0.5, 240), (2.0, 60), (1000.0, 1)])
def test_steps_fill_the_time(monkeypatch, each, steps):
    """By a clock: first steps, which compile, are slow and do not count."""
    now, done = [0.0], [0]

    def step():
        done[0] += 1
        now[0] += each if done[0] > equal_time.WARM else 50 * each

    monkeypatch.setattr(equal_time.time, "process_time", lambda: now[0])
    assert equal_time.steps_within(SimpleNamespace(step=step), 120.0) == steps


def outcome(frechet, winners=(), diverged=None, steps=100):
    figures = {"frechet": frechet, "recall": 0.5, "coverage": 0.25}
    real, noise = (figures | {"frechet": value} for value in (1.5, 300.0))
    return {"steps": steps, "diverged": diverged, "real": real, "noise": noise, "winners": list(winners), **figures}


def run(seed, *figures, **more):
    return {"seed": seed, "sheet": "none.png", **outcome(*figures, **more)}


def test_the_smallest_distance_comes_first_and_a_null_model_that_wins_is_named():
    rows = [
        {"data": "digits", "system": "dcgan", "runs": [run(11, 40.0), run(12, 60.0, winners=["noise"])]},
        {"data": "digits", "system": "gan", "runs": [run(11, 30.0, diverged="step 8", steps=7)]},
        {"data": "emoji", "system": "gan", "runs": [run(11, 10.0)]},
    ]
    record = {"minutes": 2.0, "rows": rows}
    lines = equal_time.table(record, "digits")
    assert [line[0] for line in lines] == ["gan", "dcgan", "real images", "noise of their spectrum"]
    assert lines[0][1:4] == ["1", "7", "30.0"] and "diverged" in lines[0][-1] and "11 at step 8" in lines[0][-1]
    assert lines[1][3].startswith("50.0+-127.1") and lines[1][-1] == "**no**: noise"
    assert lines[2][3] == "1.5" and lines[3][3] == "300.0"
    page = equal_time.markdown(record)
    assert page.index("## digits") < page.index("## emoji") and "| gan | 1 | 100 | 10.0 |" in page
    assert "dcgan" in equal_time.text(record)


def test_a_cell_is_run_once(monkeypatch, tmp_path):
    """And the cells of two budgets are two."""
    asked = []
    monkeypatch.setattr(equal_time, "check", lambda names: None)
    monkeypatch.setattr(equal_time, "save_matrix", lambda *_: None)
    monkeypatch.setattr(equal_time, "_figures", lambda one, folder: asked.append(one) or outcome(5.0))
    arguments = {"names": ["digits"], "systems": ["gan", "vae"], "seeds": [11, 12]}
    first = equal_time.run(tmp_path, **arguments, minutes=1.0)
    assert equal_time.run(tmp_path, **arguments, minutes=1.0) == first and len(asked) == 4
    assert [run["seed"] for run in first["rows"][0]["runs"]] == [11, 12]
    equal_time.run(tmp_path, **arguments, minutes=3.0)
    assert len(asked) == 8 and (tmp_path / "systems.md").exists()


def test_a_cell_fills_its_minutes_and_is_judged_by_the_test_half(monkeypatch, tmp_path):
    """A step of a second: two minutes are 120 of them, by a new trainer after the probe's."""
    seen, real, noise = ({key: {"value": x} for key, *_ in equal_time.FIGURES} for x in (0.5, 0.9, 0.1))
    figures = {"details": seen | {"real": real}, "null_models": {"noise": noise}, "winners": ("blob",)}
    trainers = []

    class Trainer:
        def __init__(self, options, dataset):
            self.options, self.steps_done, self.halves = options, 0, []
            trainers.append(self)

        def step(self):
            self.steps_done += 1
            now[0] += 1.0

        def draw(self, count, random):
            return np.zeros((count, 1, 8, 8), np.float32)

        def observe_on(self, part, count, random):
            self.halves.append(part)
            return SimpleNamespace(figures=figures)

    now = [0.0]
    monkeypatch.setattr(equal_time.time, "process_time", lambda: now[0])
    monkeypatch.setattr(equal_time, "trainer_for", Trainer)
    monkeypatch.setattr(equal_time.data, "load", lambda name, size: None)
    outcome = equal_time._figures(equal_time.Cell("gan", "digits", 11, minutes=2.0), tmp_path)
    assert outcome["steps"] == trainers[1].options.steps == 120 and outcome["seconds"] == 120
    assert trainers[1].halves == ["test"] and outcome["frechet"] == 0.5 and outcome["winners"] == ["blob"]
    assert set(outcome["real"].values()) == {0.9} and set(outcome["noise"].values()) == {0.1}


def test_the_matrix_shows_the_first_seed(monkeypatch, tmp_path):
    """Whose sheet is black; the second one's is white."""
    figures, runs = [], [run(11, 40.0), run(12, 60.0)]
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda self, file, **_: figures.append(self))
    for k, one in enumerate(runs):
        one["sheet"] = f"{k}.png"
        Image.new("L", (4, 4), 255 * k).save(tmp_path / one["sheet"])
    record = {"minutes": 2.0, "rows": [{"data": "digits", "system": "gan", "runs": runs}]}
    equal_time.save_matrix(tmp_path / "systems.png", record, tmp_path)
    (axis,) = figures[0].axes
    assert axis.get_title() == "gan\nFrechet 40" and not np.any(axis.images[0].get_array())


def test_a_data_set_without_a_judge_is_refused_first(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIGAN_CACHE", str(tmp_path / "cache"))
    for name in ("a", "b"):
        (tmp_path / "mine" / name).mkdir(parents=True)
        for k in range(4):
            Image.new("L", (32, 32), 50 * k).save(tmp_path / "mine" / name / f"{k}.png")
    with pytest.raises(ValueError, match="minigan classifier folder:"):
        equal_time.run(tmp_path / "out", ["digits", f"folder:{tmp_path / 'mine'}"])
    assert not (tmp_path / "out").exists()


def test_the_default_data_sets_have_their_judges_in_the_package(tmp_path, monkeypatch):
    monkeypatch.setenv("MINIGAN_CACHE", str(tmp_path / "cache"))
    equal_time.check(equal_time.DATA)


@pytest.mark.parametrize(
    "words",
    [["--systems", "--steps", "9"], ["--systems", "--device", "cudasim"], ["--minutes", "2"], ["--data", "digits"]],
)
def test_options_that_would_do_nothing_are_refused(words):
    result = CliRunner().invoke(main, ["scoreboard", *words])
    assert result.exit_code == 2 and "--" in result.output.splitlines()[-1]


def test_a_cell_of_a_folder_is_of_its_images(tmp_path, monkeypatch):
    """They may change under their name."""
    folder = tmp_path / "images"
    folder.mkdir()
    monkeypatch.setattr(
        equal_time, "_figures", lambda one, out: {"level": float(equal_time.data.load(one.data, size=32).images.mean())}
    )
    one = equal_time.Cell("dcgan", f"folder:{folder}", 11, 1.0)
    for level in (0, 255):
        for k in range(4):
            Image.new("RGB", (32, 32), (level, level, level - level // 255 * k)).save(folder / f"{k}.png")
        for _ in range(2):
            assert equal_time.cell(one, tmp_path)["level"] == pytest.approx(level, abs=2)
    assert len(list(tmp_path.glob("*.json"))) == 2
