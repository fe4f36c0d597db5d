"""Pairs of alike images: the information a clustering has of one from the other, the neighbours, the moves."""

import math

import numpy as np
import pytest

import minigan as mg
from minigan import data
from minigan.backend import Generator
from minigan.gan.metrics.classifier import prepared
from minigan.gan.systems import alike, options_for, trainer_for


def told(first, second) -> float:
    return alike.mutual_information(*(mg.tensor(np.asarray(p, np.float64)) for p in (first, second))).item()


def test_information_of_what_is_known():
    """Sure, even and alike: ln K. Sure but all one: 0. Unsure: 0. Independent: 0. Two of four confused: ln 2 less."""
    sure = np.eye(4)[np.arange(40) % 4]
    assert told(sure, sure) == pytest.approx(math.log(4), abs=1e-4)
    assert told(sure[:1].repeat(40, 0), sure[:1].repeat(40, 0)) == pytest.approx(0, abs=1e-4)
    assert told(np.full((40, 4), 0.25), np.full((40, 4), 0.25)) == pytest.approx(0, abs=1e-4)
    every = np.stack(np.meshgrid(np.arange(4), np.arange(4)), -1).reshape(-1, 2)
    assert told(np.eye(4)[every[:, 0]], np.eye(4)[every[:, 1]]) == pytest.approx(0, abs=1e-4)
    blurred = sure.copy()
    blurred[:, 2:] = blurred[:, 2:].sum(1, keepdims=True) / 2
    assert told(blurred, blurred) == pytest.approx(math.log(4) - math.log(2) / 2, abs=1e-4)


def test_information_is_the_formula_and_symmetric():
    """Against NumPy on random probabilities; the order of a pair does not matter."""
    p, q = np.random.default_rng(0).dirichlet(np.ones(5), (2, 30))
    joint = p.T @ q / 30
    joint = (joint + joint.T) / 2
    expected = (joint * np.log(joint / joint.sum(1, keepdims=True) / joint.sum(0))).sum()
    assert told(p, q) == pytest.approx(expected, abs=1e-4) and told(p, q) == pytest.approx(told(q, p), abs=1e-12)
    with pytest.raises(ValueError, match=r"one shape, got \(30, 5\) and \(30, 4\)"):
        told(p, q[:, :4])


@pytest.mark.parametrize("shape", [(1, 32), (3, 16), (1, 12)])
def test_neighbours_are_the_nearest(shape):
    """Compared with all distances, over more images than a chunk; an image is its own first neighbour, copies or
    not."""
    channels, side = shape
    images = np.random.default_rng(1).standard_normal((60, channels, side, side)).astype(np.float32)
    images[7] = images[3]
    found = alike.neighbours(images, 4, chunk=25)
    block = side // 16 if side > 16 else 1
    coarse = images.reshape(60, channels, side // block, block, side // block, block).mean((3, 5)).reshape(60, -1)
    distance = ((coarse[:, None] - coarse) ** 2).sum(2)
    nearest = np.sort(distance, 1)[:, :5]
    assert (found == np.arange(60)[:, None]).sum(1).tolist() == [1] * 60 and 7 in found[3]
    assert np.sort(np.take_along_axis(distance, found, 1), 1) == pytest.approx(nearest, abs=1e-3)
    with pytest.raises(ValueError, match="cannot find 60 others of each of 60 images"):
        alike.neighbours(images, 60)


def test_no_move_leaves_an_image(monkeypatch):
    for name in ("TURN", "SHEAR", "SCALE", "SHIFT"):
        monkeypatch.setattr(alike, name, 0.0)
    images = np.random.default_rng(2).uniform(-1, 1, (3, 2, 9, 12)).astype(np.float32)
    assert alike.moved(images, Generator(0, 1)) == pytest.approx(images, abs=1e-5)


def test_moves_are_small_maps_of_the_plane():
    """On images that are linear in x or y bilinear reading is exact, so both coordinates of every pixel's source can be
    read off: within the middle they are an affine map, no further off than the moves allow; values stay in bounds."""
    side = 32
    ramp = np.linspace(-1, 1, side, dtype=np.float32)
    images = np.stack([np.broadcast_to(ramp, (side, side)), np.broadcast_to(ramp[:, None], (side, side))])
    images = np.broadcast_to(images, (50, 2, side, side))
    found = alike.moved(images, Generator(3, 1))
    assert found.shape == images.shape and found.dtype == np.float32 and abs(found).max() <= 1 + 1e-6
    middle = found[:, :, 12:20, 12:20].astype(np.float64)
    assert abs(np.diff(middle, 2, axis=2)).max() < 1e-5 and abs(np.diff(middle, 2, axis=3)).max() < 1e-5
    shift = abs(found[:, :, 15:17, 15:17].mean((2, 3)))
    assert shift.max() < 2 * side * alike.SHIFT / (side - 1) + 1e-5 and shift.max() > 0.05
    assert len({f.tobytes() for f in found}) == 50 and (alike.moved(images, Generator(3, 1)) == found).all()


def test_feed_gives_pairs_and_shares():
    """Pairs are two moved training images; the codes' weight waits, then rises for G, a ramp later for Q."""
    dataset = data.load("digits")
    t = trainer_for(options_for("infogan", batch_size=8, base=2, ramp=10, neighbours=0), dataset)
    t.feed()
    first, second = (t.batch[name].numpy() for name in ("first", "second"))
    real = prepared(dataset, dataset.train, 32).reshape(len(dataset.train), -1)
    for a, b in zip(first, second, strict=True):  # of one image: a random other is twice as far in the mean
        assert ((a - b) ** 2).sum() < 1.5 * np.median(((real[:500] - a.reshape(-1)) ** 2).sum(1))
    seen = {}
    for t.steps_done in (0, 10, 12, 15, 20, 22, 30):
        t.anneal()
        seen[t.steps_done] = tuple(round(t.batch[name].item(), 3) for name in ("share", "share_q"))
    assert seen == {0: (0, 0), 10: (0, 0), 12: (0.4, 0), 15: (1, 0), 20: (1, 0), 22: (1, 0.4), 30: (1, 1)}


def test_neighbours_pair_other_images_too():
    """With neighbours some pairs are of two images, nearer to each other than images are."""
    dataset = data.load("digits")
    t = trainer_for(options_for("infogan", batch_size=200, base=2, neighbours=3), dataset)
    t.feed()
    assert t.alike.shape == (9000, 4) and (t.alike == np.arange(9000)[:, None]).any(1).all()
    labels = dataset.labels[dataset.train]
    assert (labels[t.alike] == labels[:, None]).mean() > 0.9


def test_the_paper_s_infogan_has_no_pairs():
    """real_weight 0 and ramp 0: no finer clusters, no pairs, the whole weight from the first step."""
    t = trainer_for(options_for("infogan", batch_size=8, base=2, real_weight=0.0, ramp=0), data.load("digits"))
    figures = t.step()
    assert "real_information" not in figures and t.critic.finer is None and "first" not in t.batch
    assert t.batch["share"].item() == t.batch["share_q"].item() == 1
    with pytest.raises(ValueError, match="made without finer clusters"):
        t.critic.clusters(t.batch["real"])
