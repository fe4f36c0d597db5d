"""Ascent ends where calculus says, chains are distributed as their equation says, and bad scores are named."""

from types import SimpleNamespace

import numpy as np
import pytest
from latent_worlds import drawn, world

import minigan as mg
from minigan.autograd import Tensor
from minigan.backend import Generator
from minigan.gan.latents import Space, ascend, chain, denoiser, random_search, space_of, target
from minigan.gan.latents import ascent as module
from minigan.gan.latents.search import study as search_study

LINE = Space(lambda z: z.reshape(-1, 1, 1, 1), 1)


def pixels(images):
    """The numbers of z behind images (N, 1, 1, d)."""
    return images.reshape(images.shape[0], -1)


def flat(latent, law="normal"):
    return Space(lambda z: z.reshape(-1, 1, 1, z.shape[1]), latent, law)


@pytest.mark.parametrize(("d", "slope", "weight", "far"), [(6, 2.0, 1.0, 3.0), (2, 1.0, 0.5, 1.0), (9, 1.0, 0.2, 4.0)])
def test_a_quadratic_score_and_the_prior_have_a_closed_fixed_point(d, slope, weight, far):
    """S = -a/2 |x - c|^2 and w ln p(|z|): along c, (a + w) r^2 - a |c| r - w (d - 1) = 0, its positive root."""
    c = np.zeros(d)
    c[0] = far
    start = c + 0.3 * np.random.default_rng(d).standard_normal((2, d))
    end = ascend(flat(d), start, lambda x: -slope / 2 * mg.sum(mg.square(pixels(x) - Tensor(c)), 1), 250, 0.05, weight)
    total = slope + weight
    r = (slope * far + np.sqrt((slope * far) ** 2 + 4 * total * weight * (d - 1))) / (2 * total)
    np.testing.assert_allclose(end, np.tile(r * c / far, (2, 1)), atol=0.02)


def test_the_prior_alone_keeps_the_length_of_normal_latents():
    """Without a score |z| goes to sqrt(d - 1), whatever it was."""
    start = np.random.default_rng(0).standard_normal((3, 50)) * np.array([[0.5], [1], [2]])
    end = ascend(flat(50), start, lambda x: 0 * mg.sum(pixels(x), 1), 300, 0.05)
    np.testing.assert_allclose(np.linalg.norm(end, axis=1), 7, rtol=0.01)


@pytest.mark.parametrize("law", ["uniform", "spherical"])
def test_latents_stay_where_their_law_is(law):
    """Towards +infinity: uniform ones end at 1, spherical ones on the sphere, in the direction of the score."""
    start = np.random.default_rng(1).random((2, 4))
    end = ascend(flat(4, law), start, lambda x: mg.sum(pixels(x), 1), 60, 0.1)
    np.testing.assert_allclose(end, 1, atol=0.05)
    if law == "spherical":
        np.testing.assert_allclose(np.linalg.norm(end, axis=1), 2, rtol=1e-9)


def test_codes_stay_and_rows_do_not_mix():
    """Of inputs (z, code) the codes come back as they were, also from random search; a row ends where it does alone."""
    space = Space(lambda x: x.reshape(-1, 1, 1, 3), 2)
    inputs = np.array([[0.5, 0, 1], [1, 1, 2.0]])

    def score(x):
        return pixels(x)[:, 0] * pixels(x)[:, 2]  # up for both, faster for the second

    both = ascend(space, inputs, score, 20)
    assert (both[:, 2] == inputs[:, 2]).all() and (both[:, 0] > inputs[:, 0]).all()
    np.testing.assert_allclose(ascend(space, inputs[:1], score, 20)[0], both[0], rtol=1e-9)
    best = random_search(space, inputs, score, lambda n: np.arange(3.0 * n).reshape(n, 3), 1)
    np.testing.assert_array_equal(best, [[0, 1, 1], [3, 4, 2]])


def test_random_search_keeps_the_best_of_all_draws():
    draws = iter([np.array([[1.0], [5]]), np.array([[3.0], [4]]), np.array([[2.0], [9]])])
    best = random_search(LINE, np.array([[7.0], [7]]), lambda x: pixels(x)[:, 0], lambda n: next(draws), 3)
    np.testing.assert_array_equal(best, [[3], [9]])


@pytest.mark.parametrize(
    ("score", "told"),
    [
        (lambda x: mg.mean(x), r"one number an image, \(2,\), got \(\)"),
        (lambda x: x.data.mean((1, 2, 3)), "must be a tensor"),
        (lambda x: pixels(x.detach())[:, 0], "no gradient to the images"),
        (lambda x: Tensor(np.ones(2)), "no gradient to the images"),
        (lambda x: pixels(x)[:, 0] / 0, "not a finite number"),
    ],
)
def test_a_score_that_does_not_fit_is_named(score, told):
    with pytest.raises((ValueError, TypeError), match=told), np.errstate(all="ignore"):
        ascend(LINE, np.ones((2, 1)), score, 1)


