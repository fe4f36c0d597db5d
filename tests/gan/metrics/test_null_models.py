"""Null models are what they say: on images whose mean, spectrum and neighbours are known."""

from dataclasses import replace

import numpy as np
import pytest

from minigan import data
from minigan.gan.metrics import classifier, distances, judging, null_models, report
from minigan.gan.toy import data as toydata

WAVE = np.cos(2 * np.pi * 3 * np.arange(16) / 16)
IMAGES = np.stack([0.5 * np.roll(WAVE, k)[None, :, None] * np.ones((3, 1, 16)) - 0.1 for k in range(16)])


def draw(name, table=null_models.SAMPLES, train=IMAGES, count=400):
    (row,) = (row for row in table if row.name == name)
    return row.draw(train, count, np.random.default_rng(1))


def test_samples():
    assert np.allclose(draw("mean image"), IMAGES.mean(0)) and draw("mean image").shape == (400, 3, 16, 16)
    one = draw("one image")
    assert (one == one[0]).all() and (one[0] == IMAGES).all((1, 2, 3)).any()
    copies = draw("copies")
    assert {x.tobytes() for x in copies} == {x.tobytes() for x in IMAGES}


def test_noise_has_the_images_mean_and_spectrum_and_nothing_else():
    """Within a decibel at the frequency that the images have; the phases are all over."""
    noise = draw("noise")
    ours, theirs = distances.spectrum(noise), distances.spectrum(IMAGES)
    assert abs(10 * np.log10(ours[3] / theirs[3])) < 1 and np.abs(noise.mean(0) - IMAGES.mean(0)).max() < 0.1
    phase = np.angle(np.fft.fft2(noise[:, 0])[:, 3, 0])
    assert abs(np.exp(1j * phase).mean()) < 0.15
    assert np.abs(noise).max() <= 1


@pytest.mark.parametrize("share", [0, 0.25, 0.5, 0.7, 1])
def test_a_shrunk_image_covers_its_share_of_the_page(share):
    images = np.random.default_rng(0).uniform(-1, 1, (2, 3, 8, 8))
    small = null_models.shrunk(images, share, background=1.0)
    assert small.mean() - 1 == pytest.approx(share**2 * (images.mean() - 1))  # the same paint on a smaller area
    if share == 0.5:
        assert small[:, :, 2:6, 2:6] == pytest.approx(images.reshape(2, 3, 4, 2, 4, 2).mean((3, 5)))
        assert (small[:, :, :2] == 1).all()
    if share == 1:
        assert small == pytest.approx(images)


def test_translations():
    random = np.random.default_rng(0)
    images, target = random.uniform(-1, 1, (5, 3, 8, 8)), random.uniform(-1, 1, (9, 3, 8, 8))
    best = null_models.constant(target, 5)
    assert best.shape == images.shape and (best[0] == np.median(target, 0)).all()
    for other in (target.mean(0), target[0], np.ones((3, 8, 8))):
        assert np.abs(best[0] - target).sum() <= np.abs(other - target).sum()
    share, small = null_models.best_shrunk(images, null_models.shrunk(images, 0.6))
    assert share == pytest.approx(0.6) and small == pytest.approx(null_models.shrunk(images, 0.6))
    near = null_models.nearest_of(target + 0.01, target)
    assert np.array_equal(near, target)
    painted = null_models.pasted_noise(images, slice(0, 3), np.random.default_rng(7))
    assert np.array_equal(painted[:, :, 3:], images[:, :, 3:]) and not (painted[:, :, :3] == images[:, :, :3]).any()
    with pytest.raises(ValueError, match="share must be from 0 to 1, got 2"):
        null_models.shrunk(images, 2)


def test_points():
    """On the ring a blob touches several modes and has next to no quality, one mode has all quality and one mode."""
    points = toydata.load("ring").sample(4000, 0)
    figures = {row.name: toydata.scores(row.draw(points, 2500, np.random.default_rng(1)), toydata.load("ring"))
               for row in null_models.POINTS}  # fmt: skip
    assert figures["blob"]["high_quality"] < 0.02 and figures["blob"]["modes"] >= 3
    assert figures["uniform"]["high_quality"] < 0.02
    assert figures["one mode"]["high_quality"] > 0.9 and figures["one mode"]["modes"] <= 2


def standing(confident=0.9, present=10, frechet=5.0, coverage=0.9, copies=0.01):
    return report.Standing(confident, present, frechet, coverage, copies)


@pytest.mark.parametrize(
    ("change", "reaches"),
    [
        ({}, True),
        ({"confident": 0.8}, False),
        ({"present": 9}, False),
        ({"frechet": 5.1}, False),
        ({"coverage": 0.89}, False),
        ({"copies": 0.02}, True),  # chance
        ({"copies": 0.5}, False),  # copied
        ({"confident": 1.0, "frechet": 1.0, "coverage": 1.0}, True),
    ],
)
def test_what_reaches_samples_is_as_good_in_every_figure(change, reaches):
    assert standing(**change).reaches(standing()) == reaches


@pytest.mark.parametrize(("confident", "told"), [(0.98, True), (0.96, False)])
def test_samples_that_are_surer_than_real_images_are_said_to_be_too_typical(confident, told, monkeypatch):
    def standings(sets, model, dataset):
        shares = {"samples": confident, "held-out images": 0.97}
        return {name: standing(confident=shares.get(name, 0.0)) for name in sets}

    monkeypatch.setattr(report, "standings", standings)
    dataset = data.load("digits")
    dataset = replace(dataset, train=dataset.train[:50], held_out=dataset.held_out[:20])
    _, lines = judging.beside_null_models(np.zeros((20, 1, 32, 32)), judging.Judge(None, 1.0), dataset, 0)
    assert any("too typical" in line for line in lines) == told


def test_a_null_model_that_wins_is_named():
    """Noise in place of samples is no better than noise, copies no better than copies; beside real images none wins,
    not even copies, which are as near as real ones but for being copies."""
    dataset = data.load("digits")
    dataset = replace(dataset, train=dataset.train[:1000])
    judge = judging.judge_of("digits", dataset.info)
    train = classifier.prepared(dataset, dataset.train)
    noise = null_models.noise(train, 200, np.random.default_rng(0))
    figures, lines = judging.beside_null_models(noise, judge, dataset, 0)
    assert figures["winners"] == ["noise"] and "these samples show nothing: noise" in lines[-1]
    figures, lines = judging.beside_null_models(
        null_models.copies(train, 200, np.random.default_rng(1)), judge, dataset, 1
    )
    assert figures["winners"] == ["copies"] and figures["samples"]["copies"] == 1
    real = classifier.prepared(dataset, dataset.held_out[200:400])
    figures, lines = judging.beside_null_models(real, judge, dataset, 0)
    assert figures["winners"] == [] and figures["samples"]["coverage"] > 0.8
