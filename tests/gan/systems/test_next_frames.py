"""What nextframe minimises, by hand; how its network moves pixels; its figures, by predictions that are known."""

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image
from spots import BACK, SPOT, clips
from worlds import WORLD, Formula, close, gradient_of, stream, trainer

import minigan as mg
from minigan.backend import Generator
from minigan.cli import main
from minigan.data.moving import VELOCITIES, clip
from minigan.functional import softplus
from minigan.gan.metrics import futures
from minigan.gan.networks.motion import NOISE, Transporter, displacements, moved
from minigan.gan.run import Run
from minigan.gan.systems import nextframe, options_for
from minigan.gan.train import STREAMS

RNG = np.random.default_rng(6)


def small(**changes):
    return trainer("nextframe", WORLD, size=16, **changes)


# The network.


def test_weights_of_one_displacement_move_the_image():
    """w = 1 at d: next(x) = last(x - d); what comes from off the page is 0."""
    image = RNG.standard_normal((1, 2, 8, 8))
    for k in (0, 10, 24, 37, 48):
        weights = np.zeros((1, 49, 8, 8))
        weights[:, k] = 1
        y, x = VELOCITIES[k]
        expected = np.zeros((8 + 6, 8 + 6, 2))
        expected[3 + y : 11 + y, 3 + x : 11 + x] = image[0].transpose(1, 2, 0)
        shifted = moved(mg.tensor(image), mg.tensor(weights), mg.tensor(displacements().astype(np.float64))).numpy()[0]
        np.testing.assert_allclose(shifted, expected[3:11, 3:11].transpose(2, 0, 1), atol=1e-12)


def test_the_next_frame_is_a_mixture_of_moved_last_frames():
    """Never brighter than the last, and of the last alone: the frame before decides where to, not what."""
    network = Transporter(1, 2, 16, 2).double()
    past, noise = mg.tensor(RNG.uniform(-1, 1, (3, 2, 16, 16))), mg.tensor(RNG.standard_normal((3, NOISE)))
    y = network(past, noise).detach().numpy()
    assert y.shape == (3, 1, 16, 16) and y.min() >= -1 and y.max() <= past.numpy()[:, 1].max()
    empty = past.numpy().copy()
    empty[:, 1] = -1
    np.testing.assert_allclose(network(mg.tensor(empty), noise).detach().numpy(), -1, atol=1e-12)
    assert not np.allclose(network(past, -noise).detach().numpy(), y)
    with pytest.raises(ValueError, match=r"frames \(N, 2, 16, 16\) and noise \(N, 4\), got \(3, 1, 16, 16\)"):
        network(past[:, :1], noise)


# The game.


def test_the_past_comes_first():
    """The batch's past are the first two frames, the older in front, and the real one the third."""
    t = small()
    t.feed()
    frames = t.loader.batch(0).frames
    np.testing.assert_allclose(t.batch["past"].numpy(), frames[:, :2, 0], atol=1e-6)
    np.testing.assert_allclose(t.batch["real"].numpy(), frames[:, 2], atol=1e-6)


@pytest.mark.parametrize("joined", [False, True])
def test_both_players_by_hand(joined):
    """D is shown the past with the next frame; G's adversarial part joins after a third of the steps."""
    t = small(adversarial=0.5)
    t.generator = Formula(lambda past, z: past[:, 1:] * 0.5 + z.mean(1).reshape(3, 1, 1, 1) * past[:, :1])
    t.critic = Formula(lambda x: x[:, 0, 5, 5] + 2 * x[:, 1, 6, 6] * x[:, 2, 7, 7] + mg.square(x[:, 2]).mean((1, 2)))
    t.steps_done = 2 if joined else 1
    t.anneal()
    t.feed()
    past, real = t.batch["past"], t.batch["real"]

    def fake(name):
        return t.generator(past, mg.randn(3, NOISE, generator=stream(t, STREAMS[name]), dtype=mg.float64))

    f = lambda frame: t.critic(mg.cat([past, frame], 1))  # noqa: E731
    close(t.critic_loss()[0], mg.mean(softplus(-f(real))) + mg.mean(softplus(f(fake("latent_d")))))
    image = fake("latent_g")
    expected = mg.mean(mg.square(image - real)) + 0.5 * joined * mg.mean(softplus(-f(image)))
    close(t.generator_loss()[0], expected)


def test_the_critic_s_step_leaves_the_generator_alone():
    t = small()
    t.feed()
    assert gradient_of(t.critic_loss()[0], t.generator) is None
    twin = small(objective="mse")
    twin.feed()
    z = mg.randn(3, NOISE, generator=stream(twin, STREAMS["latent_g"]), dtype=mg.float64)
    close(twin.generator_loss()[0], mg.mean(mg.square(twin.generator(twin.batch["past"], z) - twin.batch["real"])))
    assert twin.critic is None


