"""The robustness grid and the table of modes: cells, the criterion, what is said of the claim, and what goes on."""

import json
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib.colors import to_rgba
from PIL import Image

from minigan import viz
from minigan.gan.tables import cells, grid, grid_page, image_cells, thousand

REAL = {"classes": 10, "present": 10, "confident": 0.96, "realistic": 0.84}
GOOD = {**REAL, "diverged": None, "steps": 9}


@pytest.mark.parametrize(
    ("changes", "missed"),
    [
        ({}, []),
        ({"present": 9}, []),
        ({"present": 8}, ["classes"]),
        ({"confident": 0.47}, ["confident"]),
        ({"confident": 0.48, "realistic": 0.42}, []),
        ({"realistic": 0.41}, ["realistic"]),
        ({"present": 1, "confident": 0.1, "realistic": 0.1}, ["classes", "confident", "realistic"]),
        ({"diverged": "step 3: the loss is nan"}, ["diverged"]),
    ],
)
def test_the_criterion_asks_for_all_three(changes, missed):
    assert grid.failures(GOOD | changes, REAL) == missed


@pytest.mark.parametrize(
    ("present", "confident", "realistic"),
    [(1, 0.0, 0.0), (1, 1.0, 1.0), (10, 0.126, 0.166), (7, 0.044, 0.022), (4, 0.214, 0.216)],
    ids=["mean image", "one image", "noise", "shuffled", "mixed"],
)
def test_what_null_models_come_to_does_not_meet_it(present, confident, realistic):
    """Their figures on digits, as the slow test below measures them."""
    assert grid.failures(GOOD | {"present": present, "confident": confident, "realistic": realistic}, REAL)


def test_figures_are_of_the_samples(monkeypatch):
    """present, confident and realistic by a judge that reads the class and its surety off an image's corner."""
    levels = np.linspace(-1, 1, 10)

    def read(model, images):
        place = np.abs(images[:, 0, 0, 0, None] - levels).argmin(1)
        p = np.full((len(images), 10), 0.05 / 9)
        p[np.arange(len(images)), place] = np.where(images[:, 0, 0, 1] > 0, 0.95, 0.5)
        yield images[:, 0, 0, :2], p

    monkeypatch.setattr(grid.classifier, "judge", read)
    halves = []
    monkeypatch.setattr(grid, "realistic", lambda sets, model, beside: halves.append(beside) or {"images": 0.25})
    images = np.zeros((1000, 1, 32, 32), np.float32)
    images[:, 0, 0, 0], images[:300, 0, 0, 1] = levels[0], 1
    images[:4, 0, 0, 0], images[4:10, 0, 0, 0] = levels[1], levels[2]  # 0.4 % is no class, 0.6 % is one
    figures = grid.figures_of(images, "digits", 32)
    assert figures == {"classes": 10, "present": 2, "confident": 0.3, "realistic": 0.25}
    np.testing.assert_array_equal(halves[0].held_out, image_cells.dataset_of("digits", 32).half("test").held_out)


def test_real_images_are_of_the_test_half(monkeypatch, tmp_path):
    dataset = SimpleNamespace(train="train", held_out="all", half=lambda part: SimpleNamespace(held_out=part))
    monkeypatch.setattr(image_cells, "dataset_of", lambda name, size: dataset)
    monkeypatch.setattr(grid.classifier, "prepared", lambda dataset, rows: rows)
    monkeypatch.setattr(grid.null_models, "SAMPLES", ())
    monkeypatch.setattr(grid, "figures_of", lambda images, data, size: {"images": images})
    assert grid.beside(tmp_path, "digits", 32) == {"real images": {"images": "test"}}


@pytest.mark.slow
def test_null_models_do_not_meet_the_criterion(tmp_path):
    """What has learnt nothing is measured by the same function, and only blends pass, and real images and copies."""
    rows = grid.beside(tmp_path, "digits", 32)
    real = rows.pop("real images")
    assert not any(grid.failures(rows.pop(name, real), real) for name in ("real images", "copies", "moved copies"))
    assert set(rows) == {"mean image", "one image", "noise", "shuffled", "mixed", "blends"}
    for name, figures in rows.items():
        assert bool(grid.failures(figures, real)) == (name != "blends"), "means of two images, ghosts, meet it"
    assert grid.beside(tmp_path, "digits", 32)["noise"] == rows["noise"]  # from its line


