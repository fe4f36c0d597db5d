"""What can be asked for: conditions by name, a user's own functions, and what is said of others."""

import numpy as np
import pytest
from latent_worlds import Signs, world
from worlds import FACES, WORLD

import minigan as mg
from minigan import data
from minigan.autograd import Tensor, grad
from minigan.gan.latents import Reader, Scale, target
from minigan.gan.latents.standing import FEWEST, Row, length_of, spread
from minigan.gan.latents.targets import fitted
from minigan.gan.metrics import attributes, classifier
from minigan.gan.metrics.distances import Interval


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A file of a user's functions, in the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        "import minigan as mg\n"
        "def bright(x): return x.mean((1, 2, 3))\n"
        "def whole(x): return x.mean()\n"
        "def cut(x): return x.detach().mean((1, 2, 3))\n"
        "def array(x): return x.data.mean((1, 2, 3))\n"
        "def falls(x): return x.nothing\n"
    )
    return tmp_path / "mine.py"


def test_conditions_are_summed_and_met_together():
    """ln p of a hat and of no smile; images meet the target where both are so; rows of the data set likewise."""
    t, signs = world()
    aim = target(["hat=yes", "smile=no"], t, signs)
    images = np.zeros((4, 1, 8, 8))
    images[:, 0, 0, 0], images[:, 0, 0, 1] = (1, 1, -1, -1), (1, -1, 1, -1)
    p = 1 / (1 + np.exp(-4.0))
    np.testing.assert_allclose(aim.values(images), np.log([p * (1 - p), p * p, (1 - p) ** 2, p * (1 - p)]))
    assert aim.reached(images).tolist() == [False, True, False, False]
    assert aim.rows(np.arange(12)).tolist() == [1, 5, 9]


def test_own_functions_count_as_scores(own):
    """They are added to the conditions; alone they are reached by nobody, and every image is real for them."""
    t, signs = world()
    images = np.full((3, 1, 8, 8), 0.25)
    both, alone = target(["hat=yes", "mine.py:bright"], t, signs), target([f"{own}:bright"], t, signs)
    np.testing.assert_allclose(alone.values(images), 0.25)
    np.testing.assert_allclose(both.values(images), 0.25 + np.log(1 / (1 + np.exp(-1))))
    assert alone.reached(images) is None and len(alone.rows(FACES.held_out)) == 6


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        ((), "say what to ask for"),
        (("hut=yes",), "unknown attribute of 'world' 'hut'; did you mean 'hat'|unknown attribute of 'faces' 'hut'"),
        (("hat=maybe",), "unknown value of hat 'maybe'"),
        (("hat",), "unknown value of hat ''"),
        (("hat=yes", "hat=no"), "hat is asked for twice"),
        (("mine.py:whole",), r"one number an image: for images \(2, 1, 8, 8\) a tensor \(2,\), got a tensor \(\)"),
        (("mine.py:array",), "got ndarray"),
        (("mine.py:cut",), "loses the gradient of its images"),
        (("mine.py:falls",), r"fails on images \(2, 1, 8, 8\): AttributeError"),
        (("mine.py:brihgt",), "has no brihgt; it has bright"),
        (("nowhere.py:bright",), "there is no file nowhere.py"),
    ],
)
def test_what_does_not_fit_is_named(texts, told, own):
    t, signs = world()
    with pytest.raises(ValueError, match=told):
        target(texts, t, signs)


def test_a_set_of_neither_classes_nor_attributes():
    from dataclasses import replace

    bare = replace(WORLD, info=replace(WORLD.info, class_names=()), labels=None)
    with pytest.raises(ValueError, match="no classes or attributes to ask for; give a function of your own"):
        Reader(bare).condition("hat=yes")


def test_the_score_of_a_condition_is_the_judge_s_probability():
    """Of digits ln p(7 | x) by the shipped judge; of avatars ln p(hat | x) + ln p(readable | x)."""
    digits = data.load("digits")
    reader, x = Reader(digits), classifier.prepared(digits, digits.held_out[:4])
    (_, p) = next(classifier.judge(reader.classes, x))
    ours = reader.log_probability(Tensor(x), [reader.condition("class=7")])
    np.testing.assert_allclose(ours.data, np.log(p[:, 7]), rtol=1e-4, atol=1e-5)
    avatars = data.load("avatars")
    reader, x = Reader(avatars), classifier.prepared(avatars, avatars.held_out[:4], 16)
    noise = np.random.default_rng(0).uniform(-1, 1, x.shape).astype(np.float32)
    x = np.concatenate([x, noise])  # of which the guard says that they are not readable
    model, seen = reader.attributes, Tensor(classifier.shrunk(x))
    logits = model(seen).data[:, attributes.groups(avatars)["hat"]].astype(np.float64)
    readable = model.guard(seen).data[:, 2].astype(np.float64)
    assert readable[4:].min() < 0
    expected = logits[:, 1] - np.logaddexp(*logits.T) - np.logaddexp(0, -readable)
    ours = reader.log_probability(Tensor(x), [reader.condition("hat=yes")])
    np.testing.assert_allclose(ours.data, expected, rtol=1e-3, atol=1e-4)
    assert (reader.read(x, ["hat"])["hat"] == attributes.judge(model, classifier.shrunk(x), avatars)[:, 2]).all()


