"""The palette translator: shapes, what it starts as, few colours and untouched pixels in evaluation; its critic."""

import numpy as np
import pytest

import minigan as mg
from minigan.backend import Generator
from minigan.gan.networks.palette import PaletteCritic, PaletteTranslator, start_


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
def test_in_evaluation_a_pixel_stays_or_takes_a_colour(colours, own):
    """To the bit; the others have at most as many colours as the palette, of which only `colours` are new."""
    net, (x, c) = network(colours, own), inputs()
    net.shares.bias.assign(np.array([-3] + [0] * (colours + own), np.float32))
    net.shares.weight.assign(np.random.default_rng(0).standard_normal(net.shares.weight.shape).astype(np.float32))
    with mg.no_grad():
        soft, hard = net(x, c).numpy(), net.eval()(x, c).numpy()
    stays = (hard == x.numpy()).all(1)
    assert 0 < stays.sum() < stays.size
    for image, stay in zip(hard, stays, strict=True):
        painted = {tuple(colour) for colour in image[:, ~stay].T}
        assert 0 < len(painted) <= colours + own
    for image, before in zip(hard, x.numpy(), strict=True):
        new = {tuple(p) for p in image.reshape(3, -1).T} - {tuple(p) for p in before.reshape(3, -1).T}
        assert len(new) <= colours
    assert len(np.unique(soft[0].reshape(3, -1).T, axis=0)) > 200


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