def test_images_move_at_half_the_page():
    """Eight pixels on a page of 16 as they are, on one of 8 by the mean of blocks, on one of 32 repeated."""
    whole = small().images(np.arange(3))
    assert whole.shape == (3, 1, 8, 8)
    half = trainer("nextframe", WORLD, size=8).images(np.arange(3))
    np.testing.assert_allclose(half, whole.reshape(3, 1, 4, 2, 4, 2).mean((3, 5)), atol=1e-6)
    twice = trainer("nextframe", WORLD, size=32).images(np.arange(3))
    assert np.array_equal(twice[:, :, ::2, ::2], whole)


# The figures.


def scores(predicted, c):
    return futures.figures(predicted, SPOT, c, 2, BACK)


def test_where_the_future_is_certain_linear_motion_is_exact_and_copying_is_not():
    c = clips((4, 4), (2, -3))
    assert not futures.bounces(c, 2, 8).any()
    past = c.frames[:, :2]
    exact, copy = scores(futures.linear(past, BACK), c), scores(futures.copied(past, BACK), c)
    assert exact["error"] == 0 and exact["pixels"] == 0 and exact["to_mean"] == 0 and exact["sharpness"] == 1
    assert copy["pixels"] == pytest.approx(np.hypot(2, 3)) and copy["error"] > 0


def test_at_a_bounce_any_possible_future_is_right_and_their_mean_is_a_blur():
    """21 places after a bounce off the bottom. One of them: no error; their mean: 0 from the mean, and a fraction of
    the gradient energy. Linear motion leaves the page."""
    c = clips((7, 4), (2, 1))
    assert futures.bounces(c, 2, 8).all()
    frames, places = futures.futures(SPOT, c, 0, 2, BACK)
    assert len(frames) == 21 and {tuple(p[0] - (7, 4)) for p in places} == {
        (-y, x) for y in (1, 2, 3) for x in range(-3, 4)
    }
    for k in (0, 11, 20):
        one = scores(frames[[k]], c)
        assert one["error"] == 0 and one["pixels"] == 0 and one["sharpness"] == 1 and one["to_mean"] > 0
    mean = scores(frames.mean(0, keepdims=True), c)
    assert mean["to_mean"] == pytest.approx(0, abs=1e-12) and mean["sharpness"] < 0.3 and mean["error"] > 0
    past = c.frames[:, :2]
    assert scores(futures.linear(past, BACK), c)["pixels"] == pytest.approx(3, abs=0.01)
    assert scores(futures.copied(past, BACK), c)["pixels"] == pytest.approx(1)


def test_null_models_see_the_past_alone():
    """The frame to be predicted, overwritten, changes neither; the older frame changes linear motion only."""
    c = clips((4, 4), (1, 1))
    spoilt = c.frames.copy()
    spoilt[:, 2] = 0.5
    for model in futures.NULL_MODELS.values():
        assert np.array_equal(model(c.frames[:, :2], BACK), model(spoilt[:, :2], BACK))
    assert np.array_equal(futures.copied(c.frames[:, :2], BACK), c.frames[:, 1])


def test_a_smear_is_over_all_velocities():
    """A spot of four pixels on 49 places: a 49th each, the centre of mass stays; what an untrained network draws."""
    c = clips((4, 4), (1, 1))
    smear = futures.smeared(c.frames[:, :2], BACK)
    assert smear.shape == (1, 1, 16, 16) and (smear - BACK).sum() == pytest.approx((c.frames[:, 1] - BACK).sum())
    assert smear.max() == pytest.approx(BACK + 2 * 4 / 49) and (smear > BACK + 1e-6).sum() == 8 * 8
    middle = (futures.centre_of_mass(x, BACK) for x in (smear, c.frames[:, 1]))
    np.testing.assert_allclose(*middle)


def test_centres_of_mass():
    page = np.full((2, 1, 8, 8), BACK)
    page[0, 0, 2, 5] = 1
    assert np.array_equal(futures.centre_of_mass(page, BACK), [[2, 5], [3.5, 3.5]])


def test_crops_are_named_at_the_nearest_future():
    c = clips((4, 4), (2, -3), 2)
    calls = {}

    def named(crops, index):
        calls["crops"], calls["index"] = crops, index
        return 0.5

    past = c.frames[:, :2]
    seen = futures.figures(futures.linear(past, BACK), SPOT, c, 2, BACK, named)
    assert seen["identity"] == 0.5 and np.array_equal(calls["index"], [0, 0])
    np.testing.assert_allclose(calls["crops"], SPOT.repeat(2, 0))


@pytest.mark.parametrize("right", [True, False])
def test_observe_sets_predictions_beside_null_models(right, monkeypatch):
    """Of held-out images and motion of its own; the drawn future beats the null models, the last frame again does
    not."""
    t = small()
    t.split = "all"

    def predict(past, random):
        wanted = {p.tobytes(): f for p, f in zip(seen.frames[:, :2], seen.frames[:, 2], strict=True)}
        return np.stack([wanted[p.tobytes()] for p in past]) if right else past[:, -1]

    _, seen = t.clips(t.dataset.held_out, 400)
    monkeypatch.setattr(t, "predict", predict)
    figures = t.observe(400, Generator(0, 1)).figures
    assert ("copy" in figures["winners"]) == (not right) and (not right or not figures["winners"])
    assert figures["all"]["network"]["clips"] == 400
    assert figures["bounce"]["network"]["clips"] + figures["certain"]["network"]["clips"] == 400
    first = t.loader.batch(0).frames
    assert not np.array_equal(seen.frames[:3], first)