@pytest.mark.parametrize("asked", [0.0, 2.0])
def test_chains_are_distributed_as_their_equation_says(asked):
    """Prior N(0, 1) by its exact denoiser, ln C = -asked (z - 3)^2 / 2. A step is z' = q z + b + sqrt(step) n with
    q = 1 - step / 2 (1 / (1 + sigma^2) + asked), b = step / 2 * 3 asked: mean b / (1 - q), variance
    step / (1 - q^2)."""
    sigma, step = 0.3, 0.1
    z = np.zeros((4000, 1))

    def score(x):
        return -asked / 2 * mg.square(pixels(x)[:, 0] - 3)

    end = chain(LINE, z, score, lambda z: z / (1 + sigma**2), Generator(3, 1), 60, sigma, step)[:, 0]
    q = 1 - step / 2 * (1 / (1 + sigma**2) + asked)
    mean, variance = step / 2 * 3 * asked / (1 - q), step / (1 - q**2)
    left = q**60  # what is left of the start
    assert abs(end.mean() - mean * (1 - left)) < 0.06 and abs(end.var() - variance * (1 - left**2)) < 0.06


def test_chains_visit_both_modes_and_ascent_does_not():
    """C has two peaks, at -2 and 2; all begin at 2. In the end half the chains are at each, and no ascent has moved."""

    def score(x):
        z = pixels(x)[:, 0]
        return mg.log(mg.exp(-mg.square(z - 2)) + mg.exp(-mg.square(z + 2)) + 1e-4)

    z = np.full((600, 1), 2.0)
    end = chain(LINE, z, score, lambda z: z / 1.09, Generator(2, 1), 300, step=0.2)
    assert 0.4 < (end < 0).mean() < 0.6
    assert (ascend(LINE, z[:4], score, 100) > 0.5).all()


def test_the_unit_of_a_latent_scales_its_chain():
    """A latent of deviation 10, with width 10 and its own denoiser, walks as one of deviation 1, ten times as far."""
    ends = [
        chain(LINE, np.zeros((50, 1)), lambda x: 0 * pixels(x)[:, 0], lambda z: z / 1.09, Generator(4, 1), 20, width=w)
        for w in (1.0, 10.0)
    ]
    np.testing.assert_allclose(ends[1], 10 * ends[0], rtol=1e-6)


def test_the_denoiser_learns_the_shrink_of_a_normal_law():
    """The best guess of z from z + sigma eps, both normal, is (z + sigma eps) / (1 + sigma^2)."""
    random = Generator(0, 1)
    model = denoiser(lambda n: random.normal((n, 2)), 0.7, random, steps=200)
    z = np.array([[1.0, -0.5], [-1.5, 1], [0, 0.3]], np.float32)
    np.testing.assert_allclose(model(Tensor(z)).data, z / 1.49, atol=0.15)


def test_the_space_of_a_system():
    """The law of its option, how many latents it has; one that translates images has none."""
    t, _ = world("lsgan", 3, latents="uniform")
    assert (space_of(t).latent, space_of(t).law) == (3, "uniform")
    with pytest.raises(ValueError, match="cyclegan has no latents"):
        space_of(SimpleNamespace(options=SimpleNamespace(system="cyclegan")))


def test_a_study_climbs_beyond_random_search_and_the_start():
    """Towards a hat and no smile on images that are latents: reached by all, and the rows are in that order."""
    t, signs = world()
    rows = module.study(t, target(["hat=yes", "smile=no"], t, signs), count=20, steps=40, rate=0.1).rows
    ours, null, start = (rows[name] for name in ("ascent", "random search", "any draws"))
    assert ours.reached.value == 1 and start.reached.value < 0.6 and ours.precision is None
    assert ours.score.value > start.score.value and null.score.value > start.score.value
    assert abs(ours.length - np.sqrt(2 / 3)) < 0.4


def test_a_search_covers_what_it_is_asked_for(monkeypatch):
    """Chains for a hat: more hats than without the condition; every row of as many images; too few visits are named."""
    monkeypatch.setattr("minigan.gan.latents.search.denoiser", lambda *_: lambda z: z / 1.09)
    t, signs = world()
    aim = target(["hat=yes"], t, signs)
    study = search_study(t, aim, chains=6, steps=60, every=4)
    shares = {name: row.reached.value for name, row in study.rows.items()}
    assert shares["chains"] > 0.8 > shares["chains, nothing asked"] > 0.2 and shares["ascent"] > 0.9
    assert {row.images for name, row in study.rows.items() if name != "real images"} == {6 * 12}
    with pytest.raises(ValueError, match="of 10 steps, every 10th after the first fifth leaves 1 images"):
        search_study(t, aim, steps=10)


def test_images_are_drawn_with_their_codes():
    space = Space(drawn, 2)
    images = space.images(Tensor(np.array([[1.0, 2]])), np.array([[9.0, 9, 5]]))
    np.testing.assert_array_equal(images.data[0, 0, 0, :4], [1, 2, 5, 0])
