"""What systems show and say, by figures and images that all differ: one in another's place would be seen."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from spots import BACK, SPOT, clips, together
from worlds import FACES, WORLD, trainer

from minigan.backend import Generator
from minigan.data.moving import VELOCITIES
from minigan.gan.metrics import attributes, claims, futures
from minigan.gan.metrics.claims import OURS, REAL, Standing, summary
from minigan.gan.metrics.distances import Interval
from minigan.gan.metrics.futures import bounces
from minigan.gan.metrics.judging import Observation
from minigan.gan.metrics.reconstructions import Reconstructions
from minigan.gan.systems import alike, conditional, infogan, nextframe, srgan, stargan
from minigan.gan.systems.ebgan import Separation


def test_the_futures_do_not_know_which_was_drawn():
    """The clip holds the velocity that was drawn at the bounce, too: up and to the right. All 21 are possible still."""
    c = clips((7, 4), (2, 1))
    velocities = c.velocities.copy()
    velocities[:, 2] = int(np.flatnonzero((VELOCITIES == (-1, 2)).all(1))[0])
    frames, _ = futures.futures(SPOT, replace(c, velocities=velocities), 0, 2, BACK)
    assert len(frames) == 21


def test_of_two_images_one_that_bounces_is_enough():
    """One bounces off the bottom, the other goes straight on: the next frame is uncertain, one of 21."""
    c = together(clips((7, 4), (2, 1)), clips((4, 4), (1, 1)))
    assert futures.bounces(c, 2, 8).all()
    assert len(futures.futures(SPOT.repeat(2, 0), c, 0, 2, BACK)[0]) == 21


def test_each_of_two_images_is_named_by_its_own_label():
    c, calls = together(clips((4, 4), (1, 1)), clips((2, 2), (1, 0))), []
    images = np.concatenate([SPOT, np.where(np.arange(8) == 2, 1, BACK).astype(np.float32) * np.ones((1, 1, 8, 1))])
    past = futures.drawn(images, c.index, c.places, BACK)
    futures.figures(past[:, 1], images, c, 2, BACK, lambda crops, index: calls.append(index.tolist()) or 0.5)
    assert calls == [[0, 1]]


def test_figures_of_unseen_combinations_are_theirs():
    seen = {OURS: Standing(9, 0.9, 0.8, None, 0.7, {"hat": 0.6}), REAL: Standing(9, 1.0, 1.0, None, None, {"hat": 1.0})}
    unseen = {OURS: Standing(5, 0.5, 0.4, 0.3, 0.2, {"hat": 0.1}), REAL: Standing(5, 1.0, 1.0, 1.0, None, {"hat": 1.0})}
    figures = summary(seen, unseen)
    assert (figures["claims"], figures["captions"], figures["precision"], figures["least_fact"]) == (0.9, 0.8, 0.7, 0.6)
    assert [figures[f"unseen_{name}"] for name in ("claims", "together", "precision")] == [0.5, 0.3, 0.2]


def test_the_class_that_is_seen_least_is_named(monkeypatch):
    """Of six samples, two a class: both dark ones, one grey one and no light one are seen as asked for."""
    t = trainer("cgan")
    monkeypatch.setattr(conditional, "judge_of", lambda *_: SimpleNamespace(model=None, accuracy=1.0))
    monkeypatch.setattr(conditional, "observe_samples", lambda *_: Observation({}, []))
    monkeypatch.setattr(conditional, "realistic_class", lambda *_: None)
    monkeypatch.setattr(conditional.classifier, "classes", lambda model, images: np.array([0, 1, 0, 0, 0, 0]))
    seen = t.observe(6, Generator(0, 7))
    assert seen.figures["agreement_by_class"] == {"dark": 1.0, "grey": 0.5, "light": 0.0}
    assert seen.lines[1] == "least for light: 0.0%" and seen.figures["chance"] == pytest.approx(1 / 3)


def test_a_preview_translates_to_the_other_domain(monkeypatch):
    t = trainer("cyclegan", source="dark", target="light", batch_size=2, size=16)
    asked = []
    monkeypatch.setattr(t, "translate", lambda images, to: asked.append(to) or images)
    t.preview(4)
    assert asked == ["light", "dark"]


def test_each_code_is_correlated_with_its_own_reading(monkeypatch):
    t = trainer("infogan", categories=3, continuous=2, settle=0)
    inputs = t.inputs(30, Generator(0, 1)).numpy()
    monkeypatch.setattr(t, "draw_coded", lambda count, random: (inputs, np.zeros((30, 1, 8, 8), np.float32)))
    monkeypatch.setattr(t, "read", lambda images: (np.zeros((30, 3)), inputs[:, -2:] * np.array([1.0, -1.0])))
    monkeypatch.setattr(t, "_beside_classes", lambda images: Observation({}, ["", ""]))
    monkeypatch.setattr(infogan, "observe_samples", lambda *_: Observation({}, []))
    np.testing.assert_allclose(t.observe(30, Generator(0, 1)).figures["correlation"], [1, -1])


def test_a_preview_of_clips_begins_with_bounces(monkeypatch):
    t = trainer("nextframe", size=16)
    monkeypatch.setattr(t, "predict", lambda past, random: past[:, -1])
    _, clips = t.clips(t.yardstick.held_out, 32)
    uncertain = dict(zip(map(bytes, clips.frames[:, :3]), bounces(clips, 2, 8), strict=True))
    images = t.preview(16).reshape(4, 4, 1, 16, 16)
    assert [bool(uncertain[bytes(row[:3].astype(np.float32))]) for row in images] == [True, True, False, False]


def test_images_that_move_are_named_by_their_own_labels(monkeypatch):
    """Rows 7, 8, 9 are grey, light, dark."""
    monkeypatch.setattr(nextframe.classifier, "load", lambda name: (None, {}))
    monkeypatch.setattr(nextframe.classifier, "classes", lambda model, crops: np.array([1, 2, 0]))
    named = trainer("nextframe", size=16)._named(np.array([7, 8, 9]))
    assert named(np.zeros((3, 1, 8, 8)), np.arange(3)) == 1


def test_enlarged_images_are_named_as_their_rows_are_labelled(monkeypatch):
    t = trainer("srgan", WORLD, scale=4, size=16, objective="mse", blocks=0)
    rows, table, shares = np.array([7, 8]), {"network": {}}, {"network": 0.4, "held_out": 0.9}
    monkeypatch.setattr(srgan.classifier, "load", lambda name: (None, {}))
    monkeypatch.setattr(srgan.classifier, "classes", lambda model, images: np.array([1, 2]))
    monkeypatch.setattr(srgan, "realistic", lambda *_: shares)
    real = t._judged(table, {"network": np.zeros((2, 1, 16, 16))}, rows)
    assert table["network"] == {"precision": 0.4, "agreement": 1.0} and real == {"precision": 0.9, "agreement": 1.0}


def test_the_columns_of_an_upscaler_s_preview(monkeypatch):
    """Nearest, bicubic, the network, the true image."""
    t = trainer("srgan", WORLD, scale=4, size=16, objective="mse", blocks=0)
    small, true = t.pairs(t.yardstick.held_out[:1])
    monkeypatch.setattr(t, "upscale", lambda images: np.full_like(true, -0.5))
    nearest, bicubic, network, last = t.preview(4)
    np.testing.assert_allclose(nearest, small[0].repeat(4, 1).repeat(4, 2), atol=1e-6)
    assert (network == -0.5).all() and np.array_equal(last, true[0]) and not np.array_equal(bicubic, nearest)


def test_the_least_of_all_attributes_stands_at_the_top_and_there_and_back_is_nothing(monkeypatch):
    t = trainer("stargan", FACES, attributes="hat,smile")
    kept = dict.fromkeys(t.info.attributes, 1.0)
    rows = iter([{"present": p, "least_precision": q, "kept": kept} for p, q in ((0.9, 0.3), (0.5, 0.8))])
    monkeypatch.setattr(attributes, "load_for", lambda dataset: (None, {"held_out_accuracy": {"hat": 1.0}}))
    monkeypatch.setattr(stargan.attribute_edits, "Yardstick", lambda *_: SimpleNamespace(beside=lambda *_: {}))
    monkeypatch.setattr(stargan.attribute_edits, "summary", lambda sets: next(rows))
    monkeypatch.setattr(stargan, "_told", lambda row: "")
    change = lambda images, values, before: images + (values - before).sum(1)[:, None, None, None]  # noqa: E731
    monkeypatch.setattr(t, "translate", change)
    t.split = "all"
    figures = t.observe(6, Generator(0, 7)).figures
    assert (figures["least_present"], figures["least_precision"]) == (0.5, 0.3)
    assert figures["reconstruction_l1"] == pytest.approx(0, abs=1e-6)


def test_each_row_of_a_preview_turns_another_attribute_over(monkeypatch):
    t, turned = trainer("stargan", FACES, attributes="hat,smile,beard"), []

    def record(images, values, before):
        turned.append((values != before).all(0).tolist())
        return images

    monkeypatch.setattr(t, "translate", record)
    t.preview(4)
    assert turned == [[k == j for j in range(3)] for k in range(3)]


def test_the_lines_of_reconstructions_name_each_null_model_s_own_figures():
    seen = Reconstructions("class", 9, Interval(0.1, 0.05, 0.15), 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
    assert seen.lines() == [
        "9 held-out images come back as their class in 10.0% [5.0%, 15.0%], with squared error 0.2000",
        "beside: nearest training image 30.0%, 0.4000; mean of the class 50.0%, 0.6000; mean image 0.7000",
    ]


def test_whose_energy_is_whose():
    text = str(Separation(0.9, 0.2, 0.1, 0.3))
    assert (
        text.startswith("energy of real images 0.1000, of samples 0.3000, gap 0.2000;") and "in 90.0% of pairs" in text
    )


def test_a_line_of_frames_has_each_figure_in_its_place():
    row = {"pixels": 1.0, "error": 0.2, "sharpness": 0.3, "to_mean": 0.4, "identity": 0.5}
    assert nextframe._line(row) == (
        "1.00 pixels and squared error 0.2000 from the nearest possible future, gradient energy 30.0% of its, squared"
        " error 0.4000 from the mean of all, named rightly 50.0%"
    )


def test_a_line_of_enlarged_images_has_each_figure_in_its_place():
    row = {"psnr": 20.0, "ssim": 0.3, "sharpness": 0.4, "spectral": 5.0, "precision": 0.6, "agreement": 0.7}
    assert srgan._line(row) == (
        "PSNR 20.00 dB, SSIM 0.300; gradient energy 40.0% of the true images', spectrum 5.00 dB away, precision 60.0%,"
        " right class 70.0%"
    )


def test_an_attribute_s_real_figures_stand_beside_its_own():
    row = {"present": 0.9, "added": 0.8, "removed": 0.7, "kept": {"smile": 0.6}, "winners": {}}
    row |= {"precision": 0.5, "density": 0.4, "frechet": 3.0, "colours": 2.0}
    row["real"] = {"precision": 0.9, "density": 0.8, "frechet": 7.0, "colours": 6.0}
    assert stargan._told(row) == (
        "turned over in 90.0% (added 80.0%, removed 70.0%); kept: smile 60.0%; precision 0.500 (real 0.900), density"
        " 0.40 (real 0.80), frechet 3.0 (real 7.0), colours 2.0 (real 6.0)"
    )


def test_a_line_of_claims_is_in_the_order_of_its_heading():
    line = claims.Standing(9, 0.1, 0.2, 0.3, 0.4, {}).line("ours")
    assert line.split() == ["ours", "10.0%", "20.0%", "30.0%", "0.400"]
    assert claims.HEADING.split() == ["claims", "captions", "together", "precision"]


def test_a_turn_alone_leaves_a_round_blob_as_it_is(monkeypatch):
    for name in ("SHEAR", "SCALE", "SHIFT"):
        monkeypatch.setattr(alike, name, 0.0)
    y, x = np.mgrid[:33, :33] - 16.0
    blob = np.exp(-(x * x + y * y) / 50)[None, None].repeat(5, 0)
    np.testing.assert_allclose(alike.moved(blob, Generator(0, 1)), blob, atol=0.01)
