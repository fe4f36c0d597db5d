"""Images that move over a page: straight on while they can, a new direction where they bounce, the same for the same
numbers."""

import numpy as np
import pytest

from minigan.data.moving import REACH, VELOCITIES, MovingLoader, clip, drawn, velocities_after

RNG = np.random.default_rng(1)
IMAGES = RNG.uniform(-1, 1, (5, 1, 8, 8)).astype(np.float32)


def number(y, x):
    return int(np.flatnonzero(((y, x) == VELOCITIES).all(1))[0])


def after(place, velocity, room=8):
    mask = velocities_after(np.array(place), np.array(number(*velocity)), room)
    return {tuple(v) for v in VELOCITIES[mask]}


def test_straight_on_while_the_next_place_is_on_the_page():
    assert after((4, 4), (2, -3)) == {(2, -3)}
    assert after((5, 3), (3, -3)) == {(3, -3)}  # the corner itself is on the page
    assert after((0, 8), (0, -1)) == {(0, -1)}


def test_a_bounce_turns_back_along_its_axis_and_draws_the_rest_anew():
    """Off the bottom: upwards by 1 to 3, across by anything that stays on the page. Off a corner: back along both."""
    assert after((7, 4), (2, 1)) == {(-y, x) for y in (1, 2, 3) for x in range(-3, 4)}
    assert after((7, 1), (2, 1)) == {(-y, x) for y in (1, 2, 3) for x in range(-1, 4)}
    assert after((8, 0), (3, -1)) == {(-y, x) for y in (1, 2, 3) for x in (1, 2, 3)}


def test_a_clip_is_what_its_places_say():
    """Every step is by a velocity that can follow the one before; frames show the images at their places."""
    clips = clip(IMAGES, 40, 6, seed=3, step=2, objects=2)
    assert clips.frames.shape == (40, 6, 1, 16, 16) and clips.places.shape == (40, 6, 2, 2)
    assert clips.places.min() >= 0 and clips.places.max() <= 8
    for t in range(1, 6):
        steps = clips.places[:, t] - clips.places[:, t - 1]
        assert np.array_equal(steps, VELOCITIES[clips.velocities[:, t]])
        possible = velocities_after(clips.places[:, t - 1], clips.velocities[:, t - 1], 8)
        assert np.take_along_axis(possible, clips.velocities[:, t, :, None], -1).all()
    page = np.full((16, 16), 0.0)
    for k in range(2):
        y, x = clips.places[7, 3, k]
        page[y : y + 8, x : x + 8] += IMAGES[clips.index[7, k], 0] + 1
    np.testing.assert_allclose(clips.frames[7, 3, 0], np.clip(page - 1, -1, 1), atol=1e-6)


def test_every_bounce_and_every_image_comes():
    """All 49 velocities but standing still at first; all places, images and, at a bounce, all directions."""
    clips = clip(IMAGES, 3000, 2, seed=0, step=0)
    assert set(clips.index.ravel()) == set(range(5))
    assert set(clips.velocities[:, 0].ravel()) == set(range(49)) - {24}
    assert set(clips.places[:, 0].ravel()) == set(range(9))
    here = np.array([[[7, 4]]]).repeat(2000, 0), np.full((2000, 1), number(2, 1))
    wanted = np.linspace(0, 1, 2000, endpoint=False)
    possible = velocities_after(*here, 8)
    chosen = (possible.cumsum(-1) > (wanted[:, None] * possible.sum(-1)).astype(int)[..., None]).argmax(-1)
    assert len(set(chosen.ravel())) == 21


def test_a_batch_is_of_its_step_alone():
    """Whatever was asked before; other seeds and steps give others; a loader goes on where it stood."""
    loader = MovingLoader(IMAGES, 4, seed=7)
    first, second = next(loader), next(loader)
    assert np.array_equal(first.frames, loader.batch(0).frames) and not np.array_equal(first.frames, second.frames)
    other = MovingLoader(IMAGES, 4, seed=7)
    other.load_state_dict(loader.state_dict())
    assert np.array_equal(next(other).frames, loader.batch(2).frames)
    assert not np.array_equal(MovingLoader(IMAGES, 4, seed=8).batch(0).frames, first.frames)
    with pytest.raises(ValueError, match="the saved loader had seed 7, this one has 8"):
        MovingLoader(IMAGES, 4, seed=8).load_state_dict(loader.state_dict())


def test_the_background_is_kept():
    page = drawn(1 + 0 * IMAGES[:1], np.zeros((1, 1), int), np.array([[[[2, 3]]]]), background=1.0)
    assert np.array_equal(page, np.ones((1, 1, 1, 16, 16), np.float32))
    with pytest.raises(ValueError, match="images of 3 pixels on a page of 6 have no room to move 3 a frame"):
        clip(IMAGES[:, :, :REACH, :REACH], 1, 3, 0, 0)
