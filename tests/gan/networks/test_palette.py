"""The palette translator: shapes, what it starts as, few colours and untouched pixels in evaluation; its critic."""

import numpy as np
import pytest

import minigan as mg
from minigan.backend import Generator
from minigan.gan.networks.palette import STAY, PaletteCritic, PaletteTranslator, few_colours, start_


def network(colours: int = 3, own: int = 2) -> PaletteTranslator:
    return start_(PaletteTranslator(3, 16, 4, 1, 5, colours, own), Generator(0, 1))


def inputs(seed: int = 0) -> tuple[mg.Tensor, mg.Tensor]:
    random = np.random.default_rng(seed)
    x, c = random.uniform(-1, 1, (2, 3, 16, 16)), random.standard_normal((2, 5))
    return mg.tensor(x.astype(np.float32)), mg.tensor(c.astype(np.float32))


def test_at_the_start_most_of_an_image_stays():
    x, c = inputs()
    y = network()(x, c)
    assert y.shape == x.shape and abs(y - x).mean().item() < 0.3 and abs(y - x).max().item() > 0


@pytest.mark.parametrize(("colours", "own"), [(3, 0), (2, 2), (1, 3)])
def test_in_evaluation_a_pixel_stays_to_the_bit_or_is_painted(colours, own):
    net, (x, c) = network(colours, own), inputs()
    net.shares.bias.assign(np.array([-3] + [0] * (colours + own), np.float32))
    net.shares.weight.assign(np.random.default_rng(0).standard_normal(net.shares.weight.shape).astype(np.float32))
    with mg.no_grad():
        mixture, evaluation = net(x, c).numpy(), net.eval()(x, c).numpy()
    stays = (evaluation == x.numpy()).all(1)
    assert 0 < stays.sum() < stays.size
    assert np.abs(evaluation - mixture).transpose(0, 2, 3, 1)[stays].max() > 0.1
    assert np.abs(evaluation).max() <= 1


@pytest.mark.parametrize(("stay", "painted"), [(0.4, False), (0.25, True)])
def test_the_paint_is_the_blend_that_the_critic_saw(stay, painted):
    """Shares 0.4, 0.35, 0.25 at every pixel: it stays, though the mixture is 60 % paint. Shares 0.25, 0.4, 0.35: it is
    paint alone, in the blend's proportions."""
    net, (x, c) = network(colours=2, own=0), inputs()
    rest = 0.35 if painted else 0.25
    net.shares.weight.assign(np.zeros(net.shares.weight.shape, np.float32))
    net.shares.bias.assign(np.log(np.array([stay, 1 - stay - rest, rest])).astype(np.float32) - np.array([STAY, 0, 0]))
    with mg.no_grad():
        mixture, evaluation = net(x, c).numpy(), net.eval()(x, c).numpy()
    want = (mixture - stay * x.numpy()) / (1 - stay) if painted else x.numpy()
    np.testing.assert_allclose(evaluation, want, rtol=0, atol=1e-5 if painted else 0)


def test_near_blends_of_one_picture_become_their_mean():
    """Two near shades and one that is far off in one channel; what was not painted stays, though it is near, too, and
    other pictures do not count."""
    before = np.zeros((2, 3, 2, 2), np.float32)
    before[0, :, 1, 1] = 0.58
    after = before.copy()
    after[0, :, 0, 0], after[0, :, 0, 1], after[0, :, 1, 0] = 0.5, 0.6, (0.5, -0.9, 0.5)
    after[1, :, 0, 0] = 0.55
    want = after.copy()
    want[0, :, 0, :] = 0.55
    np.testing.assert_allclose(few_colours(before, after, distance=0.2), want, rtol=1e-6)
    np.testing.assert_array_equal(few_colours(before, after, distance=0.1), after)  # 0.1 sqrt 3 apart


@pytest.mark.parametrize(
    ("changes", "match"), [({"size": 6}, "size must be a multiple of 4"), ({"size": 4}, "at least 8")]
)
def test_sizes_that_do_not_fit_are_refused(changes, match):
    for network in (PaletteTranslator, PaletteCritic):
        with pytest.raises(ValueError, match=match):
            network(3, **changes)


def test_inputs_that_do_not_fit_are_refused():
    (x, c), net = inputs(), network()
    with pytest.raises(ValueError, match=r"images must be \(N, 3, 16, 16\), got \(2, 3, 8, 16\)"):
        net(x[:, :, :8], c)
    with pytest.raises(ValueError, match=r"the condition must be \(2, 5\), got \(2, 4\)"):
        net(x, c[:, :4])


def test_the_critic_has_a_number_for_the_image_and_one_for_each_attribute():
    x, _ = inputs()
    scores, values = start_(PaletteCritic(4, 3, 16, 8), Generator(0, 1))(x)
    assert scores.shape == (2,) and values.shape == (2, 4)
