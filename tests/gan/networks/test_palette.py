"""The palette translator: shapes, what it starts as, few colours and untouched pixels in evaluation; its critic."""

import numpy as np
import pytest

import minigan as mg
from minigan.backend import Generator
from minigan.gan.networks.palette import PaletteCritic, PaletteTranslator, start_


def network(colours: int = 3, own: int = 2) -> PaletteTranslator:
    return start_(PaletteTranslator(3, 16, 4, 1, 5, colours, own), Generator(0, 1))


def painted(net: PaletteTranslator, w: float | None, *inputs: mg.Tensor) -> mg.Tensor:
    net.decided = None if w is None else mg.tensor(w)
    return net(*inputs)


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


def test_whole_colours_are_what_evaluation_paints_and_blends_lie_between():
    net, (x, c) = network().requires_grad_(False), inputs()
    net.shares.bias.assign(np.array([-2, 0, 0, 0, 1, 1], np.float32))
    blend, whole = (painted(net, w, x, c).numpy() for w in (None, 1.0))
    np.testing.assert_allclose(whole, net.eval()(x, c).numpy(), atol=1e-5)
    assert np.abs(whole - blend).max() > 0.3
    only_new = network(colours=3, own=0).requires_grad_(False)
    blend, half, whole = (painted(only_new, w, x, c).numpy() for w in (0.0, 0.5, 1.0))
    np.testing.assert_allclose(half, (blend + whole) / 2, atol=1e-5)


def test_whole_colours_have_the_gradient_of_the_shares():
    """x' is linear in the shares, so that what moves them feels the same slope whatever is painted with."""
    net, (x, c) = network(own=0), inputs()
    weight = mg.tensor(np.random.default_rng(1).standard_normal(x.shape).astype(np.float32))
    losses = [(painted(net, w, x, c) * weight).sum() for w in (None, 1.0)]
    slopes = [mg.grad(loss, net.shares.weight)[0].numpy() for loss in losses]
    assert np.abs(slopes[0]).max() > 0
    np.testing.assert_allclose(slopes[1], slopes[0], rtol=1e-5, atol=1e-5)


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