def test_cells_are_the_systems_on_the_columns_networks():
    """28 cells; each row has its system's loss and penalty, each column its networks, and the last fewer steps."""
    made = {(row, column): grid.options("quick", row, column, 11) for row in grid.ROWS for column in grid.COLUMNS}
    assert len(made) == 28 and len({grid.name_of(o) for o in made.values()}) == 28
    for (row, column), o in made.items():
        assert o.system == grid.ROWS[row] and o.network == grid.COLUMNS[column]["network"]
        assert (o.gp_weight > 0) == (row == "WGAN-GP") and (o.clip > 0) == (row == "WGAN, clipped")
        assert o.critic_norm == (row != "WGAN-GP" and column != "no norm\nin either")
    assert [made[row, "101 layers"].steps for row in ("DCGAN", "WGAN-GP")] == [250, 88]


def entries(good) -> list[dict]:
    return [
        {
            "row": row,
            "column": c,
            "steps": 9,
            "runs": [GOOD | {"name": "x", "missed": [] if good(row, k) else ["classes"]}],
        }
        for row in grid.ROWS
        for k, c in enumerate(grid.COLUMNS)
    ]


@pytest.mark.parametrize(
    ("good", "verdict"),
    [
        (lambda row, k: row == "WGAN-GP" or k == 0, "confirmed"),
        (lambda row, k: True, "half confirmed"),
        (lambda row, k: k < 6, "not confirmed"),
        (lambda row, k: row == "DCGAN", "not confirmed"),
    ],
)
def test_the_claim(good, verdict):
    said = grid.claim(entries(good))
    assert said["verdict"].startswith(verdict)
    assert len(said["successes"]["DCGAN"]) == sum(good("DCGAN", k) for k in range(7))
    assert grid.claim([e | {"runs": []} for e in entries(good)])["verdict"].startswith("open")
    assert grid.claim(entries(good), seeds=2)["verdict"].startswith("open")  # one of two seeds is done


def test_a_frame_says_whether_a_cell_succeeds(monkeypatch, tmp_path):
    """Blue where it does, orange where it does not; of the first column alone."""
    cells_of = entries(lambda row, k: k == 0)
    figures = {"entries": cells_of, "setting": "quick", "claim": grid.claim(cells_of)}
    pictures = []
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda self, file, **_: pictures.append(self))
    grid_page.save_matrix(tmp_path / "grid.png", figures, tmp_path)
    axes = np.reshape(pictures[0].axes, (len(grid.ROWS), len(grid.COLUMNS)))
    for k, colour in ((0, viz.BLUE), (1, viz.ORANGE)):
        for axis in axes[:, k]:
            assert axis.spines["left"].get_edgecolor() == to_rgba(colour)
    assert axes[0, 0].get_xlabel() == "succeeds" and axes[0, 1].get_xlabel() == "classes\nmissed"


def two_by_two(monkeypatch) -> None:
    """A grid of two rows and two columns, judged without a judge."""
    monkeypatch.setattr(grid, "ROWS", {"DCGAN": "dcgan", "WGAN-GP": "wgan-gp"})
    monkeypatch.setattr(grid, "COLUMNS", {"baseline": {"network": "dcgan"}, "tanh": {"network": "tanh"}})
    small = grid.Setting((2, 1), 1, 1, {"base": 1, "batch_size": 2, "size": 32, "latent": 2})
    monkeypatch.setitem(grid.SETTINGS, "quick", small)
    monkeypatch.setattr(
        grid, "judged", lambda trainer: {**REAL, "realistic": 0.5 if trainer.options.network == "tanh" else 0.1}
    )
    monkeypatch.setattr(grid, "beside", lambda *_: {"real images": REAL, "noise": REAL | {"realistic": 0.1}})


def test_a_grid_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    """Finished cells are read from their lines and trained no more; the page and the picture say what each cell is."""
    two_by_two(monkeypatch)
    figures = grid_page.run("quick", tmp_path)
    trained = []
    monkeypatch.setattr(image_cells, "trained", lambda *a: trained.append(a))
    assert grid_page.run("quick", tmp_path) == figures and not trained
    text = (tmp_path / "grid.md").read_text()
    assert text.count("yes: 10 of 10") == 2 and text.count("**no** (realistic)") == 3
    assert "Null models that meet the criterion: none" in text and "minigan grid --quick --seeds 11" in text
    with Image.open(tmp_path / "grid.png") as image:
        assert image.size[0] > 300
    assert len(cells.lines(tmp_path / "cells.jsonl")) == 4 and not (tmp_path / "dcgan-dcgan-11").exists()
    assert json.loads((tmp_path / "grid.json").read_text())["claim"]["successes"]["DCGAN"] == ["tanh"]
    with pytest.raises(ValueError, match="unknown setting 'large'; known: quick, standard, full"):
        grid_page.run("large", tmp_path)


