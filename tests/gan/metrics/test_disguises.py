"""Training images in disguise are found, whatever they wear; images of their own are not."""

from unittest.mock import patch

import numpy as np
import pytest

from minigan.gan.metrics import disguises, null_models
from minigan.gan.metrics.disguises import disguised


def drawn(count: int, seed: int, channels: int = 1, side: int = 16) -> np.ndarray:
    """Images of a few strokes, each of its own places and levels."""
    random, images = np.random.default_rng(seed), []
    y, x = np.mgrid[:side, :side]
    for _ in range(count * channels):
        image = np.full((side, side), -1.0)
        for _ in range(4):
            top, left, tall, wide = *random.integers(0, side - 4, 2), *random.integers(2, 8, 2)
            image[(y >= top) & (y < top + tall) & (x >= left) & (x < left + wide)] += random.uniform(0.5, 1.5)
        images.append(np.clip(image, -1, 1))
    return np.reshape(images, (count, channels, side, side)).astype(np.float32)


TRAIN, OTHERS = drawn(60, 0), drawn(40, 1)
SOME = TRAIN[5:45]


def moved(images: np.ndarray, down: int, right: int) -> np.ndarray:
    """The border repeated, as where the drawing goes on."""
    side, padded = images.shape[-1], np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
    return padded[:, :, 1 + down : 1 + down + side, 1 + right : 1 + right + side]


def test_images_of_their_own_are_no_copies():
    assert disguised(OTHERS, TRAIN).mean() <= 0.05
    assert disguised(moved(OTHERS, 1, 0), TRAIN).mean() <= 0.05
    soft = (moved(OTHERS, 1, 0) + moved(OTHERS, -1, 0) + moved(OTHERS, 0, 1) + moved(OTHERS, 0, -1)) / 4
    assert disguised(soft, TRAIN).mean() <= 0.05, "blur is no copy"
    assert not disguised(np.zeros((3, 1, 16, 16)), TRAIN).any(), "a flat image has no shape to be copied"
    assert not disguised(OTHERS, np.zeros((5, 1, 16, 16))).any()


@pytest.mark.parametrize("down", [-1, 0, 1])
@pytest.mark.parametrize("right", [-1, 0, 1])
@pytest.mark.parametrize("mirror", [False, True])
def test_moved_and_mirrored_copies_are_found(down, right, mirror):
    copies = SOME[..., ::-1] if mirror else SOME
    assert disguised(moved(copies, down, right), TRAIN).mean() >= 0.9


@pytest.mark.parametrize("change", [lambda x: 0.5 * x, lambda x: 0.5 * x + 0.4, lambda x: x / 255 + 3])
def test_brightness_and_contrast_hide_no_copy(change):
    assert disguised(change(SOME), TRAIN).all()


def test_a_turned_or_inverted_image_is_another():
    """What the docstring does not name is not claimed: -x is no contrast that a camera gives."""
    assert disguised(SOME.swapaxes(2, 3), TRAIN).mean() <= 0.05
    assert disguised(-SOME, TRAIN).mean() <= 0.05


@pytest.mark.parametrize("share", [0.5, 0.4])
def test_blends_of_two_are_found(share):
    assert disguised(share * SOME + (1 - share) * TRAIN[15:55], TRAIN).mean() >= 0.9
    assert disguised(share * SOME + (1 - share) * OTHERS, TRAIN).mean() <= 0.1, "half of it is new"


def test_the_ratio_is_of_the_nearest_two():
    """corr^2 of 0.96 and 0.84 leave 0.2 and 0.4: exactly half, so not below it."""
    left = [np.sqrt(1 - x**2) for x in (0.201, 0.4)], [np.sqrt(1 - x**2) for x in (0.199, 0.4)]
    assert [disguises._is_one(np.array([[0.1, *x], [0.3, 0.2, 0.1]])) for x in left] == [False, True]
    assert not disguises._is_one(np.array([[-0.99, 0.3, 0.2]])), "an inverted image is no copy"


def test_a_blend_is_fitted_exactly():
    """Against NumPy's least squares, pair by pair."""
    random = np.random.default_rng(3)
    x, candidates = random.standard_normal(12), random.standard_normal((7, 12))
    x, candidates = x / np.linalg.norm(x), candidates / np.linalg.norm(candidates, axis=1, keepdims=True)
    fits = [np.linalg.lstsq(candidates[[i, j]].T, x, rcond=None)[:2] for i in range(7) for j in range(i)]
    fits = [np.sqrt(rest[0]) for weights, rest in fits if (weights > 0).all()]
    single = np.sqrt(1 - (candidates @ x).max() ** 2)
    for share in (0.99, 1.01):
        with patch.object(disguises, "TWICE", share * min(fits) / single):
            assert disguises._is_blend(x, candidates) == (share > 1)


def test_twins_in_the_training_set_hide_nothing():
    """A copy of one of two equal images is as near to both; a pair of twins explains no more than one of them."""
    twins = np.concatenate([TRAIN, TRAIN])
    assert disguised(SOME, twins).all()
    assert disguised(OTHERS, twins).mean() <= 0.05


def test_colours_count_together_and_a_few_training_images_do():
    train, others = drawn(3, 2, 3), drawn(4, 5, 3)
    assert disguised(moved(train, 0, 1), train).all() and disguised(others, train).mean() <= 0.25


@pytest.mark.parametrize(
    ("images", "train", "match"),
    [
        (OTHERS[:, :, :12], TRAIN, r"needs images \(N, C, S, S\)"),
        (np.repeat(OTHERS, 3, 1), TRAIN, r"got \(40, 3, 16, 16\) and \(60, 1, 16, 16\)"),
        (OTHERS[:, :, :6, :6], TRAIN[:, :, :6, :6], "multiple of 4"),
        (OTHERS, TRAIN[:2], "three training images"),
        (OTHERS + np.nan, TRAIN, "not finite"),
        (OTHERS, TRAIN * np.inf, "not finite"),
    ],
)
def test_what_cannot_be_compared_is_said(images, train, match):
    with pytest.raises(ValueError, match=match):
        disguised(images, train)


def test_the_null_models_are_what_they_say():
    random = np.random.default_rng(0)
    pads = {
        moved(x[None], down, right).tobytes()
        for x in TRAIN
        for down in (-1, 0, 1)
        for right in (-1, 0, 1)
        if (down, right) != (0, 0)
    }
    copies = null_models.moved(TRAIN, 300, random)
    assert copies.shape == (300, 1, 16, 16) and all(x.tobytes() in pads for x in copies)
    assert len({x.tobytes() for x in copies}) > 200, "in every direction"
    levels = np.array([0.0, 1.0, 10.0])[:, None, None, None] * np.ones((1, 1, 4, 4))
    assert set(null_models.blends(levels, 200, random)[:, 0, 0, 0]) == {0.0, 0.5, 1.0, 5.0, 5.5, 10.0}
