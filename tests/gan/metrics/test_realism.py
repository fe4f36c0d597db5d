"""Precision of directions, gradient energy and the kernel test of codes: closed forms, level and power."""

from types import SimpleNamespace

import numpy as np
import pytest

from minigan.backend import Generator
from minigan.gan.metrics import distances, realism, reconstructions

RNG = np.random.default_rng(3)


def test_short_features_are_near_to_nothing_real(monkeypatch):
    """A blank page, whose features are a thousandth of a real image's and point elsewhere, has precision 0; real images
    have that of their directions, whatever their length."""
    real = RNG.standard_normal((40, 1, 1, 4)) + 4
    real[:20] *= RNG.uniform(0.001, 0.02, (20, 1, 1, 1))
    monkeypatch.setattr(realism, "prepared", lambda dataset, rows: real[rows])
    monkeypatch.setattr(realism, "features", lambda _, images: images.reshape(len(images), 4))
    world = SimpleNamespace(train=np.arange(0, 40, 2), held_out=np.arange(1, 40, 2))
    blank = np.broadcast_to(np.array([0.001, -0.001, 0.001, -0.001]).reshape(1, 1, 1, 4), (30, 1, 1, 4))
    shares = realism.realistic({"blank": blank, "copies": 7 * real[world.train]}, None, world)
    assert list(shares) == ["blank", "copies", "held_out", "noise", "mean_image"]
    assert shares["blank"] == 0 and shares["copies"] == 1 and shares["held_out"] > 0.5
    plain, near = real[world.train].reshape(20, 4), blank[:20].reshape(20, 4)
    assert distances.precision_recall(near, plain)[0] == 1  # what plain precision says of the blank page
    lengths = np.linalg.norm(realism.directions(real, None), axis=1)
    np.testing.assert_allclose(lengths, 1)
    assert not realism.directions(np.zeros((2, 1, 1, 4)), None).any()


CLASSES = np.arange(120) % 3
SHADES = np.random.default_rng(4).standard_normal((120, 1, 1, 4)) + 7 * np.eye(4)[CLASSES][:, None, None]
"""Images of three classes, of 4 pixels, which are their own features."""


def shades(monkeypatch):
    """The data set of these images, half of them held out, and a judge that sees the pixels."""
    monkeypatch.setattr(realism, "prepared", lambda dataset, rows: SHADES[rows])
    monkeypatch.setattr(realism, "shrunk", lambda images: images)
    monkeypatch.setattr(realism, "features", lambda _, images: images.reshape(len(images), 4))
    return SimpleNamespace(train=np.arange(60), held_out=np.arange(60, 120), labels=CLASSES)


def test_samples_are_compared_with_the_class_that_was_asked_for(monkeypatch):
    """Class 0 is drawn as it should be, class 1 as class 2, class 2 not at all: by hand, class by class. A class with
    fewer than ten samples is left out."""
    world = shades(monkeypatch)
    labels = np.repeat([0, 1, 2], [30, 15, 9])
    drawn = np.concatenate([SHADES[60::3], SHADES[60:90:3], SHADES[62:107:3], -SHADES[:9]])
    seen = realism.realistic_class(drawn, labels, None, world)

    def shares(x, real):
        x, real = (y.reshape(len(y), 4) / np.linalg.norm(y, axis=3)[:, 0] for y in (x, real))
        return distances.precision_recall(x, real)[0], distances.density_coverage(x, real)[1]

    table = []
    for number, count in ((0, 20), (1, 15)):
        train, held = (np.flatnonzero(CLASSES[part] == number) + part.start for part in (slice(0, 60), slice(60, 120)))
        other = np.flatnonzero(CLASSES[60:] != number) + 60
        some = np.linspace(0, 19, count).round().astype(int)
        asked = drawn[labels == number][:count]
        near = SHADES[train][np.square(asked[:, None] - SHADES[train][None]).sum((2, 3, 4)).argmin(1)]
        mean = np.repeat(SHADES[train].mean(0, keepdims=True), 10, 0)
        away = SHADES[other[np.linspace(0, 39, count).round().astype(int)]]
        sets = (asked, SHADES[held][some], near, mean, away)
        table.append([count * np.array(shares(x, SHADES[train][some])) for x in sets])
    samples, *others = np.sum(table, 0) / 35
    assert seen.count == 35 and (seen.realistic.value, seen.covered.value) == pytest.approx(tuple(samples))
    for name, pair in zip(("held_out", "copies", "class_mean", "another_class"), others, strict=True):
        assert getattr(seen, name) == pytest.approx(tuple(pair)), name
    assert table[0][0][0] > 15 and table[1][0][0] == 0 and seen.another_class.realistic < 0.1
    assert seen.class_mean.realistic == 1 and seen.class_mean.covered < 0.9 * seen.held_out.covered
    assert "another class" not in seen.winners and seen.as_dict()["winners"] == seen.winners


