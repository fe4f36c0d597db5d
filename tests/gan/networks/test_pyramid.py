"""The Laplacian pyramid takes images apart and puts them together exactly, and its blur is one."""

import numpy as np
import pytest

import minigan as mg
from minigan.gan.networks import pyramid
from minigan.gan.networks.pyramid import LevelCritic, PyramidCritic, PyramidGenerator, analysis, down, synthesis, up

RNG = np.random.default_rng(3)


@pytest.mark.parametrize(("size", "levels"), [(2, 1), (4, 2), (8, 3), (16, 1), (32, 2), (64, 3)])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_what_is_taken_apart_comes_together_exactly(size, levels, channels):
    """In float64 to 1e-12: any power of two, any channels, any depth; the sizes halve."""
    x = RNG.uniform(-1, 1, (2, channels, size, size))
    coarsest, residuals = analysis(mg.tensor(x), levels)
    assert coarsest.shape == (2, channels, size >> levels, size >> levels)
    assert [r.shape[2] for r in residuals] == [size >> k for k in range(levels - 1, -1, -1)]
    np.testing.assert_allclose(synthesis(coarsest, residuals).numpy(), x, rtol=0, atol=1e-12)


def test_the_blur_is_binomial_and_its_enlargement_bilinear():
    """(1 3 3 1) / 8 around each pair of pixels; weights 3/4 and 1/4 back; d is u's adjoint over 4; a constant stays."""
    spot = np.zeros((1, 1, 8, 8))
    spot[0, 0, 4, 4] = 1  # pixel 4 is the last of output 1's window 1..4 and the second of output 2's 3..6
    weights = np.array([0, 1, 3, 0]) / 8
    np.testing.assert_allclose(down(mg.tensor(spot)).numpy()[0, 0], np.outer(weights, weights), atol=1e-15)
    for at, weights in ((0, [4, 3, 1, 0, 0, 0, 0, 0]), (1, [0, 1, 3, 3, 1, 0, 0, 0]), (3, [0, 0, 0, 0, 0, 1, 3, 4])):
        spot = np.zeros((1, 1, 4, 4))
        spot[0, 0, at, at] = 1
        want = np.outer(weights, weights) / 16
        np.testing.assert_allclose(up(mg.tensor(spot)).numpy()[0, 0], want, atol=1e-15)
    x, y = RNG.standard_normal((1, 1, 8, 8)), RNG.standard_normal((1, 1, 4, 4))
    inner = (down(mg.tensor(x)).numpy() * y).sum(), (x * up(mg.tensor(y)).numpy()).sum()
    assert inner[0] == pytest.approx(inner[1] / 4, rel=1e-12)
    flat = mg.tensor(np.full((1, 2, 8, 8), 0.7))
    np.testing.assert_allclose(down(flat).numpy(), 0.7, rtol=1e-14)
    np.testing.assert_allclose(up(flat).numpy(), 0.7, rtol=1e-14)


def test_a_chessboard_leaves_nothing_but_its_rim():
    """The finest pattern that a page can hold is no part of the coarse image: a pyramid without the blur would take it
    for a grey level. Inside, (1 - 3 + 3 - 1) / 8 = 0."""
    board = np.indices((16, 16)).sum(0) % 2 * 2.0 - 1
    small = down(mg.tensor(board[None, None])).numpy()[0, 0]
    np.testing.assert_allclose(small[1:-1, 1:-1], 0, atol=1e-15)


def test_a_level_adds_its_residual_to_what_it_enlarges():
    """Each stage is u(the one before) + h of its own network, its own noise and the labels; the last is the forward."""
    network = PyramidGenerator(3, 1, 32, 1, classes=2).double().eval()
    network.level_16.forward = lambda low, noise, y: low * 0 + noise * y[:, 1].reshape(-1, 1, 1, 1) / 50
    network.level_32.forward = lambda low, noise, y: 0.25 * noise
    inputs = RNG.uniform(-1, 1, (2, 3 + 256 + 1024 + 2))
    inputs[:, -2:] = np.eye(2)
    eight, sixteen, thirty_two = network.stages(mg.tensor(inputs))
    noises = inputs[:, 3:259].reshape(2, 1, 16, 16), inputs[:, 259:1283].reshape(2, 1, 32, 32)
    coarse = network.level_8(mg.tensor(inputs[:, [0, 1, 2, -2, -1]]))
    np.testing.assert_allclose(eight.detach().numpy(), coarse.detach().numpy(), rtol=1e-12)
    label = np.array([0.0, 1.0]).reshape(2, 1, 1, 1)
    expected = np.clip(up(eight).detach().numpy() + noises[0] * label / 50, -1, 1)
    np.testing.assert_allclose(sixteen.detach().numpy(), expected, rtol=1e-12)
    expected = np.clip(up(sixteen).detach().numpy() + 0.25 * noises[1], -1, 1)
    np.testing.assert_allclose(thirty_two.detach().numpy(), expected, rtol=1e-12)
    assert np.array_equal(network(mg.tensor(inputs)).detach().numpy(), thirty_two.detach().numpy())


def test_the_critic_of_a_level_sees_the_image_what_it_sharpens_and_the_class():
    critic = PyramidCritic(1, 16, 2, classes=2, norm=False).double()
    x, low = (mg.tensor(RNG.uniform(-1, 1, (2, 1, 16, 16))) for _ in "ab")
    y, other = mg.tensor(np.eye(2)), mg.tensor(np.eye(2)[::-1].copy())
    numbers = critic(x, low, y).detach().numpy()
    for changed in (critic(x + 0.1, low, y), critic(x, low + 0.1, y), critic(x, low, other)):
        assert not np.isclose(changed.detach().numpy(), numbers).any()
    assert critic(mg.tensor(RNG.uniform(-1, 1, (2, 1, 8, 8))), y).shape == (2,)
    assert LevelCritic(3, 8, 2, conditioned=False).main[0].in_channels == 3


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: down(mg.zeros(1, 1, 5, 5)), r"down: expects square images of an even size .* got \(1, 1, 5, 5\)"),
        (lambda: up(mg.zeros(1, 1, 4, 2)), r"up: expects square images .* got \(1, 1, 4, 2\)"),
        (lambda: analysis(mg.zeros(1, 1, 4, 4), 3), r"down: .* got \(1, 1, 1, 1\)"),
        (lambda: pyramid.sizes_of(24), "pyramid: the image size must be a power of two, at least 8, got 24"),
        (lambda: PyramidGenerator(3, 1, 16, 1)(mg.zeros(2, 3)), r"inputs must be \(N, 259\), got \(2, 3\)"),
    ],
)
def test_bad_input_is_named(call, told):
    with pytest.raises(ValueError, match=told):
        call()
