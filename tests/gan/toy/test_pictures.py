"""Pictures of points and the folder of a run: where things stand, and which curve is whose."""

from types import SimpleNamespace

import numpy as np

from minigan.gan.losses import loss
from minigan.gan.toy import ToyOptions, ToyTrainer, nulls, viz
from minigan.gan.toy import options_for as toy_options
from minigan.gan.toy import run as toyrun

ORANGE, BLUE = (217, 114, 30), (42, 111, 187)


def test_the_window_is_a_square_with_a_margin():
    """Points from (0, 0) to (2, 4): the middle is (1, 2), half of the longer side 2, and a quarter of 4 more."""
    low, high = viz.window(np.array([[0.0, 0.0], [2.0, 4.0]]), margin=0.25)
    assert low.tolist() == [-2.0, -1.0] and high.tolist() == [4.0, 5.0]


def test_the_lattice_goes_row_by_row_from_the_bottom():
    places = viz.lattice((np.zeros(2), np.array([1.0, 2.0])), 2)
    assert places.tolist() == [[0, 0], [1, 0], [0, 2], [1, 2]]


def test_a_frame_has_high_values_and_points_where_they_are():
    """D(x, y) = y is light at the top; a real at the upper right is orange there, a sample at the lower left blue."""
    trainer = SimpleNamespace(
        trick=SimpleNamespace(pointless=""), landscape=lambda places: (places[:, 1].copy(), np.zeros_like(places))
    )
    real = np.array([[0.0, 0.0], [1.0, 1.0]])
    picture = viz.frame(trainer, real[:1], real, "step 1").astype(int)
    side, third = viz.FRAME, viz.FRAME // 6  # a corner of the data is a sixth of the window away from its own
    assert picture.shape == (side + 22, side, 3)
    assert picture[5, side // 2, 0] > picture[side - 5, side // 2, 0] + 100
    corners = picture[third, side - third], picture[side - third, third]
    for colour, ours in zip((ORANGE, BLUE), corners, strict=True):
        assert np.abs(ours - colour).max() < 40, ours


def finished(monkeypatch, tmp_path):
    """(the folder of a run of two steps whose pictures are not drawn, what its curves were drawn from)."""
    curves = {}
    monkeypatch.setattr(toyrun, "null_scores", lambda points: {})
    monkeypatch.setattr(toyrun.toyviz, "save_picture", lambda *_: None)
    monkeypatch.setattr(toyrun.toyviz, "frame", lambda *_: None)
    monkeypatch.setattr(toyrun.viz, "save_gif", lambda *_: None)
    monkeypatch.setattr(
        toyrun.toyviz,
        "save_curves",
        lambda path, rows, title, formulas, penalty: curves.update(rows=rows, formulas=formulas),
    )
    monkeypatch.setattr(toyrun.toydata, "mode_scores", lambda *_: {"modes": 4, "high_quality": 0.5})
    monkeypatch.setattr(
        toyrun, "_scores", lambda samples, points, seed=0: {"first": samples[0].tolist(), "samples": len(samples)}
    )
    monkeypatch.setattr(toyrun, "line", str)
    options = ToyOptions("ring", "non-saturating", steps=2, width=4, depth=1, batch_size=4)
    toyrun.run(options, tmp_path / "run", quiet=True)
    return tmp_path / "run", curves


def test_curves_have_their_own_formulas_and_shares_of_the_modes(monkeypatch, tmp_path):
    """Half of the ring's eight modes."""
    _, curves = finished(monkeypatch, tmp_path)
    rows, formulas = curves["rows"], curves["formulas"]
    assert rows[-1]["mode_share"] == 0.5 == rows[-1]["high_quality"]
    d_formula, g_formula = (part.strip()[3:] for part in loss("non-saturating").formula.split(";"))
    assert formulas == {"d_loss": d_formula, "g_loss": g_formula} and d_formula != g_formula


def test_another_seed_judges_other_samples(monkeypatch, tmp_path):
    folder, _ = finished(monkeypatch, tmp_path)
    first, again, other = (toyrun.evaluate(folder, 5, seed)["first"] for seed in (1, 1, 2))
    assert first == again != other


def test_a_page_names_what_wins():
    figures = {"samples": 2500, "coverage": 0.5, "w1": 0.1}
    page = nulls.page(figures, {"blob": {"coverage": 0.485, "w1": 0.2}})
    assert "a null model is no worse: blob in coverage" in page and "blob in W1" not in page


def test_a_title_is_no_mathematics(tmp_path):
    t = ToyTrainer(toy_options("ring", "gan", None, steps=1, batch_size=4, width=3, depth=1))
    viz.save_picture(tmp_path / "samples.png", t, t.sample(20), "p$x^$.csv")
    assert (tmp_path / "samples.png").exists()


def test_the_last_scores_of_the_curves_are_the_verdict_s(monkeypatch, tmp_path):
    """Of the same samples: of those of another seed nothing here is good."""
    points, rows = toyrun.toydata.load("ring"), []
    good = np.repeat(points.modes, 4, 0)
    monkeypatch.setattr(ToyTrainer, "sample", lambda self, count, seed=0, average=True: good if seed == 0 else 0 * good)
    monkeypatch.setattr(toyrun.toyviz, "save_curves", lambda path, history, *_: rows.extend(history))
    for name in ("save_picture", "frame"):
        monkeypatch.setattr(toyrun.toyviz, name, lambda *_: None)
    monkeypatch.setattr(toyrun.viz, "save_gif", lambda *_: None)
    options = toy_options("ring", "gan", None, steps=2, batch_size=4, width=3, depth=1)
    figures = toyrun.run(options, tmp_path / "run", quiet=True)
    assert figures["modes"] == 8 and rows[-1]["mode_share"] == 1 and rows[-1]["high_quality"] == 1