def test_other_classes_are_all_the_others(monkeypatch):
    """Also where a data set's held-out images lie in the order of their classes: half of those beside class 0 are 1."""
    order = np.argsort(CLASSES[60:], kind="stable") + 60
    world, sets = shades(monkeypatch), []
    world.held_out = order
    monkeypatch.setattr(realism, "prepared", lambda dataset, rows: sets.append(np.asarray(rows)) or SHADES[rows])
    realism.realistic_class(SHADES[60::3], np.zeros(20, int), None, world)
    others = next(rows for rows in sets if set(CLASSES[rows]) - {0})
    assert np.bincount(CLASSES[others], minlength=3).tolist() == [0, 10, 10]


def test_the_mean_of_a_class_and_another_class_are_no_better_than_themselves(monkeypatch):
    """What was asked for beats both; each null model in its place loses to itself, by the figure that tells it."""
    world, held = shades(monkeypatch), CLASSES[60:]
    right = realism.realistic_class(SHADES[60:], held, None, world)
    assert right.realistic.value == pytest.approx(right.held_out.realistic) and not right.winners
    assert "red" not in right.line()
    means = np.stack([SHADES[:60][CLASSES[:60] == number].mean(0) for number in held])
    seen = realism.realistic_class(means, held, None, world)
    assert (
        seen.realistic.value == 1 and seen.winners == ["class mean"] and "red: no better than class mean" in seen.line()
    )
    wrong = realism.realistic_class(SHADES[60:], (held + 1) % 3, None, world)
    assert wrong.realistic.value < 0.1 and wrong.winners == ["class mean", "another class"]


def test_classes_of_few_images_have_no_realism(monkeypatch):
    world = shades(monkeypatch)
    assert realism.realistic_class(SHADES[:27], CLASSES[:27], None, world) is None
    with pytest.raises(ValueError, match="2 images have 3 labels"):
        realism.realistic_class(SHADES[:2], CLASSES[:3], None, world)


def test_gradient_energy_of_a_ramp_and_of_a_checkerboard():
    ramp = np.broadcast_to(np.arange(6) * 0.5, (2, 1, 6, 6))
    board = (np.indices((6, 6)).sum(0) % 2 * 2.0 - 1)[None, None]
    assert realism.gradient_energy(ramp) == pytest.approx(0.5**2 / 2)
    assert realism.gradient_energy(board) == pytest.approx(4.0)
    assert realism.gradient_energy(np.ones((1, 1, 4, 4))) == 0


def test_the_kernel_test_s_value_is_the_unbiased_mmd():
    a, b = RNG.standard_normal((7, 2)), RNG.standard_normal((9, 2)) + 1
    rows = np.concatenate([a, b])
    squares = np.square(rows[:, None] - rows).sum(2)
    kernel = np.exp(-squares / np.median(squares[np.triu_indices(16, 1)]))
    aa, bb, ab = kernel[:7, :7], kernel[7:, 7:], kernel[:7, 7:]
    expected = (aa.sum() - 7) / 42 + (bb.sum() - 9) / 72 - 2 * ab.mean()
    value, p = reconstructions.permutation_test(a, b, Generator(1, 2), rounds=99)
    assert value == pytest.approx(expected) and 0.01 <= p <= 1


def test_the_kernel_test_keeps_its_level_and_has_power():
    """Equal distributions are called different in about 5 %, by p values that are spread evenly; a shift of 0.4 and a
    spread of 1.5 are noticed."""
    random, ps = Generator(5, 6), []
    for _ in range(60):
        a, b = RNG.standard_normal((2, 25, 3))
        ps.append(reconstructions.permutation_test(a, b, random, rounds=39)[1])
    assert np.mean(np.array(ps) <= 0.05) <= 0.15 and 0.35 < np.mean(ps) < 0.65
    a, b = RNG.standard_normal((2, 150, 3))
    assert reconstructions.permutation_test(a + 0.4, b, random, rounds=99)[1] == 0.01
    assert reconstructions.permutation_test(1.5 * a, b, random, rounds=99)[1] == 0.01
    test = reconstructions.prior_test(RNG.standard_normal((150, 8)), random, rounds=99)
    assert test.p > 0.02 and test.shifted == 0.01 and test.samples == 150
    assert reconstructions.prior_test(RNG.standard_normal((150, 8)) + 0.5, random, rounds=99).p == 0.01


@pytest.mark.parametrize(
    ("a", "b", "told"),
    [
        (np.zeros((3, 2)), np.zeros((5, 2)), r"at least 4 rows of one width, got \(3, 2\), \(5, 2\)"),
        (np.zeros((5, 2)), np.zeros((5, 3)), "one width"),
        (np.full((5, 2), np.nan), np.zeros((5, 2)), "not finite"),
    ],
)
def test_bad_codes_are_named(a, b, told):
    with pytest.raises(ValueError, match=told):
        reconstructions.permutation_test(a, b, Generator(1, 2))
