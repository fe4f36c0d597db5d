"""The networks that turn images into images: shapes, masks, conditions that arrive, refusals."""

import numpy as np
import pytest

import minigan as mg
from minigan.backend import Generator
from minigan.gan.networks.translators import (
    AttributeCritic,
    ConditionalNorm,
    PatchCritic,
    ResidualBlock,
    Translator,
    init_,
    planes,
)


def images(count: int, channels: int = 3, size: int = 16, seed: int = 0) -> mg.Tensor:
    return mg.tensor(np.random.default_rng(seed).uniform(-1, 1, (count, channels, size, size)).astype(np.float32))


@pytest.mark.parametrize(("channels", "size", "halvings", "conditions"), [(3, 16, 1, 0), (1, 32, 2, 3), (3, 8, 2, 1)])
def test_under_a_mask_the_shape_stays_and_the_start_is_near_the_identity(channels, size, halvings, conditions):
    """m is about 0.05 at the start, so no pixel moves by more than 0.05 of the way to what the network draws there; and
    where the mask is shut for good, nothing does."""
    network = init_(
        Translator(channels, size, 4, 2, halvings, conditions, coordinates=True, mask=True), Generator(0, 1)
    )
    x = images(2, channels, size)
    condition = (mg.rand(2, conditions),) if conditions else ()
    made = network(x, *condition).data
    assert made.shape == x.shape and 0 < abs(made - x.data).max() < 0.15
    network.last.bias.assign(np.array([0] * channels + [-1e4], np.float32))
    assert np.array_equal(network(x, *condition).data, x.data)


def test_without_a_mask_the_images_lie_between_minus_one_and_one():
    network = init_(Translator(3, 16, 4, 1, 1), Generator(0, 1))
    made = network(images(2))
    assert made.shape == (2, 3, 16, 16) and (abs(made.data) < 1).all() and made.data.std() > 0


def test_the_condition_arrives():
    """Every condition moves the output; through mirrored borders and plain instance norm it would not."""
    network = init_(Translator(3, 16, 4, 1, 1, conditions=2), Generator(0, 1))
    x = images(1)
    plain = network(x, mg.zeros(1, 2)).data
    for k in range(2):
        condition = np.zeros((1, 2), np.float32)
        condition[0, k] = 1
        assert abs(network(x, mg.tensor(condition)).data - plain).max() > 1e-3


def test_planes_alone_do_not_arrive():
    """Why there are conditional norms: between mirrored borders a plane shifts a convolution by a constant, which
    instance norm takes away, to rounding."""
    layers = mg.nn.Sequential(mg.nn.ReflectionPad2d(1), mg.nn.Conv2d(5, 4, 3), mg.nn.InstanceNorm2d(4))
    x = images(1)
    first, second = (
        layers(mg.cat([x, planes(mg.tensor(np.array([c], np.float32)), 16)], 1)).data for c in ([0, 0], [1, -2])
    )
    assert np.allclose(first, second, atol=1e-5)


def test_a_conditional_norm_is_its_formula():
    norm = ConditionalNorm(3, 2)
    x, c = images(2), mg.rand(2, 2)
    h = (x.data - x.data.mean((2, 3), keepdims=True)) / np.sqrt(x.data.var((2, 3), keepdims=True) + 1e-5)
    scale = c.data @ norm.scale.weight.data.T
    shift = c.data @ norm.shift.weight.data.T + norm.shift.bias.data
    expected = h * (1 + scale[:, :, None, None]) + shift[:, :, None, None]
    assert np.allclose(norm(x, c).data, expected, atol=1e-5)


def test_a_residual_block_is_torch_s():
    """The same numbers as the published block of PyTorch layers, to float32's rounding."""
    torch = pytest.importorskip("torch")
    block = ResidualBlock(4)
    theirs = torch.nn.Sequential(
        torch.nn.ReflectionPad2d(1),
        torch.nn.Conv2d(4, 4, 3, bias=False),
        torch.nn.InstanceNorm2d(4),
        torch.nn.ReLU(),
        torch.nn.ReflectionPad2d(1),
        torch.nn.Conv2d(4, 4, 3, bias=False),
        torch.nn.InstanceNorm2d(4),
    )
    for k in (1, 5):
        theirs[k].weight.data = torch.tensor(block.body[k].weight.data.copy())
    x = images(2, 4)
    t = torch.tensor(np.ascontiguousarray(x.data))
    assert np.allclose(block(x).data, (t + theirs(t)).detach().numpy(), atol=1e-5)


def test_critics_have_one_number_a_patch_and_one_logit_an_attribute():
    assert PatchCritic(3, 32, 4)(images(2, size=32)).shape == (2, 1, 8, 8)
    score, logits = AttributeCritic(5, 3, 16, 4, 2)(images(2))
    assert score.shape == (2,) and logits.shape == (2, 5)


def test_coordinates_tell_the_middle_from_the_rim():
    """A constant image becomes one that is not constant with coordinates, and stays constant without."""
    x = mg.zeros(1, 3, 16, 16)
    for coordinates, varies in ((True, True), (False, False)):
        network = init_(Translator(3, 16, 4, 0, 1, coordinates=coordinates, kernel=3), Generator(0, 1))
        made = network(x).data[:, :, 2:-2, 2:-2]
        assert (made.std() > 1e-4) == varies


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Translator(size=20, halvings=3), "size 20 cannot be halved 3 times"),
        (lambda: PatchCritic(size=4, halvings=2), "size 4 cannot be halved 2 times down to at least 2"),
        (lambda: Translator(size=16)(images(1, 1)), r"images must be \(N, 3, 16, 16\), got \(1, 1, 16, 16\)"),
        (lambda: Translator(size=16, conditions=2)(images(1)), r"the condition must be \(1, 2\), got None"),
        (lambda: Translator(size=16)(images(1), mg.zeros(1, 2)), r"the condition must be none, got \(1, 2\)"),
    ],
)
def test_what_does_not_fit_is_refused(make, match):
    with pytest.raises(ValueError, match=match):
        make()
