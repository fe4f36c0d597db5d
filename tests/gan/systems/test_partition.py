"""The partition of unlabelled images that starts InfoGAN's category, and the step before the first that teaches it."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from minigan import data
from minigan.backend import Generator
from minigan.gan.metrics.classifier import prepared
from minigan.gan.systems import infogan, options_for, trainer_for
from minigan.gan.systems.infogan import matching
from minigan.gan.systems.partition import leading, partition, upright

SMALL = {"batch_size": 16, "base": 4, "latent": 8, "settle": 3}


@pytest.mark.parametrize("parts", [1, 2, 6])
def test_leading_eigenvectors(parts):
    """NumPy's of a graph of one, two and six components: orthonormal, with the largest eigenvalues."""
    random = np.random.default_rng(parts)
    part = np.arange(60) % parts
    graph = (random.uniform(size=(60, 60)) < 0.3) * (part[:, None] == part) + np.eye(60)
    graph = graph + graph.T
    found = leading(csr_matrix(graph), 4, random.uniform(-1, 1, 60))
    degree = graph.sum(1)
    scaled = graph / np.sqrt(degree[:, None] * degree)
    assert found.T @ found == pytest.approx(np.eye(4), abs=1e-8)
    values = np.sort(np.linalg.eigvalsh(scaled))[::-1][:4]
    assert np.sort(np.diag(found.T @ scaled @ found))[::-1] == pytest.approx(values, abs=1e-8)


@pytest.fixture(scope="module")
def few():
    """Digits with 300 training images."""
    digits = data.load("digits")
    rest = np.sort(np.concatenate([digits.held_out, digits.train[300:]]))
    return replace(digits, train=digits.train[:300], held_out=rest)


def table(label: np.ndarray, true: np.ndarray) -> np.ndarray:
    counts = np.zeros((label.max() + 1, true.max() + 1), np.int64)
    np.add.at(counts, (label, true), 1)
    return counts


def test_an_upright_bar():
    """A bar that leans and is off the middle comes out centred and not slanted, whatever its colour; a blank stays."""
    y, x = np.mgrid[:32, :32]
    bars = [np.exp(-((x - 12 - slope * (y - 18)) ** 2) / 4) * (abs(y - 18) < 9) for slope in (-0.5, 0.0, 0.4)]
    for sign in (1, -1):
        images = np.stack([*(sign * (2 * bar - 1) for bar in bars), np.ones((32, 32))])[:, None].astype(np.float32)
        found = upright(images)
        assert found.shape == images.shape and found.dtype == np.float32 and (found[-1] == 1).all()
        for image in found[:-1, 0]:
            mass = (sign * image + 1).astype(np.float64) / 2
            dx, dy = x - 15.5, y - 15.5
            assert abs((mass * dx).sum() / mass.sum()) < 0.2 and abs((mass * dy).sum() / mass.sum()) < 0.2
            assert abs((mass * dx * dy).sum() / (mass * dy * dy).sum()) < 0.02


def test_clear_sets_are_found():
    """Noisy copies of five patterns, of uneven numbers: the very partition, its entropy, the same again."""
    random = np.random.default_rng(0)
    true = np.repeat(np.arange(5), (40, 60, 50, 30, 70))
    images = random.uniform(-1, 1, (5, 1, 16, 16))[true] + 0.1 * random.standard_normal((250, 1, 16, 16))
    label, told = partition(images.astype(np.float32), 5, Generator(0, 9))
    assert matching(table(label, true)) == 1
    shares = np.bincount(true) / len(true)
    assert told == pytest.approx(-(shares * np.log(shares)).sum(), abs=0.01)
    # The five are components of the graph: one eigenvalue five times over.
    again, _ = partition(images.astype(np.float32), 5, Generator(0, 9))
    assert (again == label).all()
    with pytest.raises(ValueError, match="cannot part 250 images into 250 sets"):
        partition(images, 250, Generator(0, 9))


