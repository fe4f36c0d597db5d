"""Spoilt images: what is touched is unreadable and nothing else, whatever the way."""

import numpy as np
import pytest

from minigan.gan.metrics import spoilt

SIDE, COUNT = 16, 40


def faces(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Grey images, each level in the middle of its quarter, whose attribute 0 is a light top quarter and attribute 1 a
    dark left column of the lower half."""
    random = np.random.default_rng(seed)
    values = random.integers(0, 2, (COUNT, 2))
    images = np.full((COUNT, 3, SIDE, SIDE), 0.25) + random.normal(0, 0.02, (COUNT, 3, SIDE, SIDE))
    images[:, :, :4] += values[:, 0, None, None, None] * 0.5
    images[:, :, 8:, :2] -= values[:, 1, None, None, None] * 0.8
    return images.astype(np.float32), values


def test_an_attribute_sits_where_it_explains_the_pixels():
    weights = spoilt.places(*faces())
    expected = np.zeros((2, SIDE, SIDE), bool)
    expected[0, :4], expected[1, 8:, :2] = True, True
    assert np.array_equal(weights > 0, expected)
    assert weights.sum((1, 2)) == pytest.approx([1, 1])


def test_what_is_touched_is_unreadable_and_what_is_not_touched_is_readable():
    """With values that no two images share. A readable attribute's place has changed in less than a tenth; the place of
    an unreadable one has changed, but for what a patch happens to have in common with it."""
    images, values = faces()
    weights = spoilt.places(images, values)
    bad, readable = spoilt.spoil(images, np.arange(COUNT)[:, None].repeat(2, 1), weights, np.random.default_rng(1))
    assert bad.dtype == np.float32 and abs(bad).max() <= 1 and set(np.unique(readable)) == {0, 1}
    share = ((abs(bad - images).max(1) > 1e-6)[:, None] * weights).sum((2, 3))
    assert (share[readable == 1] < spoilt.TOUCHED).all()
    assert (share[readable == 0] > 0).mean() > 0.95
    assert 0.2 < readable.mean() < 0.8


def test_a_ghost_of_two_like_images_is_readable():
    """Where all images have the same values, ghosts are the one way by which a readable place changes."""
    images, values = faces()
    weights = spoilt.places(images, values)
    bad, readable = spoilt.spoil(images, np.zeros_like(values), weights, np.random.default_rng(1))
    share = ((abs(bad - images).max(1) > 1e-6)[:, None] * weights).sum((2, 3))
    assert 0.05 < (share[readable == 1] > spoilt.TOUCHED).mean() < 0.5


@pytest.mark.parametrize("fill", spoilt.FILLS)
def test_every_fill_is_another_image_of_the_same_shape(fill):
    images, _ = faces()
    filled = fill(images[0], images[1], np.random.default_rng(2))
    assert np.shape(filled) == images[0].shape and np.isfinite(filled).all()
    assert abs(filled - images[0]).max() > 0.05


def test_regions_cover_whole_rows_places_and_everything():
    """Of 300 masks some are whole rows, some everything, most are neither; none is empty."""
    weights = spoilt.places(*faces())
    random = np.random.default_rng(0)
    masks = np.stack([spoilt.region(weights, random) for _ in range(300)])
    assert set(np.unique(masks)) == {0, 1} and masks.any((1, 2)).all()
    whole, rows = masks.all((1, 2)).mean(), (masks.any(2) == masks.all(2)).all(1).mean()
    assert 0.02 < whole < 0.12 and 0.3 < rows < 0.7
