"""The report of samples, by a judge whose answers are known: every figure against its definition, on the split that it
names."""

from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest

import minigan as mg
from minigan.data import Dataset, Info
from minigan.gan.metrics import classifier, distances, judging, realism, report
from minigan.gan.metrics.disguises import disguised
from minigan.gan.metrics.null_models import NullModel
from tests.support.worlds import FACES, WORLD

INFO = Info("judged", "rows of features", "none", 60, (32, 32, 1), 30, 0, class_names=("a", "b", "c"))


def world(count: int = 40):
    """(samples, a data set, a judge): features of training, held-out images and samples are from three normals; an
    image is its number, of which the judge knows features and probabilities."""
    rng = np.random.default_rng(0)
    features = {
        "train": rng.normal(0, 1, (30, 4)),
        "held": rng.normal(0.3, 1, (30, 4)),
        "fake": rng.normal(1, 2, (count, 4)),
    }
    probabilities = {name: rng.dirichlet([0.3, 0.3, 0.3], len(x)) for name, x in features.items()}
    probabilities["fake"][: count // 2] = [0.95, 0.05, 0.0]
    probabilities["fake"][count // 2 :] = [0.3, 0.7, 0.0]
    names, start = {}, 0
    for name, x in features.items():
        names[name] = np.arange(start, start + len(x))
        start += len(x)
    table = np.concatenate(list(features.values())), np.concatenate(list(probabilities.values()))

    def judged(model, images):
        rows = np.asarray(images)[:, 0, 0, 0].astype(int)
        return table[0][rows], table[1][rows]

    images = np.zeros((60, 32, 32, 1), np.uint8)
    dataset = Dataset(INFO, images, np.arange(60) % 3, None, np.arange(30), np.arange(30, 60))
    return numbered(dataset, names["fake"]), dataset, judged, features, probabilities


def numbered(dataset, index, size=32):
    """Images of noise of their own whose first pixel is their number."""
    images = np.stack([(k + 1) * np.random.default_rng(int(k)).normal(0, 1, (1, size, size)) for k in index])
    images[:, 0, 0, 0] = index
    return images


def of(function, samples, dataset, judged, **settings):
    with patch.object(report, "_judged", judged), patch.object(report, "prepared", numbered):
        if function is judging.observe_classes:
            return function(samples, settings["judge"], dataset, 0, details=True)
        return function(samples, None, dataset, **settings)


def test_the_quick_figures():
    samples, dataset, judged, features, p = world()
    figures = of(report.evaluate, samples, dataset, judged)
    assert (figures.samples, figures.classes, figures.present) == (40, 3, 2)
    assert figures.histogram == [0.5, 0.5, 0.0] and figures.largest_class == 0.5
    assert figures.confident == 0.5 and figures.real_confident == pytest.approx((p["held"].max(1) > 0.9).mean())
    mean = p["fake"].mean(0)
    divergence = np.where(
        p["fake"] > 0, p["fake"] * np.log(np.maximum(p["fake"], 1e-300) / np.maximum(mean, 1e-300)), 0
    )
    assert figures.score == pytest.approx(np.exp(divergence.sum(1).mean()))
    assert figures.frechet == pytest.approx(distances.frechet_distance(features["fake"][:30], features["train"]))
    assert figures.real_frechet == pytest.approx(distances.frechet_distance(features["held"], features["train"]))
    assert figures.real_score == pytest.approx(report.classifier_score(p["held"]))


@pytest.mark.parametrize(("confident", "typical"), [(0.996, True), (0.972, False), (0.8, False)])
def test_the_line_says_that_samples_are_too_typical(confident, typical):
    """Of 1000, 97.2 % are within the interval of the real 97 %."""
    seen = report.Report(1000, 10, confident, 10, [0.1] * 10, 0.1, 9.0, 3.0, 1000, 0.97, 9.5, 1.0)
    assert ("(real 97.0%, so too typical)" in seen.line()) == typical


def test_the_distances():
    """To the training images; held-out ones are the yardstick, never the target; 30 of the 40 samples count."""
    samples, dataset, judged, features, p = world()
    seen = of(report.examine, samples, dataset, judged, seed=4)
    train, held, fake = features["train"], features["held"], features["fake"][:30]
    for details, x, name in ((seen.samples, fake, "fake"), (seen.real, held, "held")):
        assert details.samples == 30 and details.features == 4
        assert details.frechet == report.frechet_interval(x, train, seed=4)
        assert details.kernel == report.kernel_distance(x, train, subsets=50, subset_size=15, seed=4)
        assert (details.precision.value, details.recall.value) == distances.precision_recall(x, train)
        assert details.recall == distances.share_interval(round(30 * details.recall.value), 30)
        assert details.precision == distances.share_interval(round(30 * details.precision.value), 30)
        density, coverage = distances.density_coverage(x, train)
        assert (details.density.value, details.coverage.value) == (pytest.approx(density), coverage)
        near = distances.nearest_training(x, train, held)
        assert (details.nearest_ratio.value, details.copies.value) == (near.ratio, near.copies)
        assert details.confident.value == pytest.approx((p[name][:30].max(1) > 0.9).mean())
        assert details.score.value == pytest.approx(report.classifier_score(p[name][:30]))
        assert details.present.value == len(set(p[name][:30].argmax(1)))
        images = numbered(dataset, {"fake": np.arange(60, 90), "held": np.arange(30, 60)}[name])
        assert details.spectral.value == pytest.approx(
            distances.spectral_distance(images, numbered(dataset, np.arange(30)))
        )
        found = disguised(images[:30], numbered(dataset, np.arange(30)))
        assert details.disguised == distances.share_interval(int(found.sum()), 30)
    ours, real = seen.samples, seen.real
    assert ours.precision != ours.recall and ours.spectral.value > real.spectral.value > 0
    assert seen.null_models == {} and "winners" not in seen.as_dict()


def test_copies_are_of_the_images_that_a_generator_was_shown():
    """With a share of the training images, an image of the rest is no copy; distances are to all of them as before."""
    samples, dataset, judged, features, _ = world()
    shown = np.array([3, 4, 8, 15, 16, 23, 1, 2, 5, 6])
    drawn = []
    null = NullModel("copies", "", lambda train, count, random: drawn.append(train) or samples[:count], ())
    usual = of(report.examine, samples, dataset, judged)
    seen = of(report.examine, samples, dataset, judged, seen=shown, null_models=(null,))
    near = distances.nearest_training(features["fake"][:30], features["train"][np.sort(shown)], features["held"])
    assert (seen.samples.nearest_ratio.value, seen.samples.copies.value) == (near.ratio, near.copies)
    assert seen.samples.nearest_ratio != usual.samples.nearest_ratio
    assert seen.samples.frechet == usual.samples.frechet and seen.samples.coverage == usual.samples.coverage
    np.testing.assert_array_equal(drawn[0], numbered(dataset, np.sort(shown)))
    rest = numbered(dataset, [k for k in range(30) if k not in shown])  # training images that it never saw
    assert of(report.examine, rest, dataset, judged).samples.disguised.value == 1
    assert of(report.examine, rest, dataset, judged, seen=shown).samples.disguised.value == 0
    assert of(report.examine, numbered(dataset, shown), dataset, judged, seen=shown).samples.disguised.value == 1


def test_fewer_samples_are_beside_held_out_images_of_the_whole_file():
    """Of a set in the order of its classes, the first rows are of one class."""
    samples, dataset, judged, features, _ = world()
    some = np.linspace(0, 29, 12).round().astype(int)
    quick, whole = (of(f, samples[:12], dataset, judged) for f in (report.evaluate, report.examine))
    assert quick.real_frechet == pytest.approx(distances.frechet_distance(features["held"][some], features["train"]))
    assert whole.real.frechet == report.frechet_interval(features["held"][some], features["train"], seed=0)
    dataset = replace(dataset, labels=np.repeat([0, 1, 0, 1], 15))
    with patch.object(report, "inside_classes", lambda samples, held_out, *rest: {"seen": held_out}):
        usual, labels = of(report.examine, samples[:12], dataset, judged).inside["seen"]
    np.testing.assert_array_equal(usual, features["held"][some])
    np.testing.assert_array_equal(labels, dataset.labels[30:][some])


def test_inside_the_classes():
    samples, dataset, judged, features, p = world()
    seen = of(report.examine, samples, dataset, judged)
    labels = dataset.labels[30:], dataset.labels[:30]
    expected = report.inside_classes(
        (features["fake"][:30], p["fake"][:30]),
        (features["held"], labels[0]),
        (features["train"], labels[1]),
        dataset,
    )
    assert seen.inside == expected and list(expected) == ["a", "b"]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("function", [report.evaluate, report.examine])
def test_samples_that_are_not_finite_are_counted(function, bad):
    samples, dataset, judged, _, _ = world()
    samples[3, 0, 5, 5] = samples[9, 0, 1, 0] = bad
    with pytest.raises(ValueError, match=r"2 of 40 images .* not finite; the generator has diverged: take an earlier"):
        of(function, samples, dataset, judged)


@pytest.mark.parametrize(("samples", "held_out"), [(40, 9), (9, 30), (2, 2)])
def test_few_images_are_judged_as_far_as_they_go(samples, held_out):
    """The quick figures from two images on; what needs ten is said to be missing."""
    images, dataset, judged, _, _ = world()
    dataset = replace(dataset, held_out=dataset.held_out[:held_out])
    judge = judging.Judge(None, 1.0)
    seen = of(judging.observe_classes, images[:samples], dataset, judged, judge=judge)
    assert "details" not in seen.figures and seen.figures["samples"] == samples
    assert seen.lines[-1].startswith(f"{samples} samples and {held_out} held-out images are too few")


def test_no_held_out_images_are_said():
    images, dataset, judged, _, _ = world()
    with pytest.raises(ValueError, match="at least 2 held-out images of 'judged', got 1; judge by all"):
        of(report.evaluate, images, replace(dataset, held_out=dataset.held_out[:1]), judged)


def test_a_judge_takes_floats_from_minus_one_to_one():
    model = classifier.Classifier(1, 3).eval()
    good = np.random.default_rng(0).uniform(-1, 1, (4, 1, 32, 32))
    for images in (good, good.astype(np.float32)):
        features, probabilities = report._judged(model, images)
        assert features.shape == (4, 64) and np.allclose(probabilities.sum(1), 1, atol=1e-5)
    for images in (good * 255, ((good + 1) * 127).astype(np.uint8)):
        with pytest.raises(ValueError, match=r"images must be floats in \[-1, 1\], got (uint8|float64) from"):
            report._judged(model, images)
    for images in (good[0], good[:, :, :0, :0], np.zeros((0, 1, 32, 32))):
        with pytest.raises(ValueError, match=r"judges images \(N, C, S, S\), got shape"):
            classifier.shrunk(images)


def test_a_judge_of_classes_needs_classes_and_one_of_attributes_ten_images():
    with pytest.raises(ValueError, match="'faces' has no classes, so there is no judge of them"):
        judging.judge_of("faces", FACES.info)
    for images, held_out in ((9, 40), (40, 9)):
        faces = replace(FACES, held_out=np.arange(held_out))
        with pytest.raises(ValueError, match=f"{images} samples and {held_out} held-out images are too few to judge"):
            judging.observe_attributes(np.zeros((images, 1, 32, 32), np.float32), faces, 0)


def test_a_share_of_realistic_images_needs_more_than_the_neighbours():
    with pytest.raises(ValueError, match="realistic: 3 images are too few for a share: take 10 or more"):
        realism.realistic({"many": np.zeros((9, 1, 32, 32)), "few": np.zeros((3, 1, 32, 32))}, None, WORLD)


def test_a_judge_learns_from_fewer_images_than_a_batch():
    model = classifier.train(WORLD, 1, seed=0)
    assert model.features(mg.zeros(2, 1, 32, 32)).shape == (2, 64)
