"""Modes of very many classes: the judge of channels, the counts, and what real classes come to."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

import minigan as mg
from minigan.gan.metrics import classifier, modes, report
from minigan.gan.metrics.modes import modes_of, of_real_classes, reverse_kl


def test_a_stack_is_judged_channel_by_channel():
    """Of a stack's 1,000 probabilities each is the product of its digits', the hundreds first."""
    each = classifier.Classifier(1, 10, 3).eval()
    judge = classifier.ChannelClassifier(each).eval()
    images = np.random.default_rng(0).uniform(-1, 1, (4, 3, 32, 32)).astype(np.float32)
    (features, probabilities), *_ = classifier.judge(judge, images)
    parts = [np.concatenate([p for _, p in classifier.judge(each, images[:, c : c + 1])]) for c in range(3)]
    expected = np.einsum("na,nb,nc->nabc", *parts).reshape(4, 1000)
    np.testing.assert_allclose(probabilities, expected, rtol=1e-4, atol=1e-9)
    assert features.shape == (4, 192)
    with pytest.raises(ValueError, match="images have 1 channels, expected 3"):
        judge(mg.zeros(1, 1, 32, 32))


def test_the_judge_of_stacks_is_the_digits():
    """Its classes are the numbers, its accuracy the cube of the digits' judge's."""
    _, digits = classifier.load("digits")
    judge, record = classifier.load("stacked")
    assert record["classes"] == [f"{k:03d}" for k in range(1000)] and isinstance(judge, classifier.ChannelClassifier)
    assert record["held_out_accuracy"] == pytest.approx(digits["held_out_accuracy"] ** 3)


def probabilities(guesses, sure) -> np.ndarray:
    """Rows whose largest entry is that of the guess: 0.95 where sure, 0.5 elsewhere."""
    p = np.full((len(guesses), 1000), 0.0)
    p[np.arange(len(guesses)), guesses] = np.where(sure, 0.95, 0.5)
    return p


def test_modes_are_classes_seen_and_sure_ones_those_of_confident_samples():
    shares = np.full(1000, 1e-3)
    figures = modes_of(probabilities([7, 7, 107, 717], [False, True, True, False]), shares)
    assert (figures.modes, figures.sure) == (3, 2)  # 7 and 107 differ in the hundreds alone
    p = np.array([0.5, 0.25, 0.25])
    assert figures.reverse_kl == pytest.approx((p * np.log(p / 1e-3)).sum())


def test_reverse_kl_is_zero_for_the_same_shares_and_ln_k_for_one_class():
    assert reverse_kl(np.array([10, 20, 30]), np.array([1, 2, 3]) / 6) == pytest.approx(0, abs=1e-12)
    assert reverse_kl(np.eye(1, 1000)[0] * 5, np.full(1000, 1e-3)) == pytest.approx(math.log(1000))
    with pytest.raises(ValueError, match="no samples"):
        reverse_kl(np.zeros(3), np.full(3, 1 / 3))


def test_of_real_classes_few_samples_hold_few_modes():
    """K (1 - (1 - 1/K)^n) of K even classes in n draws; the divergence falls as (K - 1) / 2n once n is large."""
    shares = np.full(1000, 1e-3)
    for count in (500, 5000):
        values = of_real_classes(shares, count)
        assert values["modes"].value == pytest.approx(1000 * (1 - 0.999**count), abs=2)
        assert values["modes"].low <= values["modes"].value <= values["modes"].high
    assert of_real_classes(shares, 25_600)["reverse_kl"].value == pytest.approx(999 / 51_200, rel=0.05)


def test_the_range_of_real_classes_is_of_the_middle_95_of_100_sets():
    """Two draws of classes of shares 0.95 and 0.05 are of both in 9.5 % of the sets: within 95 %, not within half."""
    values = of_real_classes(np.array([0.95, 0.05]), 2, rounds=400)["modes"]
    assert (values.low, values.high) == (1, 2) and values.value == pytest.approx(1.095, abs=0.04)


def test_shares_are_those_of_the_training_images(monkeypatch):
    """Of 8 training images of class a, and held-out ones of b; samples of a. With one image more of each class the
    share of a is 9 / 10."""
    monkeypatch.setattr(modes, "_probabilities", lambda model, images: np.tile([0.95, 0.05], (len(images), 1)))
    labels = np.array([0] * 8 + [1] * 4)
    dataset = SimpleNamespace(class_names=("a", "b"), labels=labels, train=np.arange(8), held_out=np.arange(8, 12))
    figures, _ = modes.observe_modes(np.zeros((5, 3, 32, 32)), None, dataset)
    assert figures["modes"]["reverse_kl"] == pytest.approx(-math.log(0.9)) and figures["modes"]["sure"] == 1


def test_published_figures_stand_beside():
    """Table 4 of Lin et al. 2018, as SYSTEMS has it."""
    assert [modes.PUBLISHED[k] for k in ("DCGAN", "PacDCGAN2", "PacDCGAN3", "PacDCGAN4")] == [30.6, 484.5, 601.3, 667.4]


def test_of_very_many_classes_one_sample_is_enough():
    """0.5 % of the samples cannot be asked of each of 1,000 classes; of ten it is."""
    few = np.array([0.99, 0.01, 0.0, 0.004, *[0.0] * 6])
    assert report._present(few) == 2
    assert report._present(np.array([0.9, 0.1 - 1e-4, 1e-4, *[0.0] * 997])) == 3