@pytest.mark.parametrize("side", [8, 32, 64])
def test_images_are_fitted_as_the_judges_do_it(side):
    """As `classifier.shrunk`, with a gradient."""
    x = np.random.default_rng(0).standard_normal((2, 1, side, side)).astype(np.float32)
    t = Tensor(x)
    t.requires_grad = True
    np.testing.assert_allclose(fitted(t).data, classifier.shrunk(x), rtol=1e-5, atol=1e-6)
    assert grad(mg.sum(fitted(t)), [t])[0].data.sum() == pytest.approx(2 * 1024, rel=1e-5)
    if side == 8:
        with pytest.raises(ValueError, match="square images of 32 pixels"):
            fitted(Tensor(np.zeros((1, 1, 20, 20), np.float32)))


class Flat(Signs):
    """Features: the image as it is."""

    features = "the image"


def scale(monkeypatch, count=40):
    """Real images at 0, 1, 2 ... on a line of features, of which the even ones wear a hat."""
    monkeypatch.setattr("minigan.gan.latents.standing.directions", lambda x, model: x.reshape(len(x), -1)[:, :1])
    monkeypatch.setattr("minigan.gan.latents.standing.prepared", lambda d, rows, size: _line(rows))
    from dataclasses import replace

    held_out = np.arange(count)
    faces = replace(FACES, held_out=held_out, attributes=np.stack([held_out % 2, held_out * 0, held_out * 0], 1))
    t, _ = world()
    return lambda *texts: Scale(target(texts, t, Flat(faces)), 8)


def _line(rows):
    return np.asarray(rows, float)[:, None, None, None] * np.ones((1, 1, 8, 8))


def test_precision_is_among_images_that_meet_the_target(monkeypatch):
    """Sixty hats at 1, 3, 5 ...: their balls reach to the third nearest, so 118 lies in one and 140 in none; coverage
    counts the hats that an image is near. With fewer than 30 hats all images stand for them."""
    of = scale(monkeypatch, 2 * FEWEST)
    row = of("hat=yes").row(_line([5, 140]))
    assert row.precision.value == 0.5 and 3 / FEWEST <= row.coverage.value <= 6 / FEWEST
    assert row.precision.low < 0.5 < row.precision.high and row.coverage.low <= row.coverage.value
    assert "30 held-out real images of hat=yes" in of("hat=yes").line
    assert "60 held-out real images of any kind" in of("hat=yes", "smile=yes").line
    few = scale(monkeypatch, 2 * FEWEST - 2)
    assert "58 held-out real images of any kind" in few("hat=yes").line


def test_a_ball_reaches_to_the_third_nearest_and_no_further(monkeypatch):
    """Hats at 1, 3, ... 119, the ball of the last one of radius 6: 5.9 beyond it is inside, 6.1 is not."""
    row = scale(monkeypatch, 4 * FEWEST)("hat=yes")
    assert row.precision(_line([124.9])).value == 1 and row.precision(_line([125.1])).value == 0


def test_groups_have_the_coverage_of_each(monkeypatch):
    """Two groups, one near two places, one at one place: the mean of both coverages, not that of all images."""
    of = scale(monkeypatch, 2 * FEWEST)
    images = _line([9, 49, 29, 29]).reshape(2, 2, 1, 8, 8)
    each = [of("hat=yes").row(x).coverage.value for x in images]
    row = of("hat=yes").groups(images)
    assert row.coverage.value == pytest.approx(np.mean(each)) and row.images == 4 and row.precision.value == 1


def test_intervals_of_shares_stay_within_them(monkeypatch):
    """Of two groups, one of which reaches all and the other half, the interval over groups ends at 1."""
    images = _line([9, 29, 9, 140]).reshape(2, 2, 1, 8, 8)
    row = scale(monkeypatch)("hat=yes").groups(images)
    assert row.precision.value == 0.75 and row.precision.low >= 0 and row.precision.high == 1
    assert row.coverage.low >= 0


def test_a_line_has_half_the_interval_and_lengths_are_in_those_of_normal_latents():
    """A score of 1 from 0 to 2; latents (3, 3, 3, 3), of length 6 where normal ones have 2."""
    row = Row(5, Interval(1.0, 0.0, 2.0), None, None, None, length_of(np.full((2, 4), 3.0)))
    assert row.line("ours").split() == ["ours", "1.00", "+-", "1.00", "-", "-", "-", "3.00"]


def test_spread_of_one_and_of_many():
    assert tuple(spread(np.array([-3.0]))) == (-3, -3, -3)
    mean, low, high = spread(np.array([-1.0, 1.0] * 50))
    assert mean == 0 and high == -low == pytest.approx(1.96 * np.sqrt(100 / 99) / 10)