def test_few_bounces_have_no_verdict(monkeypatch):
    """Of 60 clips some 30 bounce; the same predictions of 400 clips are judged."""
    t = small()
    t.split = "all"
    monkeypatch.setattr(t, "predict", lambda past, _: past[:, -1])
    few, many = (t.observe(count, Generator(0, 1), details=True) for count in (60, 400))
    assert few.figures["winners"] is None and few.figures["bounce"]["network"]["clips"] < 100
    assert "too few for a verdict: take 100 or more of them" in few.lines[-1]
    assert many.figures["winners"] and many.lines[-1].startswith("red: no better than")


def test_a_film_goes_on_from_its_own_frames(monkeypatch):
    t = small()
    monkeypatch.setattr(t, "predict", lambda past, _: past[:, 1] * 0.5 + past[:, 0] * 0.25)
    true, own = t.film(2, 5, Generator(0, 1))
    assert true.shape == own.shape == (2, 5, 1, 16, 16)
    assert np.array_equal(own[:, :2], true[:, :2])
    for k in (2, 3, 4):
        np.testing.assert_allclose(own[:, k], 0.5 * own[:, k - 1] + 0.25 * own[:, k - 2], atol=1e-6)


def test_film_as_typed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = Run.create(options_for("nextframe", steps=0, base=1, size=16, batch_size=2, objective="mse"), "run")
    run._snapshot()
    result = CliRunner().invoke(main, ["film", "run", "-o", "f.gif", "--frames", "5", "--clips", "2", "--scale", "1"])
    assert result.exit_code == 0, result.output
    with Image.open("f.gif") as film:
        assert film.size == (2 * 18 + 2, 2 * 18 + 2) and 1 < film.n_frames <= 5
    for words, told in (
        (["film", "run", "-o", "f.png"], "f.png: an animation is written as .gif"),
        (["sample", "run"], "use minigan film RUN"),
        (["interpolate", "run"], "has no latents; see: minigan film RUN"),
        (["traverse", "run"], "has no latents; see: minigan film RUN"),
        (["upscale", "run", "f.gif"], "is a run of nextframe; upscale takes runs of srgan"),
    ):
        result = CliRunner().invoke(main, words)
        assert result.exit_code == 2 and told in " ".join(result.output.split()), (words, result.output)


def test_the_critic_has_a_say_from_a_third_of_the_steps_on_and_rates_fall_in_the_second_half():
    t, rows = small(steps=6, adversarial=0.5, lr=0.1), []
    for done in range(7):
        t.steps_done = done
        t.anneal()
        rows.append((t.batch["weight"].item(), *(p.optimiser.param_groups[0]["lr"] for p in t.players.values())))
    assert [row[0] for row in rows] == [0, 0, 0.5, 0.5, 0.5, 0.5, 0.5]
    falling = 0.1 * np.array([1, 1, 1, 1, 2 / 3, 1 / 3, 0])
    np.testing.assert_allclose([row[1:] for row in rows], np.stack([falling, falling], 1), atol=1e-15)


def test_clips_that_are_judged_move_as_none_that_was_trained_on():
    t = small()
    _, judged = t.clips(t.dataset.train, 3)
    for step in range(5):
        assert not np.array_equal(judged.velocities, t.loader.batch(step).velocities)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"objective": "adversary"}, "did you mean 'adversarial'"),
        ({"objects": 3}, "objects must be at most 2"),
        ({"objective": "mse", "adversarial": 1.0}, "option 'adversarial' means nothing here"),
        ({"objective": "mse", "n_generator": 2}, "option 'n_generator' means nothing here: there is no critic"),
    ],
)
def test_wrong_options_are_named(changes, told):
    with pytest.raises(ValueError, match=told):
        options_for("nextframe", **changes)


def test_a_page_is_of_a_size_that_halves_three_times():
    with pytest.raises(ValueError, match="Transporter: the size must be a multiple of 8, got 20"):
        trainer("nextframe", WORLD, size=20)
    assert nextframe.PAST == 2 and clip(SPOT, 1, 2, 0, 0).frames.shape == (1, 2, 1, 16, 16)


@pytest.mark.parametrize(("error", "pixels", "wins"), [(2, 2, False), (1, 2, True), (2, 1, True), (0.9, 0.9, True)])
def test_a_null_model_wins_by_either_figure(error, pixels, wins):
    assert nextframe._as_good({"error": error, "pixels": pixels}, {"error": 1, "pixels": 1}) == wins
