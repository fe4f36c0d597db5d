"""Null models are what they say: on images whose mean, spectrum and neighbours are known."""

from dataclasses import replace
from types import SimpleNamespace

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


def test_the_one_image_is_nearest_to_the_mean_and_a_blob_is_as_wide_as_the_data():
    """Of images of level -1, 0 and 0.7 that is the second; a draw one deviation from the mean lies there."""
    levels = np.array([-1.0, 0.0, 0.7])[:, None, None, None] * np.ones((1, 1, 2, 2))
    assert (draw("one image", train=levels, count=3) == levels[1]).all()
    points = np.array([[0.0, 1.0], [4.0, 1.0], [0.0, 7.0], [4.0, 7.0]])
    random = SimpleNamespace(standard_normal=np.ones)
    np.testing.assert_allclose(null_models.blob(points, 2, random), [[4.0, 7.0]] * 2)


def test_the_best_size_may_be_the_whole_page():
    images = np.random.default_rng(0).uniform(-1, 1, (2, 1, 8, 8))
    share, best = null_models.best_shrunk(images, images)
    assert share == 1 and np.allclose(best, images)


def test_shuffled_and_mixed_images_keep_colours_or_places():
    """Pixels are numbers of their own: a shuffled image has those of one training image, in all channels alike; a mixed
    one has at each place a training image's, of several images."""
    train = np.arange(6 * 3 * 4 * 4, dtype=np.float32).reshape(6, 3, 4, 4)
    pixels = {tuple(sorted(x.ravel())) for x in train}
    shuffled = draw("shuffled", train=train, count=30)
    assert shuffled.shape == (30, 3, 4, 4) and {tuple(sorted(x.ravel())) for x in shuffled} == pixels
    assert (
        np.array_equal(shuffled[:, 1] - shuffled[:, 0], np.full((30, 4, 4), 16.0))
        and len(np.unique(shuffled[:, 0, 0, 0])) > 16
    )
    mixed = draw("mixed", train=train, count=30)
    assert mixed.dtype == np.float32 and np.array_equal(mixed % 48, np.broadcast_to(train[0] % 48, mixed.shape))
    assert np.array_equal(mixed[:, 1] - mixed[:, 0], np.full((30, 4, 4), 16.0))
    assert all(len(np.unique(x[0] // 48)) > 1 for x in mixed)


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


def test_a_null_model_that_wins_is_named():
    """Noise in place of samples is no better than noise, copies no better than copies; real images beat all."""
    dataset = data.load("digits")
    dataset = replace(dataset, train=dataset.train[:400], held_out=dataset.held_out[:120])
    judge = judging.judge_of("digits", dataset.info)
    train = classifier.prepared(dataset, dataset.train)
    sets = {name: draw(name, train=train, count=120) for name in ("noise", "copies")}
    sets["real"] = classifier.prepared(dataset, data.load("digits").held_out[200:320])
    for name, images in sets.items():
        seen = judging.observe_classes(images.astype(np.float32), judge, dataset, 0, details=True)
        winners = seen.figures["winners"]
        assert (name in winners) == (name != "real") and ("copies" in winners) == (name == "copies")
        assert "red: no better than" in seen.lines[-1] if winners else seen.lines[-1] == "better than every null model"
    assert winners == [] and seen.figures["details"]["coverage"]["value"] > 0.8


def test_null_models_are_drawn_from_the_training_images():
    """As many as samples, by the seed; images are as the judge sees them."""
    seen = []

    def draw(train, count, random):
        seen.append((train, count, random.integers(1 << 30)))
        return train[:count]

    dataset = data.load("digits")
    dataset = replace(dataset, train=dataset.train[:60], held_out=dataset.held_out[:30])
    model = judging.judge_of("digits", dataset.info).model
    spy = null_models.NullModel("copies", "", draw, ("copies",))
    images = np.zeros((40, 1, 32, 32), np.float32)
    table = report.examine(images, model, dataset, 7, null_models=(spy,))
    ((train, count, number),) = seen
    assert np.array_equal(train, classifier.prepared(dataset, dataset.train)) and count == 30
    assert number == np.random.default_rng(7).integers(1 << 30)
    assert table.null_models["copies"].copies.value == 1 and table.real.copies.value < 0.2