def test_a_stopped_cell_goes_on_bit_for_bit(tmp_path, monkeypatch):
    """Its state is saved on the way; what goes on from it ends with the same weights."""
    two_by_two(monkeypatch)
    monkeypatch.setattr(image_cells, "SAVE_EVERY", 1)
    options = grid.options("quick", "DCGAN", "baseline", 3, steps=3)
    whole, _ = image_cells.trained(options, tmp_path / "a")
    short = grid.options("quick", "DCGAN", "baseline", 3, steps=2)
    image_cells.trained(short, tmp_path / "b")
    assert cells.saved(tmp_path / "b", options) is None
    state = cells.saved(tmp_path / "b", short)
    monkeypatch.setattr(cells, "saved", lambda *_: state)
    resumed, figures = image_cells.trained(options, tmp_path / "c")
    assert figures["steps"] == 3
    for a, b in zip(whole.generator.parameters(), resumed.generator.parameters(), strict=True):
        np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())


@dataclass(frozen=True)
class Earlier:
    name: str
    size: int = 8


@dataclass(frozen=True)
class Later(Earlier):
    share: float = 0.5
    kinds: tuple = ("a",)


def test_cells_outlive_a_new_option(tmp_path):
    """A cell of a version that lacked an option is one with its default, and of no other value; in files and lines."""
    made = []

    def figures_of(options):
        made.append(options)
        return {"x": len(made)}

    first = cells.from_file(tmp_path, "a", Earlier("n"), figures_of)
    assert cells.from_file(tmp_path, "a", Later("n"), figures_of) == first == {"x": 1}
    for other in (Later("n", share=0.6), Later("n", size=9), Later("m"), Later("n", kinds=("b",))):
        assert cells.from_file(tmp_path, "a", other, figures_of) == {"x": len(made)} != first
        assert cells.from_file(tmp_path, "a", other, figures_of) == {"x": len(made)}
    assert len(made) == 5
    records = [{"options": {"name": "n", "size": 8}, "figures": {"y": k}} for k in range(2)]
    assert cells.find(records, Later("n")) == {"y": 1} and cells.find(records, Later("n", share=0.6)) is None
    assert cells.find([{"options": {"size": 8}, "figures": {}}], Later("n")) is None  # a name has no default


def test_damaged_lines_are_passed_over(tmp_path):
    path = tmp_path / "cells.jsonl"
    cells.append(path, {"a": 1}, {"x": 2})
    forged = path.read_text().replace('"x": 2', '"x": 3')
    path.write_text(path.read_text() + forged + "no line\n" + json.dumps({"options": [], "figures": {}}) + "\n")
    assert [line["figures"] for line in cells.lines(path)] == [{"x": 2}]


def test_modes_cells():
    """A critic of a quarter of the published generator's; methods of options that there are none of are left out."""
    o = thousand.options("DCGAN", 11)
    assert (o.data, o.base, o.critic_base, o.steps) == ("stacked", 16, 2, 3000)
    names = [thousand.name_of(thousand.options(m, 11)) for m in thousand.METHODS]
    assert len(names) == len(set(names)) and {"dcgan-11", "wgan-gp-11", "dcgan-packing2-11"} <= set(names)
    assert thousand.options("WGAN-GP", 11, steps=7).steps == 7


def test_modes_table(tmp_path):
    """Mean and interval over the seeds that are done, beside published figures and real classes."""
    real = {"modes": {"value": 999.9}, "reverse_kl": {"value": 0.02}}
    (tmp_path / "500").mkdir()
    for seed, count in ((11, 100), (12, 200)):
        figures = {"modes": count, "sure": 50, "reverse_kl": 2.5, "diverged": None, "real": real}
        cells.append(tmp_path / "500" / "cells.jsonl", vars(thousand.options("DCGAN", seed)), figures)
    figures = thousand.table(tmp_path, [11, 12, 13], "cpu", None, 500)
    assert figures["rows"]["DCGAN"]["done"] == 2 and figures["rows"]["DCGAN"]["modes"][0] == 150
    page = thousand.markdown(figures)
    assert "| DCGAN | 2 | 150.0+-635.3 | 50.0+-0.0 | 2.50+-0.00 | 30.6 |" in page
    assert "diverged" not in page
    lost = {"modes": 1, "sure": 0, "reverse_kl": 6.0, "diverged": "step 3: the loss is nan", "real": real}
    cells.append(tmp_path / "500" / "cells.jsonl", vars(thousand.options("WGAN-GP", 11)), lost)
    assert "| WGAN-GP | 1 | 1.0, 1 diverged |" in thousand.markdown(thousand.table(tmp_path, [11], "cpu", None, 500))
    assert "| LSGAN | 0 | not done |" in page and "| real classes |  | 999.9 |" in page