def test_it_is_taught_once_before_the_first_step(few, monkeypatch):
    """Not when made, sampled from or restored; the same seed gives the same, and a resumed run is the uninterrupted."""
    calls = []
    monkeypatch.setattr(infogan, "partition", lambda *a: calls.append(1) or partition(*a))
    one, other = (trainer_for(options_for("infogan", **SMALL), few) for _ in range(2))
    one.draw(4, Generator(0, 1))
    assert not calls
    figures = [one.step(), one.step()]
    assert len(calls) == 1
    assert other.step() == figures[0] and len(calls) == 2
    resumed = trainer_for(options_for("infogan", **SMALL), few)
    resumed.restore(*other.state())
    assert resumed.step() == figures[1] and len(calls) == 2
    expected, found = one.state(), resumed.state()
    assert expected[1] == found[1] and all((expected[0][k] == found[0][k]).all() for k in expected[0])


def test_captured_teaching_is_plain_teaching(few):
    """Replayed or op by op, the same weights, in float64 to its rounding."""
    one, other = (trainer_for(options_for("infogan", **SMALL, capture=c), few).double() for c in (True, False))
    one.begin()
    other.begin()
    found = other.state()[0]
    assert all(found[name] == pytest.approx(array, abs=1e-9) for name, array in one.state()[0].items())


def test_it_teaches_q_alone(few):
    """G, the score and the optimisers are as they were; Q names the partition's sets."""
    t = trainer_for(options_for("infogan", **(SMALL | {"settle": 60, "batch_size": 32, "base": 8})), few)
    before = t.state()
    t.begin()
    after = t.state()
    changed = {name for name in before[0] if (before[0][name] != after[0][name]).any()}
    assert changed and all(name.startswith("critic.") and ".score." not in name for name in changed)
    assert before[1]["optimisers"] == after[1]["optimisers"]
    label, _ = partition(t.real_images(few.train), 10, Generator(0, t.streams["pairs"]))
    named = t.read(t.real_images(few.train))[0].argmax(1)
    assert (named == label).mean() > 0.6


@pytest.mark.parametrize("changes", [{"settle": 0}, {"real_weight": 0.0}])
def test_it_can_be_left_out(changes, few, monkeypatch):
    monkeypatch.setattr(infogan, "partition", lambda *a: pytest.fail("it was made"))
    small = {name: value for name, value in SMALL.items() if name != "settle"}
    assert math.isfinite(trainer_for(options_for("infogan", **small, **changes), few).step()["d_loss"])


def test_an_idle_settle():
    with pytest.raises(ValueError, match="option 'settle' means nothing here: real_weight is 0"):
        options_for("infogan", settle=5, real_weight=0.0)


@pytest.mark.parametrize(
    ("name", "idle", "changes"),
    [
        ("infogan", "neighbours", {"real_weight": 0.0, "neighbours": 5}),
        ("infogan", "continuous_weight", {"continuous": 0, "continuous_weight": 3.0}),
        ("infogan", "ramp", {"category_weight": 0.0, "continuous": 0, "ramp": 2}),
        ("infogan", "ramp", {"category_weight": 0.0, "continuous_weight": 0.0, "ramp": 2}),
        ("cyclegan", "identity_weight", {"cycle_weight": 0.0, "identity_weight": 2.0}),
        ("vqgan", "adversarial", {"weight": 0.0, "adversarial": "fixed"}),
    ],
)
def test_options_without_effect_are_refused(name, idle, changes):
    with pytest.raises(ValueError, match=f"option '{idle}' means nothing here"):
        options_for(name, **changes)
    assert options_for(name, **{idle: changes[idle]})


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_digits_fall_into_their_classes(seed, record_property):
    """All 9000 training digits: at least 95 % of them in sets of their own, one to one, for any start."""
    digits = data.load("digits")
    label, told = partition(prepared(digits, digits.train, 32), 10, Generator(seed, 9))
    share = matching(table(label, digits.labels[digits.train]))
    record_property("one to one", share)
    assert share > 0.95 and told > 2.0
